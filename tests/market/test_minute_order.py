"""Minute bars in the order of a replay, against numpy's own sorting."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.walk.columns import MINUTE_BAR
from trading_assets.market.bars import Bars
from trading_assets.market.minute_order import NumberedBars, ascend, by_session

OPENS = np.array([1_000, 2_000, 3_000], np.int64)
CLOSES = np.array([1_400, 2_200, 3_400], np.int64)  # the second is a half day
SYMBOLS = 3


def in_parts(cuts: list[int], symbol: Any, bars: Bars) -> list[NumberedBars]:
    """The rows cut at those places, some of the parts without any."""
    edges = [0, *sorted(cuts), len(symbol)]
    return [
        NumberedBars.of(symbol[begin:end], Bars(*(column[begin:end] for column in bars)))
        for begin, end in pairwise(edges)
    ]


@st.composite
def bars_of_symbols(draw: st.DrawFn) -> list[tuple[int, int]]:
    """(symbol's number, start), ascending, inside and outside of the sessions."""
    one = st.tuples(st.integers(0, SYMBOLS - 1), st.integers(1_000, 3_900))
    return sorted(draw(st.sets(one, max_size=40)))


@given(bars_of_symbols(), st.data())
def test_bars_are_put_by_session_symbol_and_time_and_only_regular_hours_stay(
    keys: list[tuple[int, int]], data: st.DataObject
) -> None:
    symbol = np.array([number for number, _ in keys], np.int32)
    start = np.array([start for _, start in keys], np.int64)
    prices = [np.arange(len(keys)) + 1000.0 * column for column in range(5)]
    cuts = data.draw(st.lists(st.integers(0, len(keys)), max_size=3))
    parts = in_parts(cuts, symbol, Bars(start, start + 60, *prices))
    first, rows, volume = by_session(parts, OPENS, CLOSES, SYMBOLS)

    expected: dict[tuple[int, int], list[int]] = {}
    for row, (number, at) in enumerate(keys):
        session = int(np.searchsorted(OPENS, at, side="right")) - 1
        if at < CLOSES[session]:
            expected.setdefault((session, number), []).append(row)
    flat: list[Any] = []
    for session in range(len(OPENS)):
        for number in range(SYMBOLS):
            place = session * SYMBOLS + number
            of_place = expected.get((session, number), [])
            assert rows["start_ns"][first[place] : first[place + 1]].tolist() == start[of_place].tolist()
            flat += of_place
    assert first[-1] == len(rows) == len(flat)
    assert rows.dtype == MINUTE_BAR
    assert rows["end_ns"].tolist() == (start[flat] + 60).tolist()
    for name, column in zip(("open", "high", "low", "close"), prices, strict=False):
        assert rows[name].tolist() == column[flat].tolist()
    assert volume.tolist() == prices[4][flat].tolist()


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 3)), max_size=6), st.data())
def test_rows_ascend_where_sorting_and_leaving_out_repetitions_changes_nothing(
    keys: list[tuple[int, int]], data: st.DataObject
) -> None:
    symbol = np.array([number for number, _ in keys], np.int32)
    start = np.array([at for _, at in keys], np.int64)
    cuts = data.draw(st.lists(st.integers(0, len(keys)), max_size=3))
    parts = in_parts(cuts, symbol, Bars(start, start, *[np.zeros(len(keys))] * 5))
    assert ascend(parts) == (keys == sorted(set(keys)) and -1 not in symbol)
