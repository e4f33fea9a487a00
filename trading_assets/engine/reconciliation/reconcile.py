"""Comparing what we say we hold with what the broker says, and acting on the difference.

One code path at start, every minute and after a reconnect: fetch, apply what is missing, fold,
compare, keep what differs. A failed fetch means "unknown", never "flat": what was read is applied, and
nothing is compared. A break counts when it is seen twice in a row; repair comes only from the broker's
evidence, and a position is never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from trading_assets.broker.port import (
    AccountState,
    BrokerError,
    OrderState,
    PositionState,
    Rejected,
    Unreachable,
    unread_of,
)
from trading_assets.core.ledger import Ledger
from trading_assets.core.orders import OPEN_STATES, TERMINAL_STATES, State, is_ours
from trading_assets.engine.book.accounting import CASH, ledger_of
from trading_assets.engine.book.desk import Desk, book_of
from trading_assets.engine.book.earlier_trading import see_earlier_trading
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.locks import lock
from trading_assets.engine.evidence.activities import tell_of_others_fills
from trading_assets.engine.evidence.breaks import WORKING, BookDifference, BreakKind, find_differences
from trading_assets.engine.evidence.catch_up import (
    Listed,
    TakenActivities,
    caught_up,
    list_orders,
    note_contained,
    take_activities,
    take_late_activities,
    tell_of_catching_up,
)
from trading_assets.engine.evidence.order_states import apply_absence, apply_order_state, foreign_orders
from trading_assets.engine.evidence.reads import EXITS, Look, Read, by_class, tell_missed, tell_others
from trading_assets.engine.evidence.share_costs import complete_costs, complete_worths, tell_of_missing_stops
from trading_assets.engine.reconciliation.transient_causes import ClockReading, broker_clock
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.reasons import stated
from trading_assets.store.records import (
    BreakRecord,
    FillRecord,
    OpeningPositionRecord,
    OrderRecord,
)

log = get_logger(__name__)

NS = 1_000_000_000
ACTIVE_NS = 5 * NS
SIGHTINGS = 2
MAX_LOCKED_SYMBOLS = 3
BREAK_LOCK = "BREAK"
COST_TOLERANCE_USD = 0.01
MOST_ASKED_ALONE = 20  # orders in one look, of those that no list tells of


class AnotherAccount(BrokerError):
    """The key pair now leads to an account that is not this desk's book: nothing follows for the book."""


class StillReading(BrokerError):
    """An opening waits for the rest of the account's history. Nothing has been concluded."""


_BOOKED_LATE = frozenset(
    {BreakKind.MISSING_FILL, BreakKind.QUANTITY, BreakKind.UNEXPECTED_POSITION, BreakKind.CASH}
)


@dataclass(frozen=True, slots=True)
class AverageCost:
    """Of a symbol that ledger and broker both hold, USD a share."""

    symbol: str
    ours: float
    theirs: float

    @property
    def apart(self) -> bool:
        """By more than a cent: the broker's method differs."""
        return not abs(self.ours - self.theirs) <= COST_TOLERANCE_USD


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    at_ns: int
    opened: bool  # False: the account waits for a person's `adopt`
    new_fills: tuple[FillRecord, ...]
    new_adjustments: int
    orders_seen: int
    breaks: tuple[BreakRecord, ...]  # every open one, confirmed or seen once
    foreign: tuple[str, ...]  # what no person has acknowledged by a rearm
    ledger: Ledger
    positions: Mapping[str, PositionState]  # the equities that could be read
    account_read: AccountState | None  # None: it could not be read
    clock: ClockReading | None  # None: it could not be read
    astray: tuple[OrderState, ...] = ()  # ours that have ended in the journal and work at the broker
    catching_up: bool = False  # the account's history is longer than was read so far: nothing was compared
    others: tuple[PositionState, ...] = ()  # of other asset classes, which this desk does not trade
    missed: Mapping[Read, BrokerError] = field(default_factory=dict)  # where any, nothing is compared
    unknown: frozenset[str] = frozenset()  # symbols whose position could not be read; "" stands for any
    waiting: tuple[Cause, ...] = ()  # why entries wait for what could not be read

    @property
    def account(self) -> AccountState:
        """Raises broker.port.BrokerError where it could not be read."""
        if self.account_read is None:
            raise self.missed[Read.ACCOUNT]
        return self.account_read

    @property
    def clean(self) -> bool:
        whole = not (self.missed or self.unknown or self.catching_up)
        return self.opened and whole and not self.breaks and not self.foreign

    def is_flat(self, symbol: str) -> bool:
        """Whether the broker says that nothing is held: what cannot be read is not flat."""
        return symbol not in self.positions and self.unknown.isdisjoint({symbol, ""})

    @property
    def average_costs(self) -> tuple[AverageCost, ...]:
        """Compared for information only: one that is apart is no break."""
        held = {symbol: holding for symbol, holding in self.ledger.holdings.items() if holding.qty}
        return tuple(
            AverageCost(symbol, held[symbol].avg_cost, float(self.positions[symbol].avg_entry_price))
            for symbol in sorted(held.keys() & self.positions.keys())
        )


