"""Where a replay's bars come from, and what a symbol's price and quote are at an instant of a session.

Every answer is cut at the instant that the caller names: a bar is there at its end, the session's open
from the open on. The quote model is the embedded exchange's (`docs/architecture.md`): mid = last price.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from math import nan
from typing import NamedTuple

import numpy as np

from trading_assets.core.prices import round_down_to_tick, round_up_to_tick
from trading_assets.errors import InvalidInput
from trading_assets.market.actions import ex_price
from trading_assets.market.bars import Bars, CorporateAction, Interval, Tape
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.bar_history import actions_until, newest_bars
from trading_assets.store.history import History

EVER_NS = np.iinfo(np.int64).max
_NOISE = 1e-12  # relative: what is meant to lie on a tick lies on it
_DERIVED = """
SELECT coalesce(bool_or(derived), false) AS derived FROM bars
WHERE "interval" = '1m' AND session BETWEEN ? AND ?
"""


class Price(NamedTuple):
    """One symbol at an instant. USD a share; NaN: not known, stamps 0: never."""

    bid: float
    ask: float
    quote_ns: int
    last_trade: float
    trade_ns: int
    previous_close: float  # adjusted for today's split and dividend
    listed: bool

    @property
    def mark(self) -> float:
        """What a holding is worth a share, as the embedded exchange values it."""
        return self.previous_close if self.last_trade != self.last_trade else self.last_trade


class HistoryTape:
    """`market.bars.Tape` over what the desk's history has received, newest version of each bar."""

    def __init__(
        self, history: History, symbols: Sequence[str], last: date, *, minutes_from: date | None
    ) -> None:
        """minutes_from: the first session whose minute bars are wanted, None: none are."""
        self._symbols = tuple(symbols)
        with history.reading():
            self._daily = newest_bars(history, symbols, Interval.DAY, since_ns=0, as_of_ns=EVER_NS)
            self._actions = actions_until(history, symbols, last, as_of_ns=EVER_NS)
            self._minutes: Mapping[str, Bars] = {}
            self._derived = False
            if minutes_from is not None:
                since = new_york_midnight_ns(minutes_from)
                self._minutes = newest_bars(
                    history, symbols, Interval.MINUTE, since_ns=since, as_of_ns=EVER_NS
                )
                self._derived = bool(history.query(_DERIVED, [minutes_from, last])["derived"][0].as_py())

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    @property
    def derived(self) -> bool:
        return self._derived

    def daily(self, symbol: str) -> Bars:
        return self._daily[symbol]

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return self._actions[symbol]

    def minutes(self, symbol: str, session: date) -> Bars:
        """Those of regular hours."""
        bars, sessions = self._minutes[symbol], Sessions()
        first, end = np.searchsorted(bars.start_ns, (sessions.open_ns(session), sessions.close_ns(session)))
        return Bars._make(column[first:end] for column in bars)


def open_tape(
    history: History, symbols: Sequence[str], bars: str, days: Sequence[date], *, intraday: bool
) -> Tape:
    """The tape of a replay of the sessions `days`.

    Raises InvalidInput for a symbol that the bundled bars do not have and for a session without a daily
    bar of any symbol: nothing could be said of it. Raises HistoryLocked as the store does.
    """
    tape: Tape
    if bars == "bundled":
        tape = BundledTape()
        unknown = sorted(set(symbols) - set(tape.symbols))
        if unknown:
            raise InvalidInput(
                f"no bundled bars of {', '.join(unknown)}",
                where="replay, symbols",
                remedy=f"The bundled symbols are {', '.join(tape.symbols)}; replay others from the history.",
            )
    else:
        tape = HistoryTape(history, symbols, days[-1], minutes_from=days[0] if intraday else None)
    opens, _ = Sessions().hours(days)
    traded = np.isin(opens, np.concatenate([tape.daily(symbol).start_ns for symbol in symbols]))
    if not traded.all():
        dark = [day for day, has_bars in zip(days, traded.tolist(), strict=True) if not has_bars]
        raise InvalidInput(
            f"no daily bar of {', '.join(symbols)} in {len(dark)} sessions, the first of them {dark[0]}",
            where=f"replay, {bars} bars",
            remedy="Give a range that has bars, or import bars into the history first.",
        )
    return tape


