"""One execution: protect, then exits, then entries with confirmed buying power.

The signals come from the history that the step before wrote; when that cannot be read, or the
tick's blocking checks are not stored as passed, entries are vetoed and protection goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from trading_assets.broker.port import BrokerError, PositionState
from trading_assets.core.decision.columns import Outcome
from trading_assets.core.gate import reason
from trading_assets.core.orders import TERMINAL_STATES, State
from trading_assets.core.tolerance import at_least
from trading_assets.core.words import HaltState
from trading_assets.engine.book.alerts import tell
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.checks.table import incomplete_symbols, missing_or_failed
from trading_assets.engine.decision.decide import SUPERSEDED, Decision, decide, newest_signals
from trading_assets.engine.decision.inputs import Phase, SignalInput
from trading_assets.engine.evidence.catch_up import take_activities
from trading_assets.engine.evidence.reads import Read, tell_missed
from trading_assets.engine.orders.obstacles import free_shares
from trading_assets.engine.orders.send import send_and_follow, store_input
from trading_assets.engine.orders.signal_exits import (
    ahead_of_others,
    keep_last_signals,
    keep_reductions,
    last_signals,
    older_than_kept,
    waiting_exits,
)
from trading_assets.engine.orders.submit import see_kill_switch
from trading_assets.engine.protection.forced_exits import tell_not_sold
from trading_assets.engine.protection.protect import ProtectReport, protect
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.engine.signals.tick_signals import as_received, stored_signals, waiting_signals
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import ClockUnread
from trading_assets.market.sessions import new_york_time
from trading_assets.store.journal import Lease
from trading_assets.store.records import OrderRecord, VerdictRecord

log = get_logger(__name__)


SIGNALS_STORED = "signals.in_range"  # the check that follows the storing of a tick's signals


class NotThisTick(TradingAssetsError):
    """The venue's time is not in the tick's session, or has left the tick behind."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A signal that was not decided on, or not for an entry."""

    symbol: str
    value: float
    as_of_ns: int
    decision_id: str
    outcome: str  # SUPERSEDED: a newer signal came with it or before it, or it is ahead; INCOMPLETE_BARS
    newer_value: float | None = None  # None: of one that came before it
    newer_as_of_ns: int | None = None

    def __str__(self) -> str:
        signal = f"{self.symbol}={self.value:g} as of {new_york_time(self.as_of_ns)}"
        if self.newer_value is None and self.newer_as_of_ns is not None:
            newer = f"one as of {new_york_time(self.newer_as_of_ns)} that was taken before it"
            return f"{signal} was passed over: {self.outcome} by {newer}"
        if self.newer_value is None or self.newer_as_of_ns is None:
            return f"{signal} was passed over: {self.outcome}, its bars have gaps and nothing is bought of it"
        newer = f"{self.symbol}={self.newer_value:g} as of {new_york_time(self.newer_as_of_ns)}"
        if self.newer_as_of_ns < self.as_of_ns:
            newer += ", which is not stamped ahead of time"
        return f"{signal} was passed over: {self.outcome} by {newer}"


class _Taken(NamedTuple):
    """The tick's signals, and which of them nothing is bought or sold on."""

    signals: tuple[SignalInput, ...]
    incomplete: tuple[str, ...]  # symbols that are not entered on
    superseded: frozenset[str]  # decisions
    waiting: frozenset[str]  # decisions that are not sold on yet
    positions: Mapping[str, PositionState]  # when they were taken

    @property
    def in_time(self) -> list[SignalInput]:
        return [signal for signal in self.signals if signal.decision_id not in self.superseded]


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    execution_id: str
    session: str
    tick_ns: int
    protection: ProtectReport
    vetoed: tuple[str, ...]  # blocking checks that are not stored as passed
    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]
    outcomes: dict[str, str]  # decision id → what became of the signal
    passed_over: tuple[PassedOver, ...] = ()


