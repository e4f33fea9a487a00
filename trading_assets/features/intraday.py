"""Daily feature rows at the ticks within one session, of many symbols in one call.

A row is that of `FeatureSet.compute_last` on the tick's window (`features.window`), bit for bit: the same
arithmetic (`features.daily_kernel`) on the same bars. This module only chooses the bars: those of completed
sessions, and as the last one the bar that the session's minutes make by the tick, as `market.aggregate` does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.compiled import compiled
from trading_assets.features.daily_kernel import (
    CLOSE,
    HIGH,
    LOOKBACK,
    LOW,
    OPEN,
    VOLUME,
    adjust,
    fill_row,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@compiled
def session_rows(
    table: Floats,
    completed: Floats,
    last: Ints,
    today: Ints,
    at_ns: Ints,
    first: Ints,
    end_ns: Ints,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    out: Floats,
) -> None:
    """Fill `out` (ticks, n, COUNT) with the rows of n symbols; NaN throughout where there is none.

    table:     (7, m): all symbols' daily bars and actions as `daily_rows` takes them, one symbol after the
               other. The session's own bars are replaced by what is known at a tick, and put back
    completed: (m, COUNT): the rows of these bars
    last:      (ticks, n): the newest bar that has ended by the tick, −1: the symbol has no row then
    today:     (n,): the session's bar, −1: there is none, or too few before it
    at_ns:     (ticks,), ascending
    first:     (n + 1,): the minutes of symbol i are first[i] … first[i + 1] − 1, ascending
    end_ns … volume: of the minutes
    """
    window, so_far, whole = np.empty((6, LOOKBACK)), np.empty(5), np.empty(5)
    for i in range(today.size):
        bar, here = first[i], today[i]
        whole[:] = table[:5, here]
        for tick in range(at_ns.size):
            while bar < first[i + 1] and end_ns[bar] <= at_ns[tick]:
                if bar == first[i]:
                    so_far[OPEN], so_far[HIGH], so_far[LOW] = open_[bar], high[bar], low[bar]
                    so_far[VOLUME] = 0.0
                if high[bar] > so_far[HIGH] or high[bar] != high[bar]:
                    so_far[HIGH] = high[bar]
                if low[bar] < so_far[LOW] or low[bar] != low[bar]:
                    so_far[LOW] = low[bar]
                so_far[CLOSE] = close[bar]
                so_far[VOLUME] += volume[bar]  # it enters no feature, whatever the order of summing
                bar += 1
            ended, row, known = last[tick, i], out[tick, i], False
            if ended >= 0 and bar == first[i]:
                row[:] = completed[ended]
                known = True
            elif ended >= 0 and here == ended + 1:
                table[:5, here] = so_far
                known = adjust(table, here, window)
                if known:
                    fill_row(window, row)
            if not known:
                row[:] = math.nan
        if here >= 0:
            table[:5, here] = whole