def reconcile(desk: Desk) -> ReconcileReport:
    """Bring the journal up to the broker's evidence and compare.

    Raises broker.port.BrokerError when anything cannot be fetched, and AnotherAccount when the broker has
    replaced the account since the desk was opened; nothing is concluded then.
    """
    report = look(desk)
    for error in report.missed.values():
        raise error
    return report


def look(desk: Desk) -> ReconcileReport:
    """As `reconcile`, by what can be read: protection depends on the positions alone.

    Raises AnotherAccount, and BrokerError when the positions cannot be read, after the orders have been.
    """
    sight = Look(desk)
    clock = broker_clock(desk)
    if clock is None:
        tell_missed(desk, Read.CLOCK, desk.clock.failure)
    now = desk.now_ns()
    account = sight.read(Read.ACCOUNT, desk.broker.account)
    if account is not None:
        _same_account(desk, account)
    held = sight.read(Read.POSITIONS, desk.broker.positions)
    positions, others = by_class(sight.rows(Read.POSITIONS, () if held is None else held))
    unknown = frozenset(row.symbol for what, row in sight.unread if what is Read.POSITIONS)
    tell_others(desk, others)
    opened = _is_open(desk, sight, account, held, now)
    listed = list_orders(desk, sight)
    sweep = _orders(desk, listed)
    orders = sweep.orders
    ours = _known(desk, orders)
    foreign = tuple(desk.journal.record_foreign(desk.book, foreign_orders(orders, ours), now))
    if foreign:
        desk.latch(Cause.FOREIGN_ORDER, "; ".join(foreign))
    astray = _apply_sweep(desk, sweep, ours)
    foreign = tuple(desk.journal.record_foreign(desk.book, foreign_orders(orders, ours), now))
    taken = _activities(desk, sight) if opened else TakenActivities([], [], complete=True)
    fills, adjustments = taken.fills, taken.adjustments
    sight.require(*EXITS)
    if opened:
        adjustments = adjustments + complete_costs(desk, positions)
        complete_worths(desk)
    midnight_ns = new_york_midnight_ns(desk.sessions.new_york_date(now))
    ledger = ledger_of(desk.journal, desk.book, keep_before_ns=midnight_ns if opened else None)
    breaks: tuple[BreakRecord, ...] = ()
    catching_up = opened and not (listed.complete and taken.complete)
    if catching_up:  # nothing can be compared with half a history; entries wait, and no exit does
        tell_of_catching_up(desk)
        desk.reconciled = True
    elif opened and sight.missed:
        breaks = tuple(desk.journal.open_breaks(desk.book))
    elif opened and account is not None:
        active = _active(desk, orders, now)
        differences = find_differences(desk, ledger, account, positions, orders, ours, sweep.unread)
        late = [difference for difference in differences if difference.kind in _BOOKED_LATE]
        if late:
            new = not _all_confirmed(desk, late)
            ask = partial(take_late_activities, desk, unconfirmed=new)
            late_fills, late_adjustments = sight.read(Read.ACTIVITIES, ask) or ([], [])
            late_adjustments = late_adjustments + complete_costs(desk, positions)
            if late_fills or late_adjustments:
                fills, adjustments = fills + late_fills, adjustments + late_adjustments
                ledger = ledger_of(desk.journal, desk.book)
                differences = find_differences(desk, ledger, account, positions, orders, ours, sweep.unread)
        if Read.ACTIVITIES in sight.missed:  # what explains a difference may be in what could not be read
            breaks = tuple(desk.journal.open_breaks(desk.book))
        else:
            breaks = _conclude(desk, differences, active, others, unknown, now)
            tell_of_missing_stops(desk, ledger)
            caught_up(desk, now)
            desk.reconciled = True
    if opened:
        tell_of_others_fills(desk, fills)
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
        account_read=account,
        clock=clock,
        astray=astray,
        catching_up=catching_up,
        others=others,
        missed=sight.missed,
        unknown=unknown,
        waiting=sight.causes,
    )
    log.info(
        "reconciled",
        book=desk.book,
        positions=len(positions),
        new_fills=len(fills),
        breaks=len(breaks),
        average_costs_apart=[f"{c.symbol} {c.ours:g} {c.theirs:g}" for c in report.average_costs if c.apart],
        clean=report.clean,
    )
    return report


