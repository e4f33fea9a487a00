"""Protect: the first thing in every tick and in every reconciliation, on journal and broker alone.

It owns halts, recovery, breakers, stops, execution timeouts and repricing. Nothing here touches the
history, a feature or a model, so none of them can keep a position from being protected.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_assets.broker.port import BrokerError, OrderState, QuoteState
from trading_assets.core.breakers import stop_hit
from trading_assets.core.orders import OPEN_STATES, Kind, State, decision_id, is_ours
from trading_assets.core.words import HaltState
from trading_assets.engine.absorb import alert, lock
from trading_assets.engine.decide import decide
from trading_assets.engine.desk import Desk
from trading_assets.engine.follow import cancel, follow
from trading_assets.engine.halts import Cause, end_session_drawdown
from trading_assets.engine.inputs import ForcedExit, Phase
from trading_assets.engine.reconcile import ReconcileReport, reconcile
from trading_assets.engine.risk import keep_close_equity, observe, transient_causes
from trading_assets.engine.send import send_approved, store_input
from trading_assets.engine.snapshot import take_snapshot
from trading_assets.engine.stop_costs import began_on, stop_costs
from trading_assets.engine.submit import NS, UNSENT, recover, remaining, see_kill_switch
from trading_assets.log import get_logger
from trading_assets.store.journal import Lease
from trading_assets.store.records import LockRecord, OrderRecord, VerdictRecord

log = get_logger(__name__)

STOP_LOCK = "STOP"
ATTEMPTS_BEFORE_ALERT = 3
_UNFILLED = frozenset({State.CANCELED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class ProtectReport:
    reconciliation: ReconcileReport
    transient: tuple[Cause, ...]  # what forbids entries as long as it lasts
    recovered: tuple[OrderRecord, ...]
    cancelled: tuple[OrderRecord, ...]
    stopped: tuple[str, ...]  # symbols whose stop is in force
    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]


def protect(desk: Desk, lease: Lease, *, tick_ns: int, execution_id: str) -> ProtectReport:
    """Kill, recover, reconcile, breakers, halts' effects, timeouts, stops, unfilled exits: in this order.

    The clock has been read just before; reconciling reads it again. Raises broker.port.BrokerError when
    the broker cannot be read; a kill that is set has been latched by then.
    """
    see_kill_switch(desk)
    # Before anything that a failing read could keep from happening.
    cancelled = cancel_for_halts(desk) if desk.halts().state is HaltState.HALTED else []
    recovered = tuple(recover(desk))
    report = reconcile(desk)
    end_session_drawdown(desk.journal, desk.book, at_ns=desk.now_ns(), session=desk.session_text())
    observe(desk, report.account)
    keep_close_equity(desk, report.account)
    transient = transient_causes(desk, report.account, report.clock)
    cancelled += [*cancel_for_halts(desk), *_cancel_overdue(desk)]
    stopped = _stops_in_force(desk, report) if report.opened else ()
    exits = _stop_exits(desk, stopped)
    killed = killed_ns(desk)
    if killed is not None and desk.settings.flatten_on_kill:
        exits += flatten_exits(desk, report, killed)
    exits += _unfilled_exits(desk, report, {forced.symbol for forced in exits} | set(stopped))
    verdicts, orders = force_exits(desk, lease, exits, tick_ns=tick_ns, execution_id=execution_id)
    return ProtectReport(report, transient, recovered, tuple(cancelled), stopped, verdicts, orders)


def protect_alone(desk: Desk, execution_id: str, *, holder: str = "protect") -> ProtectReport:
    """Protect and reconcile between ticks, under the book's lease. Raises LeaseHeld and BrokerError."""
    see_kill_switch(desk)
    desk.begin()
    with desk.journal.lease(desk.book, holder) as lease:
        return protect(desk, lease, tick_ns=desk.now_ns(), execution_id=execution_id)


