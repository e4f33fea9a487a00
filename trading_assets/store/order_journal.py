"""Verdicts, intents, orders and their events: what the desk meant, written before anything is sent.

`core.orders` says which edge an order may take; the ledger's part of the journal has the fills.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, insert, or_, select, update

from trading_assets.core.orders import (
    OPEN_STATES,
    TERMINAL_STATES,
    Evidence,
    Kind,
    State,
    is_overtaken,
    next_state,
    path_on_evidence,
)
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.store.database import Database, as_record, as_row, given, same
from trading_assets.store.records import IntentRecord, OrderEventRecord, OrderRecord, VerdictRecord
from trading_assets.store.schema import intents, marks, order_events, orders, verdicts

_ON_THE_WIRE = (State.SUBMITTING, State.UNKNOWN)
_TAKEN_BY_THE_BROKER = (
    State.ACCEPTED,
    State.PARTIALLY_FILLED,
    State.FILLED,
    State.CANCELED,
    State.EXPIRED,
)


class DuplicateIntent(TradingAssetsError):
    """The client order id or the verdict of an intent is in the journal already."""

    def __init__(self, client_order_id: str, verdict_id: str) -> None:
        self.client_order_id = client_order_id
        self.verdict_id = verdict_id
        super().__init__(client_order_id, verdict_id)

    def __str__(self) -> str:
        return (
            f"order {self.client_order_id} or verdict {self.verdict_id} is journaled already; "
            "look the order up and follow it, or send the next attempt once it is terminal"
        )


class UnknownOrder(TradingAssetsError):
    """No intent has this client order id."""

    def __init__(self, client_order_id: str) -> None:
        self.client_order_id = client_order_id
        super().__init__(client_order_id)

    def __str__(self) -> str:
        return f"the journal has no intent {self.client_order_id}; an order bearing it is foreign"


class SentCount(NamedTuple):
    """Orders of one symbol that were sent in a session, later-rejected ones included."""

    entries: int = 0
    exits: int = 0
    flattens: int = 0  # exits of a flatten, which no cap counts


class Move(NamedTuple):
    """An order before and after a transition; the same record twice when nothing moved."""

    before: OrderRecord
    after: OrderRecord


class TakenEvidence(NamedTuple):
    """An order before and after the broker's answer about it. `in_table`: no step contradicts the table."""

    before: OrderRecord
    after: OrderRecord
    in_table: bool