def _conclude(
    desk: Desk,
    differences: Sequence[BookDifference],
    active: set[str],
    others: Sequence[PositionState],
    unknown: frozenset[str],
    now: int,
) -> tuple[BreakRecord, ...]:
    """Journal the sightings of what differs and is neither under way nor beyond comparison, and lock what has
    been seen often enough. Returns the open breaks."""
    certain = [
        difference
        for difference in differences
        if difference.symbol not in active
        and not (active and difference.kind is BreakKind.CASH)
        and not _not_comparable(difference, others, unknown)
    ]
    waiting = {record.subject for record in desk.journal.open_breaks(desk.book) if active or unknown}
    breaks = desk.journal.record_sightings(
        desk.book,
        now,
        [difference.sighting() for difference in certain],
        not_looked_at=waiting - {difference.subject for difference in certain},
    )
    _act(desk, certain, breaks)
    return tuple(breaks)


def adopt(desk: Desk, *, author: str, reason: str) -> int:
    """A person takes over an account that was not empty: its positions and cash become the opening
    entry. Returns the number of positions. Does nothing when the book is open already (returns 0).

    Raises InvalidInput without a reason, and StillReading while the account's history is too long for one
    look: the next call goes on.
    """
    reason = stated("adopt", reason)
    if desk.journal.opening(desk.book):
        return 0
    account = desk.broker.account()
    _same_account(desk, account)
    held = desk.broker.positions()
    for row in unread_of(held):
        raise Unreachable(f"a position cannot be read, and cannot be adopted: {row.why}")
    positions, others = by_class(held)
    tell_others(desk, others)
    if not _record_opening(desk, account, positions.values(), author=author, reason=reason):
        raise StillReading(
            "the account has more activities of this moment than one look reads. Run `trading-assets adopt` "
            "again in a minute: it goes on where this one ended."
        )
    return len(positions)


def _same_account(desk: Desk, account: AccountState) -> None:
    theirs = book_of(desk.settings, account.account_number)
    if theirs != desk.book:
        raise AnotherAccount(
            f"the broker answers for {theirs}, this desk is {desk.book}: open the desk again"
        )


def _is_open(
    desk: Desk,
    sight: Look,
    account: AccountState | None,
    held: Sequence[PositionState] | None,
    now: int,
) -> bool:
    """An empty account opens by itself; one that holds something waits in RECONCILING, as does one that
    cannot be read."""
    if desk.journal.opening(desk.book):
        return True
    if account is None or held is None:
        return False
    opened = sight.read(Read.OPEN_ORDERS, lambda: _open_if_empty(desk, account, held))
    return opened or False


