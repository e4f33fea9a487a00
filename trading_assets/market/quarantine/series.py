"""The bars of many symbols in their order, and what is found in them: columns, no objects for single rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.quarantine.rules import FACTORS, MARKET, BarRule
from trading_assets.market.sessions import Sessions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Bars of one interval, ascending by symbol and start, each once."""

    interval: Interval
    symbols: Sequence[str]
    number: NDArray[np.int32]  # of each bar's symbol in `symbols`, of shape (n,)
    day: Ints  # of each bar: its session's date.toordinal()
    rows: Bars
    actions: Mapping[str, Sequence[CorporateAction]]
    breaks: Mapping[str, Sequence[int]]
    """Symbol → days (date.toordinal()) on which the prices were found to become another share's, and whose
    row is not here any more: the step across such a day is known."""

    @cached_property
    def begins(self) -> Ints:
        """Where each symbol's bars begin, and the end, of shape (symbols + 1,)."""
        return np.searchsorted(self.number, np.arange(len(self.symbols) + 1))

    @cached_property
    def follows(self) -> Flags:
        """Of each bar, whether the one before it is the same symbol's, of shape (n,)."""
        same = np.zeros(len(self.number), np.bool_)
        same[1:] = self.number[1:] == self.number[:-1]
        return same

    @cached_property
    def sessions(self) -> Ints:
        """date.toordinal() of the sessions from the first to the last bar's."""
        if not len(self.day):
            return np.zeros(0, np.int64)
        first, last = (date.fromordinal(int(day)) for day in (self.day.min(), self.day.max()))
        return np.array([day.toordinal() for day in Sessions().between(first, last)], np.int64)

    @cached_property
    def place(self) -> NDArray[np.int32]:
        """Of each bar: its session's place in `sessions`."""
        if not len(self.day):
            return np.zeros(0, np.int32)
        first = int(self.sessions[0])
        of_day = np.zeros(int(self.sessions[-1]) - first + 1, np.int32)
        of_day[self.sessions - first] = np.arange(len(self.sessions), dtype=np.int32)
        return of_day[self.day - first]

    def broken_between(self, row: int) -> bool:
        """Whether such a day lies between the bar before a row and the row."""
        days = self.breaks.get(self.symbols[self.number[row]], ())
        return any(self.day[row - 1] < day < self.day[row] for day in days)


class Finding(NamedTuple):
    """One thing that was found."""

    rule: BarRule
    symbol: str
    session: date
    measured: float
    limit: float
    row: int  # in the series; −1: there is none


@dataclass(frozen=True)
class Findings:
    """What was found by one rule, each array of shape (k,)."""

    rule: BarRule
    number: NDArray[np.int32]  # of the symbol; −1: no single one
    day: Ints
    measured: Floats
    limit: Floats
    row: Ints  # of the first bar it costs or names; −1: there is none

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def at(
        cls, rule: BarRule, series: Series, rows: Ints, measured: Floats, limit: Floats | float = nan
    ) -> Findings:
        rows = np.asarray(rows, np.int64)
        limits = np.broadcast_to(np.asarray(limit, np.float64), rows.shape)
        return cls(
            rule, series.number[rows], series.day[rows], np.asarray(measured, np.float64), limits, rows
        )

    def only(self, kept: Flags | Ints) -> Findings:
        return Findings(
            self.rule,
            self.number[kept],
            self.day[kept],
            self.measured[kept],
            self.limit[kept],
            self.row[kept],
        )

    def largest(self, count: int) -> Findings:
        """The `count` with the largest measure, at first of each symbol one."""
        if self.rule in FACTORS:
            with np.errstate(divide="ignore"):
                order = np.argsort(-np.abs(np.log(self.measured)), kind="stable")
        else:
            order = np.argsort(-self.measured, kind="stable")
        _, first = np.unique(self.number[order], return_index=True)
        ahead = np.zeros(len(order), np.bool_)
        ahead[first] = True
        chosen = np.concatenate([order[ahead], order[~ahead]])[:count]
        return self.only(chosen)

    def each(self, symbols: Sequence[str]) -> list[Finding]:
        return [
            Finding(self.rule, MARKET if n < 0 else symbols[n], date.fromordinal(day), measured, limit, row)
            for n, day, measured, limit, row in zip(
                self.number.tolist(),
                self.day.tolist(),
                self.measured.tolist(),
                self.limit.tolist(),
                self.row.tolist(),
                strict=True,
            )
        ]


def nothing(rule: BarRule) -> Findings:
    none = np.zeros(0)
    ints = none.astype(np.int64)
    return Findings(rule, none.astype(np.int32), ints, none, none, ints)
