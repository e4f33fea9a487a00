"""Readings of a whole file that fit it badly: each is refused with what the bars show, and the remedy.

A wrong zone, stamps of the other end, bars of another length and prices in other units leave every row
possible by itself. What gives them away is where the bars lie in their sessions.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bar_files.table import BarTable
from trading_assets.market.bar_files.times import BarTimes
from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import LONG_SESSION, SHIFTED_SHARE
from trading_assets.market.sessions import MINUTE_NS, NEW_YORK, Sessions

Ints = NDArray[np.int64]

FEWEST_STEPS = 10  # between bars, before their length is judged
LONGER_THAN_A_DAY = 6  # calendar days: weekly bars, also where a holiday moves one, are never nearer
FEWEST_BARS = LONG_SESSION  # in a session, before its hours are judged
MOST_OF = SHIFTED_SHARE  # of the sessions show it
FIXED_POINT_USD = 1e6  # no share costs as much; integers above it are prices in other units


def refuse_doubtful(
    table: BarTable,
    interval: Interval,
    zone: str | None,
    number: NDArray[np.int32],
    times: BarTimes,
) -> None:
    """Raises InvalidInput for the first of them. number: of each row's symbol"""
    _refuse_fixed_point(table)
    if not len(times.rows):
        return
    if interval is not Interval.MINUTE:
        _refuse_longer_than_days(table, number[times.rows], times)
        return
    _refuse_fixed_zone(table, zone, times)
    symbols = number[times.rows]
    _refuse_longer_bars(table, symbols, times)
    _refuse_shifted(table, times)


def _refuse_fixed_point(table: BarTable) -> None:
    if table.shape.fixed_point != 1.0:
        return
    closes = table.values("close")
    closes = closes[np.isfinite(closes)]
    if (
        len(closes)
        and float(np.median(closes)) > FIXED_POINT_USD
        and bool((closes == np.floor(closes)).all())
    ):
        raise table.refused(
            f"half of its closes are integers above {FIXED_POINT_USD:,.0f}",
            "They look like fixed-point prices. Write USD a share.",
        )


def _refuse_fixed_zone(table: BarTable, zone: str | None, times: BarTimes) -> None:
    """A zone of that name has no summer time, and New York's market has."""
    if zone is None or times.zone != zone or zone in ("UTC", "GMT", "Etc/UTC"):
        return
    known = ZoneInfo(zone)
    days = (date.fromordinal(int(day)) for day in np.unique(times.day))
    offsets = {datetime(2024, month, 15, 12, tzinfo=known).utcoffset() for month in (1, 7)}
    summer = next((day for day in days if _is_summer(day)), None)
    if len(offsets) == 1 and summer is not None:
        raise table.refused(
            f"the zone {zone} has no daylight saving, and it has bars of {summer}, when New York has it",
            "Say --zone America/New_York, or write each stamp with its offset from UTC.",
        )


def _is_summer(day: date) -> bool:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=NEW_YORK)
    return bool(noon.dst())


def _refuse_longer_than_days(table: BarTable, symbols: NDArray[np.int32], times: BarTimes) -> None:
    order = np.lexsort((times.day, symbols))
    steps = np.diff(times.day[order])[np.diff(symbols[order]) == 0]
    steps = steps[steps > 0]
    if len(steps) >= FEWEST_STEPS and int(steps.min()) >= LONGER_THAN_A_DAY:
        raise table.refused(
            f"the least step between its bars is {int(steps.min())} days: they are no daily bars",
            "Give bars of one day. A bar of a week or a month would be known before it has ended.",
        )


def _refuse_longer_bars(table: BarTable, symbols: NDArray[np.int32], times: BarTimes) -> None:
    order = np.lexsort((times.start_ns, symbols))
    symbol, day, start = symbols[order], times.day[order], times.start_ns[order]
    within = (np.diff(symbol) == 0) & (np.diff(day) == 0)
    steps = np.diff(start)[within]
    steps = steps[steps > 0]
    if len(steps) < FEWEST_STEPS:
        return
    least = int(steps.min())
    if least > MINUTE_NS and not (steps % least).any():
        minutes = least // MINUTE_NS
        raise table.refused(
            f"the least step between its bars is {minutes} minutes: they are no one-minute bars",
            f"Give bars of one minute. A bar of {minutes} minutes would be known before it has ended.",
        )


