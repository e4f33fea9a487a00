"""What the broker's lists of orders and activities hold since this book last looked, however long they are.

Both are read from the watermark of the last complete reconciliation. A list that is longer than one look
reads takes several: how far it came is a mark in the journal, each reconciliation goes on from there, and
until the end is reached the book is catching up. Protection does not wait for it. What is concluded from the
lists is `engine.reconciliation.reconcile`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trading_assets.broker.port import BrokerError, MoreActivities, MoreOrders, OrderState
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.activities import (
    OPENING_FROM_MARK,
    OPENING_IDS_MARK,
    journal_activities,
)
from trading_assets.engine.evidence.breaks import WORKING
from trading_assets.engine.evidence.reads import Look, Read
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import AdjustmentRecord, FillRecord

log = get_logger(__name__)

NS = 1_000_000_000
WATERMARK = "reconciled_ns"
OVERLAP_NS = 15 * 60 * NS
LATE_NS = 10 * 24 * 3600 * NS  # how far back an activity may be dated that a broker books late
LATE_AGAIN_NS = 10 * 60 * NS  # between two readings of these for a break that stands
SENT_BEFORE_NS = 60 * NS  # how far the broker's stamp of an order may lie before ours
_ORDERS_PLACE = "orders_read_through"
_ACTIVITIES_PLACE = "activities_read_through"
_LATE_PLACE = "late_activities_read_through"
_OPENING_PLACE = "opening_read_through"


@dataclass(frozen=True, slots=True)
class Listed:
    """orders: by the broker's id. complete: all that the list holds since then."""

    orders: dict[str, OrderState]
    complete: bool


@dataclass(frozen=True, slots=True)
class TakenActivities:
    """What was new in the journal. complete: the account's history has been read to its end."""

    fills: list[FillRecord]
    adjustments: list[AdjustmentRecord]
    complete: bool


def since_ns(desk: Desk) -> int:
    """From where orders and activities are read: the watermark less an overlap, before the first one the
    opening entry, before that a few minutes ago. Never the beginning of the account."""
    watermark = desk.journal.mark(desk.book, WATERMARK)
    if watermark is not None:
        return max(int(watermark) - OVERLAP_NS, 0)
    opened = [record.at_ns for record in desk.journal.opening(desk.book)]
    return max(min(opened, default=desk.now_ns()) - OVERLAP_NS, 0)


def list_orders(desk: Desk, sight: Look) -> Listed:
    """The orders submitted since the watermark, all open ones, and what became of ours however old they are:
    three requests at most while no list is long. What `sight` cannot read is missing."""
    begin = max(since_ns(desk), int(desk.journal.mark(desk.book, _ORDERS_PLACE) or 0))
    complete = True

    def since() -> Sequence[OrderState]:
        nonlocal complete
        try:
            return desk.broker.orders_since(begin)
        except MoreOrders as more:
            desk.journal.set_mark(desk.book, _ORDERS_PLACE, str(more.through_ns), desk.now_ns())
            complete = False
            return more.read

    orders: dict[str, OrderState] = {}
    for what, ask in ((Read.ORDERS, since), (Read.OPEN_ORDERS, desk.broker.open_orders)):
        listed = sight.read(what, ask)
        for order in sight.rows(what, () if listed is None else listed):
            orders.setdefault(order.id, order)
    earlier = [
        record.submitted_ns - SENT_BEFORE_NS
        for record in desk.journal.open_orders(desk.book)
        if State(record.state) in WORKING
        and record.broker_order_id not in orders
        and record.submitted_ns is not None
    ]
    if len(earlier) > 1:  # they have ended since: one list tells of all
        for order in orders_from(desk, min(earlier)):
            orders.setdefault(order.id, order)
    return Listed(orders, complete)


def orders_from(desk: Desk, from_ns: int) -> Iterable[OrderState]:
    """The orders submitted since, as many as one look reads; none where they cannot be read now."""
    try:
        return desk.broker.orders_since(from_ns)
    except MoreOrders as more:
        return more.read
    except BrokerError as error:
        log.warning("orders not readable", why=str(error))
        return ()


def take_activities(desk: Desk, *, reading_on: bool = False, sight: Look | None = None) -> TakenActivities:
    """Journal the account's activities since the watermark; none of a book that is not open. Raises
    BrokerError.

    reading_on: a long history is read on from where the last look ended. Who does not is told what a
    first look reads, and leaves a book that is catching up alone
    sight:      is told of lines that cannot be read

    Where the overlap alone is longer than a look, what follows the last activity that was read is read beside
    it: a busy account is caught up all the same.
    """
    place = _place(desk, _ACTIVITIES_PLACE)
    unread = bool(place.get("unread"))
    if not desk.journal.opening(desk.book) or (unread and not reading_on):
        return TakenActivities([], [], complete=not unread)
    since, now = since_ns(desk), desk.now_ns()
    busy = bool(place) and (unread or since < int(place["busy_until_ns"]))
    fills, adjustments, last = _look(desk, since, place["after"] if busy else None, sight)
    if last.more and not busy and place:
        later = _look(desk, since, place["after"], sight)
        fills, adjustments, last = fills + later[0], adjustments + later[1], later[2]
        busy = True
    if reading_on and (last.more or busy or place):
        kept = {
            "after": last.id or place["after"],
            "unread": last.more,
            "busy_until_ns": now if last.more or unread else place["busy_until_ns"],
        }
        text = json.dumps(kept) if last.more or busy else ""
        desk.journal.set_mark(desk.book, _ACTIVITIES_PLACE, text, now)
        log.info("read on in a long history", book=desk.book, fills=len(fills), complete=not last.more)
    return TakenActivities(fills, adjustments, complete=not last.more)


