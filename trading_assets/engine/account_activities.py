"""The account's activities, taken into the journal: fills, their busts and corrections, and every other line
as an adjustment. Folding them into positions is `engine.accounting`; an order's status is `engine.absorb`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal

from trading_assets.broker.port import AccountActivity, Unreachable
from trading_assets.engine.absorb import alert
from trading_assets.engine.accounting import corrected
from trading_assets.engine.desk import Desk
from trading_assets.store.records import AdjustmentRecord, FillRecord

OPENING_IDS_MARK = "opening_activity_ids"
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
