"""What the replay knows of a symbol at an instant: the exchange's quote, and nothing from after it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import isnan

import pytest
from handmade_bars import HandmadeBars
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine.replay.tape import RangeOfDays, open_tape, quote_around
from trading_assets.errors import InvalidInput
from trading_assets.exchange.quotes import around
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


def days(*, intraday: bool) -> RangeOfDays:
    return RangeOfDays(BundledTape(), SYMBOLS, SESSIONS, intraday=intraday, spread_bps=2.0)


def test_a_daily_session_is_known_by_its_open_until_its_close() -> None:
    session = date(2012, 7, 3)
    prices = days(intraday=False).day(session)
    daily = BundledTape().daily("AAPL")
    row = int((daily.start_ns < SESSIONS.open_ns(session)).sum())
    open_ns, close_ns = SESSIONS.open_ns(session), SESSIONS.close_ns(session)
    assert isnan(prices.at("AAPL", open_ns - 1).last_trade)
    assert prices.mark("AAPL", open_ns - 1) == daily.close[row - 1]
    assert prices.at("AAPL", open_ns).last_trade == daily.open[row]
    assert prices.at("AAPL", close_ns - 1).last_trade == daily.open[row]
    assert prices.at("AAPL", close_ns).last_trade == daily.close[row]


def test_an_intraday_price_is_that_of_the_last_minute_that_ended() -> None:
    session = date(2012, 7, 3)
    prices = days(intraday=True).day(session)
    minutes = BundledTape().minutes("IBM", session)
    open_ns = SESSIONS.open_ns(session)
    assert prices.at("IBM", open_ns).last_trade == minutes.open[0]
    assert prices.at("IBM", open_ns + MINUTE_NS - 1).last_trade == minutes.open[0]
    price = prices.at("IBM", open_ns + 2 * MINUTE_NS)
    assert (price.last_trade, price.trade_ns) == (minutes.close[1], open_ns + 2 * MINUTE_NS)
    assert price.bid < price.last_trade < price.ask


def test_the_previous_close_is_in_todays_shares() -> None:
    split = days(intraday=False).day(date(2005, 2, 28))  # AAPL 2:1
    daily = BundledTape().daily("AAPL")
    row = int((daily.start_ns < SESSIONS.open_ns(date(2005, 2, 28))).sum())
    assert split.days["AAPL"].previous_close == daily.close[row - 1] / 2


def test_a_symbol_before_its_listing_has_no_price_and_is_not_listed() -> None:
    price = days(intraday=False).day(date(2012, 5, 17)).at("FB", SESSIONS.close_ns(date(2012, 5, 17)))
    assert isnan(price.bid)
    assert isnan(price.mark)
    assert not price.listed
    assert days(intraday=False).day(date(2012, 5, 18)).days["FB"].listed


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
    of_range = RangeOfDays(tape, ["AAPL"], SESSIONS, intraday=False, spread_bps=2.0)
    (action,) = of_range.actions(day)
    assert (action.split_ratio, action.cash_usd) == (4.0, 2.0)
    assert of_range.day(day).days["AAPL"].previous_close == (100.0 - 2.0) / 4.0


def test_the_newest_version_of_a_bar_counts(bars: HandmadeBars) -> None:
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 2)
    table = bars.history.query("SELECT * FROM bars ORDER BY session LIMIT 1").to_pylist()[0]
    History(bars.history.path).append("bars", [{**table, "close": 99.0, "low": 99.0, "version": 2}])
    tape = open_tape(bars.history, ["AAPL"], "history", bars.days[:2], intraday=False)
    assert tape.daily("AAPL").close.tolist() == [99.0, 100.0, 100.0]
