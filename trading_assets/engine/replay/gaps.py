"""Whose bars are incomplete at the ticks of a replayed session, by `engine.market_data.incomplete_bars`.

The live check finds the same on what it has stored (`engine.checks.data`), symbol by symbol; here it is found
for all symbols and ticks at once.
"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.walk.columns import Day
from trading_assets.engine.market_data.incomplete_bars import MAX_GAP_MINUTES
from trading_assets.engine.replay.daily_stack import DailyStack
from trading_assets.features.daily import DAILY
from trading_assets.market.sessions import MINUTE_NS, Sessions

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

MAX_GAP_NS = MAX_GAP_MINUTES * MINUTE_NS
_NEVER = np.iinfo(np.int64).min


class DailyGaps:
    """Which symbols lack a daily bar of the look-back."""

    def __init__(self, daily: DailyStack, sessions: Sessions) -> None:
        starts = daily.bars.start_ns
        first, last = (sessions.new_york_date(int(ns)) for ns in (starts.min(), starts.max()))
        self._daily, self._sessions = daily, sessions
        self._opens, _ = sessions.hours(sessions.between(first, last))
        self._number = np.searchsorted(self._opens, starts, side="right") - 1
        # of each bar: the session of the last bar before a gap, up to it
        before = np.roll(self._number, 1)
        is_first = np.isin(np.arange(len(before)), daily.begin)
        gap = np.where(~is_first & (self._number - before > 1), before, _NEVER)
        self._gap = np.concatenate(
            [
                np.maximum.accumulate(gap[begin:end])
                for begin, end in zip(daily.begin[:-1], daily.begin[1:], strict=True)
            ]
        )

    def at(self, session: date) -> tuple[Flags, Flags]:
        """Of each symbol, whether it is incomplete, and whether it counts: it has had a bar by the session's
        end, and has one then or later."""
        open_ns = self._sessions.open_ns(session)
        place, there = self._daily.starting_at(open_ns)
        begun, goes_on = place > self._daily.begin[:-1], place < self._daily.begin[1:]
        number = int(np.searchsorted(self._opens, open_ns))
        earliest = number - (DAILY.lookback - 1)
        incomplete = ~begun
        last = place[begun] - 1
        incomplete[begun] = (self._number[last] != number - 1) | (self._gap[last] >= earliest)
        counts = goes_on & (begun | there)
        return incomplete & counts, counts


def minute_gaps(day: Day, open_ns: int, tick_ns: Ints) -> Flags:
    """Which symbols had no minute bar for too long, (ticks, n), between the open and each tick."""
    ends, first = day.bars["end_ns"], day.first
    too_long = np.zeros((len(tick_ns), len(first) - 1), np.bool_)
    if not len(tick_ns):
        return too_long
    begun = np.flatnonzero(first[:-1] < first[1:])
    gaps = np.diff(ends, prepend=open_ns)
    gaps[first[begun]] = ends[first[begun]] - open_ns
    suspect = first[:-1] == first[1:]
    suspect[begun] = ends[first[begun + 1] - 1] < tick_ns[-1] - MAX_GAP_NS
    suspect[np.searchsorted(first, np.flatnonzero(gaps > MAX_GAP_NS), side="right") - 1] = True
    for row in np.flatnonzero(suspect).tolist():
        own = np.concatenate(([open_ns], ends[first[row] : first[row + 1]]))
        longest = np.maximum.accumulate(np.diff(own, prepend=open_ns))
        last = np.searchsorted(own, tick_ns, side="right") - 1
        too_long[:, row] = np.maximum(longest[last], tick_ns - own[last]) > MAX_GAP_NS
    return too_long
