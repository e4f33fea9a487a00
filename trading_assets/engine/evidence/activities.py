"""The account's activities, taken into the journal: fills, their busts and corrections, and every other line
as an adjustment, by what the broker's adapter says of its type. Folding them into positions is
`engine.book.accounting`; what shares cost that came by no trade is `engine.evidence.share_costs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading_assets.broker.port import AccountActivity
from trading_assets.broker.registry import entry_of
from trading_assets.core.activities import TRADES, ActivityKind, CostOf, LineStatus
from trading_assets.engine.book.accounting import CANCELED, corrected, listed_mark
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.share_costs import keep_worth, origin_of
from trading_assets.log import get_logger
from trading_assets.store.records import AdjustmentRecord, FillRecord

log = get_logger(__name__)

OPENING_IDS_MARK = "opening_activity_ids"
OPENING_FROM_MARK = "opening_activities_from"  # since when those ids name every line that was listed, ns
_CORRECTED = ":correct"
_CHANGES = TRADES - {ActivityKind.FILL}


def journal_activities(
    desk: Desk, activities: Iterable[AccountActivity]
) -> tuple[list[FillRecord], list[AdjustmentRecord]]:
    """Journal fills and every other activity once; returns those that were new.

    What the account did before the book's opening entry belongs to that entry and is left out.
    """
    opening = desk.journal.opening(desk.book)
    since = min((record.at_ns for record in opening), default=0)
    before = frozenset(json.loads(desk.journal.mark(desk.book, OPENING_IDS_MARK) or "[]"))
    read_from = int(desk.journal.mark(desk.book, OPENING_FROM_MARK) or since)
    activities = [
        # of a line without a time of the opening's day the ids alone say whether the opening has it
        replace(one, at_ns=max(one.at_ns, since)) if one.dated else one
        for one in activities
        if one.at_ns >= (read_from if one.dated else since) and one.id not in before
    ]
    client_ids = desk.journal.client_ids(
        desk.book, {activity.order_id for activity in activities if activity.order_id}
    )
    received = desk.now_ns()
    fills = []
    for one in activities:
        if one.type.kind is ActivityKind.FILL:
            fill = _fill(desk, one, client_ids, received)
            if fill is None:
                _tell_of_hole(desk, one)
            else:
                fills.append(fill)
    fills.sort(key=lambda fill: (fill.at_ns, fill.broker_order_id, fill.cum_qty))
    new_fills = desk.journal.record_fills(fills)
    adjustments = _book(desk, [one for one in activities if one.type.kind not in TRADES])
    for one in activities:
        if one.type.kind in _CHANGES:  # each by itself: what it changes depends on those before it
            adjustments += _change(desk, one)
    return new_fills, adjustments


def _book(desk: Desk, lines: Sequence[AccountActivity]) -> list[AdjustmentRecord]:
    """Journal the lines that are no trade of ours, what was executed before what changes it."""
    known = desk.journal.adjustments_named(desk.book, {one.id for one in lines})
    new: list[AdjustmentRecord] = []
    for one in sorted(lines, key=lambda line: (line.status is not LineStatus.EXECUTED, line.at_ns)):
        if one.order_id is not None and not one.type.listed:
            _tell_of_trade(desk, one)
        elif one.status is LineStatus.CANCELLED:
            new += _undo(desk, one, one.changes or one.id)
        elif one.status is LineStatus.CORRECTED or _is_named_now(desk, one, known.get(one.id)):
            new += _correct(desk, one)
        elif one.id not in known:
            new += _record(desk, one, one.id, lines)
    return new


def _is_named_now(desk: Desk, line: AccountActivity, known: AdjustmentRecord | None) -> bool:
    """Whether a line that was journaled for its cash alone, as its type was not listed, is said to be of one
    that is: an answer was garbled, or we have learnt the type since."""
    if known is None or not line.type.listed:
        return False
    return known.kind == ActivityKind.OTHER and not entry_of(desk.settings).activity_type(known.reason).listed


def _record(
    desk: Desk, line: AccountActivity, name: str, together: Sequence[AccountActivity] = ()
) -> list[AdjustmentRecord]:
    """Journal a line under the id `name`, with what its shares are worth or cost."""
    reason, at_ns = origin_of(desk, line, together)
    entry = replace(_adjustment(desk, line), adjustment_id=name, reason=reason, at_ns=at_ns)
    if (
        line.type.cost is CostOf.PAID and entry.qty_delta > 0
    ):  # shares that go take their part of the cost along
        entry = replace(entry, cost_delta=-entry.cash_delta)
    keep_worth(desk, entry, line.price)
    if line.type.kind is ActivityKind.SPLIT and line.dated:
        desk.journal.set_mark(desk.book, listed_mark(name), str(desk.now_ns()), desk.now_ns())
    if line.type.alerts:
        what = "to look at" if line.type.listed else "of an unknown type"
        desk.alert(
            f"activity:{line.id}",
            f"Account activity {what}: {line.type.name}",
            f"{line.type.meaning}: journaled with {entry.cash_delta} USD and {entry.qty_delta} shares"
            f"{f' of {line.symbol}' if line.symbol else ''}. Compare with the broker, then `adjust`.",
        )
    return desk.journal.record_adjustments([entry])


def _undo(desk: Desk, line: AccountActivity, name: str) -> list[AdjustmentRecord]:
    """Take back what is journaled under `name`, as it stands by now. What never was journaled is none."""
    booked = _booked(desk, name)
    if booked is None:
        log.info("cancelled activity", id=line.id, type=line.type.name, of=name)
        return []
    undone = replace(
        booked,
        adjustment_id=booked.adjustment_id + CANCELED,
        qty_delta=-booked.qty_delta,
        cash_delta=-booked.cash_delta,
        cost_delta=None,
        reason=f"{booked.reason} {line.status_word}",
    )
    new = desk.journal.record_adjustments([undone])
    if new:
        what = "cancelled" if line.status is LineStatus.CANCELLED else "corrected"
        desk.alert(
            f"activity:{line.id}:{line.status_word}",
            f"Account activity {what}: {line.type.name}",
            f"{booked.adjustment_id}: {undone.qty_delta:+f} shares, {undone.cash_delta:+f} USD taken back",
        )
    return new


def _correct(desk: Desk, line: AccountActivity) -> list[AdjustmentRecord]:
    """Book a line in the place of the one that it corrects: the one that it names, else the one whose id it
    has. One that corrects nothing that is known is booked by itself, and a person is told."""
    corrected_id = line.changes or line.id
    if corrected_id != line.id and desk.journal.adjustments_named(desk.book, {line.id}):
        return []
    booked = _booked(desk, corrected_id)
    if booked is None:
        desk.alert(
            f"activity:{line.id}:{line.status_word}",
            f"Account activity {line.type.name} corrects one that is not in the journal",
            f"{corrected_id}: booked by itself. Compare cash and positions with the broker, then `adjust`.",
        )
        return _record(desk, line, line.id)
    wanted = _adjustment(desk, line)
    same = (wanted.symbol, wanted.qty_delta, wanted.cash_delta)
    if same == (booked.symbol, booked.qty_delta, booked.cash_delta):
        return []
    undone = _undo(desk, line, corrected_id)
    name = line.id if corrected_id != line.id else f"{booked.adjustment_id}{_CORRECTED}"
    desk.journal.set_mark(desk.book, _in_place_of(booked.adjustment_id), name, desk.now_ns())
    return undone + _record(desk, line, name)


def _booked(desk: Desk, name: str) -> AdjustmentRecord | None:
    """What stands in the journal under a line's id: the line, or the last that took its place."""
    while True:
        entries = desk.journal.adjustments_named(desk.book, {name, name + CANCELED})
        if name + CANCELED not in entries:
            return entries.get(name)
        name = desk.journal.mark(desk.book, _in_place_of(name)) or name + _CORRECTED


