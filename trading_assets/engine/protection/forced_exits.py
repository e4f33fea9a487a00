"""Exits that no signal decides: of stops, of a flatten, and of what an exit before did not sell. Which may be
sent now, as which attempt, and their way through gate, journal and broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from trading_assets.core.codes import Code
from trading_assets.core.gate import reason
from trading_assets.core.orders import OPEN_STATES, Kind, State
from trading_assets.core.words import HaltState
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import DecisionInput, ForcedExit, Phase
from trading_assets.engine.evidence.split_lines import booked_since, dated_since
from trading_assets.engine.orders.follow import cancel
from trading_assets.engine.orders.obstacles import free_shares
from trading_assets.engine.orders.send import send_and_follow, store_input
from trading_assets.engine.orders.signal_exits import LastSignal, last_signals
from trading_assets.engine.orders.submit import has_no_news, remaining
from trading_assets.engine.orders.tries import FORCED, Tries, tries_of
from trading_assets.engine.protection.exits_over import (
    end_exits_of,
    exits_over,
    is_over,
    stop_decision,
    stop_locks,
)
from trading_assets.engine.protection.flattens import flatten_decision, may_trade
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_time
from trading_assets.store.journal import Lease
from trading_assets.store.records import FlattenRecord, IntentRecord, OrderRecord, VerdictRecord

log = get_logger(__name__)

ATTEMPTS_BEFORE_ALERT = 3
ATTEMPTS_BETWEEN_ALERTS = 6  # once these were told: an hour of tries, ten minutes apart
_UNSOLD = frozenset({State.CANCELED, State.EXPIRED, State.REJECTED, State.ABANDONED, State.DROPPED})


def force_exits(
    desk: Desk, lease: Lease, exits: Sequence[ForcedExit], *, tick_ns: int, execution_id: str
) -> tuple[tuple[VerdictRecord, ...], tuple[OrderRecord, ...]]:
    """Gate, journal, send and follow the sale of positions whatever the signals say."""
    if not exits:
        return (), ()
    session = desk.today()
    snapshot = take_snapshot(desk, session, tick_ns, execution_id, Phase.PROTECT, forced_exits=exits)
    store_input(desk, snapshot)
    decision = decide(snapshot)
    records = send_and_follow(desk, lease, decision)
    _end_sold(desk, snapshot, records)
    _tell_not_sold(desk, decision.verdicts, records)
    return decision.verdicts, tuple(records)


def _end_sold(desk: Desk, seen: DecisionInput, records: Sequence[OrderRecord]) -> None:
    """End the exits of the symbols of which these orders have sold all that the broker showed."""
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for record in records:
        if record.intent.reducing:
            sold[record.intent.symbol] += record.filled_qty
    held = {view.symbol: Decimal(repr(abs(view.qty))) for view in seen.symbols}
    end_exits_of(desk, [symbol for symbol, qty in sold.items() if qty and qty >= held[symbol]])


def flatten_exits(
    desk: Desk, report: ReconcileReport, flatten: FlattenRecord, *, at_once: bool = False
) -> list[ForcedExit]:
    """The next attempt to close each position at the broker, where nothing of ours is at work and its turn
    has come. An order of ours of which there is no news holds none back: the broker's position shows what is
    free. at_once: whenever that is"""
    if not may_trade(desk):
        return []
    held = {symbol for symbol, position in report.positions.items() if position.qty}
    now = desk.now_ns()
    at_work = (record for record in desk.journal.open_orders(desk.book) if not has_no_news(record, now))
    held -= {record.intent.symbol for record in at_work}
    exits = []
    for symbol in sorted(held):
        identity = flatten_decision(flatten, symbol)
        if attempt := next_attempt(desk, Kind.FLATTEN, symbol, identity, at_once=at_once):
            exits.append(ForcedExit(symbol, Kind.FLATTEN, identity, attempt))
    return exits


def stop_exits(desk: Desk, stopped: Sequence[str]) -> list[ForcedExit]:
    """The next attempt for every stopped position that has no order of ours at work. What else of ours works
    in its symbol is cancelled: an entry buys what is being sold, an exit of a signal holds the shares."""
    if not stopped:
        return []
    if desk.halts().state is HaltState.HALTED:
        log.error("HALTED: stops do not fire", symbols=list(stopped), book=desk.book)
        desk.alert(
            f"stops_held:{desk.session_text()}:{','.join(stopped)}",
            "Stops do not fire while the book is HALTED",
            f"{', '.join(stopped)} would be sold now; flatten or rearm",
        )
        return []
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    locks = stop_locks(desk)
    stops = {symbol: stop_decision(locks[symbol]) for symbol in stopped}
    cancel(  # all at once: one that does not end holds up no other symbol, and is asked with what is overdue
        desk,
        [
            order
            for order in desk.journal.open_orders(desk.book)
            if order.intent.symbol in stops
            and order.intent.decision_id != stops[order.intent.symbol]
            and State(order.state) is not State.PENDING_CANCEL
        ],
    )
    at_work = {order.intent.symbol for order in desk.journal.open_orders(desk.book)}
    exits = []
    for symbol, identity in stops.items():
        if symbol not in at_work and (attempt := next_attempt(desk, Kind.STOP, symbol, identity)):
            exits.append(ForcedExit(symbol, Kind.STOP, identity, attempt))
    return exits


def unfilled_exits(desk: Desk, report: ReconcileReport, taken: set[str]) -> list[ForcedExit]:
    """The next attempt for the shares that a symbol's last decision of the session was to sell, and did not:
    the market was not there, gate or broker refused it, an order held the shares, or the desk died before it
    had sent them all. Entries that work in a symbol whose last signal sells are cancelled.

    taken: symbols that a stop sells already
    """
    if not desk.sessions.is_open(desk.now_ns()) or desk.halts().state is HaltState.HALTED:
        return []
    signals, over = last_signals(desk), exits_over(desk)
    selling = {
        symbol
        for symbol, signal in signals.items()
        if signal.sells and not is_over(desk, over, symbol, signal.decision_id)
    } - taken
    _cancel_entries(desk, selling)
    orders = desk.journal.orders(desk.book, session=desk.session_text())
    at_work = {record.intent.symbol for record in orders if State(record.state) in OPEN_STATES}
    exits = []
    free = report.positions.keys() - taken - at_work
    for symbol, unsold in sorted(_unsold(free, orders, signals).items()):
        kind, decision = unsold.kind, unsold.decision_id
        if is_over(desk, over, symbol, decision):
            continue
        leaves = _leaves(desk, symbol, unsold, report.positions[symbol].qty)
        if leaves > 0 and (attempt := next_attempt(desk, kind, symbol, decision)):
            exits.append(ForcedExit(symbol, kind, decision, attempt, qty=float(leaves)))
    return exits


def _leaves(desk: Desk, symbol: str, unsold: _Unsold, held: Decimal) -> Decimal:
    """What it has left to sell of the shares of now; of a part, no more than leaves what was to be kept,
    whoever has sold meanwhile."""
    if unsold.whole and dated_since(desk, symbol, unsold.tick_ns):
        return held
    booked = booked_since(desk, symbol, unsold.tick_ns) - unsold.booked
    leaves = after_splits(unsold.leaves, held, booked)
    if unsold.whole or not unsold.keeps:
        return leaves
    before = held - booked
    keeps = unsold.keeps * held / before if booked and before > 0 else unsold.keeps
    return min(leaves, (held - keeps).to_integral_value(ROUND_FLOOR) if booked else held - keeps)


def _cancel_entries(desk: Desk, symbols: Collection[str]) -> None:
    """What of ours could buy in these symbols."""
    cancel(
        desk,
        [
            order
            for order in desk.journal.open_orders(desk.book)
            if order.intent.symbol in symbols
            and not order.intent.reducing
            and State(order.state) is not State.PENDING_CANCEL
        ],
    )


class _Unsold(NamedTuple):
    """What a decision has left to sell, in the shares of its tick."""

    kind: str
    decision_id: str
    leaves: Decimal
    tick_ns: int  # no later than its look at the position
    whole: bool = False  # it was to sell all of it
    keeps: Decimal = Decimal(0)  # it was to leave these, in the shares of its tick
    booked: Decimal = Decimal(0)  # shares that splits have brought since its tick, and that it counted


def _unsold(
    symbols: Collection[str], orders: Sequence[OrderRecord], signals: Mapping[str, LastSignal]
) -> dict[str, _Unsold]:
    """What the last decision on each of the symbols has left to sell. A later signal that does not sell ends
    what an earlier one was to sell."""
    unsold = {
        symbol: _Unsold(
            signal.kind,
            signal.decision_id,
            signal.leaves(orders),
            signal.tick_ns,
            whole=signal.sells,
            keeps=Decimal(signal.keeps),
            booked=Decimal(signal.booked),
        )
        for symbol, signal in signals.items()
        if (signal.sells or signal.shares) and symbol in symbols
    }
    last = {o.intent.symbol: o.intent for o in orders if o.intent.symbol in symbols}
    for symbol, intent in last.items():
        superseded = symbol in signals and signals[symbol].decision_id != intent.decision_id
        if symbol in unsold or superseded or not intent.reducing or intent.kind in FORCED:
            continue
        leaves = sum(
            (
                remaining(record)
                for record in orders
                if record.intent.decision_id == intent.decision_id
                and record.intent.attempt == intent.attempt
                and State(record.state) in _UNSOLD
            ),
            Decimal(0),
        )
        unsold[symbol] = _Unsold(intent.kind, intent.decision_id, leaves, intent.tick_ns)
    return unsold


def after_splits(leaves: Decimal, held: Decimal, booked: Decimal) -> Decimal:
    """What an exit has left to sell, in the shares of now.

    leaves: in the shares of its order
    held:   shares of now
    booked: of these, what a split's lines have brought (< 0: taken) since the order was made

    >>> after_splits(Decimal(25), Decimal(50), Decimal(25))  # two for one: all of it still
    Decimal('50')
    >>> after_splits(Decimal(0), Decimal(25), Decimal(25))  # sold to the last share, and then these came
    Decimal('25')
    >>> after_splits(Decimal(50), Decimal(10), Decimal(-90))  # one for ten: half of it still
    Decimal('5')
    """
    if not booked:
        return leaves
    before = held - booked
    if before <= 0:
        return held
    return min(held, (leaves * held / before).to_integral_value(ROUND_CEILING))


def free_for(desk: Desk, exits: Iterable[ForcedExit]) -> None:
    """Cancel what a person has at work that holds the shares of these exits; after a first attempt that did
    not get out also a person's buys, with which the broker lets no sale of ours trade."""
    attempts = {forced.symbol: forced.attempt for forced in exits}
    free_shares(
        desk,
        attempts.keys(),
        why="it holds shares that a stop or an exit of this desk sells now",
        buys={symbol for symbol, attempt in attempts.items() if attempt > 1},
    )