def _open_if_empty(desk: Desk, account: AccountState, held: Sequence[PositionState]) -> bool:
    orders = desk.broker.open_orders()
    if held or orders or unread_of(held) or unread_of(orders):
        symbols = sorted(position.symbol for position in held)
        log.warning("account not empty at first start: adopt it", book=desk.book, positions=symbols)
        return False
    return _record_opening(desk, account, (), author="system", reason="first start, nothing held")


def _record_opening(
    desk: Desk, account: AccountState, positions: Iterable[PositionState], *, author: str, reason: str
) -> bool:
    """The opening entry, with the ids of the activities that it already contains; False while these are not
    all read."""
    now = desk.now_ns()
    if not note_contained(desk, now):
        return False
    see_earlier_trading(desk)  # before the book is open: a crash in between looks again
    records = [OpeningPositionRecord(desk.book, CASH, account.cash, Decimal(0), now, author, reason)]
    records += [
        OpeningPositionRecord(
            desk.book, position.symbol, position.qty, position.avg_entry_price, now, author, reason
        )
        for position in positions
    ]
    desk.journal.record_opening(records)
    log.info("book opened", book=desk.book, positions=len(records) - 1, cash=str(account.cash), author=author)
    return True


def _activities(desk: Desk, sight: Look) -> TakenActivities:
    """What is new of the account's history, taken in; nothing where it cannot be read."""
    ask = partial(take_activities, desk, reading_on=True, sight=sight)
    return sight.read(Read.ACTIVITIES, ask) or TakenActivities([], [], complete=True)


def _not_comparable(
    difference: BookDifference, others: Sequence[PositionState], unknown: frozenset[str]
) -> bool:
    """A position that could not be read is not known to differ, and what is no equity is in no ledger of
    ours by the symbol that its position has."""
    if difference.kind in (BreakKind.QUANTITY, BreakKind.UNEXPECTED_POSITION, BreakKind.CORPORATE_ACTION):
        plain = {one.symbol.replace("/", "") for one in others}
        return not unknown.isdisjoint({difference.symbol, ""}) or difference.symbol.replace("/", "") in plain
    return False


@dataclass(frozen=True, slots=True)
class Sweep:
    """The broker's orders, and which of ours it says that it does not have (`absent`) or could not be asked
    about (`unread`), by client order id."""

    orders: list[OrderState]
    absent: frozenset[str]
    unread: frozenset[str]


def _orders(desk: Desk, listed: Listed) -> Sweep:
    """The listed orders, and what became of those of ours that no list tells of.

    Some 20 of these are asked for, and none after one that the broker gave no answer to: where its lists
    cannot be read either, an exit does not wait for a request for each order.
    """
    orders = dict(listed.orders)
    absent, unread = set(), set()
    questions, silent = 0, False
    for record in desk.journal.open_orders(desk.book):
        if State(record.state) in WORKING and record.broker_order_id not in orders:
            client_id = record.intent.client_order_id
            if silent or questions == MOST_ASKED_ALONE:
                unread.add(client_id)
                continue
            questions += 1
            try:
                ended = desk.broker.order_by_client_id(client_id)
            except BrokerError as error:
                log.warning("order not readable", client_order_id=client_id, why=str(error))
                unread.add(client_id)
                silent = not isinstance(error, Rejected)
                continue
            if ended is not None:
                orders[ended.id] = ended
            else:
                absent.add(client_id)
    return Sweep(list(orders.values()), frozenset(absent), frozenset(unread))


def _known(desk: Desk, orders: Sequence[OrderState]) -> dict[str, OrderRecord]:
    """Our records of these orders, of those that they replaced and of all that we believe open, by client
    order id."""
    known = {record.intent.client_order_id: record for record in desk.journal.open_orders(desk.book)}
    named = {order.client_order_id for order in orders if is_ours(order.client_order_id)}
    others = [order.id for order in orders if not is_ours(order.client_order_id)]
    named.update(desk.journal.client_ids(desk.book, others).values())
    # one that is in neither is foreign: the Knight rule finds it missing here
    return known | desk.journal.named(named - known.keys())