def _in_place_of(adjustment_id: str) -> str:
    """The mark that names the line that took the place of this one: corrections may each name the first."""
    return f"corrected_by:{adjustment_id}"


def _change(desk: Desk, activity: AccountActivity) -> list[AdjustmentRecord]:
    """Journal a bust or correction of a fill as a reversing entry, and tell a person of it once."""
    symbol, side, qty, price, changes = (
        activity.symbol,
        activity.side,
        activity.qty,
        activity.price,
        activity.changes,
    )
    if (
        symbol is None
        or side is None
        or qty is None
        or price is None
        or changes is None
        or min(qty, price) < 0
    ):
        _tell_of_hole(desk, activity)
        return []
    known = desk.journal.changed_fill(desk.book, changes)
    if known is not None and any(entry.adjustment_id == activity.id for entry in known[1]):
        return []
    kind, booked = activity.type.kind, Decimal(0)
    if known is not None:
        held = corrected(*known)
        booked, cash = held.qty, held.qty * held.price
    elif kind is ActivityKind.BUST:  # of a fill from before the book, or of one that comes later, with it
        booked, cash = qty, qty * price
    else:
        desk.alert(
            f"activity:{activity.id}",
            f"{symbol}: correction of a fill that is not in the journal",
            f"activity {changes} now holds {qty} at {price}; compare cash and positions, then `adjust`",
        )
        return []
    now_qty = Decimal(0) if kind is ActivityKind.BUST else qty
    entry = AdjustmentRecord(
        book=desk.book,
        adjustment_id=activity.id,
        kind=kind,
        symbol=symbol,
        qty_delta=side * (now_qty - booked),
        cash_delta=side * (cash - now_qty * price),
        at_ns=activity.at_ns,
        author="broker",
        reason=activity.type.name,
        reverses=changes if known is None else known[0].activity_id,
    )
    new = desk.journal.record_adjustments([entry])
    if new:
        what = "busted" if kind is ActivityKind.BUST else f"corrected to {qty} at {price}"
        desk.alert(
            f"activity:{activity.id}",
            f"{symbol}: a fill was {what}",
            f"activity {entry.reverses}: {entry.qty_delta:+} shares, {entry.cash_delta:+} USD",
        )
    return new


