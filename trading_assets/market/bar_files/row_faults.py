"""What can be wrong with one row of a file by itself: the rules, and how many faults a file may have.

A row that breaks a rule is left out and kept apart (quarantine), or the file is refused: as the person says,
and always where too many are wrong. What is wrong between rows of different days is not looked for here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_FAULTY = 0.01  # of a file's rows, or one row
"""Above it a file is refused whole: it is more likely read wrongly than broken in places."""


class RowRule(StrEnum):
    """The rules, in the order in which a row's first fault is named."""

    EMPTY = "a price or the volume is empty"
    NOT_POSITIVE = "a price is not a positive finite number"
    VOLUME = "the volume is negative or not finite"
    ABOVE_HIGH = "open, low or close lies above high"
    BELOW_LOW = "open, high or close lies below low"
    NOT_A_SESSION = "that day is no XNYS session"
    SECOND_BAR = "a second bar at the same time"


class OnDefect(StrEnum):
    """What becomes of a file with a row that cannot be right."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class Fault(NamedTuple):
    """A row that cannot be right."""

    symbol: str
    session: date
    rule: RowRule
    measured: float  # what the rule looked at; NaN: it measures nothing
    limit: float
    row: int  # of the file, the header counted

    def sentence(self) -> str:
        return f"{self.symbol} {self.session}, row {self.row}: {self.rule}"


class Broken(NamedTuple):
    """One rule on all rows of a file, each array of shape (rows,)."""

    rule: RowRule
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
            Broken(RowRule.EMPTY, empty, np.broadcast_to(np.nan, len(volume)), none),
            Broken(RowRule.NOT_POSITIVE, ~(finite & (least > 0)), least, none),
            Broken(RowRule.VOLUME, ~(np.isfinite(volume) & (volume >= 0)), volume, none),
            Broken(RowRule.ABOVE_HIGH, most > high, most, high),
            Broken(RowRule.BELOW_LOW, least < low, least, low),
        ]


def are_too_many(faulty: int, rows: int) -> bool:
    """Whether a file with so many faulty rows is refused whatever a person said."""
    return faulty >= rows or faulty > max(1, MOST_FAULTY * rows)


def first_of_each(broken: Sequence[Broken], rows: int) -> NDArray[np.int8]:
    """The place in `broken` of each row's first fault, -1: it has none. Of shape (rows,)."""
    faults = np.full(rows, -1, np.int8)
    for place in reversed(range(len(broken))):
        faults[broken[place].wrong] = place
    return faults