def _apply_sweep(desk: Desk, sweep: Sweep, ours: dict[str, OrderRecord]) -> tuple[OrderState, ...]:
    """Take in what the broker says of each order of ours, and bring `ours` up to it. Returns those that work
    at the broker and have ended here: nobody follows them."""
    listed = {order.id: order for order in sweep.orders}
    named = {order.client_order_id for order in sweep.orders}
    client_ids = {record.broker_order_id: client_id for client_id, record in ours.items()}
    astray = []
    for order in sweep.orders:
        client_id = order.client_order_id
        if client_id not in ours:  # a replacement is looked at from the order that began its chain
            client_id = client_ids.get(order.id, "")
            if not client_id or client_id in named or _is_settled(ours[client_id], order):
                continue
        ours[client_id] = apply_order_state(desk, ours[client_id], order, listed)
    for order in sweep.orders:
        record = ours.get(order.client_order_id) or ours.get(client_ids.get(order.id, ""))
        works = order.state in OPEN_STATES
        if record and works and order.replaced_by is None and State(record.state) in TERMINAL_STATES:
            astray.append(order)
    for client_id in sweep.absent & ours.keys():
        ours[client_id] = apply_absence(desk, ours[client_id])
    return tuple(astray)


def _is_settled(record: OrderRecord, order: OrderState) -> bool:
    """Whether record and broker agree that what replaced our order has ended, and nothing is new."""
    ended = order.state in TERMINAL_STATES
    return ended and State(record.state) in TERMINAL_STATES and (record.evidence_ns or 0) >= order.updated_ns


def _active(desk: Desk, orders: Iterable[OrderState], now: int) -> set[str]:
    """Symbols that moved in the last five seconds, "" for cash alone: the broker's positions may lag behind
    its fills, and its activities behind both. Where the venue's time stands nothing can be under way."""
    if desk.clock.stands:
        return set()
    since = now - ACTIVE_NS
    filling = {order.symbol for order in orders if order.filled_qty and order.updated_ns >= since}
    moved = {fill.symbol for fill in desk.journal.fills(desk.book, since_ns=since)}
    return filling | moved | {a.symbol for a in desk.journal.adjustments(desk.book, since_ns=since)}


def _all_confirmed(desk: Desk, differences: Iterable[BookDifference]) -> bool:
    """Whether every one of them was seen often enough before."""
    confirmed = {
        (record.kind, record.subject)
        for record in desk.journal.open_breaks(desk.book)
        if record.sightings >= SIGHTINGS
    }
    return all((difference.kind, difference.subject) in confirmed for difference in differences)


def _act(desk: Desk, differences: Sequence[BookDifference], breaks: Sequence[BreakRecord]) -> None:
    """Lock the symbols of confirmed breaks; many of them, or cash, stop entries of the whole book."""
    confirmed = {(record.kind, record.subject) for record in breaks if record.sightings >= SIGHTINGS}
    real = [difference for difference in differences if (difference.kind, difference.subject) in confirmed]
    if not real:
        return
    held = {(record.symbol, record.cause) for record in desk.journal.locks(desk.book)}
    for difference in real:
        text = f"{difference.kind} {difference.subject}: ours {difference.ours}, broker's {difference.theirs}"
        if difference.symbol and (difference.symbol, BREAK_LOCK) not in held:
            lock(desk, difference.symbol, BREAK_LOCK, text)
    locked = {record.symbol for record in desk.journal.locks(desk.book) if record.cause == BREAK_LOCK}
    if len(locked) > MAX_LOCKED_SYMBOLS or any(d.kind is BreakKind.CASH for d in real):
        desk.latch(
            Cause.BREAK,
            "; ".join(f"{d.kind} {d.subject}: ours {d.ours}, broker's {d.theirs}" for d in real),
        )
