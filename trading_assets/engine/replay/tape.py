"""Where a replay's bars come from, and each session's prices as the columns that the walk reads.

What a price is at an instant (a bar is there at its end, the session's open from the open on) and the quote
around it are `core.walk.orders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.walk.columns import MINUTE_BAR, SYMBOL_DAY, Day
from trading_assets.engine.replay.daily_stack import DailyStack
from trading_assets.engine.replay.gaps import DailyGaps, minute_gaps
from trading_assets.errors import InvalidInput
from trading_assets.market.actions import ex_price
from trading_assets.market.bars import Bars, CorporateAction, Interval, Tape
from trading_assets.market.bundle import BundledTape
from trading_assets.market.minute_order import by_session
from trading_assets.market.quarantine.rules import BREAK_NAMES
from trading_assets.market.sessions import Sessions
from trading_assets.store.bar_history import (
    actions_until,
    last_receipt,
    minutes_digest,
    newest_bars,
    newest_bars_between,
)
from trading_assets.store.bar_quarantine import breaks
from trading_assets.store.history import History

Flags = NDArray[np.bool_]

EVER_NS = np.iinfo(np.int64).max
ROWS_AT_ONCE = 3_500_000  # minute bars in memory, 56 bytes each; each reading goes through the whole file
SESSION_MINUTES = 390
_DERIVED = """
SELECT coalesce(bool_or(derived), false) AS derived FROM bars
WHERE "interval" = '1m' AND session BETWEEN ? AND ?
"""


class SessionMinutes(NamedTuple):
    """A session's minute bars of n symbols: those of symbol i are first[i] … first[i + 1] − 1, ascending."""

    first: NDArray[np.int64]  # (n + 1,)
    bars: NDArray[np.void]  # core.walk.columns.MINUTE_BAR
    volume: NDArray[np.float64]


