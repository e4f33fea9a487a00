"""What can be wrong with bars, found before they are used. Nothing is mended here."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from trading_assets.market.bars import Bars
from trading_assets.market.sessions import Sessions


class BarFault(StrEnum):
    """The ways in which a bar, or a row of bars, cannot be right."""

    OUT_OF_ORDER = "starts at or before the bar before it"
    NOT_POSITIVE = "a price is not a positive finite number, or the volume is negative or not finite"
    OUTSIDE_RANGE = "open or close lies outside low and high"
    NOT_A_SESSION = "the market was closed that day"
    MISSING_SESSION = "the market was open that day and there is no bar"


class Defect(NamedTuple):
    """One thing that cannot be right."""

    day: date  # New York
    fault: BarFault


def daily_defects(bars: Bars, sessions: Sessions) -> tuple[Defect, ...]:
    """The defects of one symbol's daily bars, ascending by day; an empty tuple when there are none.

    Days before the first bar and after the last do not count as missing. Raises OutsideCalendar for a bar on
    a day that the calendar does not cover.
    """
    days = [sessions.new_york_date(int(start)) for start in bars.start_ns]
    prices = np.array([bars.open, bars.high, bars.low, bars.close])
    low, high = bars.low, bars.high
    with np.errstate(invalid="ignore"):
        positive = (
            (np.isfinite(prices) & (prices > 0)).all(axis=0) & np.isfinite(bars.volume) & (bars.volume >= 0)
        )
        inside = (low <= bars.open) & (bars.open <= high) & (low <= bars.close) & (bars.close <= high)
    defects = [
        Defect(days[i + 1], BarFault.OUT_OF_ORDER) for i in np.flatnonzero(np.diff(bars.start_ns) <= 0)
    ]
    defects += [Defect(days[i], BarFault.NOT_POSITIVE) for i in np.flatnonzero(~positive)]
    defects += [Defect(days[i], BarFault.OUTSIDE_RANGE) for i in np.flatnonzero(positive & ~inside)]
    if days:
        expected = set(sessions.between(min(days), max(days)))
        defects += [Defect(day, BarFault.NOT_A_SESSION) for day in sorted(set(days) - expected)]
        defects += [Defect(day, BarFault.MISSING_SESSION) for day in sorted(expected - set(days))]
    return tuple(sorted(defects, key=lambda defect: (defect.day, defect.fault)))