def cancel_for_halts(desk: Desk) -> list[OrderRecord]:
    """HALTED cancels every working order but a flatten's: of ours, foreign ones with our prefix included, and
    under a kill of the whole account; a daily loss every working entry."""
    halts = desk.halts()
    working = desk.journal.open_orders(desk.book)
    if halts.state is HaltState.HALTED:
        known = {
            name for record in working for name in (record.intent.client_order_id, record.broker_order_id)
        }
        killed = Cause.KILL in halts.causes
        cancel_at_broker(
            desk,
            lambda order: (
                known.isdisjoint((order.client_order_id, order.id))
                and (killed or is_ours(order.client_order_id))
            ),
        )
        return cancel(desk, [record for record in working if record.intent.kind != Kind.FLATTEN])
    if Cause.DAILY_LOSS in halts.causes:
        return cancel(desk, [record for record in working if not record.intent.reducing])
    return []


def cancel_at_broker(desk: Desk, which: Callable[[OrderState], bool]) -> None:
    """Ask for a cancel of open orders by the broker's list; what cannot be asked is told to a person."""
    try:
        orders = [order for order in desk.broker.open_orders() if which(order)]
    except BrokerError as error:
        alert(desk, f"cancel_all:{desk.now_ns()}", "Open orders could not be read to cancel them", str(error))
        return
    for order in orders:
        try:
            desk.broker.cancel(order.id)
        except BrokerError as error:
            alert(desk, f"cancel:{order.id}", f"{order.symbol}: cancel could not be asked", str(error))
            continue
        if not is_ours(order.client_order_id):
            alert(
                desk,
                f"cancelled:{order.id}",
                f"{order.symbol}: a person's order is cancelled",
                f"order {order.client_order_id}: the book is killed, and nothing but a flatten may work",
            )


def killed_ns(desk: Desk) -> int | None:
    """When the kill in force was latched."""
    return next((act.at_ns for act in desk.journal.latched(desk.book) if act.cause == Cause.KILL), None)


def flatten_exits(desk: Desk, report: ReconcileReport, decided_ns: int) -> list[ForcedExit]:
    """The next attempt to close each position at the broker, where none is at work."""
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    exits = []
    for symbol in sorted(symbol for symbol, position in report.positions.items() if position.qty):
        identity = decision_id(desk.book, Kind.FLATTEN, symbol, decided_ns)
        if attempt := next_attempt(desk, identity):
            exits.append(ForcedExit(symbol, Kind.FLATTEN, identity, attempt))
    return exits


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
    records = follow(desk, send_approved(desk, lease, decision))
    return decision.verdicts, tuple(records)


def _cancel_overdue(desk: Desk) -> list[OrderRecord]:
    """What has worked longer than the execution timeout, and what is stuck being cancelled."""
    now = desk.now_ns()
    patience = int(desk.settings.timeout_seconds * NS)
    overdue = [
        record
        for record in desk.journal.open_orders(desk.book)
        if record.submitted_ns is not None and now - record.submitted_ns >= patience
    ]
    if not overdue:
        return []
    for record in overdue:
        log.warning(
            "execution timeout",
            symbol=record.intent.symbol,
            client_order_id=record.intent.client_order_id,
            state=record.state,
        )
    return cancel(desk, overdue)


def _stops_in_force(desk: Desk, report: ReconcileReport) -> tuple[str, ...]:
    """Latch new stops, release those of an earlier session that are flat; the symbols still held by one."""
    held = {symbol for symbol, position in report.positions.items() if position.qty > 0}
    today = desk.today()
    traded = {fill.symbol for fill in desk.journal.fills(desk.book, session=today.isoformat())}
    locked = {record.symbol: record for record in desk.journal.locks(desk.book) if record.cause == STOP_LOCK}
    for symbol, record in locked.items():
        if symbol not in held | traded and desk.sessions.new_york_date(record.at_ns) < today:
            desk.journal.unlock(
                desk.book,
                symbol,
                STOP_LOCK,
                at_ns=desk.now_ns(),
                author="system",
                reason="flat, and the stop's session is over",
            )
    candidates = sorted(held - locked.keys())
    if candidates and desk.sessions.is_open(desk.now_ns()):
        actions = desk.broker.corporate_actions(candidates, began_on(desk.journal, desk.book), today)
        costs = stop_costs(desk.journal, desk.book, candidates, actions, today)
        quotes = desk.broker.quotes(candidates)
        for symbol in candidates:
            if symbol in costs and symbol in quotes and at_its_stop(desk, quotes[symbol], costs[symbol]):
                quote = quotes[symbol]
                share = 1 - desk.limits.stop_loss
                reason = f"bid {quote.bid} at or below {share:g} of the cost {costs[symbol]:.4f}"
                log.warning("stop loss", symbol=symbol, reason=reason)
                lock(desk, symbol, STOP_LOCK, reason)
                locked[symbol] = LockRecord(desk.book, symbol, STOP_LOCK, desk.now_ns(), reason)
    return tuple(sorted(locked.keys() & held))


