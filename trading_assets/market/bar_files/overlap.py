"""Bars that several files of one import have: of a symbol's minutes, or day, the first file's count.

Without that each of two files with other values would take the other's place at every import, as a next
version without end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bar_files.reading import BarFile
from trading_assets.market.bars import Bars
from trading_assets.market.sessions import MINUTE_NS

Ints = NDArray[np.int32]


class _Held(NamedTuple):
    """The days of a symbol that a file has, ascending, and of each its first and last bar's minute."""

    name: str
    day: Ints
    first: Ints
    last: Ints


@dataclass(slots=True)
class FirstFiles:
    """Which file has a symbol's day, of the files that came so far: twelve bytes for each."""

    _held: dict[str, list[_Held]] = field(default_factory=dict)

    def without_repeats(self, file: BarFile, name: str) -> tuple[BarFile, dict[tuple[str, str], int]]:
        """The file without bars between the first and the last that an earlier one has of the symbol's day;
        and how many these are by symbol and the earlier file's name."""
        repeated = np.zeros(file.count, np.bool_)
        counts: dict[tuple[str, str], int] = {}
        minute = ((file.rows.start_ns // MINUTE_NS) % (24 * 60)).astype(np.int32)
        ends = np.searchsorted(file.number, np.arange(len(file.symbols) + 1)).tolist()
        for symbol, begin, end in zip(file.symbols, ends[:-1], ends[1:], strict=True):
            if begin == end:
                continue
            day, at = file.day[begin:end].astype(np.int32), minute[begin:end]
            for held in self._held.get(symbol, ()):
                place = np.minimum(np.searchsorted(held.day, day), len(held.day) - 1)
                again = (held.day[place] == day) & (at >= held.first[place]) & (at <= held.last[place])
                again &= ~repeated[begin:end]
                if again.any():
                    repeated[begin:end] |= again
                    counts[symbol, held.name] = int(again.sum())
            starts = np.append(0, np.flatnonzero(np.diff(day)) + 1)
            lasts = np.append(starts[1:], len(day)) - 1
            self._held.setdefault(symbol, []).append(_Held(name, day[starts], at[starts], at[lasts]))
        if not counts:
            return file, {}
        kept = ~repeated
        rows = Bars._make(column[kept] for column in file.rows)
        return replace(file, number=file.number[kept], day=file.day[kept], rows=rows), counts
