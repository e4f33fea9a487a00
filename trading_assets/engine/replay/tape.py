"""Where a replay's bars come from, and each session's prices as the columns that the walk reads.

What a price is at an instant (a bar is there at its end, the session's open from the open on) and the quote
around it are `core.walk_orders`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import nan

import numpy as np

from trading_assets.core.walk_columns import MINUTE_BAR, SYMBOL_DAY, Day
from trading_assets.errors import InvalidInput
from trading_assets.market.actions import ex_price
from trading_assets.market.bars import Bars, CorporateAction, Interval, Tape
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.bar_history import actions_until, newest_bars
from trading_assets.store.history import History

EVER_NS = np.iinfo(np.int64).max
_DERIVED = """
SELECT coalesce(bool_or(derived), false) AS derived FROM bars
WHERE "interval" = '1m' AND session BETWEEN ? AND ?
"""


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


class RangeOfDays:
    """The sessions of a replay, one after the other. Symbols are rows in ascending order of their names."""

    def __init__(self, tape: Tape, symbols: Sequence[str], sessions: Sessions, *, intraday: bool) -> None:
        self.symbols = tuple(sorted(symbols))
        self._tape = tape
        self._sessions = sessions
        self._intraday = intraday
        self._actions = {symbol: _by_ex_date(tape.actions(symbol)) for symbol in self.symbols}

    def actions(self, session: date) -> list[CorporateAction]:
        """What happens to holders on the session's morning."""
        found = (self._actions[symbol].get(session) for symbol in self.symbols)
        return [action for action in found if action is not None]

    def last_prices_of_gone(self, session: date) -> dict[str, float]:
        """Symbol → its last close, for those whose bars have ended before the session: delisted."""
        open_ns = self._sessions.open_ns(session)
        daily = {symbol: self._tape.daily(symbol) for symbol in self.symbols}
        return {
            symbol: float(bars.close[-1])
            for symbol, bars in daily.items()
            if len(bars.start_ns) and bars.start_ns[-1] < open_ns
        }

    def day(self, session: date) -> Day:
        """The session's prices."""
        open_ns, count = self._sessions.open_ns(session), len(self.symbols)
        symbols, minutes = np.zeros(count, SYMBOL_DAY), []
        for row, symbol in enumerate(self.symbols):
            if self._intraday:
                minutes.append(self._tape.minutes(symbol, session))
            self._fill_row(symbols[row], symbol, session, open_ns, minutes[-1] if minutes else None)
        first = np.zeros(count + 1, np.int64)
        first[1:] = np.cumsum([len(bars.start_ns) for bars in minutes]) if minutes else 0
        bars = np.zeros(first[-1], MINUTE_BAR)
        if minutes:
            for name in MINUTE_BAR.names or ():
                bars[name] = np.concatenate([getattr(of_symbol, name) for of_symbol in minutes])
        return Day(symbols, first, bars)

    def _fill_row(self, row: np.void, symbol: str, session: date, open_ns: int, minutes: Bars | None) -> None:
        daily = self._tape.daily(symbol)
        at = int(np.searchsorted(daily.start_ns, open_ns))
        there = at < len(daily.start_ns) and int(daily.start_ns[at]) == open_ns
        previous = float(daily.close[at - 1]) if at else nan
        action = self._actions[symbol].get(session)
        if action is not None:
            previous = ex_price(previous, action.split_ratio, action.cash_usd)
        row["previous_close"], row["listed"] = previous, bool(at) or there
        row["open"], row["close"] = nan, float(daily.close[at]) if there else nan
        row["close_ns"] = int(daily.end_ns[at]) if there else 0
        if minutes is None and there:
            row["open"] = float(daily.open[at])
        elif minutes is not None and len(minutes.start_ns) and minutes.start_ns[0] == open_ns:
            row["open"] = float(minutes.open[0])


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