class SymbolDay:
    """One symbol's session: what is known of it at each instant."""

    def __init__(
        self, day: Bars, minutes: Bars | None, open_ns: int, previous_close: float, *, listed: bool
    ) -> None:
        """day: the session's daily bar, arrays of shape (1,), or (0,) where the symbol did not trade.
        minutes: None in a replay of daily ticks."""
        traded = len(day.start_ns) > 0
        self.close_ns = int(day.end_ns[0]) if traded else 0
        self.open_ns = open_ns
        self.previous_close = previous_close
        self.listed = listed
        first = day if minutes is None else minutes
        self.open = float(first.open[0]) if len(first.open) else nan
        self.close = float(day.close[0]) if traded else nan
        self.minutes = minutes
        self._ends: list[int] = [] if minutes is None else minutes.end_ns.tolist()
        self._closes: list[float] = [] if minutes is None else minutes.close.tolist()

    def last_price(self, now_ns: int) -> tuple[float, int]:
        """The last price and its stamp: the last bar that ended, else the session's open, else none."""
        if self.close_ns and now_ns >= self.close_ns:
            return self.close, self.close_ns
        ended = bisect_right(self._ends, now_ns)
        if ended:
            return self._closes[ended - 1], self._ends[ended - 1]
        if now_ns >= self.open_ns and self.open == self.open:
            return self.open, self.open_ns
        return nan, 0

    def bar_that_ended(self, at_ns: int) -> tuple[int, float, float, float] | None:
        """Start, open, high and low of the minute bar that ended at `at_ns`."""
        row = bisect_right(self._ends, at_ns) - 1
        if self.minutes is None or row < 0 or self._ends[row] != at_ns:
            return None
        bars = self.minutes
        return int(bars.start_ns[row]), float(bars.open[row]), float(bars.high[row]), float(bars.low[row])


class DayPrices:
    """All symbols of one session."""

    def __init__(self, days: Mapping[str, SymbolDay], spread_bps: float) -> None:
        self.days = days
        self._half = spread_bps / 20_000.0

    def at(self, symbol: str, now_ns: int) -> Price:
        """The symbol at `now_ns`: a quote around the last price, stamped now; nothing from after it."""
        day = self.days[symbol]
        price, trade_ns = day.last_price(now_ns)
        if not trade_ns:
            return Price(nan, nan, 0, nan, 0, day.previous_close, day.listed)
        bid, ask = quote_around(price, self._half)
        return Price(bid, ask, now_ns, price, trade_ns, day.previous_close, day.listed)

    def mark(self, symbol: str, now_ns: int) -> float:
        """`at(…).mark`, without the quote."""
        day = self.days[symbol]
        price, trade_ns = day.last_price(now_ns)
        return price if trade_ns else day.previous_close


def quote_around(price: float, half_spread: float) -> tuple[float, float]:
    """Bid and ask: price ∓ price × `half_spread` (a fraction), rounded outward to the tick."""
    half = price * half_spread
    bid = round_down_to_tick((price - half) * (1.0 + _NOISE))
    ask = round_up_to_tick((price + half) * (1.0 - _NOISE))
    return float(bid), float(ask)


class RangeOfDays:
    """The sessions of a replay, one after the other."""

    def __init__(
        self, tape: Tape, symbols: Sequence[str], sessions: Sessions, *, intraday: bool, spread_bps: float
    ) -> None:
        self._tape = tape
        self._symbols = tuple(symbols)
        self._sessions = sessions
        self._intraday = intraday
        self._spread_bps = spread_bps
        self._actions = {symbol: _by_ex_date(tape.actions(symbol)) for symbol in symbols}

    def actions(self, session: date) -> list[CorporateAction]:
        """What happens to holders on the session's morning."""
        found = (self._actions[symbol].get(session) for symbol in self._symbols)
        return [action for action in found if action is not None]

    def day(self, session: date) -> DayPrices:
        open_ns = self._sessions.open_ns(session)
        return DayPrices({s: self._symbol_day(s, session, open_ns) for s in self._symbols}, self._spread_bps)

    def _symbol_day(self, symbol: str, session: date, open_ns: int) -> SymbolDay:
        daily = self._tape.daily(symbol)
        row = int(np.searchsorted(daily.start_ns, open_ns))
        there = row < len(daily.start_ns) and int(daily.start_ns[row]) == open_ns
        previous = float(daily.close[row - 1]) if row else nan
        action = self._actions[symbol].get(session)
        if action is not None:
            previous = ex_price(previous, action.split_ratio, action.cash_usd)
        return SymbolDay(
            Bars._make(column[row : row + there] for column in daily),
            self._tape.minutes(symbol, session) if self._intraday else None,
            open_ns,
            previous,
            listed=bool(row) or there,
        )


def _by_ex_date(actions: Sequence[CorporateAction]) -> dict[date, CorporateAction]:
    """One action a day: cash for each old share, then the split."""
    found: dict[date, CorporateAction] = {}
    for action in sorted(actions, key=lambda action: (action.ex_date, action.split_ratio != 1.0)):
        before = found.get(action.ex_date)
        if before is not None:
            cash = before.cash_usd + action.cash_usd * before.split_ratio
            action = action._replace(split_ratio=before.split_ratio * action.split_ratio, cash_usd=cash)
        found[action.ex_date] = action
    return found
