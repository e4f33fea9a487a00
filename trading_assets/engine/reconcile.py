"""Comparing what we say we hold with what the broker says, and acting on the difference.

One code path at start, every minute and after a reconnect: fetch, apply what is missing, fold,
compare, keep what differs. A failed fetch means "unknown", never "flat". A break counts when it is
seen twice in a row; repair comes only from the broker's evidence, and a position is never
overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_assets.broker.port import AccountState, OrderState, PositionState
from trading_assets.core.ledger import Ledger
from trading_assets.core.orders import OPEN_STATES, State, is_ours, state_of_status
from trading_assets.engine.absorb import (
    OPENING_IDS_MARK,
    absorb_activities,
    absorb_order,
    foreign_orders,
    lock,
)
from trading_assets.engine.accounting import CASH, ledger_of
from trading_assets.engine.desk import Desk
from trading_assets.engine.halts import REARMED_MARK, Cause, latch
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.store.order_journal import UnknownOrder
from trading_assets.store.records import BreakRecord, FillRecord, OpeningPositionRecord, OrderRecord

log = get_logger(__name__)

NS = 1_000_000_000
WATERMARK = "reconciled_ns"
OVERLAP_NS = 15 * 60 * NS
LATE_NS = 10 * 24 * 3600 * NS  # how far back an activity may be dated that a broker books late
SETTLE_NS = 5 * NS
SIGHTINGS = 2
MAX_LOCKED_SYMBOLS = 3
QUANTITY_TOLERANCE = 1e-6
CASH_TOLERANCE_USD = 1.0
BREAK_LOCK = "BREAK"


class BreakKind(StrEnum):
    """How ledger and broker can differ."""

    MISSING_FILL = "MISSING_FILL"
    ORPHAN_ORDER = "ORPHAN_ORDER"
    MISSING_ORDER = "MISSING_ORDER"
    ORDER_STATUS = "ORDER_STATUS"
    QUANTITY = "QUANTITY"
    UNEXPECTED_POSITION = "UNEXPECTED_POSITION"
    CASH = "CASH"
    CORPORATE_ACTION = "CORPORATE_ACTION"


_BOOKED_LATE = frozenset(
    {BreakKind.MISSING_FILL, BreakKind.QUANTITY, BreakKind.UNEXPECTED_POSITION, BreakKind.CASH}
)
_WORKING = frozenset({State.ACCEPTED, State.PARTIALLY_FILLED, State.PENDING_CANCEL})


@dataclass(frozen=True, slots=True)
class Difference:
    """One break as seen in one reconciliation. `symbol` is empty for cash."""

    kind: BreakKind
    subject: str  # symbol, client order id, or "cash"
    symbol: str
    ours: str
    theirs: str

    def sighting(self) -> tuple[str, str, str, str]:
        return self.kind, self.subject, self.ours, self.theirs


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    at_ns: int
    opened: bool  # False: the account waits for a person's `adopt`
    new_fills: tuple[FillRecord, ...]
    new_adjustments: int
    orders_seen: int
    breaks: tuple[BreakRecord, ...]  # every open one, confirmed or seen once
    foreign: tuple[str, ...]
    ledger: Ledger
    positions: Mapping[str, PositionState]
    cash: Decimal
    equity: Decimal

    @property
    def clean(self) -> bool:
        return self.opened and not self.breaks and not self.foreign


def reconcile(desk: Desk) -> ReconcileReport:
    """Bring the journal up to the broker's evidence and compare.

    Raises broker.port.BrokerError when anything cannot be fetched; nothing is concluded then.
    """
    desk.clock.sync()
    now = desk.now_ns()
    account = desk.broker.account()
    positions = {position.symbol: position for position in desk.broker.positions()}
    opened = _ensure_opening(desk, account, positions, now)
    since = max(int(desk.journal.mark(desk.book, WATERMARK) or 0) - OVERLAP_NS, 0)
    orders = _orders(desk, since)
    ours = _known(desk, orders)
    foreign = tuple(foreign_orders(orders, ours))
    if foreign:
        latch(
            desk.journal,
            desk.book,
            Cause.FOREIGN_ORDER,
            at_ns=now,
            session=desk.session_text(),
            reason="; ".join(foreign),
        )
    for order in orders:
        record = ours.get(order.client_order_id)
        if record is not None:
            ours[order.client_order_id] = absorb_order(desk, record, order)
    activities = desk.broker.activities(since)
    fills, adjustments = absorb_activities(desk, activities) if opened else ([], [])
    ledger = ledger_of(desk.journal, desk.book)
    breaks: tuple[BreakRecord, ...] = ()
    if opened:
        settling = _settling(desk, now)
        differences = _differences(desk, ledger, account, positions, orders, ours)
        if any(difference.kind in _BOOKED_LATE for difference in differences):
            late_fills, late_adjustments = absorb_activities(desk, desk.broker.activities(now - LATE_NS))
            if late_fills or late_adjustments:
                fills, adjustments = fills + late_fills, adjustments + late_adjustments
                ledger = ledger_of(desk.journal, desk.book)
                differences = _differences(desk, ledger, account, positions, orders, ours)
        found = [
            difference
            for difference in differences
            if difference.symbol not in settling and not (settling and difference.kind is BreakKind.CASH)
        ]
        waiting = {record.subject for record in desk.journal.open_breaks(desk.book) if settling}
        breaks = tuple(
            desk.journal.record_sightings(
                desk.book,
                now,
                [difference.sighting() for difference in found],
                not_looked_at=waiting - {difference.subject for difference in found},
            )
        )
        _act(desk, found, breaks)
        desk.journal.set_mark(desk.book, WATERMARK, str(now), now)
        desk.reconciled = True
    report = ReconcileReport(
        at_ns=now,
        opened=opened,
        new_fills=tuple(fills),
        new_adjustments=len(adjustments),
        orders_seen=len(orders),
        breaks=breaks,
        foreign=foreign,
        ledger=ledger,
        positions=positions,
        cash=account.cash,
        equity=account.equity,
    )
    log.info(
        "reconciled",
        book=desk.book,
        positions=len(positions),
        new_fills=len(fills),
        breaks=len(breaks),
        clean=report.clean,
    )
    return report


def adopt(desk: Desk, *, author: str, reason: str) -> int:
    """A person takes over an account that was not empty: its positions and cash become the opening
    entry. Returns the number of positions. Does nothing when the book is open already (returns 0).

    Raises InvalidInput without a reason.
    """
    if not reason.strip():
        raise InvalidInput("it needs a reason", where="adopt", remedy="Say why: --reason.")
    if desk.journal.opening(desk.book):
        return 0
    account = desk.broker.account()
    positions = desk.broker.positions()
    _record_opening(desk, account, positions, author=author, reason=reason)
    return len(positions)


def _ensure_opening(
    desk: Desk, account: AccountState, positions: Mapping[str, PositionState], now: int
) -> bool:
    """An empty account opens by itself; one that holds something waits in RECONCILING."""
    if desk.journal.opening(desk.book):
        return True
    if positions or desk.broker.open_orders():
        log.warning("account not empty at first start: adopt it", book=desk.book, positions=sorted(positions))
        return False
    _record_opening(desk, account, (), author="system", reason="first start, nothing held")
    return True


def _record_opening(
    desk: Desk, account: AccountState, positions: Iterable[PositionState], *, author: str, reason: str
) -> None:
    """The opening entry, with the ids of the activities that it already contains."""
    now = desk.now_ns()
    contained = [activity.id for activity in desk.broker.activities(max(now - OVERLAP_NS, 0))]
    desk.journal.set_mark(desk.book, OPENING_IDS_MARK, json.dumps(contained), now)
    records = [OpeningPositionRecord(desk.book, CASH, account.cash, Decimal(0), now, author, reason)]
    records += [
        OpeningPositionRecord(
            desk.book, position.symbol, position.qty, position.avg_entry_price, now, author, reason
        )
        for position in positions
    ]
    desk.journal.record_opening(records)
    log.info("book opened", book=desk.book, positions=len(records) - 1, cash=str(account.cash), author=author)


def _orders(desk: Desk, since_ns: int) -> list[OrderState]:
    """Every order submitted since, every open one, and what became of ours however old they are."""
    orders = {order.id: order for order in desk.broker.orders_since(since_ns)}
    for order in desk.broker.open_orders():
        orders.setdefault(order.id, order)
    for record in desk.journal.open_orders(desk.book):
        if State(record.state) in _WORKING and record.broker_order_id not in orders:
            ended = desk.broker.order_by_client_id(record.intent.client_order_id)
            if ended is not None:
                orders[ended.id] = ended
    return list(orders.values())


def _known(desk: Desk, orders: Sequence[OrderState]) -> dict[str, OrderRecord]:
    """Our records of these orders and of all that we believe open, by client order id."""
    known = {record.intent.client_order_id: record for record in desk.journal.open_orders(desk.book)}
    for order in orders:
        if is_ours(order.client_order_id) and order.client_order_id not in known:
            try:
                known[order.client_order_id] = desk.journal.order(order.client_order_id)
            except UnknownOrder:
                continue  # foreign: the Knight rule finds it missing here
    return known


def _settling(desk: Desk, now: int) -> set[str]:
    """Symbols that moved in the last five seconds: the broker's positions may lag behind its fills. Where
    the venue's time stands nothing can be under way."""
    if desk.clock.stands:
        return set()
    return {fill.symbol for fill in desk.journal.fills(desk.book, since_ns=now - SETTLE_NS)}


