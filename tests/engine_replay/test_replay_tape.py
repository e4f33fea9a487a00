"""What the replay knows of a symbol at an instant: the exchange's quote, and nothing from after it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import isnan

import numpy as np
import pytest
from handmade_bars import HandmadeBars
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.walk.columns import Day, Terms
from trading_assets.core.walk.scratch import open_desk, price_symbols, quote_around
from trading_assets.engine.replay.tape import RangeOfDays, open_tape
from trading_assets.errors import InvalidInput
from trading_assets.exchange.quotes import around
from trading_assets.market.bars import Bars
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.history import History

SESSIONS = Sessions()
SYMBOLS = ("AAPL", "FB", "IBM")


@given(st.integers(200, 99_999_999), st.sampled_from(["0.5", "1", "2", "5", "12.5", "50"]))
def test_a_quote_is_the_embedded_exchanges(cents: int, spread_bps: str) -> None:
    price = Decimal(cents) / 100
    bid, ask = quote_around(float(price), float(spread_bps) / 20_000)
    exchanges = around(price, Decimal(spread_bps), 0)
    assert (bid, ask) == (float(exchanges.bid), float(exchanges.ask))


def days(*, intraday: bool, symbols: tuple[str, ...] = SYMBOLS) -> RangeOfDays:
    return RangeOfDays(BundledTape(), symbols, SESSIONS, intraday=intraday)


class Looking:
    """One symbol's session as the walk sees it at ascending instants."""

    def __init__(self, symbol: str, session: date, *, intraday: bool, day: Day | None = None) -> None:
        self._row = SYMBOLS.index(symbol)
        self._day = days(intraday=intraday).day(session) if day is None else day
        self._desk = open_desk(self._day, 0, 0)
        hours = SESSIONS.open_ns(session), SESSIONS.close_ns(session)
        self._terms = Terms(
            0, *hours, 0, MINUTE_NS, MINUTE_NS, 2.0 / 20_000, False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1
        )

    def at(self, now_ns: int) -> np.void:
        """last_trade, quote_ns, bid and ask at `now_ns`."""
        price_symbols(now_ns, self._day, self._terms, self._desk)
        return self._desk.shown[self._row]

    def mark(self, now_ns: int) -> float:
        self.at(now_ns)
        return float(self._desk.symbols[self._row]["mark"])


def test_a_daily_session_is_known_by_its_open_until_its_close() -> None:
    session = date(2012, 7, 3)
    seen = Looking("AAPL", session, intraday=False)
    daily = BundledTape().daily("AAPL")
    row = int((daily.start_ns < SESSIONS.open_ns(session)).sum())
    open_ns, close_ns = SESSIONS.open_ns(session), SESSIONS.close_ns(session)
    assert isnan(seen.at(open_ns - 1)["last_trade"])
    assert seen.mark(open_ns - 1) == daily.close[row - 1]
    assert seen.at(open_ns)["last_trade"] == daily.open[row]
    assert seen.at(close_ns - 1)["last_trade"] == daily.open[row]
    assert seen.at(close_ns)["last_trade"] == daily.close[row]


def test_an_intraday_price_is_that_of_the_last_minute_that_ended() -> None:
    session = date(2012, 7, 3)
    seen = Looking("IBM", session, intraday=True)
    minutes = BundledTape().minutes("IBM", session)
    open_ns = SESSIONS.open_ns(session)
    assert seen.at(open_ns)["last_trade"] == minutes.open[0]
    assert seen.at(open_ns + MINUTE_NS - 1)["last_trade"] == minutes.open[0]
    price = seen.at(open_ns + 2 * MINUTE_NS)
    assert (price["last_trade"], price["quote_ns"]) == (minutes.close[1], open_ns + 2 * MINUTE_NS)
    assert price["bid"] < price["last_trade"] < price["ask"]


class LateTape(BundledTape):
    """The first two minutes have no bar."""

    def minutes(self, symbol: str, session: date) -> Bars:
        return Bars._make(column[2:] for column in super().minutes(symbol, session))


def test_a_session_whose_first_minutes_have_no_bar_has_no_price_until_the_first_bar_ended() -> None:
    session = date(2012, 7, 3)
    day = RangeOfDays(LateTape(), SYMBOLS, SESSIONS, intraday=True).day(session)
    seen, open_ns = Looking("IBM", session, intraday=True, day=day), SESSIONS.open_ns(session)
    assert isnan(seen.at(open_ns + 3 * MINUTE_NS - 1)["last_trade"])
    assert seen.at(open_ns + 3 * MINUTE_NS)["last_trade"] == BundledTape().minutes("IBM", session).close[2]


def test_the_previous_close_is_in_todays_shares() -> None:
    split = days(intraday=False).day(date(2005, 2, 28))  # AAPL 2:1
    daily = BundledTape().daily("AAPL")
    row = int((daily.start_ns < SESSIONS.open_ns(date(2005, 2, 28))).sum())
    assert split.symbols["previous_close"][0] == daily.close[row - 1] / 2


def test_a_symbol_before_its_listing_has_no_price_and_is_not_listed() -> None:
    before, listed = date(2012, 5, 17), date(2012, 5, 18)
    seen = Looking("FB", before, intraday=False)
    assert isnan(seen.at(SESSIONS.close_ns(before))["bid"])
    assert isnan(seen.mark(SESSIONS.close_ns(before)))
    row = SYMBOLS.index("FB")
    assert [bool(days(intraday=False).day(day).symbols["listed"][row]) for day in (before, listed)] == [
        False,
        True,
    ]


def test_a_session_without_any_bar_is_no_session_to_replay(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 3)
    open_tape(bars.history, ["AAPL", "IBM"], "history", bars.days[:3], intraday=False)
    with pytest.raises(InvalidInput, match="in 2 sessions, the first of them 2012-09-13"):
        open_tape(bars.history, ["AAPL", "IBM"], "history", bars.days[:5], intraday=False)


def test_a_symbol_that_is_not_bundled_is_named(bars: HandmadeBars) -> None:
    with pytest.raises(InvalidInput, match="no bundled bars of TSLA"):
        open_tape(bars.history, ["AAPL", "TSLA"], "bundled", bars.days, intraday=False)


def test_a_dividend_and_a_split_of_one_morning_are_one_action(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 3)
    day = bars.days[1]
    bars.plant_action("AAPL", day, cash=2.0)
    bars.plant_action("AAPL", day, split=4.0)
    tape = open_tape(bars.history, ["AAPL"], "history", bars.days[:3], intraday=False)
    of_range = RangeOfDays(tape, ["AAPL"], SESSIONS, intraday=False)
    (action,) = of_range.actions(day)
    assert (action.split_ratio, action.cash_usd) == (4.0, 2.0)
    assert of_range.day(day).symbols["previous_close"][0] == (100.0 - 2.0) / 4.0


def test_the_newest_version_of_a_bar_counts(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 2)
    table = bars.history.query("SELECT * FROM bars ORDER BY session LIMIT 1").to_pylist()[0]
    History(bars.history.path).append("bars", [{**table, "close": 99.0, "low": 99.0, "version": 2}])
    tape = open_tape(bars.history, ["AAPL"], "history", bars.days[:2], intraday=False)
    assert tape.daily("AAPL").close.tolist() == [99.0, 100.0, 100.0]