def next_attempt(desk: Desk, kind: str, symbol: str, identity: str, *, at_once: bool = False) -> int:
    """The attempt that may be sent now for a decision, 0 while an earlier one has not ended, or its turn has
    not come. at_once: whenever that is"""
    tries = tries_of(desk, kind, symbol, identity)
    no_news = kind == Kind.FLATTEN and tries.last is not None and has_no_news(tries.last, desk.now_ns())
    if (tries.is_open and not no_news) or not (at_once or tries.is_due(desk.now_ns())):
        return 0
    if _is_to_be_told(tries):
        desk.alert(
            f"attempts:{identity}:{tries.next_attempt}",
            f"{symbol}: exit attempt {tries.next_attempt}",
            "earlier attempts did not sell all of it",
        )
    return tries.next_attempt


def _is_to_be_told(tries: Tries) -> bool:
    beyond = tries.next_attempt - ATTEMPTS_BEFORE_ALERT
    return 0 < beyond <= ATTEMPTS_BEFORE_ALERT or (beyond > 0 and beyond % ATTEMPTS_BETWEEN_ALERTS == 0)


def _tell_not_sold(desk: Desk, verdicts: Iterable[VerdictRecord], records: Iterable[OrderRecord]) -> None:
    """Tell a person of an exit that gate or broker refused, once a session for each reason."""
    for verdict in verdicts:
        if verdict.failed:
            why = reason(verdict.failed, verdict.cause)
            tell_not_sold(desk, verdict, f"{verdict.symbol}: exit refused: {why}", why)
    for record in records:
        intent = record.intent
        if State(record.state) is State.REJECTED:
            title = f"{intent.symbol}: the broker refused an exit"
            tell_not_sold(desk, intent, title, record.detail)


def tell_not_sold(desk: Desk, exit_: VerdictRecord | IntentRecord, title: str, why: str) -> None:
    """Tell a person what kept an exit in, and when it is tried again; once a session for each reason."""
    symbol = exit_.symbol
    due_ns = tries_of(desk, exit_.kind, symbol, exit_.decision_id).due_ns
    due = new_york_time(max(due_ns, desk.now_ns()))
    body = f"{why}. {symbol} is still held; it is tried again from {due} on"
    if why.startswith(Code.DAILY_ORDER_COUNT.name):
        body = (
            f"{why}: the exits that {symbol} may send today are used up, and it is still held. A flatten is "
            "outside that cap: `trading-assets flatten --reason …` sells every position"
        )
    desk.alert(f"exit_refused:{symbol}:{exit_.kind}:{desk.session_text()}:{why}", title, body)