def shifted_minutes(number: NDArray[np.int32], symbols: int, times: BarTimes) -> Ints:
    """Of each symbol by how many minutes its stamps are off, of shape (symbols,): +1 where its sessions begin
    a minute late and end with a bar at the close, −1 where they begin before the open and lack the last bar.

    number: of each of the times' rows
    """
    off = np.zeros(symbols, np.int64)
    if times.inside.all():
        return off
    first = int(times.day.min())
    days, of_row = np.unique(times.day, return_inverse=True)
    open_ns, close_ns = Sessions().hours([date.fromordinal(int(day)) for day in days])
    long = np.zeros((symbols, int(days[-1]) - first + 1), np.bool_)
    count = np.bincount(number * long.shape[1] + times.day - first, minlength=long.size)
    long = count.reshape(long.shape) >= LONG_SESSION

    def having(at: Ints) -> Ints:
        """How many of its long sessions each symbol has such a bar in."""
        rows = np.flatnonzero(at)
        rows = rows[long[number[rows], times.day[rows] - first]]
        return np.bincount(number[rows], minlength=symbols)

    sessions = long.sum(axis=1)
    opens, closes = open_ns[of_row], close_ns[of_row]
    at_open, at_close = having(times.start_ns == opens), having(times.start_ns == closes)
    ahead, last = having(times.start_ns == opens - MINUTE_NS), having(times.start_ns == closes - MINUTE_NS)
    some, few = SHIFTED_SHARE * sessions, (1.0 - SHIFTED_SHARE) * sessions
    off[(sessions > 0) & (at_close >= some) & (at_open <= few)] = 1
    off[(sessions > 0) & (ahead >= some) & (last <= few)] = -1
    return off


def _refuse_shifted(table: BarTable, times: BarTimes) -> None:
    """Bars whose sessions begin and end a bar, or hours, beside the market's."""
    days = np.unique(times.day)
    order = np.lexsort((times.start_ns, times.day))
    start, day = times.start_ns[order], times.day[order]
    begins, ends = np.searchsorted(day, days), np.searchsorted(day, days, side="right")
    long = (ends - begins) >= FEWEST_BARS
    if not long.any():
        return
    days, begins, ends = days[long], begins[long], ends[long]
    open_ns, close_ns = Sessions().hours([date.fromordinal(int(one)) for one in days])
    first_ns, last_ns = start[begins], start[ends - 1]

    def mostly(shown: NDArray[np.bool_]) -> bool:
        return float(shown.mean()) >= MOST_OF

    if mostly((last_ns == close_ns) & (first_ns == open_ns + MINUTE_NS)):
        raise table.refused(
            "its sessions begin a minute after the open and end a minute after the last bar of the day",
            "Its stamps mark the end of each bar: say --stamps end.",
        )
    if mostly((first_ns == open_ns - MINUTE_NS) & (last_ns == close_ns - 2 * MINUTE_NS)):
        raise table.refused(
            "its sessions begin a minute before the open and lack the last bar of the day",
            "Its stamps mark the start of each bar: say --stamps start.",
        )
    behind = first_ns - open_ns
    hours = np.round(behind / (60 * MINUTE_NS))
    whole = (hours != 0) & (np.abs(behind - hours * 60 * MINUTE_NS) <= MINUTE_NS)
    same_length = np.abs((last_ns - first_ns) - (close_ns - open_ns)) <= 3 * MINUTE_NS
    if mostly(whole & same_length):
        raise table.refused(
            f"its sessions are as long as the market's and begin {int(np.median(hours)):+d} hours beside it",
            "Its zone is another: say which with --zone, such as America/New_York or UTC.",
        )
