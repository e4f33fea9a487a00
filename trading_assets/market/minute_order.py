"""Millions of minute bars put into the order in which a replay goes through them.

Compiled: sorting them costs several times what reading them does. Times are UTC nanoseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.compiled import compiled
from trading_assets.core.walk_columns import MINUTE_BAR
from trading_assets.market.bars import Bars


@compiled
def ascends(symbol: NDArray[np.int32], start_ns: NDArray[np.int64]) -> bool:
    """Whether rows are ascending by symbol's number (none below 0), then start, and no two are of the same
    bar."""
    for row in range(len(symbol)):
        if symbol[row] < 0:
            return False
        if row > 0:
            if symbol[row] < symbol[row - 1]:
                return False
            if symbol[row] == symbol[row - 1] and start_ns[row] <= start_ns[row - 1]:
                return False
    return True


def by_session(
    symbol: NDArray[np.int32],
    bars: Bars,
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    symbols: int,
) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.float64]]:
    """Bars by session, symbol and time, those outside regular hours left out.

    symbol, bars:  ascending by symbol's number (0 … symbols − 1) and start, none before the first open
    opens, closes: int64[sessions]
    Returns (first, rows, volume): those of session s and symbol i are rows first[k] … first[k + 1] − 1 with
    k = s · symbols + i; rows of core.walk_columns.MINUTE_BAR.
    """
    place = np.empty(len(symbol), np.int64)
    first = np.zeros(len(opens) * symbols + 1, np.int64)
    _count(symbol, bars.start_ns, opens, closes, symbols, place, first)
    rows, volume = np.empty(first[-1], MINUTE_BAR), np.empty(first[-1])
    _put(place, first[:-1].copy(), *bars, rows, volume)
    return first, rows, volume


@compiled
def _count(
    symbol: NDArray[np.int32],
    start_ns: NDArray[np.int64],
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    symbols: int,
    place: NDArray[np.int64],
    first: NDArray[np.int64],
) -> None:
    """Where each bar belongs, −1: nowhere; and where each place begins."""
    session = 0
    for row in range(len(symbol)):
        if row > 0 and symbol[row] != symbol[row - 1]:
            session = 0
        while session + 1 < len(opens) and start_ns[row] >= opens[session + 1]:
            session += 1
        place[row] = -1
        if start_ns[row] < closes[session]:
            place[row] = session * symbols + symbol[row]
            first[place[row] + 1] += 1
    for at in range(1, len(first)):
        first[at] += first[at - 1]


@compiled
def _put(
    place: NDArray[np.int64],
    next_row: NDArray[np.int64],
    start_ns: NDArray[np.int64],
    end_ns: NDArray[np.int64],
    opened: NDArray[np.float64],
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    volume: NDArray[np.float64],
    rows: NDArray[np.void],
    volumes: NDArray[np.float64],
) -> None:
    for row in range(len(place)):
        if place[row] < 0:
            continue
        at = next_row[place[row]]
        next_row[place[row]] = at + 1
        bar = rows[at]
        bar.start_ns = start_ns[row]
        bar.end_ns = end_ns[row]
        bar.open = opened[row]
        bar.high = high[row]
        bar.low = low[row]
        bar.close = close[row]
        volumes[at] = volume[row]
