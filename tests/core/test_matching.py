from __future__ import annotations

from math import isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar, stop_price_in_bar
from trading_assets.core.words import Side

BUY, SELL = int(Side.BUY), int(Side.SELL)
prices = st.integers(1, 100_000).map(lambda cents: cents / 100.0)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("side", "limit", "bid", "ask", "expected"),
    [
        (BUY, nan, 99.0, 101.0, 101.0),
        (SELL, nan, 99.0, 101.0, 99.0),
        (BUY, 100.99, 99.0, 101.0, nan),
        (BUY, 101.0, 99.0, 101.0, 101.0),
        (BUY, 101.01, 99.0, 101.0, 101.0),
        (SELL, 99.01, 99.0, 101.0, nan),
        (SELL, 99.0, 99.0, 101.0, 99.0),
        (SELL, 98.99, 99.0, 101.0, 99.0),
        (BUY, nan, 99.0, 0.0, nan),
        (SELL, nan, 0.0, 101.0, nan),
        (BUY, 101.0, 99.0, nan, nan),
        (SELL, 99.0, nan, 101.0, nan),
    ],
)
def test_a_marketable_order_takes_the_far_side_of_the_quote(
    side: int, limit: float, bid: float, ask: float, expected: float, plain: bool
) -> None:
    function = getattr(fill_price_at_quote, "py_func", fill_price_at_quote) if plain else fill_price_at_quote
    assert function(side, limit, bid, ask) == pytest.approx(expected, abs=0.0, nan_ok=True)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (BUY, nan, 100.0),
        (SELL, nan, 100.0),
        (BUY, 94.99, nan),
        (BUY, 95.0, 95.0),
        (BUY, 99.99, 99.99),
        (BUY, 100.0, 100.0),
        (BUY, 120.0, 100.0),
        (SELL, 110.01, nan),
        (SELL, 110.0, 110.0),
        (SELL, 100.01, 100.01),
        (SELL, 100.0, 100.0),
        (SELL, 80.0, 100.0),
    ],
)
def test_in_a_bar_a_market_order_gets_the_open_and_a_limit_order_the_better_of_open_and_limit(
    side: int, limit: float, expected: float, plain: bool
) -> None:
    function = getattr(fill_price_in_bar, "py_func", fill_price_in_bar) if plain else fill_price_in_bar
    assert function(side, limit, 100.0, 110.0, 95.0) == pytest.approx(expected, abs=0.0, nan_ok=True)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_bar_without_prices_fills_nothing(side: int) -> None:
    assert isnan(fill_price_in_bar(side, nan, nan, nan, nan))
    assert isnan(fill_price_in_bar(side, 10.0, nan, nan, nan))
    assert isnan(fill_price_in_bar(side, 10.0, 0.0, 0.0, 0.0))


@given(st.sampled_from([BUY, SELL]), prices, prices, prices, prices)
def test_a_limit_order_never_trades_at_a_worse_price_nor_outside_the_bar(
    side: int, limit: float, a: float, b: float, c: float
) -> None:
    low, open_, high = sorted((a, b, c))
    price = fill_price_in_bar(side, limit, open_, high, low)
    if isnan(price):
        assert limit < low if side == BUY else limit > high
    else:
        assert low <= price <= high
        assert price <= limit if side == BUY else price >= limit


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("side", "stop", "expected"),
    [
        (BUY, 110.01, nan),
        (BUY, 110.0, 110.0),
        (BUY, 100.01, 100.01),
        (BUY, 100.0, 100.0),
        (BUY, 97.0, 100.0),
        (SELL, 94.99, nan),
        (SELL, 95.0, 95.0),
        (SELL, 99.99, 99.99),
        (SELL, 100.0, 100.0),
        (SELL, 120.0, 100.0),
    ],
)
def test_a_stop_is_elected_at_its_price_or_where_the_bar_opens_beyond_it(
    side: int, stop: float, expected: float, plain: bool
) -> None:
    function = getattr(stop_price_in_bar, "py_func", stop_price_in_bar) if plain else stop_price_in_bar
    assert function(side, stop, 100.0, 110.0, 95.0) == pytest.approx(expected, abs=0.0, nan_ok=True)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_bar_that_is_missing_elects_no_stop(side: int) -> None:
    assert isnan(stop_price_in_bar(side, 10.0, nan, nan, nan))
    assert isnan(stop_price_in_bar(side, 10.0, 0.0, 0.0, 0.0))


@given(side=st.sampled_from([BUY, SELL]), stop=prices, bar=st.tuples(prices, prices, prices).map(sorted))
def test_a_stop_trades_within_the_bar_and_never_better_than_its_price(
    side: int, stop: float, bar: list[float]
) -> None:
    low, open_, high = bar
    price = stop_price_in_bar(side, stop, open_, high, low)
    if isnan(price):
        assert not low <= stop <= high
    else:
        assert low <= price <= high
        assert (price - stop) * side >= 0.0
