"""Bars and corporate actions as values, and the tape that serves them. No files, no network here.

A bar is stamped with its start and is available at its end. Prices are raw (as traded that day);
prices are adjusted where a look-back crosses a corporate action, never in storage.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Interval(StrEnum):
    """Bar lengths that are stored; values are those of the history's `interval` column."""

    DAY = "1d"
    MINUTE = "1m"


class Bars(NamedTuple):
    """One symbol's bars, ascending by start. All arrays have shape (n,)."""

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]  # when the bar is available
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]  # shares

    def until(self, now_ns: int) -> Bars:
        """The bars that are available at `now_ns` (end ≤ now)."""
        count = int(np.searchsorted(self.end_ns, now_ns, side="right"))
        return self if count == len(self.end_ns) else self.rows(slice(count))

    def rows(self, some: slice) -> Bars:
        """These of them; views, no copies."""
        return Bars._make(column[some] for column in self)


class CorporateAction(NamedTuple):
    """What happens to a holder of the symbol on the morning of the ex-date."""

    symbol: str
    ex_date: date
    split_ratio: float  # new shares per old share; 1.0: no split
    cash_usd: float  # cash dividend per old share; 0.0: none


class Tape(Protocol):
    """Market history as the embedded exchange plays it. Deterministic. It contains the future, so the
    exchange cuts every answer at its clock."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def derived(self) -> bool:
        """Whether the minute bars are derived from daily bars, not recorded."""
        ...

    def is_derived(self, symbol: str, session: date) -> bool:
        """Whether the symbol's minute bars of the session are derived from its daily bar."""
        ...

    def daily(self, symbol: str) -> Bars:
        """All daily bars, start = session open, end = session close."""
        ...

    def minutes(self, symbol: str, session: date) -> Bars:
        """The session's one-minute bars; empty arrays where the symbol did not trade."""
        ...

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        """Splits and cash dividends, ascending by ex-date."""
        ...