class _Last(NamedTuple):
    """The last activity of a look, None where it read none, and whether more follow."""

    id: str | None
    more: bool


def _look(
    desk: Desk, since: int, after: str | None, sight: Look | None
) -> tuple[list[FillRecord], list[AdjustmentRecord], _Last]:
    """Journal what one look reads."""
    try:
        lines = (
            desk.broker.activities(since) if after is None else desk.broker.activities(since, after_id=after)
        )
        last = _Last(lines[-1].id if lines else None, more=False)
    except MoreActivities as more:
        lines, last = more.read, _Last(more.after_id, more=True)
    if sight is not None:
        sight.rows(Read.ACTIVITIES, lines)
    return (*journal_activities(desk, lines), last)


def take_late_activities(desk: Desk, *, unconfirmed: bool) -> tuple[list[FillRecord], list[AdjustmentRecord]]:
    """Journal what the broker has booked late, dated up to ten days back: for a break that is new at once,
    for one that stands every ten minutes, and in several looks where it is long. Raises BrokerError."""
    now = desk.now_ns()
    place = _place(desk, _LATE_PLACE)
    if place.get("after") is None:
        if not unconfirmed and now - int(place.get("began_ns", 0)) < LATE_AGAIN_NS:
            return [], []
        opened = min((record.at_ns for record in desk.journal.opening(desk.book)), default=0)
        day = desk.sessions.new_york_date(opened)
        first = max(now - LATE_NS, min(opened - OVERLAP_NS, new_york_midnight_ns(day)), 0)
        place = {"since": first, "after": None, "began_ns": now}
    fills, adjustments, last = _look(desk, int(place["since"]), place["after"], None)
    kept = {**place, "after": last.id if last.more else None}
    desk.journal.set_mark(desk.book, _LATE_PLACE, json.dumps(kept), now)
    return fills, adjustments


def caught_up(desk: Desk, at_ns: int) -> None:
    """Everything up to `at_ns` is in the journal: the next look begins there."""
    desk.journal.set_mark(desk.book, WATERMARK, str(at_ns), at_ns)
    if desk.journal.mark(desk.book, _ORDERS_PLACE):
        desk.journal.set_mark(desk.book, _ORDERS_PLACE, "", at_ns)


def tell_of_catching_up(desk: Desk) -> None:
    """Tell a person, once for each watermark, that entries wait for a long history."""
    watermark = desk.journal.mark(desk.book, WATERMARK)
    desk.alert(
        f"catching_up:{watermark}",
        "The account's history is long: entries wait until it is read",
        "Orders and activities since the last reconciliation are read page by page, some in each "
        "reconciliation. Stops and exits go on meanwhile. `trading-assets status` says when it is over.",
        severity="WARNING",
    )


def note_contained(desk: Desk, at_ns: int) -> bool:
    """Note which activities an opening entry of that time contains already: those before it by their time,
    those of that very time, and those of the day that have none, by their ids. False: there are more than
    this look reads; the next one goes on, and the book is opened then. Raises BrokerError."""
    place = _place(desk, _OPENING_PLACE)
    midnight_ns = new_york_midnight_ns(desk.sessions.new_york_date(at_ns))
    since, ids = int(place.get("since", midnight_ns)), list(place.get("ids", ()))
    try:
        activities = (
            desk.broker.activities(since, after_id=place["after"]) if place else desk.broker.activities(since)
        )
    except MoreActivities as more:
        ids += [one.id for one in more.read]
        kept = {"since": since, "after": more.after_id, "ids": ids}
        desk.journal.set_mark(desk.book, _OPENING_PLACE, json.dumps(kept), at_ns)
        log.warning("the opening waits for a long history", book=desk.book, read=len(ids))
        return False
    ids += [one.id for one in activities]
    desk.journal.set_mark(desk.book, OPENING_IDS_MARK, json.dumps(ids), at_ns)
    desk.journal.set_mark(desk.book, OPENING_FROM_MARK, str(since), at_ns)
    if place:
        desk.journal.set_mark(desk.book, _OPENING_PLACE, "", at_ns)
    return True


def _place(desk: Desk, name: str) -> Mapping[str, Any]:
    """Where an earlier look ended; empty: none is under way."""
    kept: dict[str, Any] = json.loads(desk.journal.mark(desk.book, name) or "{}")
    return kept
