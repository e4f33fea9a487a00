"""Which bars a tick sees: the completed sessions, and today's so far. Point in time by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.features.daily_kernel import LOOKBACK
from trading_assets.market.actions import aligned_actions
from trading_assets.market.aggregate import aggregate
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.sessions import Sessions, new_york_midnight_ns

CALENDAR_DAYS_PER_SESSION = 1.6  # 365 ÷ 252, and room for holidays
DAY_NS = 86_400_000_000_000


class Window(NamedTuple):
    """What `FeatureSet.compute_last` takes: `DAILY.compute_last(*window)`. Arrays of shape (n,)."""

    bars: Bars
    split_ratio: NDArray[np.float64]
    cash_usd: NDArray[np.float64]


def window_from_bars(
    daily: Bars,
    minutes_today: Bars | None,
    actions: Sequence[CorporateAction],
    tick_ns: int,
    lookback: int,
) -> Window:
    """The last `lookback` bars as they stood at `tick_ns`, raw, or as many as there are.

    daily:         daily bars of one symbol, ascending; those that end after the tick are left out
    minutes_today: minute bars of regular hours; those that end by the tick make the window's last bar,
                   unless today's daily bar is already there. Other days' are left out
    actions:       the symbol's; one whose ex-date no bar of the window has reached is left out

    The window does not know whether a session is missing before the tick: the data checks do.
    """
    bars = daily.until(tick_ns)
    if minutes_today is not None:
        begin_ns = new_york_midnight_ns(Sessions().new_york_date(tick_ns))
        if len(bars.end_ns):
            begin_ns = max(begin_ns, int(bars.end_ns[-1]))
        available = minutes_today.until(tick_ns)
        first = int(np.searchsorted(available.start_ns, begin_ns))
        if first < len(available.start_ns):
            today = aggregate(Bars._make(column[first:] for column in available))
            bars = Bars._make(np.concatenate(pair) for pair in zip(bars, today, strict=True))
    bars = Bars._make(column[-lookback:] for column in bars)
    return Window(bars, *aligned_actions(actions, bars.start_ns))


def earliest_daily_ns(open_ns: int) -> int:
    """Where the daily bars of a row begin at the earliest, for a session that opens at `open_ns`."""
    return open_ns - int(LOOKBACK * CALENDAR_DAYS_PER_SESSION + 10) * DAY_NS
