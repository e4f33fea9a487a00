"""Usable quotes, the mark, ticks (against Decimal), and what "at most" means."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import inf, isnan, nan, nextafter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading_assets.core.prices import is_usable, mark, mid_price, round_down_to_tick, round_up_to_tick
from trading_assets.core.stamps import seconds_between
from trading_assets.core.tolerance import at_least, at_most

computed_prices = st.one_of(
    st.floats(1e-4, 1e6),
    st.integers(1, 10_000_000).map(lambda cents: cents / 100),
    st.integers(1, 20_000).map(lambda ticks: ticks * 0.0001),
    st.tuples(st.integers(1, 10_000_000), st.integers(1, 1000)).map(lambda p: p[0] / 100 * (1 + p[1] / 1e4)),
    st.integers(1, 10_000_000).map(lambda cents: nextafter(cents / 100, inf)),
    st.integers(1, 10_000_000).map(lambda cents: nextafter(cents / 100, 0.0)),
)


def decimal_tick(price: float, rounding: str) -> float:
    text = Decimal(repr(price))
    return float(text.quantize(Decimal("0.01") if text >= 1 else Decimal("0.0001"), rounding))


@given(computed_prices)
@example(0.29)
@example(1.0)
@example(0.99995)
@example(1.15)
@example(8.2)
def test_ticks_are_what_rounding_the_decimal_text_gives(price: float) -> None:
    assert round_down_to_tick(price) == decimal_tick(price, ROUND_FLOOR)
    assert round_up_to_tick(price) == decimal_tick(price, ROUND_CEILING)


@pytest.mark.parametrize("no_price", [nan, inf, -inf, 0.0, -1.0, 1e9])
def test_what_is_no_price_has_no_tick(no_price: float) -> None:
    assert isnan(round_down_to_tick(no_price))
    assert isnan(round_up_to_tick(no_price))


@pytest.mark.parametrize(
    ("bid", "ask", "usable"),
    [
        (10.0, 10.1, True),
        (10.0, 10.0, True),
        (10.1, 10.0, False),
        (0.0, 10.0, False),
        (10.0, 0.0, False),
        (nan, 10.0, False),
        (10.0, nan, False),
        (10.0, inf, False),
        (-1.0, 10.0, False),
    ],
)
def test_a_quote_is_usable_with_both_sides_positive_and_not_crossed(
    bid: float, ask: float, usable: bool
) -> None:
    assert is_usable(bid, ask) is usable
    assert isnan(mid_price(bid, ask)) is not usable


def test_the_mark_is_mid_else_last_trade_else_last_close_else_nothing() -> None:
    assert mark(9.0, 11.0, 5.0, 4.0) == 10.0
    assert mark(11.0, 9.0, 5.0, 4.0) == 5.0
    assert mark(nan, 9.0, 0.0, 4.0) == 4.0
    assert isnan(mark(nan, 9.0, nan, nan))


def test_at_most_passes_at_equality_and_within_the_tolerance_only() -> None:
    assert at_most(5.0, 5.0)
    assert at_most(5.0 * (1 + 9e-10), 5.0)
    assert not at_most(5.0 * (1 + 2e-9), 5.0)
    assert at_most(1e-12, 0.0)
    assert not at_most(2e-12, 0.0)
    assert at_most(1e300, inf)


def test_at_least_mirrors_it() -> None:
    assert at_least(5.0, 5.0)
    assert at_least(5.0 * (1 - 9e-10), 5.0)
    assert not at_least(5.0 * (1 - 2e-9), 5.0)
    assert not at_least(1e300, inf)


@pytest.mark.parametrize("limit", [nan, -1.0, 0.0, 1.0, inf])
@pytest.mark.parametrize("x", [nan, inf, -inf])
def test_what_is_not_finite_meets_no_limit(x: float, limit: float) -> None:
    assert not at_most(x, limit)
    assert not at_least(x, limit)


def test_a_missing_limit_is_met_by_nothing() -> None:
    assert not at_most(0.0, nan)
    assert not at_least(0.0, nan)


def test_seconds_between_stamps_are_exact_and_unknown_when_one_is_missing() -> None:
    now = 1_717_430_400 * 10**9
    assert seconds_between(now, now + 70 * 10**9) == 70.0
    assert seconds_between(now + 5 * 10**8, now) == -0.5
    assert isnan(seconds_between(0, now))
    assert isnan(seconds_between(now, -1))
