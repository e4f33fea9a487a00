"""Daily bars of several symbols in one table, one symbol's after the other's, found by an instant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bars import Bars

Ints = NDArray[np.int64]


class DailyStack:
    """bars:  all of them, (m,); begin: (n + 1,): those of symbol i are begin[i] … begin[i + 1] − 1"""

    def __init__(self, daily: Sequence[Bars]) -> None:
        self.bars = Bars._make(np.concatenate(columns) for columns in zip(*daily, strict=True))
        self.begin = np.append(0, np.cumsum([len(bars.start_ns) for bars in daily]))
        self._starts = _Stamps([bars.start_ns for bars in daily])
        self._ends = _Stamps([bars.end_ns for bars in daily])

    def started_before(self, at_ns: Ints) -> Ints:
        """Of each symbol, how many bars start before each instant: (k, n) for (k,)."""
        return self._starts.below(at_ns)

    def ended_by(self, at_ns: Ints) -> Ints:
        """Of each symbol, how many bars have ended at each instant: (k, n) for (k,)."""
        return self._ends.below(at_ns + 1)

    def starting_at(self, open_ns: int) -> tuple[Ints, NDArray[np.bool_]]:
        """Where each symbol's first bar from then on is, and whether it starts just then: (n,)."""
        (before,) = self.started_before(np.array([open_ns]))
        place = self.begin[:-1] + before
        there = place < self.begin[1:]
        there[there] = self.bars.start_ns[place[there]] == open_ns
        return place, there


class _Stamps:
    """Ascending stamps of n symbols, counted below an instant without a search in each."""

    def __init__(self, stamps: Sequence[Ints]) -> None:
        self._known = np.unique(np.concatenate(stamps))
        below = [np.append(np.searchsorted(of_symbol, self._known), len(of_symbol)) for of_symbol in stamps]
        self._below = np.ascontiguousarray(np.array(below, dtype=np.int32).T)

    def below(self, at_ns: Ints) -> Ints:
        counts: Ints = self._below[np.searchsorted(self._known, at_ns)].astype(np.int64)
        return counts
