"""A person ends an order that the broker's evidence does not end, and frees what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from trading_assets.broker.port import BrokerError
from trading_assets.core.orders import OPEN_STATES, PREFIX, TERMINAL_STATES, State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.locks import DISPUTE_LOCK
from trading_assets.engine.evidence.order_states import apply_order_state
from trading_assets.engine.orders.follow import cancel
from trading_assets.engine.orders.submit import UNRESOLVED_LOCK
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.reasons import stated
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClosedOrder:
    """What closing an order did. `at_broker`: the broker's last word on it, "not found", or "not asked" with
    the reason."""

    order: OrderRecord
    was: str
    at_broker: str
    released: tuple[str, ...]  # causes of the symbol's locks
    still_locked: tuple[str, ...]

    @property
    def by_person(self) -> bool:
        """The broker's evidence did not settle it."""
        return State(self.order.state) in (State.ABANDONED, State.DROPPED)


def close_order(desk: Desk, identity: str, *, reason: str, author: str) -> ClosedOrder:
    """End an order that evidence does not end: what it reserves is free, and so is its symbol where nothing
    else holds it.

    The broker is asked first, and to cancel what still works there: what it says ends the order counts. Else
    the person's word ends it, whatever its state: as DROPPED where it was never sent, else as ABANDONED. If
    it works at the broker all the same, it counts as exposure, and each protection cancels it again.

    identity: the client order id or the broker's. Raises InvalidInput without a reason, for an order that
    this book does not have and for one that has ended; LeaseHeld while a tick or a protection is at work.
    """
    reason = stated("close-order", reason)
    client_id = desk.journal.client_ids(desk.book, [identity]).get(identity, identity)
    record = desk.journal.named([client_id]).get(client_id)
    if record is None or record.intent.book != desk.book:
        raise InvalidInput(
            f"{desk.book} has no order {identity}",
            where="close-order",
            remedy="`trading-assets orders --json` shows the ids of the session's orders.",
        )
    with desk.journal.lease(desk.book, f"close-order:{author}"):
        desk.begin()
        record = desk.journal.order(client_id)
        if State(record.state) in TERMINAL_STATES:
            raise InvalidInput(
                f"order {identity} has ended already: {record.state}",
                where="close-order",
                remedy="It holds nothing. `trading-assets rearm` releases locks that it left behind.",
            )
        after, at_broker = _asked_at_broker(desk, record)
        if State(after.state) in OPEN_STATES:
            detail = f"closed by {author}: {reason} (at the broker: {at_broker})"
            now = desk.now_ns()
            if State(after.state) is State.INTENT:
                after = desk.journal.move(client_id, State.DROPPED, at_ns=now, detail=detail).after
            else:
                after = desk.journal.abandon(client_id, at_ns=now, detail=detail).after
        released = _release_order(desk, after, author=author, reason=reason)
    log.warning(
        "order closed",
        symbol=after.intent.symbol,
        client_order_id=client_id,
        was=record.state,
        state=after.state,
        at_broker=at_broker,
        reason=reason,
        author=author,
    )
    symbol = after.intent.symbol
    locked = tuple(one.cause for one in desk.journal.locks(desk.book) if one.symbol == symbol)
    return ClosedOrder(after, record.state, at_broker, released, locked)


def _asked_at_broker(desk: Desk, record: OrderRecord) -> tuple[OrderRecord, str]:
    """The order after the broker's word on it, a cancel of what works there included."""
    if record.submitted_ns is None:
        return record, "never sent"
    try:
        state = desk.broker.order_by_client_id(record.intent.client_order_id)
    except BrokerError as error:
        return record, f"not asked: {error}"
    if state is None:
        return record, "not found"
    (after,) = cancel(desk, [apply_order_state(desk, record, state)])
    return after, after.detail or state.status_word


def _release_order(desk: Desk, record: OrderRecord, *, author: str, reason: str) -> tuple[str, ...]:
    """Unlock the symbol of what this order alone held: its unknown outcome, its contradiction."""
    symbol = record.intent.symbol
    unresolved = any(
        State(one.state) in (State.SUBMITTING, State.UNKNOWN)
        for one in desk.journal.open_orders(desk.book)
        if one.intent.symbol == symbol
    )
    released = []
    for held in desk.journal.locks(desk.book):
        of_another = PREFIX in held.reason and record.intent.client_order_id not in held.reason
        mine = (held.cause == UNRESOLVED_LOCK and not unresolved) or (
            held.cause == DISPUTE_LOCK and not of_another
        )
        if held.symbol == symbol and mine:
            desk.journal.unlock(
                desk.book, symbol, held.cause, at_ns=desk.now_ns(), author=author, reason=reason
            )
            released.append(held.cause)
    return tuple(released)