class OrderJournal(Database):
    """The journal's orders."""

    def record_refusal(self, verdict: VerdictRecord) -> bool:
        """Store a verdict that refused. False when this verdict is stored already; the first stays."""
        with self._writing() as connection:
            if _has_verdict(connection, verdict.verdict_id):
                return False
            connection.execute(insert(verdicts), as_row(verdict))
        return True

    def record_intents(self, approved: Sequence[tuple[VerdictRecord, IntentRecord]]) -> None:
        """Store approved orders before the first of them is sent: verdicts, intents, orders and events in
        one durable transaction.

        Raises DuplicateIntent, and InvalidInput when a verdict refused or is another order's; nothing is
        stored then.
        """
        for verdict, intent in approved:
            about_it = (verdict.verdict_id, verdict.client_order_id, verdict.book) == (
                intent.verdict_id,
                intent.client_order_id,
                intent.book,
            )
            if verdict.failed or not about_it:
                raise InvalidInput(
                    f"verdict {verdict.verdict_id} (failed codes {verdict.failed:#x}) does not approve it",
                    where=f"intent {intent.client_order_id}",
                    remedy="Only an order that passed the gate may become an intent.",
                )
        with self._writing() as connection:
            for verdict, intent in approved:
                known = connection.execute(_IS_KNOWN, {"client_order_id": intent.client_order_id}).first()
                if known or _has_verdict(connection, verdict.verdict_id):
                    raise DuplicateIntent(intent.client_order_id, verdict.verdict_id)
                connection.execute(insert(verdicts), as_row(verdict))
                connection.execute(insert(intents), as_row(intent))
                connection.execute(
                    insert(orders),
                    {
                        "client_order_id": intent.client_order_id,
                        "book": intent.book,
                        "state": State.INTENT.value,
                        "filled_qty": Decimal(0),
                        "updated_ns": intent.created_ns,
                        "detail": "",
                    },
                )
                _insert_event(connection, intent, intent.created_ns, None, State.INTENT, None, "")

    def verdicts(
        self,
        book: str,
        *,
        session: str | None = None,
        tick_ns: int | None = None,
        client_order_id: str | None = None,
    ) -> list[VerdictRecord]:
        """Verdicts in the order in which the gate gave them."""
        wanted = given(book=book, session=session, tick_ns=tick_ns, client_order_id=client_order_id)
        query = select(verdicts).where(*same(verdicts, *wanted)).order_by(verdicts.c.sequence)
        with self._reading() as connection:
            return [as_record(VerdictRecord, row) for row in connection.execute(query, wanted)]

    def move(
        self,
        client_order_id: str,
        to: State,
        *,
        at_ns: int,
        broker_order_id: str | None = None,
        filled_qty: Decimal | None = None,
        detail: str = "",
    ) -> Move:
        """Move an order to `to`. Reports only what this call moved, not what another process moved before.

        The same state again is no event; it may raise the filled quantity, name the broker's id and
        renew the time of SUBMITTING. A filled quantity never falls: an older answer came late. A
        further partial fill is an event, and nothing less revives an order that has ended. Raises
        IllegalTransition and UnknownOrder; nothing changes.
        """
        with self._writing() as connection:
            before = _order(connection, client_order_id)
            current = State(before.state)
            state = next_state(current, to)
            filled = max(before.filled_qty, filled_qty if filled_qty is not None else before.filled_qty)
            if current in TERMINAL_STATES and state in OPEN_STATES and filled == before.filled_qty:
                return Move(before, before)
            moved = state is not current or (state is State.PARTIALLY_FILLED and filled > before.filled_qty)
            after = OrderRecord(
                intent=before.intent,
                state=state.value,
                broker_order_id=broker_order_id or before.broker_order_id,
                filled_qty=filled,
                submitted_ns=at_ns if state is State.SUBMITTING else before.submitted_ns,
                updated_ns=before.updated_ns,
                detail=detail if moved else detail or before.detail,
                evidence_ns=before.evidence_ns,
            )
            if after == before:
                return Move(before, before)
            after = replace(after, updated_ns=at_ns)
            _update(connection, after)
            if moved:
                broker_id = after.broker_order_id
                _insert_event(connection, before.intent, at_ns, current, state, broker_id, detail)
            return Move(before, after)

    def take_in(
        self,
        client_order_id: str,
        evidence: Evidence,
        *,
        at_ns: int,
        broker_order_id: str,
        earlier_ids: Sequence[str] = (),
        detail: str = "",
    ) -> TakenEvidence:
        """Move an order to where the broker's answer says it is, by `core.orders.path_on_evidence`.

        An answer that is older than what the journal knows (`is_overtaken`) changes nothing. The filled
        quantity never falls, and nothing but more of it revives an order that has ended. A change of the
        broker's id is an event: a person replaced the order.

        earlier_ids: of the orders that the one with `broker_order_id` replaced, so that their fills are
            known as this order's. Raises UnknownOrder.
        """
        with self._writing() as connection:
            before = _order(connection, client_order_id)
            current, known_ns = State(before.state), before.evidence_ns
            if known_ns is not None:
                if is_overtaken(evidence, Evidence(known_ns, current, before.filled_qty)):
                    return TakenEvidence(before, before, in_table=True)
                another = before.broker_order_id not in (None, broker_order_id, *earlier_ids)
                if another and evidence.stamp_ns <= known_ns:  # of an order that ours was replaced by since
                    return TakenEvidence(before, before, in_table=True)
            path = path_on_evidence(current, evidence.state)
            filled = max(before.filled_qty, evidence.filled_qty)
            revived = current in TERMINAL_STATES and evidence.state in OPEN_STATES
            if (revived and filled == before.filled_qty) or (not path.in_table and not path.steps):
                return TakenEvidence(before, before, path.in_table)
            steps = list(path.steps)
            further = current is State.PARTIALLY_FILLED and filled > before.filled_qty
            replaced = before.broker_order_id not in (None, broker_order_id)
            if not steps and (further or replaced):
                steps = [current]
            after = replace(
                before,
                state=steps[-1].value if steps else before.state,
                broker_order_id=broker_order_id,
                filled_qty=filled,
                detail=detail if steps else detail or before.detail,
            )
            if after != before:
                after = replace(after, updated_ns=at_ns)
            after = replace(after, evidence_ns=max(known_ns or 0, evidence.stamp_ns))
            if after != before:
                _update(connection, after)
            for step in steps:
                _insert_event(connection, before.intent, at_ns, current, step, broker_order_id, detail)
                current = step
            _remember_replaced(connection, before.intent, earlier_ids, at_ns)
            return TakenEvidence(before, after, path.in_table)

    def abandon(self, client_order_id: str, *, at_ns: int, detail: str) -> Move:
        """End an open order, whatever its state, as ABANDONED: that frees its shares and exposure. An order
        that has ended stays as it is. Raises UnknownOrder."""
        with self._writing() as connection:
            before = _order(connection, client_order_id)
            current = State(before.state)
            if current not in OPEN_STATES:
                return Move(before, before)
            after = replace(before, state=State.ABANDONED.value, updated_ns=at_ns, detail=detail)
            _update(connection, after)
            broker_id = before.broker_order_id
            _insert_event(connection, before.intent, at_ns, current, State.ABANDONED, broker_id, detail)
            return Move(before, after)

    def order(self, client_order_id: str) -> OrderRecord:
        """Raises UnknownOrder."""
        with self._reading() as connection:
            return _order(connection, client_order_id)

    def named(self, client_order_ids: Collection[str]) -> dict[str, OrderRecord]:
        """The orders among these ids that exist, by client order id."""
        orders = self._orders(_NAMED, {"ids": sorted(client_order_ids)})
        return {record.intent.client_order_id: record for record in orders}

    def client_ids(self, book: str, broker_order_ids: Collection[str]) -> dict[str, str]:
        """The broker's order id → ours, for the ids that belong to our orders, now or before a
        replacement."""
        with self._reading() as connection:
            values = {"book": book, "ids": sorted(broker_order_ids)}
            ids = {
                row.broker_order_id: row.client_order_id for row in connection.execute(_CLIENT_IDS, values)
            }
            names = sorted(f"{_REPLACED}{one}" for one in broker_order_ids if one not in ids)
            if not names:
                return ids
            replaced = connection.execute(_REPLACED_IDS, {"book": book, "names": names})
            return ids | {row.name.removeprefix(_REPLACED): row.value for row in replaced}

    def open_orders(self, book: str) -> list[OrderRecord]:
        """Orders whose exposure is reserved, INTENT, SUBMITTING and UNKNOWN included; oldest first."""
        return self._orders(_OPEN, {"book": book})

    def orders(
        self,
        book: str,
        *,
        session: str | None = None,
        symbol: str | None = None,
        decision_id: str | None = None,
    ) -> list[OrderRecord]:
        """Orders in any state, oldest first."""
        wanted = given(book=book, session=session, symbol=symbol, decision_id=decision_id)
        return self._orders(_orders_of(*wanted), wanted)

    def _orders(self, query: Select[Any], values: dict[str, Any]) -> list[OrderRecord]:
        with self._reading() as connection:
            return [_order_record(row) for row in connection.execute(query, values)]

    def events(self, client_order_id: str) -> list[OrderEventRecord]:
        """Everything that happened to an order, ascending by sequence."""
        query = (
            select(order_events)
            .where(order_events.c.client_order_id == client_order_id)
            .order_by(order_events.c.sequence)
        )
        with self._reading() as connection:
            return [as_record(OrderEventRecord, row) for row in connection.execute(query)]

    def was_sent(self, client_order_id: str) -> bool:
        """Whether the order ever reached SUBMITTING: it may have been on the wire."""
        with self._reading() as connection:
            submitted = connection.execute(_SUBMITTED, {"client_order_id": client_order_id})
            return submitted.scalar_one_or_none() is not None

    def sent_counts(self, book: str, session: str) -> dict[str, SentCount]:
        """By symbol, the session's orders that ever reached SUBMITTING."""
        with self._reading() as connection:
            counts = connection.execute(_SENT_COUNTS, {"book": book, "session": session})
            return {symbol: SentCount(*map(int, sent)) for symbol, *sent in counts}

    def reject_streak(self, book: str, *, since_ns: int = 0) -> int:
        """How often the broker has rejected since it last accepted an order, and since `since_ns`.

        Only the answer to a submission takes an order: a late cancel or fill of an older one ends no
        streak. Reads back from the newest event to the one that ends the streak, however long the book.
        """
        values = {"book": book}
        with self._reading() as connection, closing(connection.execute(_ANSWERS, values)) as newest_first:
            streak = takewhile(lambda answer: answer.to_state == State.REJECTED, newest_first)
            return sum(answer.at_ns >= since_ns for answer in streak)


