"""The tape of a person's own history: daily bars as they were imported, minute bars where there are some, and
derived ones where there are none.

It plays a copy (`tape_files`), so that nothing holds the desk's history. Columns are mapped into memory: of
thousands of symbols only the sessions that are asked for are read.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.derive import minute_bars
from trading_assets.market.tape_files import (
    DAYS_OF_A_KEY,
    day_number,
    mapped,
    mapped_bars,
    read_head,
)

SESSIONS_KEPT = 2  # whose derived minutes are kept: 17 KB a symbol and session
_MICROS = 1e6


class StoredTape:
    """The tape at `directory` as a `market.bars.Tape`. Equal seeds give equal derived minutes."""

    def __init__(self, directory: Path, seed: int = 7) -> None:
        """Raises InvalidInput where no tape is."""
        head = read_head(directory)
        if head is None:
            raise InvalidInput(
                "no tape is there", where=str(directory), remedy="Make it anew from the history."
            )
        self._seed = seed
        self._symbols = head.symbols
        self._number = {symbol: number for number, symbol in enumerate(head.symbols)}
        self._actions = head.actions
        self._daily, self._minute = (mapped_bars(directory, interval) for interval in ("daily", "minute"))
        self._ends = mapped(directory / "daily.ends")
        key, end = mapped(directory / "minute.key"), mapped(directory / "minute.end")
        begin = np.concatenate([np.zeros(1, np.int64), end[:-1]])[: len(end)]
        order = np.argsort(key, kind="stable")
        self._key, self._begin, self._end = key[order], begin[order], end[order]
        self._derived: dict[date, dict[str, Bars]] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    @property
    def derived(self) -> bool:
        return not len(self._key)

    def is_derived(self, symbol: str, session: date) -> bool:
        """Whether the symbol's minutes of the session are derived from its daily bar."""
        return self._span(symbol, session) is None

    def daily(self, symbol: str) -> Bars:
        """Raw daily bars. Raises KeyError for a symbol that is not on the tape."""
        number = self._number[symbol]
        begin = int(self._ends[number - 1]) if number else 0
        end = int(self._ends[number])
        return Bars._make(column[begin:end] for column in self._daily)

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return self._actions.get(symbol, ())

    def minutes(self, symbol: str, session: date) -> Bars:
        """The session's minutes: the imported ones, else derived ones. Empty where the symbol has no daily
        bar, or one without volume: nothing was traded then."""
        span = self._span(symbol, session)
        if span is not None:
            return Bars._make(column[slice(*span)] for column in self._minute)
        of_session = self._derived.get(session)
        if of_session is None:
            while len(self._derived) >= SESSIONS_KEPT:  # time goes on: the oldest first
                del self._derived[next(iter(self._derived))]
            of_session = self._derived[session] = {}
        bars = of_session.get(symbol)
        if bars is None:
            bars = of_session[symbol] = self._derived_minutes(symbol, session)
            any_of_session = next(iter(of_session.values()))
            if len(any_of_session.start_ns) == len(bars.start_ns):
                # one array of times for all symbols
                start_ns, end_ns = any_of_session.start_ns, any_of_session.end_ns
                bars = of_session[symbol] = bars._replace(start_ns=start_ns, end_ns=end_ns)
        return bars

    def _span(self, symbol: str, session: date) -> tuple[int, int] | None:
        key = self._number[symbol] * DAYS_OF_A_KEY + day_number(session)
        row = int(np.searchsorted(self._key, key))
        if row == len(self._key) or self._key[row] != key:
            return None
        return int(self._begin[row]), int(self._end[row])

    def _derived_minutes(self, symbol: str, session: date) -> Bars:
        daily = self.daily(symbol)
        midnight_ns = day_number(session) * 86_400_000_000_000
        row = int(np.searchsorted(daily.start_ns, midnight_ns))
        if row == len(daily.start_ns) or daily.start_ns[row] >= midnight_ns + 86_400_000_000_000:
            return _NONE
        day = Bars._make(column[row : row + 1] for column in daily)
        # a path is made of whole millionths and whole shares; a vendor's figures may be finer
        open_, high, low, close = (np.round(column * _MICROS) / _MICROS for column in day[2:6])
        day = Bars(day.start_ns, day.end_ns, open_, high, low, close, np.floor(day.volume))
        if not (day.volume[0] > 0.0 and day.low[0] > 0.0):
            return _NONE
        bars = minute_bars(symbol, session, day, self._seed)
        for column in bars:
            column.flags.writeable = False
        return bars


_NO_TIMES, _NO_VALUES = np.empty(0, np.int64), np.empty(0)
_NONE = Bars(_NO_TIMES, _NO_TIMES, _NO_VALUES, _NO_VALUES, _NO_VALUES, _NO_VALUES, _NO_VALUES)
