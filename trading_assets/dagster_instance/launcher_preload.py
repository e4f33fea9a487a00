"""What the runs of the desk need beyond the definitions, made ready once before the forks.

Modules are imported and compiled functions compiled, or read from their cache on disk, with the types that
a tick calls them with. What they are given here means nothing; what they answer is not looked at.
"""

from __future__ import annotations

from importlib import import_module

import duckdb
import numpy as np

from trading_assets.dagster_instance import fallback
from trading_assets.engine.decision.preload import compile_accounting, compile_decisions
from trading_assets.engine.ticks.steps import STEP_MODULES

MODULES = (
    "pyarrow.dataset",
    "sqlalchemy.dialects.sqlite",
    "trading_assets.broker.connection",
    "trading_assets.engine.ticks.whole_tick",
    "trading_assets.model.signal",
)


def warm() -> None:
    """Import and compile what a tick uses. Leaves no thread, no connection and no file open."""
    for name in (*MODULES, *STEP_MODULES):
        import_module(name)
    duckdb.close()  # the connection to memory, with a thread, that its import opens
    _compile_features()
    compile_accounting()
    compile_decisions()
    fallback.try_all()


def _compile_features() -> None:
    from trading_assets.features.daily import DAILY
    from trading_assets.market.bars import Bars

    count = DAILY.lookback
    starts, ones = np.arange(count, dtype=np.int64), np.ones(count)
    DAILY.compute_last(Bars(starts, starts, ones, ones, ones, ones, ones), ones, np.zeros(count))
