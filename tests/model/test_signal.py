from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trading_assets.model.signal import QUANTILES, quantile_table, signals

finite = st.floats(-5.0, 5.0, width=32)
tables = arrays(np.float64, st.integers(1, 60), elements=finite).map(np.sort)


def test_the_signal_is_twice_the_share_of_scores_below_less_one() -> None:
    table = np.array([0.1, 0.2, 0.3, 0.4])
    assert signals(np.array([0.25]), table)[0] == 0.0
    assert signals(np.array([0.35]), table)[0] == 0.5
    assert signals(np.array([0.05, 0.45]), table).tolist() == [-1.0, 1.0]


def test_ties_take_the_midpoint() -> None:
    table = np.array([0.0, 1.0, 1.0, 2.0])
    assert signals(np.array([1.0]), table)[0] == 0.0  # 1 below, 2 equal of 4
    assert signals(np.array([0.0, 2.0]), table).tolist() == [-0.75, 0.75]


def test_a_score_that_is_missing_is_no_signal() -> None:
    assert np.isnan(signals(np.array([np.nan]), np.array([0.0, 1.0])))[0]


@given(table=tables, scores=arrays(np.float64, st.integers(2, 40), elements=finite))
def test_a_higher_score_never_gives_a_lower_signal_and_all_stay_in_range(
    table: np.ndarray, scores: np.ndarray
) -> None:
    signal = signals(np.sort(scores), table)
    assert (np.diff(signal) >= 0.0).all()
    assert (np.abs(signal) <= 1.0).all()


@given(table=tables, scores=arrays(np.float64, st.integers(1, 40), elements=finite))
def test_one_score_alone_gives_what_it_gives_in_a_batch(table: np.ndarray, scores: np.ndarray) -> None:
    alone = [signals(scores[row : row + 1], table)[0] for row in range(len(scores))]
    assert signals(scores, table).tolist() == alone


def test_few_scores_are_kept_whole_and_missing_ones_left_out() -> None:
    assert quantile_table(np.array([3.0, np.nan, 1.0, 1.0])).tolist() == [1.0, 1.0, 3.0]


@given(seed=st.integers(0, 999), count=st.integers(QUANTILES + 1, 20_000))
def test_the_table_tells_a_share_to_within_one_slice(seed: int, count: int) -> None:
    scores = np.random.default_rng(seed).normal(size=count).round(2)
    table = quantile_table(scores)
    assert len(table) == QUANTILES
    scores_asked = np.linspace(-4.0, 4.0, 101)
    exact, approximate = signals(scores_asked, np.sort(scores)), signals(scores_asked, table)
    assert np.abs(approximate - exact).max() <= 2.0 / QUANTILES + 1e-12
