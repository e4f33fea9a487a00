"""Following sent orders to a terminal state, and cancelling what outlives the execution timeout.

A timeout never means "failed": what still works is cancelled and followed until the broker says
what it became. A cancel is a request; an order that will not die stays PENDING_CANCEL for protect.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from trading_assets.broker.port import BrokerError, MoreOrders, OrderState, Rejected
from trading_assets.broker.purpose import Purpose, asking_for
from trading_assets.core.orders import TERMINAL_STATES, IllegalTransition, State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.catch_up import SENT_BEFORE_NS
from trading_assets.engine.evidence.order_states import apply_order_state
from trading_assets.log import get_logger
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)

POLL_SECONDS = 0.05
POLL_GROWTH = 1.6
POLL_MAX_SECONDS = 2.0  # some 20 requests in an execution timeout of 30 s, however many orders
CANCEL_PATIENCE_SECONDS = 10.0
POLLS_WHILE_TIME_STANDS = 3
_WORKING = frozenset({State.ACCEPTED, State.PARTIALLY_FILLED, State.PENDING_CANCEL})


def follow(desk: Desk, records: Sequence[OrderRecord]) -> list[OrderRecord]:
    """Poll until all are terminal or `timeout_seconds` have passed, then cancel what still works.

    On a venue whose time stands during the run nothing more can happen after a few unchanged looks:
    what rests there is left working, and protect applies the timeout once time has moved.
    """
    orders, timed_out = _poll(desk, records, desk.settings.timeout_seconds)
    if not timed_out:
        return orders
    for record in orders:
        if State(record.state) in _WORKING:
            log.warning(
                "execution timeout",
                symbol=record.intent.symbol,
                client_order_id=record.intent.client_order_id,
            )
    return cancel(desk, orders)


def cancel(
    desk: Desk, records: Iterable[OrderRecord], *, asked_already: Collection[str] = ()
) -> list[OrderRecord]:
    """Ask for a cancel of every working order and follow them for a bounded time.

    Where the broker gives no answer, as many as there is time for: who looks next asks again.
    asked_already: the broker's ids of those whose cancel one call for the whole account has asked
    """
    requested, silent, until = list[OrderRecord](), False, time.monotonic() + CANCEL_PATIENCE_SECONDS
    for record in records:
        if silent and time.monotonic() >= until:
            log.warning("cancel not asked", client_order_id=record.intent.client_order_id)
            requested.append(record)
            continue
        after, answered = _ask(desk, record, asked_already)
        silent = silent or not answered
        requested.append(after)
    followed, _ = _poll(desk, requested, CANCEL_PATIENCE_SECONDS)
    return followed


def cancel_astray(desk: Desk, orders: Iterable[OrderState]) -> None:
    """Ask for a cancel of orders of ours that work at the broker and have ended in the journal (abandoned, or
    closed by a person), and tell a person. What cannot be cancelled now the next reconciliation finds."""
    for order in orders:
        try:
            desk.broker.cancel(order.id)
        except Rejected as error:  # it has ended meanwhile, or its cancel is under way
            log.info("cancel refused", order_id=order.id, why=str(error))
        except BrokerError as error:
            log.warning("cancel not confirmed", order_id=order.id, why=str(error))
        else:
            desk.alert(
                f"astray:{order.id}",
                f"{order.symbol}: an order that had ended here worked at the broker",
                f"order {order.client_order_id} ({order.id}) is being cancelled there",
            )


def _ask(desk: Desk, record: OrderRecord, asked_already: Collection[str]) -> tuple[OrderRecord, bool]:
    """The order after it was asked to cancel, and whether the broker answered."""
    if State(record.state) not in _WORKING or record.broker_order_id is None:
        return record, True
    try:
        if record.broker_order_id not in asked_already:
            desk.broker.cancel(record.broker_order_id)
    except Rejected as error:
        # It is terminal already, or gone: the next look says which.
        log.info("cancel refused", client_order_id=record.intent.client_order_id, why=str(error))
        return _look_at(desk, record), True
    except BrokerError as error:
        log.warning("cancel not confirmed", client_order_id=record.intent.client_order_id, why=str(error))
        return record, False
    if State(record.state) is State.PENDING_CANCEL:
        return record, True
    try:
        moved = desk.journal.move(
            record.intent.client_order_id, State.PENDING_CANCEL, at_ns=desk.now_ns(), detail="cancel asked"
        )
    except IllegalTransition:  # another process, a tick beside a kill, has seen its end already
        return desk.journal.order(record.intent.client_order_id), True
    return moved.after, True


def _poll(desk: Desk, records: Iterable[OrderRecord], seconds: float) -> tuple[list[OrderRecord], bool]:
    """Look at the working ones until none works. The second value: time ran out with some working."""
    orders = {record.intent.client_order_id: record for record in records}
    deadline = time.monotonic() + seconds
    pause = POLL_SECONDS
    unchanged = 0
    while working := [record for record in orders.values() if State(record.state) in _WORKING]:
        before = [record.state for record in working]
        orders |= {record.intent.client_order_id: record for record in _look(desk, working)}
        after = [orders[record.intent.client_order_id].state for record in working]
        unchanged = unchanged + 1 if before == after else 0
        if all(State(state) in TERMINAL_STATES for state in after):
            break
        if desk.clock.stands and unchanged >= POLLS_WHILE_TIME_STANDS:
            return list(orders.values()), False
        if time.monotonic() >= deadline:
            return list(orders.values()), True
        time.sleep(pause)
        pause = min(pause * POLL_GROWTH, POLL_MAX_SECONDS)
    return list(orders.values()), False


def _look(desk: Desk, records: Sequence[OrderRecord]) -> list[OrderRecord]:
    """The orders as the broker has them now, by one list of those sent since the first of them; one that the
    list lacks is asked for by itself."""
    if len(records) == 1:
        return [_look_at(desk, records[0])]
    sent = [record.submitted_ns for record in records if record.submitted_ns is not None]
    from_ns = min(sent, default=desk.now_ns()) - SENT_BEFORE_NS
    try:
        with asking_for(Purpose.FOLLOW):
            listed = {order.id: order for order in desk.broker.orders_since(from_ns)}
    except MoreOrders as more:
        listed = {order.id: order for order in more.read}
    except BrokerError as error:
        log.warning("orders not readable", orders=len(records), why=str(error))
        return list(records)
    return [_taken_in(desk, record, listed) for record in records]


def _taken_in(desk: Desk, record: OrderRecord, listed: Mapping[str, OrderState]) -> OrderRecord:
    order = listed.get(str(record.broker_order_id))
    return _look_at(desk, record) if order is None else apply_order_state(desk, record, order, listed)


def _look_at(desk: Desk, record: OrderRecord) -> OrderRecord:
    """The order as the broker has it now. A failed look changes nothing."""
    assert record.broker_order_id is not None  # only working orders are looked at
    try:
        with asking_for(Purpose.FOLLOW):
            state = desk.broker.order(record.broker_order_id)
    except BrokerError as error:
        log.warning("order not readable", client_order_id=record.intent.client_order_id, why=str(error))
        return record
    return apply_order_state(desk, record, state)
