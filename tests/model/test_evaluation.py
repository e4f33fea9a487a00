from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from trading_assets.model.evaluation import evaluate, newey_west_t, session_rank_ics, symbol_prior
from trading_assets.model.splits import purged_walk_forward
from trading_assets.model.training_set import TrainingSet


@given(seed=st.integers(0, 999), count=st.integers(3, 30))
def test_a_sessions_rank_ic_is_spearmans_with_ties(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores, y = rng.integers(0, 5, count).astype(float), rng.normal(size=count)
    scores[:2] = 0.0, 1.0
    (result,) = session_rank_ics(scores, y, np.zeros(count, dtype=np.int64))
    assert result == pytest.approx(spearmanr(scores, y).statistic)


def test_sessions_are_ranked_apart_and_those_without_spread_left_out() -> None:
    scores = np.array([1.0, 2.0, 9.0, 8.0, 5.0, 5.0])
    y = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    session = np.array([4, 4, 7, 7, 9, 9])
    assert session_rank_ics(scores, y, session) == pytest.approx([1.0, -1.0])


def test_without_lags_the_t_statistic_is_the_plain_one() -> None:
    values = np.random.default_rng(1).normal(0.1, 1.0, 500)
    assert newey_west_t(values, 0) == pytest.approx(values.mean() / (values.std() / np.sqrt(500)))


def test_overlap_lowers_the_t_statistic_by_about_the_root_of_the_horizon() -> None:
    shocks = np.random.default_rng(2).normal(0.1, 1.0, 5004)
    overlapping = np.convolve(shocks, np.ones(5) / 5, mode="valid")
    assert newey_west_t(overlapping, 0) / newey_west_t(overlapping, 20) == pytest.approx(np.sqrt(5), rel=0.15)


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(3), np.ones(100)])
def test_a_series_too_short_or_without_variance_has_no_t_statistic(values: np.ndarray) -> None:
    assert np.isnan(newey_west_t(values, 5))


def test_figures_of_perfect_scores_and_of_their_reverse(synthetic_set: Callable[..., TrainingSet]) -> None:
    training_set = synthetic_set()
    splits = purged_walk_forward(training_set.session, training_set.label_end, 3, 5)
    right, wrong = (evaluate(training_set, sign * training_set.y, splits) for sign in (1.0, -1.0))
    assert (right.rank_ic, right.auc, right.hit_rate) == pytest.approx((1.0, 1.0, 1.0))
    assert (wrong.rank_ic, wrong.auc, wrong.hit_rate) == pytest.approx((-1.0, 0.0, 0.0))
    assert 0.5 <= right.base_rate < 0.6
    assert right.rows == sum(fold.test_rows for fold in right.folds) == 300 * 6
    assert [fold.training_rows for fold in right.folds] == [6 * (100 * k - 11) for k in (1, 2, 3)]


def test_the_prior_knows_only_the_symbols_past_in_the_training_rows(
    synthetic_set: Callable[..., TrainingSet],
) -> None:
    training_set = synthetic_set()
    favoured = replace(training_set, y=training_set.y + 10.0 * (training_set.symbol == 2))
    splits = purged_walk_forward(favoured.session, favoured.label_end, 3, 5)
    train, test = splits[1]
    prior = symbol_prior(favoured, splits)
    for code in range(6):
        past = favoured.y[train][favoured.symbol[train] == code]
        assert prior[test][favoured.symbol[test] == code] == pytest.approx((past > 0).mean() - 0.5)
    plain, favoured_figures = (
        evaluate(training_set, training_set.y, splits),
        evaluate(favoured, favoured.y, splits),
    )
    assert abs(plain.prior_rank_ic) < 0.1
    assert favoured_figures.prior_rank_ic > 0.3
    assert favoured_figures.prior_rank_ic_t > 10.0
    assert favoured_figures.prior_auc > plain.prior_auc


def test_a_symbol_without_training_rows_has_a_neutral_prior(
    synthetic_set: Callable[..., TrainingSet],
) -> None:
    training_set = synthetic_set()
    rows = np.arange(len(training_set))
    train = rows[(training_set.session < 100) & (training_set.symbol != 4)]
    test = rows[training_set.session >= 200]
    prior = symbol_prior(training_set, [(train, test)])
    assert (prior[test][training_set.symbol[test] == 4] == 0.0).all()
    assert np.isnan(prior[:1000]).all()
