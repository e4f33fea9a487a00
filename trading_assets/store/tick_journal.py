"""What a tick takes in and leaves behind beside orders: signals received, its inputs, the outcome of
its blocking checks, named marks, and alerts that wait to be delivered."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update

from trading_assets.store.database import Database, as_record, as_row, insert_all, narrowed
from trading_assets.store.records import GateCheckRecord, OutboxRecord, SignalRecord, TickInputRecord
from trading_assets.store.schema import gate_checks, marks, outbox, signals, tick_inputs


class TickJournal(Database):
    """The journal's inbox, inputs, marks and outbox."""

    def record_signals(self, received: Sequence[SignalRecord]) -> list[SignalRecord]:
        """Store signals once each, known by (book, decision id, symbol); returns the newly stored."""
        new = []
        with self._writing() as connection:
            for signal in received:
                known = select(signals.c.sequence).where(
                    signals.c.book == signal.book,
                    signals.c.decision_id == signal.decision_id,
                    signals.c.symbol == signal.symbol,
                )
                if connection.execute(known).first() is None:
                    connection.execute(insert(signals).values(as_row(signal)))
                    new.append(signal)
        return new

    def pending_signals(self, book: str) -> list[SignalRecord]:
        """Signals that no tick has consumed, in the order in which they came."""
        query = (
            select(signals)
            .where(signals.c.book == book, signals.c.consumed_tick_ns.is_(None))
            .order_by(signals.c.sequence)
        )
        with self._reading() as connection:
            return [as_record(SignalRecord, row) for row in connection.execute(query)]

    def signal(self, book: str, decision_id: str) -> SignalRecord | None:
        """The signal of one decision (which names its symbol too); None when it was never received."""
        query = select(signals).where(signals.c.book == book, signals.c.decision_id == decision_id)
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else as_record(SignalRecord, row)

    def signals_for_tick(self, book: str, tick_ns: int) -> list[SignalRecord]:
        """Signals that wait, and those that this tick took before, in the order in which they came."""
        query = (
            select(signals)
            .where(
                signals.c.book == book,
                signals.c.consumed_tick_ns.is_(None) | (signals.c.consumed_tick_ns == tick_ns),
            )
            .order_by(signals.c.sequence)
        )
        with self._reading() as connection:
            return [as_record(SignalRecord, row) for row in connection.execute(query)]

    def consume_signal(self, book: str, decision_id: str, symbol: str, tick_ns: int) -> bool:
        """Mark a signal as decided on by a tick. False when it is not pending."""
        with self._writing() as connection:
            consumed = connection.execute(
                update(signals)
                .where(
                    signals.c.book == book,
                    signals.c.decision_id == decision_id,
                    signals.c.symbol == symbol,
                    signals.c.consumed_tick_ns.is_(None),
                )
                .values(consumed_tick_ns=tick_ns)
            )
            return consumed.rowcount > 0

    def record_tick_input(self, record: TickInputRecord) -> None:
        """Store what a decision is about to be derived from. Append-only: it is evidence."""
        with self._writing() as connection:
            connection.execute(insert(tick_inputs).values(as_row(record)))

    def tick_inputs(
        self, book: str, session: str | None = None, tick_ns: int | None = None
    ) -> list[TickInputRecord]:
        """Inputs in the order of writing."""
        query = narrowed(
            select(tick_inputs).where(tick_inputs.c.book == book).order_by(tick_inputs.c.sequence),
            {tick_inputs.c.session: session, tick_inputs.c.tick_ns: tick_ns},
        )
        with self._reading() as connection:
            return [as_record(TickInputRecord, row) for row in connection.execute(query)]

    def record_gate_checks(self, outcomes: Sequence[GateCheckRecord]) -> None:
        """Store the outcomes of blocking checks, each in place of its tick's earlier one."""
        with self._writing() as connection:
            for outcome in outcomes:
                connection.execute(
                    delete(gate_checks).where(
                        gate_checks.c.book == outcome.book,
                        gate_checks.c.tick_ns == outcome.tick_ns,
                        gate_checks.c.check == outcome.check,
                    )
                )
            insert_all(connection, gate_checks, outcomes)

    def gate_checks(self, book: str, tick_ns: int) -> list[GateCheckRecord]:
        """One tick's stored outcomes by check."""
        query = (
            select(gate_checks)
            .where(gate_checks.c.book == book, gate_checks.c.tick_ns == tick_ns)
            .order_by(gate_checks.c.check)
        )
        with self._reading() as connection:
            return [as_record(GateCheckRecord, row) for row in connection.execute(query)]

    def latest_gate_checks_ns(self, book: str, since_ns: int) -> int | None:
        """The last tick since then that has stored outcomes: every tick has, whatever it had to decide."""
        query = select(func.max(gate_checks.c.tick_ns)).where(
            gate_checks.c.book == book, gate_checks.c.tick_ns >= since_ns
        )
        with self._reading() as connection:
            newest = connection.execute(query).scalar_one()
        return None if newest is None else int(newest)

    def set_mark(self, book: str, name: str, value: str, at_ns: int) -> None:
        """Store a named value (a watermark, the limits in force) in place of the earlier one."""
        with self._writing() as connection:
            connection.execute(delete(marks).where(marks.c.book == book, marks.c.name == name))
            connection.execute(insert(marks).values(book=book, name=name, value=value, at_ns=at_ns))

    def mark(self, book: str, name: str) -> str | None:
        """A named value; None when it was never set."""
        query = select(marks.c.value).where(marks.c.book == book, marks.c.name == name)
        with self._reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def enqueue_alert(self, alert: OutboxRecord) -> bool:
        """Put an alert into the outbox. False when its key was enqueued before, sent or not."""
        with self._writing() as connection:
            known = select(outbox.c.sequence).where(outbox.c.key == alert.key)
            if connection.execute(known).first() is not None:
                return False
            connection.execute(insert(outbox).values(as_row(alert)))
        return True

    def pending_alerts(self) -> list[OutboxRecord]:
        """Alerts of every book that are not sent, oldest first."""
        query = select(outbox).where(outbox.c.sent_ns.is_(None)).order_by(outbox.c.sequence)
        with self._reading() as connection:
            return [as_record(OutboxRecord, row) for row in connection.execute(query)]

    def mark_alert_sent(self, key: str, at_ns: int) -> bool:
        """Call it after delivery, so that a crash between delivers twice. False when not pending."""
        with self._writing() as connection:
            sent = connection.execute(
                update(outbox).where(outbox.c.key == key, outbox.c.sent_ns.is_(None)).values(sent_ns=at_ns)
            )
            return sent.rowcount > 0
