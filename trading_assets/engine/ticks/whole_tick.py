"""One whole tick in one call: the steps of the live assets in their order, with every check stored.

For callers that run a tick without Dagster: the command line and `trading_assets.desk`. The steps are the
table in `engine.ticks.steps`; what becomes of one that fails is `engine.ticks.failures`'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks import table
from trading_assets.engine.checks.table import CheckOutcome
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.engine.ticks.failures import StepFailed, attempt
from trading_assets.engine.ticks.steps import TICK_STEPS, check_step
from trading_assets.engine.ticks.tick import ExecutionReport, execute, refuse_other_times
from trading_assets.errors import TradingAssetsError
from trading_assets.market.sessions import new_york_time

T = TypeVar("T")
Progress = Callable[[str], None]


class MarketClosed(TradingAssetsError):
    """There is nothing to decide: no session is under way, or its first tick is still to come."""


@dataclass(frozen=True, slots=True)
class TickReport:
    execution: ExecutionReport
    reconciliation: ReconcileReport | None  # None: it failed, see `problems`
    failed_checks: tuple[CheckOutcome, ...]
    problems: tuple[str, ...]  # the steps that failed, each with its reason


@dataclass(slots=True)
class _Steps:
    """What the steps leave behind."""

    desk: Desk
    session: date
    tick_ns: int
    progress: Progress
    failed: list[CheckOutcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def do(self, step: str, work: Callable[[Desk, date, int], T]) -> T | None:
        """Say what is under way and do it. None where it failed, or one that it needs."""
        self.progress(step)
        return self._attempted(step, lambda: work(self.desk, self.session, self.tick_ns))

    def check(self, asset: str, evaluate: Callable[[Desk, date, int], list[CheckOutcome]]) -> None:
        """Evaluate checks and store their outcomes."""

        def stored() -> list[CheckOutcome]:
            outcomes = evaluate(self.desk, self.session, self.tick_ns)
            table.record(self.desk, self.session, self.tick_ns, outcomes)
            return outcomes

        outcomes = self._attempted(check_step(asset), stored) or []
        self.failed += [outcome for outcome in outcomes if not outcome.passed]

    def _attempted(self, step: str, work: Callable[[], T]) -> T | None:
        try:
            return attempt(self.desk, self.tick_ns, step, work)
        except StepFailed as error:
            if error.step == step:
                self.problems.append(str(error))
            return None


def run_tick(
    desk: Desk,
    session: date,
    tick_ns: int,
    execution_id: str,
    *,
    holder: str = "tick",
    progress: Progress = lambda step: None,
) -> TickReport:
    """Bars to reconciled positions at one tick. `progress` is told each step as it begins.

    Raises NotThisTick, LeaseHeld, BrokerError and ClockUnread as `engine.ticks.tick.execute` does. What fails
    before or after the orders is in the report.
    """
    desk.clock.sync()
    refuse_other_times(desk, session, tick_ns)
    steps = _Steps(desk, session, tick_ns, progress)
    done: dict[str, Any] = {}
    for step in TICK_STEPS:
        if step.work is None:
            progress("orders")
            done[step.asset] = execute(desk, session, tick_ns, execution_id, holder=holder, time_is_read=True)
        else:
            done[step.asset] = steps.do(step.asset, step.work)
        steps.check(step.asset, step.checks)
    execution, reconciliation = done["gated_orders"], done["reconciled_positions"]
    return TickReport(execution, reconciliation, tuple(steps.failed), tuple(steps.problems))


def tick_now(desk: Desk) -> tuple[date, int]:
    """The session under way and the tick to run now: the venue's time itself while signals from outside
    wait, else the latest tick that is due. Raises MarketClosed."""
    desk.clock.sync()
    now = desk.now_ns()
    session = open_session(desk)
    if not desk.settings.model.enabled and desk.journal.pending_signals(desk.book):
        return session, now
    minutes = desk.settings.tick_minutes
    due_ns = desk.sessions.latest_tick(session, minutes, now)
    if due_ns is None:
        first_ns = desk.sessions.ticks(session, minutes)[0]
        raise MarketClosed(
            f"{desk.told_now()}, and no tick of {session} is due before "
            f"{new_york_time(first_ns)}; wait for it, or move the embedded exchange's clock"
        )
    return session, due_ns


def open_session(desk: Desk) -> date:
    """The session that is open at the venue's time. Raises MarketClosed."""
    now = desk.now_ns()
    today = desk.today()
    if desk.sessions.is_open(now):
        return today
    before_open = desk.sessions.is_session(today) and now < desk.sessions.open_ns(today)
    following = today if before_open else desk.sessions.next(today)
    raise MarketClosed(
        f"XNYS is closed: {desk.told_now()}, and the next session opens "
        f"{new_york_time(desk.sessions.open_ns(following))}. Nothing was decided; wait for the open"
    )