def _differences(
    desk: Desk,
    ledger: Ledger,
    account: AccountState,
    positions: Mapping[str, PositionState],
    orders: Sequence[OrderState],
    ours: Mapping[str, OrderRecord],
) -> list[Difference]:
    """Everything that differs now."""
    found = _order_differences(desk, orders, ours)
    found += _quantity_differences(desk, ledger, positions)
    if abs(ledger.cash_usd - float(account.cash)) > CASH_TOLERANCE_USD:
        found.append(Difference(BreakKind.CASH, "cash", "", f"{ledger.cash_usd:.2f}", f"{account.cash:.2f}"))
    return found


def _order_differences(
    desk: Desk, orders: Sequence[OrderState], ours: Mapping[str, OrderRecord]
) -> list[Difference]:
    found = []
    filled: dict[str, Decimal] = {}
    for order in orders:
        if order.filled_qty:
            fills = desk.journal.fills(desk.book, broker_order_id=order.id)
            filled[order.id] = sum((fill.qty for fill in fills), Decimal(0))
    opening_ns = min((record.at_ns for record in desk.journal.opening(desk.book)), default=0)
    known_ns = max(opening_ns, int(desk.journal.mark(desk.book, REARMED_MARK) or 0))
    continued = {record.broker_order_id for record in ours.values()}
    for order in orders:
        record = ours.get(order.client_order_id)
        state, _ = state_of_status(order.status, order.filled_qty, order.qty)
        if order.replaced_by is not None or (record is None and order.id in continued):
            continue  # a person replaced our order: what stands for it was taken in above
        if record is None:
            # Somebody else trades here, even where the fill explains the position; a rearm takes note.
            if state in OPEN_STATES or (order.filled_qty and order.updated_ns > known_ns):
                found.append(
                    Difference(
                        BreakKind.ORPHAN_ORDER, order.client_order_id, order.symbol, "none", order.status
                    )
                )
        elif State(record.state) is not state and not _may_lag(State(record.state), state):
            found.append(
                Difference(
                    BreakKind.ORDER_STATUS, order.client_order_id, order.symbol, record.state, order.status
                )
            )
        counted = filled.get(order.id, Decimal(0))
        if counted != order.filled_qty and order.submitted_ns > opening_ns:
            found.append(
                Difference(
                    BreakKind.MISSING_FILL,
                    order.client_order_id,
                    order.symbol,
                    str(counted),
                    str(order.filled_qty),
                )
            )
    seen = {order.client_order_id for order in orders}
    for client_id, record in ours.items():
        if client_id not in seen and State(record.state) in _WORKING:
            found.append(
                Difference(
                    BreakKind.MISSING_ORDER,
                    client_id,
                    record.intent.symbol,
                    record.state,
                    "not at the broker",
                )
            )
    return found


