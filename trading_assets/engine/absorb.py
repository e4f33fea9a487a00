"""What the broker says of an order or an account, taken into the journal.

The broker is the truth of what happened: its statuses move our orders along the state table and
its activities become fills and adjustments. Nothing is sent from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal

from trading_assets.broker.port import AccountActivity, BrokerError, OrderState, Unreachable
from trading_assets.core.orders import TRANSITIONS, IllegalTransition, State, is_ours, state_of_status
from trading_assets.engine.accounting import corrected
from trading_assets.engine.desk import Desk
from trading_assets.log import get_logger
from trading_assets.store.order_journal import Move
from trading_assets.store.records import (
    AdjustmentRecord,
    FillRecord,
    LockRecord,
    OrderRecord,
    OutboxRecord,
)

log = get_logger(__name__)

OPENING_IDS_MARK = "opening_activity_ids"
_OUTCOME_OPEN = frozenset({State.SUBMITTING, State.UNKNOWN})
_BEFORE_ACCEPTANCE = frozenset({State.INTENT, *_OUTCOME_OPEN})
_ADJUSTMENT_OF = {
    "DIV": "DIVIDEND",
    "DIVCGL": "DIVIDEND",
    "DIVCGS": "DIVIDEND",
    "DIVNRA": "DIVIDEND",
    "DIVROC": "DIVIDEND",
    "DIVTXEX": "DIVIDEND",
    "SPLIT": "SPLIT",
    "FEE": "FEE",
    "CFEE": "FEE",
    "INT": "INTEREST",
    "INTNRA": "INTEREST",
    "CSD": "TRANSFER",
    "CSW": "TRANSFER",
    "JNLC": "TRANSFER",
    "TRANS": "TRANSFER",
}
_CHANGES = {"TRADE_BUST": "BUST", "TRADE_CORRECT": "CORRECTION"}


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


def absorb_activities(
    desk: Desk, activities: Iterable[AccountActivity]
) -> tuple[list[FillRecord], list[AdjustmentRecord]]:
    """Journal fills and every other activity once; returns those that were new.

    What the account did before the book's opening entry belongs to that entry and is left out.
    """
    opening = desk.journal.opening(desk.book)
    since = min((record.at_ns for record in opening), default=0)
    before = frozenset(json.loads(desk.journal.mark(desk.book, OPENING_IDS_MARK) or "[]"))
    activities = [one for one in activities if one.at_ns >= since and one.id not in before]
    client_ids = desk.journal.client_ids(
        desk.book, {activity.order_id for activity in activities if activity.order_id}
    )
    received = desk.now_ns()
    fills = [_fill(desk, one, client_ids, received) for one in activities if one.type == "FILL"]
    fills.sort(key=lambda fill: (fill.at_ns, fill.broker_order_id, fill.cum_qty))
    new_fills = desk.journal.record_fills(fills)
    others = [one for one in activities if one.type not in ("FILL", *_CHANGES)]
    strange = [one for one in others if one.order_id is not None and one.type not in _ADJUSTMENT_OF]
    for one in strange:
        _tell_of_trade(desk, one)
    adjustments = desk.journal.record_adjustments(
        [_adjustment(desk, one) for one in others if one not in strange]
    )
    for one in activities:
        if one.type in _CHANGES:  # each by itself: what it changes depends on those before it
            adjustments += _change(desk, one)
    return new_fills, adjustments


def _change(desk: Desk, activity: AccountActivity) -> list[AdjustmentRecord]:
    """Journal a bust or correction of a fill as a reversing entry, and tell a person of it once."""
    symbol, side, qty, price, changes = (
        activity.symbol,
        activity.side,
        activity.qty,
        activity.price,
        activity.changes,
    )
    if symbol is None or side is None or qty is None or price is None or changes is None:
        raise Unreachable(
            f"the broker's {activity.type} {activity.id} lacks a field; nothing follows from it"
        )
    known = desk.journal.changed_fill(desk.book, changes)
    if known is not None and any(entry.adjustment_id == activity.id for entry in known[1]):
        return []
    kind, booked = _CHANGES[activity.type], Decimal(0)
    if known is not None:
        held = corrected(*known)
        booked, cash = held.qty, held.qty * held.price
    elif kind == "BUST":  # of a fill from before the book, or one that comes later: then it counts with it
        booked, cash = qty, qty * price
    else:
        alert(
            desk,
            f"activity:{activity.id}",
            f"{symbol}: correction of a fill that is not in the journal",
            f"activity {changes} now holds {qty} at {price}; compare cash and positions, then `adjust`",
        )
        return []
    now_qty = Decimal(0) if kind == "BUST" else qty
    entry = AdjustmentRecord(
        book=desk.book,
        adjustment_id=activity.id,
        kind=kind,
        symbol=symbol,
        qty_delta=side * (now_qty - booked),
        cash_delta=side * (cash - now_qty * price),
        at_ns=activity.at_ns,
        author="broker",
        reason=activity.type,
        reverses=changes if known is None else known[0].activity_id,
    )
    new = desk.journal.record_adjustments([entry])
    if new:
        what = "busted" if kind == "BUST" else f"corrected to {qty} at {price}"
        alert(
            desk,
            f"activity:{activity.id}",
            f"{symbol}: a fill was {what}",
            f"activity {entry.reverses}: {entry.qty_delta:+} shares, {entry.cash_delta:+} USD",
        )
    return new


def _fill(desk: Desk, activity: AccountActivity, client_ids: dict[str, str], received_ns: int) -> FillRecord:
    order_id, symbol, side = activity.order_id, activity.symbol, activity.side
    qty, price = activity.qty, activity.price
    if order_id is None or symbol is None or side is None or qty is None or price is None:
        raise Unreachable(f"the broker's FILL activity {activity.id} lacks a field; nothing follows from it")
    return FillRecord(
        book=desk.book,
        session=desk.sessions.new_york_date(activity.at_ns).isoformat(),
        broker_order_id=order_id,
        client_order_id=client_ids.get(order_id),
        symbol=symbol,
        side=side,
        qty=qty,
        price=price,
        cum_qty=activity.cum_qty if activity.cum_qty is not None else qty,
        at_ns=activity.at_ns,
        activity_id=activity.id,
        received_ns=received_ns,
    )


def _tell_of_trade(desk: Desk, activity: AccountActivity) -> None:
    """A trade in a word that we do not know is not booked: which way its shares went is not certain, and the
    broker may yet call it a fill. What it did is a break until then."""
    alert(
        desk,
        f"activity:{activity.id}",
        f"{activity.symbol}: trade of an unknown type: {activity.type}",
        f"order {activity.order_id}, {activity.qty} at {activity.price}: not journaled",
    )


def _adjustment(desk: Desk, activity: AccountActivity) -> AdjustmentRecord:
    kind = _ADJUSTMENT_OF.get(activity.type, "OTHER")
    if kind == "OTHER":
        alert(
            desk,
            f"activity:{activity.id}",
            f"Account activity of an unknown type: {activity.type}",
            f"journaled with its cash effect {activity.net_amount} and quantity {activity.qty}",
        )
    return AdjustmentRecord(
        book=desk.book,
        adjustment_id=activity.id,
        kind=kind,
        symbol=activity.symbol or "",
        qty_delta=(activity.qty or Decimal(0)) if kind in ("SPLIT", "OTHER") else Decimal(0),
        cash_delta=activity.net_amount or Decimal(0),
        at_ns=activity.at_ns,
        author="broker",
        reason=activity.type,
    )


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
