"""What the broker says of an order, taken into the journal: its statuses move our orders along the state
table. Nothing is sent from here. The account's activities are in `engine.account_activities`.
"""

from __future__ import annotations

from collections.abc import Iterable

from trading_assets.broker.port import BrokerError, OrderState
from trading_assets.core.orders import TRANSITIONS, IllegalTransition, State, is_ours, state_of_status
from trading_assets.engine.desk import Desk
from trading_assets.log import get_logger
from trading_assets.store.order_journal import Move
from trading_assets.store.records import LockRecord, OrderRecord, OutboxRecord

log = get_logger(__name__)

_OUTCOME_OPEN = frozenset({State.SUBMITTING, State.UNKNOWN})
_BEFORE_ACCEPTANCE = frozenset({State.INTENT, *_OUTCOME_OPEN})


def absorb_order(desk: Desk, record: OrderRecord, state: OrderState) -> OrderRecord:
    """Move our order to where the broker says it is, or says that the order is that replaced it.

    An edge that the table does not have locks the symbol and alerts, and leaves the order as it was.
    Evidence that another process has overtaken meanwhile changes nothing and is told by the other's lines.
    """
    if state.replaced_by is not None:
        try:
            state = _replacement(desk, record, state)
        except BrokerError as error:
            log.warning("replacement not readable", symbol=record.intent.symbol, why=str(error))
            return record
    new, attention = state_of_status(state.status, state.filled_qty, state.qty)
    now = desk.now_ns()
    if attention:
        alert(
            desk,
            f"status:{state.id}:{state.status}",
            "Unexpected order status",
            f"{record.intent.symbol}: order {state.id} is {state.status!r} at the broker",
        )
    more = state.filled_qty > record.filled_qty
    if State(record.state) is new and not more and record.broker_order_id == state.id:
        return record
    path = [new]
    if State(record.state) in _OUTCOME_OPEN and new not in TRANSITIONS[State(record.state)]:
        path = [State.ACCEPTED, new]  # what is being or was cancelled or expired had been accepted
    try:
        for step in path:
            moved = desk.journal.move(
                record.intent.client_order_id,
                step,
                at_ns=now,
                broker_order_id=state.id,
                filled_qty=state.filled_qty,
                detail=state.status,
            )
            _log_move(moved, state)
    except IllegalTransition as error:
        current = desk.journal.order(record.intent.client_order_id)
        if current != record:
            return current
        lock(desk, record.intent.symbol, "ORDER_STATE", str(error))
        return record
    return moved.after


def _replacement(desk: Desk, record: OrderRecord, state: OrderState) -> OrderState:
    """The last order of the chain that a replacement began. We never replace: a person did, and is told."""
    alert(
        desk,
        f"replaced:{state.id}",
        "Order replaced at the broker",
        f"{record.intent.symbol}: order {state.id} was replaced by {state.replaced_by}; following that one",
    )
    while state.replaced_by is not None:
        state = desk.broker.order(state.replaced_by)
    return state


def _log_move(move: Move, state: OrderState) -> None:
    """One line for each event in it: the acceptance, what was newly filled, any other change of state."""
    before, after = move
    was, now = State(before.state), State(after.state)
    intent = after.intent
    words = {"symbol": intent.symbol, "side": intent.side, "client_order_id": intent.client_order_id}
    fill = {**words, "qty": str(after.filled_qty), "price": str(state.filled_avg_price)}
    more = after.filled_qty > before.filled_qty
    told = {was}
    if was in _BEFORE_ACCEPTANCE and now not in (State.REJECTED, *_BEFORE_ACCEPTANCE):
        log.info(
            "order accepted", **words, qty=str(intent.qty), limit=str(intent.limit_price), order_id=state.id
        )
        told.add(State.ACCEPTED)
    if now is State.FILLED and (more or was is not now):
        log.info("order filled", **fill)
        told.add(State.FILLED)
    elif more:
        log.info("order partially filled", **fill)
        told.add(State.PARTIALLY_FILLED)
    if now not in told:
        log.info("order state", **words, state=after.state, filled=str(after.filled_qty))


def foreign_orders(orders: Iterable[OrderState], known: dict[str, OrderRecord]) -> list[str]:
    """The Knight rule: what bears our id without an approved intent, or differs from its intent, or
    filled more than it. One sentence each."""
    found = []
    for order in orders:
        if not is_ours(order.client_order_id):
            continue
        record = known.get(order.client_order_id)
        if record is None:
            found.append(f"order {order.client_order_id} at the broker has no approved intent")
        elif not same_order(record, order):
            found.append(
                f"order {order.client_order_id} at the broker differs from its intent: "
                f"{order.symbol} {order.side} {order.qty} @ {order.limit_price}"
            )
        elif order.filled_qty > record.intent.qty:
            found.append(f"order {order.client_order_id} filled {order.filled_qty} of {record.intent.qty}")
    return found


def same_order(record: OrderRecord, order: OrderState) -> bool:
    """Symbol, side, quantity and limit are those of the intent."""
    intent = record.intent
    return (
        order.symbol == intent.symbol
        and order.side == intent.side
        and order.qty == intent.qty
        and order.limit_price == intent.limit_price
    )


def lock(desk: Desk, symbol: str, cause: str, reason: str) -> None:
    """Hold the symbol to reducing orders, and alert when this cause did not hold it before."""
    now = desk.now_ns()
    if desk.journal.lock(LockRecord(desk.book, symbol, cause, now, reason)):
        alert(desk, f"lock:{symbol}:{cause}:{now}", f"{symbol} locked: {cause}", reason)


def alert(desk: Desk, key: str, title: str, body: str, severity: str = "ERROR") -> None:
    """Put an alert into the outbox, once per key, and log it."""
    key = f"{desk.book}:{key}"
    if desk.journal.enqueue_alert(OutboxRecord(key, desk.book, desk.now_ns(), severity, title, body)):
        log.warning("alert", title=title, body=body, severity=severity)
