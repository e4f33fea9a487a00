"""The loss triggers and the stop: below, at and above, and what must not fire them."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

import pytest
from cases.gate_cases import LIMITS, NOW, before
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.breakers import (
    daily_loss,
    drawdown,
    e0_agrees,
    higher_peak,
    is_tripped,
    stop_hit,
    stop_price,
    unit_value,
)


@pytest.mark.parametrize(
    ("equity", "fires"), [(99_000.01, False), (99_000.0, True), (98_999.99, True), (101_000.0, False)]
)
def test_session_drawdown_fires_at_its_limit(equity: float, fires: bool) -> None:
    assert is_tripped(drawdown(100_000.0, equity), LIMITS.session_drawdown) is fires


@pytest.mark.parametrize(("equity", "fires"), [(98_000.01, False), (98_000.0, True), (97_999.99, True)])
@pytest.mark.parametrize("transfers", [0.0, 25_000.0, -25_000.0])
def test_daily_loss_fires_at_its_limit_whatever_was_paid_in_or_out(
    equity: float, fires: bool, transfers: float
) -> None:
    measured = daily_loss(100_000.0, equity + transfers, transfers)
    assert is_tripped(measured, LIMITS.max_daily_loss) is fires


@pytest.mark.parametrize(("unit", "fires"), [(1.08001, False), (1.08, True), (1.07999, True)])
def test_max_drawdown_fires_at_its_limit(unit: float, fires: bool) -> None:
    assert is_tripped(drawdown(1.2, unit), LIMITS.max_drawdown) is fires


def test_an_infinite_limit_never_fires() -> None:
    assert not is_tripped(drawdown(100.0, 1e-6), inf)


@pytest.mark.parametrize("missing", [nan, inf, -inf])
def test_a_missing_figure_fires_nothing(missing: float) -> None:
    assert isnan(drawdown(100.0, missing))
    assert isnan(drawdown(missing, 100.0))
    assert isnan(daily_loss(missing, 100.0, 0.0))
    assert isnan(daily_loss(100.0, missing, 0.0))
    assert isnan(daily_loss(100.0, 100.0, missing))
    assert isnan(unit_value(1.0, 100.0, missing, 0.0))
    assert isnan(unit_value(1.0, 0.0, 100.0, 0.0))
    assert not is_tripped(nan, 0.0)


def test_the_peak_is_seeded_with_the_larger_and_only_rises() -> None:
    assert higher_peak(100.0, 101.0) == 101.0
    assert higher_peak(101.0, 100.0) == 101.0
    assert higher_peak(101.0, nan) == 101.0
    assert higher_peak(101.0, inf) == 101.0
    assert higher_peak(nan, 100.0) == 100.0


@given(
    steps=st.lists(st.tuples(st.floats(-0.05, 0.05), st.floats(-20_000, 20_000)), min_size=1, max_size=20),
)
def test_transfers_do_not_move_the_unit_value(steps: list[tuple[float, float]]) -> None:
    equity, unit, untouched = 100_000.0, 1.0, 1.0
    for gain, transfer in steps:
        after = equity * (1 + gain)
        transfer = max(transfer, -after / 2)
        unit = unit_value(unit, equity, after + transfer, transfer)
        untouched *= 1 + gain
        equity = after + transfer
    assert unit == pytest.approx(untouched, rel=1e-9)


@pytest.mark.parametrize(
    ("last_equity", "agrees"),
    [(100_100.0, True), (99_900.0, True), (100_100.01, False), (99_899.99, False), (nan, False)],
)
def test_e0_agrees_within_a_tenth_of_a_percent(last_equity: float, agrees: bool) -> None:
    assert e0_agrees(last_equity, 90_000.0, 10_000.0) is agrees


def test_e0_without_a_stored_close_does_not_agree() -> None:
    assert not e0_agrees(100_000.0, nan, 0.0)


STOP: dict[str, Any] = {
    "bid": 95.0,
    "ask": 95.1,
    "quote_as_of_ns": before(1),
    "last_trade": 95.0,
    "trade_as_of_ns": before(1),
    "average_cost": 100.0,
    "now_ns": NOW,
    "limits": LIMITS,
}


@pytest.mark.parametrize(
    ("changed", "fires"),
    [
        ({}, True),
        ({"bid": 94.99}, True),
        ({"bid": 95.01}, False),
        ({"ask": nan}, True),
        ({"ask": 0.0}, True),
        ({"ask": 94.9}, False),
        ({"bid": 0.0}, False),
        ({"bid": nan}, False),
        ({"quote_as_of_ns": before(15)}, True),
        ({"quote_as_of_ns": before(15.001)}, False),
        ({"quote_as_of_ns": 0}, False),
        ({"trade_as_of_ns": before(300)}, True),
        ({"trade_as_of_ns": before(300.001)}, False),
        ({"trade_as_of_ns": 0}, False),
        ({"last_trade": 95.95}, True),
        ({"last_trade": 95.96}, False),
        ({"last_trade": 94.05}, True),
        ({"last_trade": 94.04}, False),
        ({"last_trade": nan}, False),
        ({"average_cost": nan}, False),
        ({"average_cost": 0.0}, False),
        ({"limits": LIMITS._replace(stop_loss=inf)}, False),
    ],
)
def test_a_stop_fires_on_a_fresh_bid_that_a_recent_trade_confirms(
    changed: dict[str, Any], fires: bool
) -> None:
    assert stop_hit(*(STOP | changed).values()) is fires


def test_the_stop_price_is_below_the_average_cost_by_the_stop_loss() -> None:
    assert stop_price(100.0, LIMITS) == 95.0
