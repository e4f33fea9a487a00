"""What a tick takes in and leaves behind besides orders: signals received, its inputs, the outcomes of its
blocking checks, named marks, and alerts that wait for delivery."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, select, update

from trading_assets.store.database import Database, as_record, as_row, given, insert_all, same
from trading_assets.store.records import GateCheckRecord, OutboxRecord, SignalRecord, TickInputRecord
from trading_assets.store.schema import gate_checks, marks, outbox, signals, tick_inputs


class TickJournal(Database):
    """The journal's inbox, inputs, marks and outbox."""

    def record_signals(self, received: Sequence[SignalRecord]) -> list[SignalRecord]:
        """Store each signal once, by (book, decision id, symbol); returns the newly stored."""
        new = []
        with self._writing() as connection:
            for signal in received:
                row = as_row(signal)
                if connection.execute(_IS_KNOWN, row).first() is None:
                    connection.execute(insert(signals), row)
                    new.append(signal)
        return new

    def pending_signals(self, book: str) -> list[SignalRecord]:
        """Signals that no tick has consumed, in the order in which they came."""
        with self._reading() as connection:
            return [as_record(SignalRecord, row) for row in connection.execute(_PENDING, {"book": book})]

    def signal(self, book: str, decision_id: str) -> SignalRecord | None:
        """The signal of one decision (which names its symbol too); None when it was never received."""
        query = select(signals).where(signals.c.book == book, signals.c.decision_id == decision_id)
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else as_record(SignalRecord, row)

    def signals_for_tick(self, book: str, tick_ns: int) -> list[SignalRecord]:
        """Signals that wait, and those that this tick consumed before, in the order in which they came."""
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

    def arrivals(self, book: str, decision_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """When the signals of these decisions were received, in nanoseconds, and their numbers in the order
        of arrival."""
        query = select(signals.c.decision_id, signals.c.received_ns, signals.c.sequence).where(
            signals.c.book == book, signals.c.decision_id.in_(decision_ids)
        )
        with self._reading() as connection:
            return {row.decision_id: (row.received_ns, row.sequence) for row in connection.execute(query)}

    def consume_signals(self, book: str, decided: Sequence[tuple[str, str]], tick_ns: int) -> int:
        """Mark the signals of (decision id, symbol) as decided on by a tick, all in one transaction; returns
        how many of them were pending."""
        if not decided:
            return 0
        with self._writing() as connection:
            consumed = connection.execute(
                update(signals)
                .where(
                    signals.c.book == book,
                    signals.c.decision_id == bindparam("of_decision"),
                    signals.c.symbol == bindparam("of_symbol"),
                    signals.c.consumed_tick_ns.is_(None),
                )
                .values(consumed_tick_ns=tick_ns),
                [{"of_decision": decision_id, "of_symbol": symbol} for decision_id, symbol in decided],
            )
            return int(consumed.rowcount)

    def record_tick_input(self, record: TickInputRecord) -> None:
        """Store the input of a decision before it is made. Append-only, because it is evidence."""
        with self._writing() as connection:
            connection.execute(insert(tick_inputs), as_row(record))

    def tick_inputs(
        self, book: str, session: str | None = None, tick_ns: int | None = None
    ) -> list[TickInputRecord]:
        """Inputs in the order of writing."""
        wanted = given(book=book, session=session, tick_ns=tick_ns)
        query = select(tick_inputs).where(*same(tick_inputs, *wanted)).order_by(tick_inputs.c.sequence)
        with self._reading() as connection:
            return [as_record(TickInputRecord, row) for row in connection.execute(query, wanted)]

    def record_gate_checks(self, outcomes: Sequence[GateCheckRecord]) -> None:
        """Store the outcomes of blocking checks; each replaces its tick's earlier one."""
        with self._writing() as connection:
            for outcome in outcomes:
                connection.execute(_NOT_THAT_CHECK, as_row(outcome))
            insert_all(connection, gate_checks, outcomes)

    def gate_checks(self, book: str, tick_ns: int) -> list[GateCheckRecord]:
        """One tick's stored outcomes by check."""
        values = {"book": book, "tick_ns": tick_ns}
        with self._reading() as connection:
            return [as_record(GateCheckRecord, row) for row in connection.execute(_GATE_CHECKS, values)]

    def latest_gate_checks_ns(self, book: str, since_ns: int) -> int | None:
        """The last tick since then with stored outcomes. Every tick has some, whatever it had to decide."""
        query = select(func.max(gate_checks.c.tick_ns)).where(
            gate_checks.c.book == book, gate_checks.c.tick_ns >= since_ns
        )
        with self._reading() as connection:
            newest = connection.execute(query).scalar_one()
        return None if newest is None else int(newest)

    def set_mark(self, book: str, name: str, value: str, at_ns: int) -> None:
        """Store a named value (a watermark, the limits in force); it replaces the earlier one."""
        with self._writing() as connection:
            row = {"book": book, "name": name, "value": value, "at_ns": at_ns}
            connection.execute(_NOT_THAT_MARK, row)
            connection.execute(insert(marks), row)

    def mark(self, book: str, name: str) -> str | None:
        """A named value; None when it was never set."""
        with self._reading() as connection:
            return connection.execute(_MARK, {"book": book, "name": name}).scalar_one_or_none()

    def marked_ns(self, book: str, name: str) -> int:
        """When the named value was set; 0 when it never was."""
        with self._reading() as connection:
            return int(connection.execute(_MARKED_NS, {"book": book, "name": name}).scalar() or 0)

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


_IS_KNOWN = select(signals.c.sequence).where(*same(signals, "book", "decision_id", "symbol"))
_PENDING = (
    select(signals)
    .where(*same(signals, "book"), signals.c.consumed_tick_ns.is_(None))
    .order_by(signals.c.sequence)
)
_GATE_CHECKS = select(gate_checks).where(*same(gate_checks, "book", "tick_ns")).order_by(gate_checks.c.check)
_NOT_THAT_CHECK = delete(gate_checks).where(*same(gate_checks, "book", "tick_ns", "check"))
_MARK = select(marks.c.value).where(*same(marks, "book", "name"))
_MARKED_NS = select(marks.c.at_ns).where(*same(marks, "book", "name"))
_NOT_THAT_MARK = delete(marks).where(*same(marks, "book", "name"))
