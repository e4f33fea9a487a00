"""What the page about signals says of numbers is what the sizer does."""

from __future__ import annotations

from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.core.sizing import order_quantity, target_weights

TEXT = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
EQUITY_USD = 100_000.0
LIMITS = config.limits(Settings())


def target_usd(signal: float, held_usd: float = 0.0) -> float:
    """NaN: hold."""
    out = np.empty(1)
    target_weights(np.array([signal]), np.array([nan]), np.array([held_usd]), EQUITY_USD, LIMITS, out)
    return float(out[0] * EQUITY_USD)


def ordered(signal: float, *, held: float, price: float) -> float:
    """Signed shares."""
    usd, weight = held * price, target_usd(signal, held * price) / EQUITY_USD
    known = (usd, usd, price, price, EQUITY_USD, EQUITY_USD)
    return order_quantity(weight, held, 0.0, *known, LIMITS, False)


def test_the_page_names_the_defaults() -> None:
    assert f"`threshold` ({LIMITS.threshold:g})" in TEXT
    assert f"`max_position_pct` ({LIMITS.max_position_pct:g})" in TEXT
    assert f"`min_order_notional` (${LIMITS.min_order_notional:g})" in TEXT
    assert f"`max_gross_exposure` ({LIMITS.max_gross_exposure:.2f})" in TEXT
    assert f"`stale_signal_seconds` ({LIMITS.stale_signal_seconds:g})" in TEXT


def test_half_a_signal_aims_at_half_of_the_largest_position() -> None:
    assert "AAPL=0.5 aims at $2500 of AAPL, AAPL=1 at $5000" in TEXT
    assert target_usd(0.5) == pytest.approx(2500)
    assert target_usd(1.0) == pytest.approx(5000)


@pytest.mark.parametrize("signal", [0.0, 0.05, 0.0999, -0.0999, nan])
def test_a_signal_below_the_threshold_holds(signal: float) -> None:
    assert isnan(target_usd(signal, held_usd=5000.0))
    assert ordered(signal, held=50.0, price=100.0) == 0.0


@pytest.mark.parametrize("signal", [-0.1, -1.0])
def test_a_signal_at_or_below_the_negative_threshold_sells_all_of_it(signal: float) -> None:
    assert ordered(signal, held=50.0, price=100.0) == -50.0


def test_a_smaller_signal_reduces() -> None:
    assert "then AAPL=0.4: the target is $2000, and the desk sells about\n$3000 worth" in TEXT
    assert ordered(0.4, held=50.0, price=100.0) == -30.0


def test_a_tenth_of_the_target_or_fifty_dollars_is_not_traded() -> None:
    assert ordered(0.4, held=22.0, price=100.0) == 0.0
    assert ordered(0.4, held=22.1, price=100.0) == -2.0  # $210 is more than a tenth
    assert ordered(0.1, held=51.0, price=9.0) == 0.0  # $41 from the target


def test_a_sale_that_would_leave_less_than_the_smallest_order_sells_all() -> None:
    small = 0.0004  # $40 of equity
    sold = order_quantity(
        small, 100.0, 0.0, 1000.0, 1000.0, 10.0, 10.0, EQUITY_USD, EQUITY_USD, LIMITS, False
    )
    assert sold == -100.0  # not the 96 that are above the target


def test_a_target_below_a_share_buys_nothing() -> None:
    assert "At $665 a share, AAPL=0.1 ($500) therefore" in TEXT
    assert ordered(0.1, held=0.0, price=665.0) == 0.0
