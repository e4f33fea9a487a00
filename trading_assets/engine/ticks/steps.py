"""The steps of one tick in their order: one for each live asset, with its checks. The one list of them.

A whole tick in one call (`engine.ticks.whole_tick`), Dagster's assets and checks (`defs`), and what a failed
step holds back (`engine.ticks.failures`) follow from it. Light to import: what a step does is imported when
it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from trading_assets.engine.book.desk import Desk
    from trading_assets.engine.checks.table import CheckOutcome

Work = Callable[["Desk", "date", int], Any]
Evaluate = Callable[["Desk", "date", int], "list[CheckOutcome]"]


@dataclass(frozen=True, slots=True)
class TickStep:
    """One step and the checks of what it left. `work` None: the orders, which protect and exit whatever
    failed before them (`engine.ticks.tick.execute`)."""

    asset: str
    work: Work | None
    checks: Evaluate


_MODULES: dict[str, None] = {}  # in the order in which the steps name them


def _later(module: str, name: str, takes: int = 3) -> Any:
    """A function of the engine that is given the first `takes` of desk, session and tick."""
    where = f"trading_assets.engine.{module}"
    _MODULES[where] = None

    def work(*given: Any) -> Any:
        return getattr(import_module(where), name)(*given[:takes])

    return work


TICK_STEPS: tuple[TickStep, ...] = (
    TickStep("bars", _later("market_data.bars", "store_bars"), _later("checks.data", "bar_checks")),
    TickStep(
        "features",
        _later("market_data.feature_rows", "store_features"),
        _later("checks.data", "feature_checks"),
    ),
    TickStep(
        "signals", _later("signals.tick_signals", "store_signals"), _later("checks.data", "signal_checks")
    ),
    TickStep("gated_orders", None, _later("checks.orders", "order_checks", 2)),
    TickStep("fills", _later("ticks.books", "book_fills"), _later("checks.orders", "fill_checks", 2)),
    TickStep(
        "reconciled_positions",
        _later("ticks.books", "reconcile_positions"),
        _later("checks.book_limits", "limit_checks", 1),
    ),
)

STEP_OF = {step.asset: step for step in TICK_STEPS}
LIVE_ASSETS = tuple(STEP_OF)
_ORDERS = next(place for place, step in enumerate(TICK_STEPS) if step.work is None)

STEP_MODULES = tuple(_MODULES)
"""What a whole tick imports beside the orders: made ready once where ticks are forked."""

CHECK_PREFIX = "check_"


def check_step(asset: str) -> str:
    """The step that evaluates the asset's checks."""
    return f"{CHECK_PREFIX}{asset}"


def needed_by(step: str) -> tuple[str, ...]:
    """The steps without which this one, an asset's or the one of its checks, is not attempted: before the
    orders all that come before it, after them an asset for its checks."""
    asset = step.removeprefix(CHECK_PREFIX)
    place = LIVE_ASSETS.index(asset)
    if place > _ORDERS:
        return (asset,) if step != asset else ()
    if place == _ORDERS:
        return ()
    before = [name for one in LIVE_ASSETS[: place + 1] for name in (one, check_step(one))]
    return tuple(before[: before.index(step)])


def still_done_without(asset: str) -> str | None:
    """The asset that a run goes on to after this one failed; None where none is left."""
    place = LIVE_ASSETS.index(asset)
    if place < _ORDERS:
        return LIVE_ASSETS[_ORDERS]
    return LIVE_ASSETS[place + 1] if _ORDERS < place < len(LIVE_ASSETS) - 1 else None