_ORDERS = (
    select(
        intents,
        *(
            orders.c[name]
            for name in (
                "state",
                "broker_order_id",
                "filled_qty",
                "submitted_ns",
                "updated_ns",
                "detail",
                "evidence_ns",
            )
        ),
    )
    .join(orders, orders.c.client_order_id == intents.c.client_order_id)
    .order_by(orders.c.sequence)
)
_ORDER = _ORDERS.where(*same(intents, "client_order_id"))
_OPEN = _ORDERS.where(*same(orders, "book"), orders.c.state.in_(sorted(OPEN_STATES)))
_NAMED = _ORDERS.where(orders.c.client_order_id.in_(bindparam("ids", expanding=True)))
_CLIENT_IDS = (
    select(orders.c.broker_order_id, orders.c.client_order_id)
    .join(intents, intents.c.client_order_id == orders.c.client_order_id)
    .where(*same(intents, "book"), orders.c.broker_order_id.in_(bindparam("ids", expanding=True)))
)
_REPLACED = "replaced_order:"  # a mark for each broker's order of ours that another one took the place of
_REPLACED_IDS = select(marks.c.name, marks.c.value).where(
    *same(marks, "book"), marks.c.name.in_(bindparam("names", expanding=True))
)
_IS_KNOWN = select(orders.c.book).where(*same(orders, "client_order_id"))
_SUBMITTED = select(orders.c.submitted_ns).where(*same(orders, "client_order_id"))
_HAS_VERDICT = select(verdicts.c.sequence).where(*same(verdicts, "verdict_id"))
_SENT_COUNTS = (
    select(
        intents.c.symbol,
        func.sum(case((intents.c.reducing, 0), else_=1)),
        func.sum(case((and_(intents.c.reducing, intents.c.kind != Kind.FLATTEN), 1), else_=0)),
        func.sum(case((and_(intents.c.reducing, intents.c.kind == Kind.FLATTEN), 1), else_=0)),
    )
    .join(orders, orders.c.client_order_id == intents.c.client_order_id)
    .where(*same(intents, "book", "session"), orders.c.submitted_ns.is_not(None))
    .group_by(intents.c.symbol)
)
_ANSWERS = (
    select(order_events.c.to_state, order_events.c.at_ns)
    .where(
        # no bare column for the index by state, which would be read whole and sorted
        order_events.c.book.concat("") == bindparam("book"),
        or_(
            order_events.c.to_state == State.REJECTED,
            and_(
                order_events.c.to_state.in_(_TAKEN_BY_THE_BROKER), order_events.c.from_state.in_(_ON_THE_WIRE)
            ),
        ),
    )
    .order_by(order_events.c.sequence.desc())
)


