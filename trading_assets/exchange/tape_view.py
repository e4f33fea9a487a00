"""The tape as far as it has been played: a symbol's bars and price at an instant.

Every answer of the exchange that uses market history comes through here, and nothing here reaches beyond the
instant that the caller names. `quotes.py` quotes around the price.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from trading_assets.exchange.amounts import ZERO, price_of
from trading_assets.exchange.times import midnight_ns
from trading_assets.market.bars import Bars, CorporateAction, Tape
from trading_assets.market.sessions import NEW_YORK, Sessions

_LONGEST_DAY_NS = 25 * 3_600 * 10**9


class Bar(NamedTuple):
    """One bar. Prices in USD, volume in shares; available at `end_ns`. `derived`: from a daily bar, or made
    of minutes that are."""

    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    derived: bool = False


class Print(NamedTuple):
    """The last known price and when it was made."""

    price: Decimal
    at_ns: int


class TapeView:
    def __init__(self, tape: Tape, sessions: Sessions, *, ragged_sessions: int = 1) -> None:
        """ragged_sessions: at the tape's end; a symbol whose bars end within them has not been delisted"""
        self._tape = tape
        self.sessions = sessions
        starts = {symbol: tape.daily(symbol).start_ns for symbol in tape.symbols}
        of_ns = _Days()
        self._first_day = {symbol: of_ns[int(ns[0])] for symbol, ns in starts.items()}
        self._last_day = {symbol: of_ns[int(ns[-1])] for symbol, ns in starts.items()}
        self.first_session, self.last_session = min(self._first_day.values()), max(self._last_day.values())
        days = sessions.between(self.first_session, self.last_session)
        self._trade_on_from = days[-ragged_sessions:][0]
        self._actions = {s: {a.ex_date: a for a in tape.actions(s)} for s in tape.symbols}

    def listed(self, now_ns: int) -> list[str]:
        """The symbols whose history has begun, the day of the listing included."""
        today = self.sessions.new_york_date(now_ns)
        return [symbol for symbol in self._tape.symbols if self._first_day[symbol] <= today]

    def is_listed(self, symbol: str, now_ns: int) -> bool:
        first = self._first_day.get(symbol)
        return first is not None and first <= self.sessions.new_york_date(now_ns)

    def is_active(self, symbol: str, now_ns: int) -> bool:
        """Whether a listed symbol can be traded. A symbol whose bars end before the tape's last sessions was
        delisted after its last one."""
        last = self._last_day[symbol]
        return last >= self._trade_on_from or self.sessions.new_york_date(now_ns) <= last

    def minutes(self, symbol: str, session: date) -> Bars:
        """All minute bars of a session, also those to come: for matching, which plays them in order."""
        return self._tape.minutes(symbol, session)

    def is_derived(self, symbol: str, session: date) -> bool:
        return self._tape.is_derived(symbol, session)

    def minute_bars(
        self, symbol: str, start_ns: int, end_ns: int, now_ns: int, *, descending: bool = False
    ) -> Iterator[Bar]:
        """Minute bars with start_ns ≤ start ≤ end_ns that ended by now, in order of their start."""
        for day in self._days(symbol, start_ns, min(end_ns, now_ns), descending=descending):
            bars = self.minutes(symbol, day).until(now_ns)
            derived = self._tape.is_derived(symbol, day)
            low = int(np.searchsorted(bars.start_ns, start_ns, side="left"))
            high = int(np.searchsorted(bars.start_ns, end_ns, side="right"))
            for row in range(high - 1, low - 1, -1) if descending else range(low, high):
                yield _bar(bars, row, derived)

    def daily_bars(
        self, symbol: str, start_ns: int, end_ns: int, now_ns: int, *, descending: bool = False
    ) -> Iterator[Bar]:
        """Daily bars stamped (midnight New York) within [start_ns, end_ns], in order of their stamp.

        It includes the session under way, made of its minutes so far, as Alpaca's does.
        """
        for day in self._days(symbol, start_ns, min(end_ns, now_ns), descending=descending):
            bar = self.daily_bar(symbol, day, now_ns)
            if bar is not None and start_ns <= bar.start_ns <= end_ns:
                yield bar

    def _days(self, symbol: str, start_ns: int, end_ns: int, *, descending: bool) -> list[date]:
        first = self.sessions.new_york_date(max(start_ns, self._first_ns(symbol)))
        days = self.sessions.between(first, self.sessions.new_york_date(end_ns))
        return days[::-1] if descending else days

    def daily_bar(self, symbol: str, session: date, now_ns: int) -> Bar | None:
        """The session's bar as far as it is known now; `start_ns` is midnight New York."""
        daily, midnight = self._tape.daily(symbol), midnight_ns(session)
        row = int(np.searchsorted(daily.start_ns, midnight))
        if row == len(daily.start_ns) or daily.start_ns[row] >= midnight + _LONGEST_DAY_NS:
            return None
        if daily.end_ns[row] <= now_ns:
            return _bar(daily, row)._replace(start_ns=midnight)
        bars = self.minutes(symbol, session).until(now_ns)
        if not len(bars.start_ns):
            return None
        return Bar(
            start_ns=midnight,
            end_ns=int(bars.end_ns[-1]),
            open=float(bars.open[0]),
            high=float(bars.high.max()),
            low=float(bars.low.min()),
            close=float(bars.close[-1]),
            volume=float(bars.volume.sum()),
            derived=self._tape.is_derived(symbol, session),
        )

    def latest_minute(self, symbol: str, now_ns: int) -> Bar | None:
        """The last minute bar that ended by now, of this session or the one before."""
        today = self.sessions.new_york_date(now_ns)
        for day in (today, self.sessions.previous(today)):
            bars = self.minutes(symbol, day).until(now_ns)
            if len(bars.start_ns):
                return _bar(bars, -1, self._tape.is_derived(symbol, day))
        return None

    def minute_of_session(self, symbol: str, now_ns: int) -> Bar | None:
        """The last minute bar of today's session that ended by now."""
        session = self.sessions.session_at(now_ns)
        if session is None:
            return None
        bars = self.minutes(symbol, session).until(now_ns)
        return _bar(bars, -1, self._tape.is_derived(symbol, session)) if len(bars.start_ns) else None

    def last_print(self, symbol: str, now_ns: int) -> Print | None:
        """The close of the last minute bar with volume that ended by now; the session's open within its
        first minute; before the open the previous close, adjusted on an ex-date. None: the tape has no price
        now, as in a session without bars, or before its first trade."""
        today = self.sessions.session_at(now_ns)
        if today is not None and now_ns >= self.sessions.open_ns(today):
            bars = self.minutes(symbol, today)
            ended = int(np.searchsorted(bars.end_ns, now_ns, side="right"))
            while ended and not bars.volume[ended - 1] > 0.0:
                ended -= 1
            if ended:
                return Print(price_of(bars.close[ended - 1]), int(bars.end_ns[ended - 1]))
            begun = len(bars.start_ns) > 0 and bars.start_ns[0] <= now_ns < bars.end_ns[0]
            if begun and bars.volume[0] > 0.0:
                return Print(price_of(bars.open[0]), int(bars.start_ns[0]))
            return None
        return self.previous_close(symbol, now_ns)

    def previous_close(self, symbol: str, now_ns: int) -> Print | None:
        """The raw close of the session before today's (New York date), in today's shares: less today's
        dividend, divided by today's split ratio. None on the first day."""
        today = self.sessions.new_york_date(now_ns)
        daily = self._tape.daily(symbol)
        row = int(np.searchsorted(daily.end_ns, midnight_ns(today), side="right")) - 1
        if row < 0:
            return None
        close, action = price_of(daily.close[row]), self._actions[symbol].get(today)
        if action is not None:
            close = (close - price_of(action.cash_usd)) / ratio_of(action)
            close = price_of(float(close))
        return Print(close, int(daily.end_ns[row]))

    def mark(self, symbol: str, now_ns: int) -> Decimal:
        """The value of a share: the last print, else the previous close."""
        print_ = self.last_print(symbol, now_ns) or self.previous_close(symbol, now_ns)
        return ZERO if print_ is None else print_.price

    def action(self, symbol: str, session: date) -> CorporateAction | None:
        """What happens to a holder on the session's morning."""
        return self._actions[symbol].get(session)

    def actions(self, symbol: str, first: date, last: date, now_ns: int) -> Iterator[CorporateAction]:
        """Corporate actions with first ≤ ex-date ≤ last whose ex-date has come, ascending."""
        last = min(last, self.sessions.new_york_date(now_ns))
        return (a for a in self._tape.actions(symbol) if first <= a.ex_date <= last)

    def _first_ns(self, symbol: str) -> int:
        return int(self._tape.daily(symbol).start_ns[0])


def ratio_of(action: CorporateAction) -> Decimal:
    return Decimal(repr(float(action.split_ratio)))


def _bar(bars: Bars, row: int, derived: bool = False) -> Bar:
    start_ns, end_ns, open_, high, low, close, volume = (column[row].item() for column in bars)
    return Bar(start_ns, end_ns, open_, high, low, close, volume, derived)


class _Days(dict[int, date]):
    """Start of a bar → its date in New York; most symbols share theirs."""

    def __missing__(self, ns: int) -> date:
        day = self[ns] = datetime.fromtimestamp(ns // 1_000_000_000, NEW_YORK).date()
        return day
