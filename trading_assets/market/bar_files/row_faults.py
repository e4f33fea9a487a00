"""What can be wrong with one row of a file by itself.

The rules themselves, and what becomes of a row that breaks one, are in `market.quarantine.rules`. What is
wrong between the rows of a symbol is looked for in `judged.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.quarantine.rules import BarRule

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Broken(NamedTuple):
    """One rule on all rows of a file, each array of shape (rows,)."""

    rule: BarRule
    wrong: Flags
    measured: Floats
    limit: Floats


def price_faults(prices: Mapping[str, Floats], volume: Floats, empty: Flags) -> list[Broken]:
    """The rules on the values of a bar. empty: rows in which one of them is not there, and NaN here"""
    high, low = prices["high"], prices["low"]
    none = np.broadcast_to(0.0, len(volume))
    least, most = high.copy(), low.copy()
    finite = np.ones(len(volume), np.bool_)
    with np.errstate(invalid="ignore"):
        for price in prices.values():
            finite &= np.isfinite(price)
            least, most = np.minimum(least, price), np.maximum(most, price)
        return [
            Broken(BarRule.EMPTY, empty, np.broadcast_to(np.nan, len(volume)), none),
            Broken(BarRule.NOT_POSITIVE, ~(finite & (least > 0)), least, none),
            Broken(BarRule.VOLUME, ~(np.isfinite(volume) & (volume >= 0)), volume, none),
            Broken(BarRule.ABOVE_HIGH, most > high, most, high),
            Broken(BarRule.BELOW_LOW, least < low, least, low),
        ]


def first_of_each(broken: Sequence[Broken], rows: int) -> NDArray[np.int8]:
    """The place in `broken` of each row's first fault, -1: it has none. Of shape (rows,)."""
    faults = np.full(rows, -1, np.int8)
    for place in reversed(range(len(broken))):
        faults[broken[place].wrong] = place
    return faults
