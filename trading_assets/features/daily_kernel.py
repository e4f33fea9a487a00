"""The arithmetic of the daily features: one row from one window of raw bars. Names: `features.daily`.

Compiled, and equal bit for bit when run as plain Python: explicit loops with + − × ÷ and sqrt. A row is
computed from its window alone, adjusted inside it, so that a single live row and one of a bulk run over
years are the same number. This file's text is part of the feature set's identity.

The window's last bar T may be of a session that is not over; P is the one before it. Whatever grows in
the course of a session (true range, volume, a return's deviation) is taken over completed sessions, up to
P, so that it means the same at every time of day.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.compiled import compiled

LOOKBACK = 61
COUNT = 18

OPEN, HIGH, LOW, CLOSE, VOLUME, SPLIT_RATIO, CASH_USD = range(7)  # rows of a table
TRADED_USD = 5  # row of a window, after the adjusted first five
_T = LOOKBACK - 1
_P = LOOKBACK - 2

Floats = NDArray[np.float64]


@compiled
def daily_rows(table: Floats, out: Floats) -> None:
    """Feature rows of every bar.

    table: (7, n): open, high, low, close, volume, split ratio and cash of the bar's ex-date, all raw
    out:   (n, COUNT), filled; NaN where the window is short or has a bar that cannot be right
    """
    window = np.empty((6, LOOKBACK))
    for last in range(table.shape[1]):
        if last >= LOOKBACK - 1 and adjust(table, last, window):
            fill_row(window, out[last])
        else:
            for feature in range(COUNT):
                out[last, feature] = math.nan


@compiled
def adjust(table: Floats, last: int, window: Floats) -> bool:
    """Fill `window` (6, LOOKBACK) with the bars through `last` in the shares and prices of that bar.

    Going back over an ex-date, prices are multiplied by (previous close − cash) ÷ (previous close × split
    ratio), CRSP's factor, and volumes by the split ratio. False, and the window is of no use, when a bar
    is not finite and positive with low ≤ open, close ≤ high, or a dividend is no less than the price.
    """
    first = last - LOOKBACK + 1
    for bar in range(first, last + 1):
        low, high = table[LOW, bar], table[HIGH, bar]
        if not (0.0 < low <= table[OPEN, bar] <= high and low <= table[CLOSE, bar] <= high < math.inf):
            return False
        if not 0.0 <= table[VOLUME, bar] < math.inf:
            return False
        if bar > first and not (
            0.0 < table[SPLIT_RATIO, bar] < math.inf and 0.0 <= table[CASH_USD, bar] < table[CLOSE, bar - 1]
        ):
            return False
    price_factor = 1.0
    share_factor = 1.0
    for back in range(LOOKBACK):
        bar = last - back
        for column in range(4):
            window[column, _T - back] = table[column, bar] * price_factor
        window[VOLUME, _T - back] = table[VOLUME, bar] * share_factor
        window[TRADED_USD, _T - back] = table[CLOSE, bar] * table[VOLUME, bar]
        if bar > first:
            split_ratio = table[SPLIT_RATIO, bar]
            previous = table[CLOSE, bar - 1]
            price_factor *= (previous - table[CASH_USD, bar]) / (previous * split_ratio)
            share_factor *= split_ratio
    return True


@compiled
def fill_row(window: Floats, out: Floats) -> None:
    """The features of one adjusted window, in the order of `features.daily.DAILY`."""
    close = window[CLOSE]
    last = close[_T]
    out[0] = last / close[_T - 1] - 1.0
    out[1] = last / close[_T - 5] - 1.0
    out[2] = last / close[_T - 20] - 1.0
    out[3] = last / close[_T - 60] - 1.0
    out[4] = window[OPEN, _T] / close[_P] - 1.0
    out[5] = last / window[OPEN, _T] - 1.0
    out[6] = last / mean(close, _T, 10) - 1.0
    out[7] = last / mean(close, _T, 50) - 1.0
    slow = return_deviation(close, _P, 20)
    out[8] = slow
    out[9] = return_deviation(close, _P, 5) / slow if slow > 0.0 else 1.0
    out[10] = average_true_range(window, _P, 14) / close[_P]
    out[11] = relative_strength(close, _T, 14)
    out[12] = last / highest(window[HIGH], _T, 60) - 1.0
    out[13] = last / lowest(window[LOW], _T, 60) - 1.0
    bottom = lowest(window[LOW], _T, 14)
    span = highest(window[HIGH], _T, 14) - bottom
    out[14] = (last - bottom) / span if span > 0.0 else 0.5
    usual_volume = mean(window[VOLUME], _P - 1, 20)
    out[15] = window[VOLUME, _P] / usual_volume if usual_volume > 0.0 else 1.0
    out[16] = illiquidity(close, window[TRADED_USD], _P, 20)
    out[17] = highest_return(close, _P, 20)


@compiled
def mean(values: Floats, end: int, count: int) -> float:
    """Mean of the `count` values that end with index `end`."""
    total = 0.0
    for at in range(end - count + 1, end + 1):
        total += values[at]
    return total / count


@compiled
def highest(values: Floats, end: int, count: int) -> float:
    top: float = values[end]
    for at in range(end - count + 1, end):
        if values[at] > top:
            top = values[at]
    return top


@compiled
def lowest(values: Floats, end: int, count: int) -> float:
    bottom: float = values[end]
    for at in range(end - count + 1, end):
        if values[at] < bottom:
            bottom = values[at]
    return bottom


@compiled
def return_deviation(close: Floats, end: int, count: int) -> float:
    """Sample standard deviation of `count` one-session returns."""
    total = 0.0
    for at in range(end - count + 1, end + 1):
        total += close[at] / close[at - 1] - 1.0
    average = total / count
    squares = 0.0
    for at in range(end - count + 1, end + 1):
        difference = close[at] / close[at - 1] - 1.0 - average
        squares += difference * difference
    return math.sqrt(squares / (count - 1))


@compiled
def average_true_range(window: Floats, end: int, count: int) -> float:
    """Plain mean of `count` true ranges (Wilder 1978), without Wilder's endless smoothing."""
    total = 0.0
    for at in range(end - count + 1, end + 1):
        previous = window[CLOSE, at - 1]
        top = window[HIGH, at] if window[HIGH, at] > previous else previous
        bottom = window[LOW, at] if window[LOW, at] < previous else previous
        total += top - bottom
    return total / count