def _fill(
    desk: Desk, activity: AccountActivity, client_ids: dict[str, str], received_ns: int
) -> FillRecord | None:
    """The fill; None where the line lacks what a fill must say, or says what no fill can."""
    order_id, symbol, side = activity.order_id, activity.symbol, activity.side
    qty, price = activity.qty, activity.price
    if order_id is None or symbol is None or side is None or qty is None or price is None:
        return None
    if qty <= 0 or price < 0:  # the ledger folds no such thing, and protection folds the ledger
        return None
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


def tell_of_others_fills(desk: Desk, fills: Iterable[FillRecord]) -> None:
    """A person hears once of each order that is not this desk's and whose fills are in its books now.

    fills: those that are new; the session's are looked at in any case, as an order of ours whose outcome is
    unknown may yet turn out to be theirs
    """
    of_today = desk.journal.fills(desk.book, session=desk.session_text())
    others = {fill.broker_order_id: fill for fill in (*fills, *of_today) if fill.client_order_id is None}
    if not others:
        return
    ours = desk.journal.client_ids(desk.book, others.keys())
    unnamed = {
        record.intent.symbol
        for record in desk.journal.open_orders(desk.book)
        if record.broker_order_id is None
    }
    for order_id, fill in others.items():
        if order_id in ours or fill.symbol in unnamed:
            continue
        side = "bought" if fill.side > 0 else "sold"
        desk.alert(
            f"others_fill:{order_id}",
            f"{fill.symbol}: an order that is not this desk's {side} at the broker",
            f"order {order_id}, {fill.qty:f} at {fill.price:f}: it is in the ledger, and a stop guards what "
            "is held. The symbol takes no entries until `trading-assets rearm --reason …`. Give the desk an "
            "account of its own.",
        )


def _tell_of_trade(desk: Desk, activity: AccountActivity) -> None:
    """A trade in a word that we do not know is not booked: which way its shares went is not certain, and the
    broker may yet call it a fill. What it did is a break until then."""
    desk.alert(
        f"activity:{activity.id}",
        f"{activity.symbol}: trade of an unknown type: {activity.type.name}",
        f"order {activity.order_id}, {activity.qty} at {activity.price}: not journaled",
    )


def _tell_of_hole(desk: Desk, activity: AccountActivity) -> None:
    """A trade that lacks what it must say, or says what cannot be, costs itself: what it did is a break until
    the broker says it."""
    desk.alert(
        f"activity:{activity.id}",
        f"{activity.symbol or 'A symbol that is not named'}: {activity.type.name} that cannot be read",
        f"activity {activity.id} of {activity.qty} at {activity.price} lacks a field, or has one that cannot "
        "be: it is not journaled. Compare cash and positions, then `adjust`.",
    )


def _adjustment(desk: Desk, activity: AccountActivity) -> AdjustmentRecord:
    """What a line moves, by its type."""
    moved = activity.qty if activity.type.moves_shares and activity.symbol else None
    cash = activity.net_amount if activity.type.moves_cash else None
    if cash and activity.currency != "USD":
        desk.alert(
            f"activity:{activity.id}:currency",
            f"Account activity in {activity.currency}: {activity.type.name}",
            f"{cash} {activity.currency} are not booked. Compare the cash, then `adjust --cash`.",
        )
        cash = None
    return AdjustmentRecord(
        book=desk.book,
        adjustment_id=activity.id,
        kind=activity.type.kind,
        symbol=activity.symbol or "",
        qty_delta=moved or Decimal(0),
        cash_delta=cash or Decimal(0),
        at_ns=activity.at_ns,
        author="broker",
        reason=activity.type.name,
    )
