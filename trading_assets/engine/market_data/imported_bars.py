"""Imported bars judged: a file's behind those that are stored before them, and all that the history holds.

What is looked for is in `market.quarantine`; what is read and written, in `store.bar_history` and
`store.bar_quarantine`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bar_files.judged import NOTHING, ROWS_BEFORE, Before, judged
from trading_assets.market.bar_files.reading import BarFile
from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.quarantine.judge import Judgement, judge
from trading_assets.market.quarantine.rules import BREAK_NAMES, BREAKS, OnDefect
from trading_assets.market.quarantine.series import Ints, Series
from trading_assets.market.sessions import Sessions
from trading_assets.store.bar_history import newest_bars_between
from trading_assets.store.bar_quarantine import (
    bars_before,
    breaks,
    held_actions,
    held_since,
    quarantined_days,
)
from trading_assets.store.history import History

_END_NS = np.iinfo(np.int64).max


class FilesInOrder:
    """The files of one import, each judged behind what is stored and behind those before it.

    It remembers the last bars of each symbol, so that the history is asked once, not for each file.
    Nothing is stored here.
    """

    def __init__(self, history: History, interval: Interval, on_defect: OnDefect) -> None:
        self._history, self._interval, self._on_defect = history, interval, on_defect
        self._numbers: dict[str, int] = {}  # of the symbols that are remembered
        self._last = NOTHING
        self._first_ns: dict[str, int] = {}  # of those that were held when it began
        self._actions: Mapping[str, Sequence[CorporateAction]] = {}
        self._breaks: dict[str, list[int]] = {}
        if history.path.exists():
            with history.held(read_only=True):
                self._first_ns = held_since(history, interval)
                held = list(self._first_ns)
                self._numbers = {symbol: number for number, symbol in enumerate(held)}
                self._last = Before(*bars_before(history, held, [_END_NS] * len(held), interval))
                self._actions = held_actions(history)
                self._breaks = breaks(history, interval, BREAK_NAMES)

    def judged(self, file: BarFile) -> BarFile:
        """Raises InvalidInput where the file is refused."""
        before = self._before(file)
        findings = judged(file, before, self._on_defect)
        for fault in findings.faults:
            if fault.rule in BREAKS:
                self._breaks.setdefault(fault.symbol, []).append(fault.session.toordinal())
        self._remember(findings, before)
        return findings

    def _before(self, file: BarFile) -> Before:
        begins, held = _begins(file)
        remembered = np.array([self._numbers.get(symbol, -1) for symbol in file.symbols], np.int64)
        known = held & (remembered >= 0)
        of_known = np.full(len(self._numbers) + 1, -1, np.int32)
        of_known[remembered[known]] = np.flatnonzero(known)
        number = of_known[self._last.number]
        mine = np.flatnonzero(number >= 0)
        mine = mine[np.argsort(number[mine], kind="stable")]
        number, day = number[mine], self._last.day[mine]
        rows = Bars._make(column[mine] for column in self._last.rows)
        # of a symbol that is remembered from later days the history knows what was before
        first_ns = np.full(len(file.symbols), _END_NS)
        first_ns[held] = file.rows.start_ns[begins[held]]
        late = np.zeros(len(file.symbols), np.bool_)
        late[number[rows.start_ns >= first_ns[number]]] = True
        if late.any():
            earlier = ~late[number]
            number, day = number[earlier], day[earlier]
            rows = Bars._make(column[earlier] for column in rows)
            wanted = [
                n
                for n in np.flatnonzero(late).tolist()
                if self._first_ns.get(file.symbols[n], 0) < first_ns[n] and self._history.path.exists()
            ]
            if wanted:
                findings = bars_before(
                    self._history,
                    [file.symbols[n] for n in wanted],
                    first_ns[wanted].tolist(),
                    self._interval,
                )
                number = np.concatenate([number, np.array(wanted, np.int32)[findings.number]])
                day = np.concatenate([day, findings.day])
                rows = Bars._make(
                    np.concatenate([one, other]) for one, other in zip(rows, findings.rows, strict=True)
                )
                order = np.argsort(number, kind="stable")
                number, day = number[order], day[order]
                rows = Bars._make(column[order] for column in rows)
        names = set(file.symbols)
        actions = {symbol: own for symbol, own in self._actions.items() if symbol in names}
        return Before(number, day, rows, actions, self._breaks)

    def _remember(self, file: BarFile, before: Before) -> None:
        """The last bars of each of the file's symbols, in place of what was remembered of it before."""
        for symbol in file.symbols:
            self._numbers.setdefault(symbol, len(self._numbers))
        of_file = np.array([self._numbers[symbol] for symbol in file.symbols], np.int32)
        own = _last_rows(file.number)
        fresh, earlier = of_file[file.number[own]], of_file[before.number]
        held = np.full(len(self._numbers), -1, np.int64)
        held[self._last.number] = self._last.rows.start_ns  # ascending: the last of each stays
        newer = np.zeros(len(self._numbers), np.bool_)
        newer[fresh[file.rows.start_ns[own] > held[fresh]]] = True
        kept = ~newer[self._last.number]
        number = np.concatenate([self._last.number[kept], earlier, fresh])
        counts = np.concatenate([np.ones(int(kept.sum()), np.bool_), newer[earlier], newer[fresh]])
        day = np.concatenate([self._last.day[kept], before.day, file.day[own]])
        rows = Bars._make(
            np.concatenate([one[kept], two, three[own]])
            for one, two, three in zip(self._last.rows, before.rows, file.rows, strict=True)
        )
        chosen = np.flatnonzero(counts)
        chosen = chosen[np.argsort(number[chosen], kind="stable")]
        chosen = chosen[_last_rows(number[chosen])]
        self._last = Before(number[chosen], day[chosen], Bars._make(column[chosen] for column in rows))


