"""A replay that commits each session and kills its own process after the third, while that is committed.

Run as `python dying_replay.py DATA_DIR`; `spec` and `settings` are what the tests replay without dying.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from trading_assets.config import Settings
from trading_assets.engine.replay import ExternalSignal, ExternalSignals, ReplaySpec, range_run, run
from trading_assets.engine.replay.range_run import ReplayPace
from trading_assets.market.sessions import Sessions

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
DAYS = tuple(Sessions().between(date(2008, 11, 5), date(2008, 11, 19)))  # with two ex-dates
DIES_AFTER = 3


def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, symbols=SYMBOLS)


def spec(interval: int | None = None) -> ReplaySpec:
    """Wild signals at every tick; a stop that is often hit, a loss that latches."""
    random, sessions = np.random.default_rng(11), Sessions()
    stamps = [at for day in DAYS for at in ([day] if interval is None else sessions.ticks(day, interval))]
    signals = tuple(
        ExternalSignal(symbol, float(value), at)
        for at in stamps
        for symbol, value in zip(SYMBOLS, random.uniform(-0.4, 1, len(SYMBOLS)), strict=True)
    )
    limits = {"stop_loss": 0.03, "max_position_pct": 0.2, "max_order_notional": 1e5, "max_daily_loss": 0.015}
    return ReplaySpec(
        DAYS[0],
        DAYS[-1],
        ExternalSignals(signals),
        name="dying",
        interval="daily" if interval is None else interval,
        limits=limits,
        rearm_daily=True,
        cost_bps=1.0,
    )


def die(pace: ReplayPace) -> None:
    if pace.done == DIES_AFTER:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    range_run.CHECKPOINT_NS = 0
    run(settings(Path(sys.argv[1])), replace(spec()), progress=die)