@compiled
def relative_strength(close: Floats, end: int, count: int) -> float:
    """Gains ÷ (gains + losses) of `count` changes: Cutler's RSI, from 0 to 1; 0.5 where nothing moved."""
    gains = 0.0
    losses = 0.0
    for at in range(end - count + 1, end + 1):
        change = close[at] - close[at - 1]
        if change > 0.0:
            gains += change
        else:
            losses -= change
    moved = gains + losses
    return gains / moved if moved > 0.0 else 0.5


@compiled
def illiquidity(close: Floats, traded_usd: Floats, end: int, count: int) -> float:
    """Mean |return| for each million USD traded, of the sessions with trades (Amihud 2002); 0: none."""
    total = 0.0
    traded = 0
    for at in range(end - count + 1, end + 1):
        if traded_usd[at] > 0.0:
            total += abs(close[at] / close[at - 1] - 1.0) / (traded_usd[at] / 1_000_000.0)
            traded += 1
    return total / traded if traded > 0 else 0.0


@compiled
def highest_return(close: Floats, end: int, count: int) -> float:
    """The largest of `count` one-session returns."""
    top = -1.0
    for at in range(end - count + 1, end + 1):
        gain = close[at] / close[at - 1] - 1.0
        if gain > top:
            top = gain
    return top