def _begins(file: BarFile) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each symbol's bars begin, and whether it has any."""
    ends = np.searchsorted(file.number, np.arange(len(file.symbols) + 1))
    return ends[:-1], ends[1:] > ends[:-1]


def _last_rows(number: NDArray[np.int32]) -> Ints:
    """The places of the last rows of each number, of ascending ones."""
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    ends = np.append(begins[1:], len(number))[: len(begins)]
    lengths = np.minimum(ends - begins, ROWS_BEFORE)
    starts = np.repeat(ends - lengths - (np.cumsum(lengths) - lengths), lengths)
    return starts + np.arange(len(starts))


class Judged(NamedTuple):
    """The bars that are stored, of one interval, and what is found in them."""

    series: Series
    judgement: Judgement


def judged_history(history: History, interval: Interval) -> Judged:
    """All stored bars that are no derived ones, newest version of each, judged in their order."""
    with history.held(read_only=True):
        symbols = list(held_since(history, interval))
        parts = newest_bars_between(history, symbols, interval, 0, _END_NS, as_of_ns=_END_NS)
        actions = held_actions(history)
        known = breaks(history, interval, BREAK_NAMES)
        out = quarantined_days(history, interval)
    number = np.concatenate([part.symbol for part in parts]) if parts else np.zeros(0, np.int32)
    rows = (
        Bars._make(np.concatenate(columns) for columns in zip(*(part.bars for part in parts), strict=True))
        if parts
        else NOTHING.rows
    )
    numbers = {symbol: n for n, symbol in enumerate(symbols)}
    series = Series(interval, symbols, number, _days(rows.start_ns), rows, actions, known)
    left_out = [(numbers[symbol], day) for symbol, day in out if symbol in numbers]
    return Judged(
        series,
        judge(
            series,
            np.array([n for n, _ in left_out], np.int64),
            np.array([day for _, day in left_out], np.int64),
        ),
    )


def _days(start_ns: Ints) -> Ints:
    """date.toordinal() of the session of each bar."""
    if not len(start_ns):
        return start_ns.copy()
    sessions = Sessions()
    first, last = (sessions.new_york_date(int(ns)) for ns in (start_ns.min(), start_ns.max()))
    days = sessions.between(first, last)
    opens, _ = sessions.hours(days)
    ordinals = np.array([day.toordinal() for day in days], np.int64)
    return ordinals[np.searchsorted(opens, start_ns, side="right") - 1]
