"""Millions of minute bars put into the order in which a replay goes through them.

Compiled, because sorting bars takes several times as long as reading them. Bars come in parts, as a reader
gives them; nothing is copied on the way. Times are UTC nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.compiled import compiled
from trading_assets.core.walk.columns import MINUTE_BAR
from trading_assets.market.bars import Bars


class NumberedBars(NamedTuple):
    """Bars of several symbols, each with its symbol's number; −1: a bar of no symbol."""

    symbol: NDArray[np.int32]
    bars: Bars

    @classmethod
    def of(cls, symbol: NDArray[np.int32], bars: Bars) -> NumberedBars:
        """Views that cannot be written to, as those of a reader are: code is compiled for one kind only."""
        return cls(_fixed(symbol), Bars(*map(_fixed, bars)))


def _fixed(column: NDArray[Any]) -> NDArray[Any]:
    view = column.view()
    view.flags.writeable = False
    return view


def ascend(parts: Sequence[NumberedBars]) -> bool:
    """Whether the rows of all parts, one after the other, ascend by symbol's number (none below 0), then by
    start, without two rows of one bar."""
    filled = [part for part in parts if len(part.symbol)]
    ends = [
        (part.symbol[0], part.bars.start_ns[0], part.symbol[-1], part.bars.start_ns[-1]) for part in filled
    ]
    follow = all(before[2:] < after[:2] for before, after in pairwise(ends))
    return follow and all(_ascends(part.symbol, part.bars.start_ns) for part in filled)


@compiled
def _ascends(symbol: NDArray[np.int32], start_ns: NDArray[np.int64]) -> bool:
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
    parts: Sequence[NumberedBars], opens: NDArray[np.int64], closes: NDArray[np.int64], symbols: int
) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.float64]]:
    """Bars by session, symbol and time, those outside regular hours left out.

    parts:         that `ascend`, symbols 0 … symbols − 1, none before the first open
    opens, closes: int64[sessions]
    Returns (first, rows, volume): those of session s and symbol i are rows first[k] … first[k + 1] − 1 with
    k = s · symbols + i; rows of core.walk.columns.MINUTE_BAR.
    """
    first = np.zeros(len(opens) * symbols + 1, np.int64)
    places = [np.empty(len(part.symbol), np.int64) for part in parts]
    for (symbol, bars), place in zip(parts, places, strict=True):
        _count(symbol, bars.start_ns, opens, closes, symbols, place, first)
    np.cumsum(first, out=first)
    rows, volume, next_row = np.empty(first[-1], MINUTE_BAR), np.empty(first[-1]), first[:-1].copy()
    for (_, bars), place in zip(parts, places, strict=True):
        _put(place, next_row, *bars, rows, volume)
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
    """Where each bar belongs, −1: nowhere; and how many belong before what follows each place."""
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