def execute(
    desk: Desk,
    session: date,
    tick_ns: int,
    execution_id: str,
    *,
    holder: str = "tick",
    time_is_read: bool = False,
) -> ExecutionReport:
    """Run the tick's decisions under the book's lease. `time_is_read`: as `Desk.begin` takes it.

    Raises NotThisTick for a session that is not today's or a tick that is still to come or more than
    one interval ago, LeaseHeld when another process has the book, BrokerError when the positions cannot be
    read, ClockUnread when a venue with a time of its own has not told it: protection has taken place then.
    """
    see_kill_switch(desk)
    desk.begin(time_is_read=time_is_read)
    try:
        refuse_other_times(desk, session, tick_ns)
    except ClockUnread:
        with desk.journal.lease(desk.book, holder) as lease:
            protect(desk, lease, tick_ns=tick_ns, execution_id=execution_id)
        raise
    with desk.journal.lease(desk.book, holder) as lease:
        protection = protect(desk, lease, tick_ns=tick_ns, execution_id=execution_id)
        signals, vetoed = _signals(desk, session, tick_ns)
        incomplete = tuple(sorted(incomplete_symbols(desk, tick_ns)))
        transient = protection.transient + ((Cause.CHECKS_FAILED,) if vetoed else ())
        verdicts = list(protection.verdicts)
        orders = list(protection.orders)
        positions, now = protection.reconciliation.positions, desk.now_ns()
        keep_last_signals(desk, tick_ns, signals, positions, now)
        late = older_than_kept(desk, signals)
        not_late = tuple(signal for signal in signals if signal not in late)
        ahead = ahead_of_others(desk, not_late, now)
        in_time = tuple(signal for signal in not_late if signal not in ahead)
        _free_for_signals(desk, in_time)
        superseded = frozenset(signal.decision_id for signal in (*late, *ahead))
        taken = _Taken(signals, incomplete, superseded, waiting_exits(desk, in_time), positions)
        outcomes: dict[str, str] = {}
        for phase in (Phase.EXITS, Phase.ENTRIES):
            decision, sent = _phase(
                desk,
                lease,
                session,
                tick_ns,
                execution_id,
                phase,
                taken,
                transient,
                len(orders),
            )
            verdicts += decision.verdicts
            orders += sent
            if phase is Phase.EXITS:
                _tell_refused_exits(desk, decision)
                if any(order.filled_qty for order in orders):
                    transient += _sales_taken_in(desk)
            # What an exit ordered or refused is not undone by the entries' pass holding.
            outcomes |= {
                key: value for key, value in decision.outcomes.items() if outcomes.get(key, "HELD") == "HELD"
            }
        decided = [(signal.decision_id, signal.symbol) for signal in signals]
        desk.journal.consume_signals(desk.book, decided, tick_ns)
    passed_over = _passed_over(in_time, outcomes) + _came_late(desk, late) + _came_early(ahead, in_time)
    for one in passed_over:
        log.warning("signal passed over", signal=str(one), symbol=one.symbol, outcome=one.outcome)
    log.info(
        "tick executed",
        session=session.isoformat(),
        execution_id=execution_id,
        approved=sum(not verdict.failed for verdict in verdicts),
        refused=sum(bool(verdict.failed) for verdict in verdicts),
        filled=sum(State(order.state) is State.FILLED for order in orders),
    )
    return ExecutionReport(
        execution_id,
        session.isoformat(),
        tick_ns,
        protection,
        vetoed,
        tuple(verdicts),
        tuple(orders),
        outcomes,
        passed_over,
    )


def _passed_over(signals: Sequence[SignalInput], outcomes: Mapping[str, str]) -> tuple[PassedOver, ...]:
    """What no order came of though a signal asked for one, by symbol."""
    newest, older = newest_signals(signals)
    passed_over = [_passed(signal, SUPERSEDED, newest[signal.symbol]) for signal in older]
    passed_over += [
        _passed(signal, Outcome.INCOMPLETE_BARS.name)
        for signal in newest.values()
        if outcomes.get(signal.decision_id) == Outcome.INCOMPLETE_BARS.name
    ]
    return tuple(sorted(passed_over, key=lambda one: (one.symbol, one.as_of_ns)))


def _came_late(desk: Desk, late: Sequence[SignalInput]) -> tuple[PassedOver, ...]:
    kept = last_signals(desk)
    passed_over = [
        replace(_passed(one, SUPERSEDED), newer_as_of_ns=kept[one.symbol].as_of_ns) for one in late
    ]
    return tuple(sorted(passed_over, key=lambda one: (one.symbol, one.as_of_ns)))


def _came_early(ahead: Sequence[SignalInput], in_time: Sequence[SignalInput]) -> tuple[PassedOver, ...]:
    newest, _ = newest_signals(in_time)
    return tuple(_passed(one, SUPERSEDED, newest.get(one.symbol)) for one in ahead)


def _passed(signal: SignalInput, outcome: str, newer: SignalInput | None = None) -> PassedOver:
    return PassedOver(
        signal.symbol,
        signal.value,
        signal.as_of_ns,
        signal.decision_id,
        outcome,
        None if newer is None else newer.value,
        None if newer is None else newer.as_of_ns,
    )


def _sales_taken_in(desk: Desk) -> tuple[Cause, ...]:
    """Journal what the exits have filled: its proceeds are no settled cash for the entries. Where that cannot
    be read entries wait."""
    try:
        take_activities(desk)
    except BrokerError as error:
        tell_missed(desk, Read.ACTIVITIES, error)
        return (Cause.BROKER_UNREACHABLE,)
    return ()