class HistoryTape:
    """`market.bars.Tape` over what the desk's history has received, newest version of each bar. Minutes are
    read some sessions at a time, so that a range of any length takes no more memory."""

    def __init__(
        self, history: History, symbols: Sequence[str], days: Sequence[date], *, intraday: bool
    ) -> None:
        """days: the sessions whose minute bars are wanted when `intraday`; their last ends what is read."""
        self._history = history
        self._symbols = tuple(symbols)
        self._days = {day: number for number, day in enumerate(days)} if intraday else {}
        with history.reading():
            self._daily = newest_bars(history, symbols, Interval.DAY, since_ns=0, as_of_ns=EVER_NS)
            self._actions = actions_until(history, symbols, days[-1], as_of_ns=EVER_NS)
            self._last_break = {
                symbol: date.fromordinal(known[-1])
                for symbol, all_days in breaks(history, Interval.DAY, BREAK_NAMES).items()
                if (known := [day for day in all_days if days[0].toordinal() < day <= days[-1].toordinal()])
            }
            self._as_of_ns = last_receipt(history)  # what comes while it is read is not of it
            self._derived = intraday and bool(
                history.query(_DERIVED, [days[0], days[-1]])["derived"][0].as_py()
            )
        self._at_once = max(1, ROWS_AT_ONCE // (SESSION_MINUTES * len(self._symbols)))
        self._block: _Block | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    @property
    def derived(self) -> bool:
        return self._derived

    def is_derived(self, symbol: str, session: date) -> bool:
        """As of the whole range: it is what is shown of a replay."""
        return self._derived

    def daily(self, symbol: str) -> Bars:
        return self._daily[symbol]

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return self._actions[symbol]

    def last_break(self, symbol: str) -> date | None:
        """The last day after the first wanted one on which the symbol's prices were found to become those of
        another share, and its row was left out."""
        return self._last_break.get(symbol)

    def minutes(self, symbol: str, session: date) -> Bars:
        """Those of regular hours."""
        minutes, row = self.session_minutes(session), self._symbols.index(symbol)
        of_symbol = slice(minutes.first[row], minutes.first[row + 1])
        bars = minutes.bars[of_symbol]
        return Bars._make([*(bars[name] for name in MINUTE_BAR.names or ()), minutes.volume[of_symbol]])

    def session_minutes(self, session: date) -> SessionMinutes:
        """Those of regular hours, symbols in the tape's order. Raises KeyError for a session not wanted."""
        number = self._days[session]
        if self._block is None or not self._block.begin <= number < self._block.end:
            self._block = None  # first, so that no two are in memory
            begin = number - number % self._at_once
            self._block = self._read(begin, min(begin + self._at_once, len(self._days)))
        return self._block.session(number)

    def minutes_digest(self, first: date, last: date) -> str:
        """What differs where a minute bar of the sessions first … last does. 10⁷ take 0.1 s to 0.4 s."""
        return minutes_digest(self._history, self._symbols, first, last, as_of_ns=self._as_of_ns)

    def _read(self, begin: int, end: int) -> _Block:
        opens, closes = Sessions().hours(list(self._days)[begin:end])
        parts = newest_bars_between(
            self._history,
            self._symbols,
            Interval.MINUTE,
            int(opens[0]),
            int(closes[-1]),
            as_of_ns=self._as_of_ns,
        )
        first, rows, volume = by_session(parts, opens, closes, len(self._symbols))
        return _Block(begin, end, len(self._symbols), first, rows, volume)


class _Block(NamedTuple):
    """The minutes of successive sessions, by session, symbol and time."""

    begin: int  # the sessions' numbers
    end: int
    symbols: int
    first: NDArray[np.int64]  # of each session and symbol, and the end of the last
    bars: NDArray[np.void]
    volume: NDArray[np.float64]

    def session(self, number: int) -> SessionMinutes:
        at = (number - self.begin) * self.symbols
        first = self.first[at : at + self.symbols + 1]
        rows = slice(first[0], first[-1])
        return SessionMinutes(first - first[0], self.bars[rows], self.volume[rows])


def session_minutes(tape: Tape, symbols: Sequence[str], session: date) -> SessionMinutes:
    """A session's minutes on any tape."""
    if isinstance(tape, HistoryTape) and tape.symbols == tuple(symbols):
        return tape.session_minutes(session)
    minutes = [tape.minutes(symbol, session) for symbol in symbols]
    first = np.append(0, np.cumsum([len(bars.start_ns) for bars in minutes]))
    rows = np.empty(int(first[-1]), MINUTE_BAR)
    for name in MINUTE_BAR.names or ():
        rows[name] = np.concatenate([getattr(bars, name) for bars in minutes])
    return SessionMinutes(first, rows, np.concatenate([bars.volume for bars in minutes]))


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
        tape = HistoryTape(history, symbols, days, intraday=intraday)
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
        self._daily = DailyStack([tape.daily(symbol) for symbol in self.symbols])
        self._gaps = DailyGaps(self._daily, sessions)
        last = [tape.last_break(one) if isinstance(tape, HistoryTape) else None for one in self.symbols]
        self._last_break = np.array([0 if day is None else day.toordinal() for day in last], np.int64)
        self._actions: dict[date, list[CorporateAction]] = {}
        for symbol in self.symbols:
            for ex_date, action in _by_ex_date(tape.actions(symbol)).items():
                self._actions.setdefault(ex_date, []).append(action)

    def actions(self, session: date) -> list[CorporateAction]:
        """What happens to holders on the session's morning."""
        return self._actions.get(session, [])

    def last_prices_of_gone(self, session: date) -> dict[str, float]:
        """Symbol → its last close, for those whose bars have ended before the session: delisted."""
        place, _ = self._daily.starting_at(self._sessions.open_ns(session))
        gone = np.flatnonzero((place == self._daily.begin[1:]) & (place > self._daily.begin[:-1]))
        return {self.symbols[row]: float(self._daily.bars.close[place[row] - 1]) for row in gone.tolist()}

    def incomplete(self, session: date, day: Day, tick_ns: Sequence[int]) -> tuple[Flags, int]:
        """Which symbols' bars are incomplete at each tick, (ticks, n), and how many symbols there are."""
        daily, counts = self._gaps.at(session)
        gaps = np.repeat(daily[None, :], len(tick_ns), axis=0)
        if self._intraday:
            ticks = np.array(tick_ns, dtype=np.int64)
            gaps |= minute_gaps(day, self._sessions.open_ns(session), ticks) & counts
        return gaps, int(counts.sum())

    def before_break(self, session: date) -> Flags:
        """Of each symbol, whether its prices become those of another share in a later session of the replay:
        what is bought before cannot be valued after it."""
        return self._last_break > session.toordinal()

    def day(self, session: date) -> Day:
        """The session's prices."""
        open_ns, daily = self._sessions.open_ns(session), self._daily.bars
        place, there = self._daily.starting_at(open_ns)
        before, today = place > self._daily.begin[:-1], place[there]
        symbols = np.zeros(len(self.symbols), SYMBOL_DAY)
        symbols["open"] = symbols["close"] = symbols["previous_close"] = nan
        symbols["previous_close"][before] = daily.close[place[before] - 1]
        symbols["close"][there], symbols["close_ns"][there] = daily.close[today], daily.end_ns[today]
        symbols["listed"] = before | there
        for action in self.actions(session):
            row = symbols[self.symbols.index(action.symbol)]
            row["previous_close"] = ex_price(
                float(row["previous_close"]), action.split_ratio, action.cash_usd
            )
        if not self._intraday:
            symbols["open"][there] = daily.open[today]
            return Day(symbols, np.zeros(len(symbols) + 1, np.int64), np.zeros(0, MINUTE_BAR))
        first, bars, _ = session_minutes(self._tape, self.symbols, session)
        opened = first[:-1] < first[1:]
        opened[opened] = bars["start_ns"][first[:-1][opened]] == open_ns
        symbols["open"][opened] = bars["open"][first[:-1][opened]]
        return Day(symbols, first, bars)


def _by_ex_date(actions: Sequence[CorporateAction]) -> dict[date, CorporateAction]:
    """One action a day: cash for each old share, then the split."""
    by_date: dict[date, CorporateAction] = {}
    for action in sorted(actions, key=lambda action: (action.ex_date, action.split_ratio != 1.0)):
        before = by_date.get(action.ex_date)
        if before is not None:
            cash = before.cash_usd + action.cash_usd * before.split_ratio
            action = action._replace(split_ratio=before.split_ratio * action.split_ratio, cash_usd=cash)
        by_date[action.ex_date] = action
    return by_date