@cache
def _orders_of(*wanted: str) -> Select[Any]:
    return _ORDERS.where(*same(intents, *wanted))


def _order(connection: Connection, client_order_id: str) -> OrderRecord:
    row = connection.execute(_ORDER, {"client_order_id": client_order_id}).one_or_none()
    if row is None:
        raise UnknownOrder(client_order_id)
    return _order_record(row)


def _order_record(row: Row[Any]) -> OrderRecord:
    return as_record(OrderRecord, row, intent=as_record(IntentRecord, row))


def _update(connection: Connection, record: OrderRecord) -> None:
    connection.execute(
        update(orders)
        .where(orders.c.client_order_id == record.intent.client_order_id)
        .values(
            state=record.state,
            broker_order_id=record.broker_order_id,
            filled_qty=record.filled_qty,
            submitted_ns=record.submitted_ns,
            updated_ns=record.updated_ns,
            detail=record.detail,
            evidence_ns=record.evidence_ns,
        )
    )


def _remember_replaced(
    connection: Connection, intent: IntentRecord, broker_order_ids: Sequence[str], at_ns: int
) -> None:
    names = [f"{_REPLACED}{one}" for one in broker_order_ids]
    if not names:
        return
    known = {row.name for row in connection.execute(_REPLACED_IDS, {"book": intent.book, "names": names})}
    for name in names:
        if name not in known:
            row = {"book": intent.book, "name": name, "value": intent.client_order_id, "at_ns": at_ns}
            connection.execute(insert(marks), row)


def _has_verdict(connection: Connection, verdict_id: str) -> bool:
    return connection.execute(_HAS_VERDICT, {"verdict_id": verdict_id}).first() is not None


def _insert_event(
    connection: Connection,
    intent: IntentRecord,
    at_ns: int,
    before: State | None,
    after: State,
    broker_order_id: str | None,
    detail: str,
) -> None:
    connection.execute(
        insert(order_events),
        {
            "book": intent.book,
            "client_order_id": intent.client_order_id,
            "at_ns": at_ns,
            "from_state": before,
            "to_state": after,
            "broker_order_id": broker_order_id,
            "detail": detail,
        },
    )