def refuse_other_times(desk: Desk, session: date, tick_ns: int) -> None:
    """A live step works on the current session and the tick that is due; anything else is replay's.

    Raises NotThisTick, and ClockUnread where the venue's time is its own (the embedded exchange's) and it has
    never told this process what time it is: then nobody knows which tick is due. Elsewhere the machine's
    clock stands in, and entries wait.
    """
    now = desk.clock.now_ns() if desk.settings.virtual_time is not None else desk.now_ns()
    today = desk.sessions.new_york_date(now)
    if today != session:
        raise NotThisTick(
            f"session {session} is not the current one: {desk.told_now()}. "
            "Live assets trade the current session only; use a replay for the past"
        )
    if tick_ns > now:
        raise NotThisTick(f"the tick of {new_york_time(tick_ns)} is still to come: {desk.told_now()}")
    if now - tick_ns > desk.settings.tick_minutes * 60_000_000_000:
        raise NotThisTick(
            f"the tick of {new_york_time(tick_ns)} is too late: {desk.told_now()}. Wait for the next one"
        )


def _signals(desk: Desk, session: date, tick_ns: int) -> tuple[tuple[SignalInput, ...], tuple[str, ...]]:
    """The tick's signals, and what vetoes its entries."""
    vetoed = missing_or_failed(desk, tick_ns)
    if vetoed:
        log.warning("entries vetoed", checks=list(vetoed), session=session.isoformat())
    try:
        signals = stored_signals(desk, session, tick_ns)
    except TradingAssetsError as error:
        _alert_unreadable(desk, tick_ns, str(error))
        signals, vetoed = (), tuple(sorted({*vetoed, "history.readable", SIGNALS_STORED}))
    if not signals and SIGNALS_STORED in vetoed:
        # An exit that somebody asked for does not wait for a history; entries are vetoed.
        signals = waiting_signals(desk, session, tick_ns)
    signals = as_received(desk.journal, desk.book, signals)
    return tuple(replace(signal, attempt=_attempt(desk, signal.decision_id)) for signal in signals), vetoed


def _free_for_signals(desk: Desk, signals: tuple[SignalInput, ...]) -> None:
    """Cancel what a person has at work that holds the shares which a symbol's newest signal sells now."""
    if desk.halts().state is HaltState.HALTED:
        return
    newest, _ = newest_signals(signals)
    selling = {symbol for symbol, signal in newest.items() if at_least(-signal.value, desk.limits.threshold)}
    free_shares(desk, selling, why="it holds shares that a signal sells now")


def _tell_refused_exits(desk: Desk, decision: Decision) -> None:
    """Tell a person of a signal's exit that the gate refused, once a session for each symbol and reason: what
    is still held, and when protection proposes it again."""
    refused = [verdict for verdict in decision.verdicts if verdict.failed]
    working = desk.journal.open_orders(desk.book) if refused else []
    exiting = {record.intent.symbol for record in working if record.intent.reducing}
    for verdict in refused:
        held = float(verdict.gate_input["position"]["qty"])
        if held * verdict.side < 0 and verdict.symbol not in exiting:
            why = reason(verdict.failed, verdict.cause)
            tell_not_sold(desk, verdict, f"{verdict.symbol}: the exit of a signal is refused: {why}", why)


def _alert_unreadable(desk: Desk, tick_ns: int, why: str) -> None:
    """Not again at every tick that meets it."""
    title, now = "History not readable: no entries", desk.now_ns()
    tell(desk.journal, desk.book, "history_locked", title, why, now_ns=now, occurrence=str(tick_ns))
    log.warning("history not readable", why=why)


def _attempt(desk: Desk, decision: str) -> int:
    """The decision's latest attempt, or the next one when that is over and was dropped before the wire,
    in whole or in some of its slices."""
    earlier = desk.journal.orders(desk.book, decision_id=decision)
    latest = max((record.intent.attempt for record in earlier), default=1)
    states = [State(record.state) for record in earlier if record.intent.attempt == latest]
    over = State.DROPPED in states and TERMINAL_STATES.issuperset(states)
    return latest + 1 if over else latest


def _phase(
    desk: Desk,
    lease: Lease,
    session: date,
    tick_ns: int,
    execution_id: str,
    phase: Phase,
    taken: _Taken,
    transient: tuple[Cause, ...],
    sent_before: int,
) -> tuple[Decision, list[OrderRecord]]:
    signals = taken.signals
    if not signals:
        return Decision((), {}), []
    snapshot = take_snapshot(
        desk,
        session,
        tick_ns,
        execution_id,
        phase,
        signals=signals,
        transient=transient,
        execution_orders=sent_before,
    )
    snapshot = replace(
        snapshot,
        incomplete=taken.incomplete,
        superseded=tuple(one.decision_id for one in signals if one.decision_id in taken.superseded),
        waiting=tuple(one.decision_id for one in signals if one.decision_id in taken.waiting)
        if phase is Phase.EXITS
        else (),
    )
    # The phase before took its time: what was ahead alone may no longer be, and is decided on then.
    keep_last_signals(desk, tick_ns, taken.in_time, taken.positions, snapshot.now_ns)
    store_input(desk, snapshot)
    decision = decide(snapshot)
    if phase is Phase.EXITS:
        keep_reductions(desk, decision)
    return decision, send_and_follow(desk, lease, decision)