def at_its_stop(desk: Desk, quote: QuoteState, cost: float) -> bool:
    """Whether a position of that cost (USD a share) is at its stop now."""
    return bool(
        stop_hit(
            float(quote.bid or 0),
            float(quote.ask or 0),
            quote.quote_ns or 0,
            float(quote.last_trade or 0),
            quote.trade_ns or 0,
            cost,
            desk.now_ns(),
            desk.limits,
        )
    )


def _stop_exits(desk: Desk, stopped: Sequence[str]) -> list[ForcedExit]:
    """The next attempt for every stopped position that has no order of ours at work."""
    if not stopped:
        return []
    if desk.halts().state is HaltState.HALTED:
        log.error("HALTED: stops do not fire", symbols=list(stopped), book=desk.book)
        alert(
            desk,
            f"stops_held:{desk.session_text()}:{','.join(stopped)}",
            "Stops do not fire while the book is HALTED",
            f"{', '.join(stopped)} would be sold now; flatten or rearm",
        )
        return []
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    exits = []
    locks = {record.symbol: record for record in desk.journal.locks(desk.book) if record.cause == STOP_LOCK}
    open_orders = desk.journal.open_orders(desk.book)
    for symbol in stopped:
        # An entry at work would hold the exit back (ORDER_IN_FLIGHT), and buy what is being sold.
        cancel(desk, [o for o in open_orders if o.intent.symbol == symbol and not o.intent.reducing])
        identity = decision_id(desk.book, Kind.STOP, symbol, locks[symbol].at_ns)
        if attempt := next_attempt(desk, identity):
            exits.append(ForcedExit(symbol, Kind.STOP, identity, attempt))
    return exits


def _unfilled_exits(desk: Desk, report: ReconcileReport, taken: set[str]) -> list[ForcedExit]:
    """The next attempt for the shares that a symbol's last decision of the session was to sell, and did not,
    because the market was not there, or because the desk died before it had sent them all.

    taken: symbols that a stop or a flatten sells already
    """
    today = desk.session_text()
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    halted = desk.halts().state is HaltState.HALTED
    orders = desk.journal.orders(desk.book, session=today)
    last = {record.intent.symbol: record.intent for record in orders}
    exits = []
    for symbol, intent in sorted(last.items()):
        position = report.positions.get(symbol)
        if position is None or symbol in taken or not intent.reducing:
            continue
        if intent.kind == Kind.STOP or (halted and intent.kind != Kind.FLATTEN):
            continue
        leaves = sum(
            (
                remaining(record)
                for record in orders
                if record.intent.decision_id == intent.decision_id
                and record.intent.attempt == intent.attempt
                and (State(record.state) in _UNFILLED or record.detail == UNSENT)
            ),
            Decimal(0),
        )
        if leaves and (attempt := next_attempt(desk, intent.decision_id)):
            exits.append(ForcedExit(symbol, intent.kind, intent.decision_id, attempt, qty=float(leaves)))
    return exits


def next_attempt(desk: Desk, identity: str) -> int:
    """The attempt that may be sent now for a decision, 0 while an earlier one is not terminal."""
    earlier = desk.journal.orders(desk.book, decision_id=identity)
    if any(State(record.state) in OPEN_STATES for record in earlier):
        return 0
    attempt = 1 + max((record.intent.attempt for record in earlier), default=0)
    if attempt > ATTEMPTS_BEFORE_ALERT:
        symbol = earlier[0].intent.symbol
        alert(
            desk,
            f"attempts:{identity}:{attempt}",
            f"{symbol}: exit attempt {attempt}",
            "earlier attempts did not fill",
        )
    return attempt


def new_execution_id() -> str:
    """Names one execution in verdicts and inputs; nothing is decided on it."""
    return uuid.uuid4().hex[:16]
