"""What an exit has left to sell when the broker books a split between its order and its next attempt."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.engine.protection.forced_exits import after_splits


def booked_by(ratio: Fraction, old: int) -> tuple[Decimal, Decimal]:
    """(shares after, what the lines brought) of a split of `old` shares, cash for a fraction."""
    new = Decimal(int(old * ratio))
    return new, new - old


@given(
    old=st.integers(1, 5000),
    ratio=st.builds(Fraction, st.integers(1, 20), st.integers(1, 20)),
    part=st.fractions(0, 1),
)
def test_the_same_part_of_the_position_is_left_to_sell(old: int, ratio: Fraction, part: Fraction) -> None:
    """To the share; never more than is held, and never less than what a share of it may be rounded away."""
    leaves = Decimal(int(old * part))
    held, booked = booked_by(ratio, old)
    result = after_splits(leaves, held, booked)
    assert 0 <= result <= held
    if booked:
        exact = leaves * held / old
        assert exact <= result < exact + 1
    else:
        assert result == leaves


@given(old=st.integers(1, 5000), ratio=st.integers(2, 20))
def test_shares_that_come_after_the_last_one_was_sold_are_sold_too(old: int, ratio: int) -> None:
    """An exit that left nothing was to leave nothing."""
    came = Decimal(old * (ratio - 1))
    assert after_splits(Decimal(0), came, came) == came


@pytest.mark.parametrize("leaves", [0, 1, 25])
def test_without_a_split_it_is_what_the_orders_left(leaves: int) -> None:
    assert after_splits(Decimal(leaves), Decimal(100), Decimal(0)) == leaves
