"""Entries go by strength: the order is that of a stable sort, whatever the signals are."""

from __future__ import annotations

from math import nan

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from trading_assets.core.decision.columns import CANDIDATE
from trading_assets.core.decision.entry_order import strongest_first

VALUES = st.lists(
    st.sampled_from([-1.0, -0.1, 0.0, nan, 0.1, 0.5, 0.5, 1.0]) | st.floats(-1.0, 1.0), max_size=70
)


@given(VALUES)
@example([0.1 * (number % 7) for number in range(33)])
@example([number / 100 for number in range(64)])
def test_the_strongest_buys_go_first_and_equal_ones_by_symbol(values: list[float]) -> None:
    candidates = np.zeros(len(values), CANDIDATE)
    candidates["value"] = values
    order, room = np.full((2, len(values)), -1)
    strongest_first(candidates, order, room)
    buys = sorted((row for row, value in enumerate(values) if value > 0.0), key=lambda row: -values[row])
    assert order[: len(buys)].tolist() == buys
    assert sorted(order.tolist()) == list(range(len(values)))