def _may_lag(ours: State, theirs: State) -> bool:
    """A cancel that we asked for and the broker has not taken up yet is no difference."""
    return ours is State.PENDING_CANCEL and theirs in OPEN_STATES


def _quantity_differences(
    desk: Desk, ledger: Ledger, positions: Mapping[str, PositionState]
) -> list[Difference]:
    found = []
    for symbol in sorted(ledger.holdings.keys() | positions.keys()):
        held = ledger.holdings.get(symbol)
        ours = held.qty if held is not None else 0.0
        theirs = float(positions[symbol].qty) if symbol in positions else 0.0
        if abs(ours - theirs) <= QUANTITY_TOLERANCE:
            continue
        kind = BreakKind.QUANTITY if ours else BreakKind.UNEXPECTED_POSITION
        today = desk.today()
        if any(action.split_ratio != 1.0 for action in desk.broker.corporate_actions([symbol], today, today)):
            kind = BreakKind.CORPORATE_ACTION
        found.append(Difference(kind, symbol, symbol, f"{ours:g}", f"{theirs:g}"))
    return found


def _act(desk: Desk, found: Sequence[Difference], breaks: Sequence[BreakRecord]) -> None:
    """Lock the symbols of confirmed breaks; many of them, or cash, stop entries of the whole book."""
    confirmed = {(record.kind, record.subject) for record in breaks if record.sightings >= SIGHTINGS}
    real = [difference for difference in found if (difference.kind, difference.subject) in confirmed]
    if not real:
        return
    held = {(record.symbol, record.cause) for record in desk.journal.locks(desk.book)}
    for difference in real:
        text = f"{difference.kind} {difference.subject}: ours {difference.ours}, broker's {difference.theirs}"
        if difference.symbol and (difference.symbol, BREAK_LOCK) not in held:
            lock(desk, difference.symbol, BREAK_LOCK, text)
    locked = {record.symbol for record in desk.journal.locks(desk.book) if record.cause == BREAK_LOCK}
    if len(locked) > MAX_LOCKED_SYMBOLS or any(d.kind is BreakKind.CASH for d in real):
        latch(
            desk.journal,
            desk.book,
            Cause.BREAK,
            at_ns=desk.now_ns(),
            session=desk.session_text(),
            reason="; ".join(f"{d.kind} {d.subject}: ours {d.ours}, broker's {d.theirs}" for d in real),
        )
