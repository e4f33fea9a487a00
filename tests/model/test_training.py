from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions
from trading_assets.model.evaluation import session_rank_ics
from trading_assets.model.splits import purged_walk_forward
from trading_assets.model.training import Parameters, TrainedModel, out_of_fold, train
from trading_assets.model.training_set import SymbolHistory, TrainingSet, build_training_set

MakeSet = Callable[..., TrainingSet]
QUICK = Parameters(rounds=20, folds=3, min_child_weight=5.0)


@pytest.fixture(scope="module")
def real_set() -> TrainingSet:
    """The bundled symbols that have bars before 2011, through 2010."""
    tape, end_ns = BundledTape(), Sessions().close_ns(date(2010, 12, 31))
    bars = {symbol: tape.daily(symbol).until(end_ns) for symbol in tape.symbols}
    return build_training_set(
        {
            symbol: SymbolHistory(daily, tape.actions(symbol), "bundled")
            for symbol, daily in bars.items()
            if len(daily.close)
        }
    )


def test_training_twice_gives_the_same_bytes_whatever_the_threads(synthetic_set: MakeSet) -> None:
    training_set = synthetic_set(symbols=12, sessions=600)
    one, again, threaded = (train(training_set, QUICK, threads=threads) for threads in (1, 1, 2))
    assert one.ubj == again.ubj == threaded.ubj
    assert one == again == threaded


def test_another_seed_gives_another_model(synthetic_set: MakeSet, synthetic_model: TrainedModel) -> None:
    assert train(synthetic_set(), replace(QUICK, seed=8)).ubj != synthetic_model.ubj


def test_a_feature_that_tells_is_found_out_of_sample(synthetic_model: TrainedModel) -> None:
    figures = synthetic_model.figures
    assert figures.rank_ic > 0.05
    assert figures.rank_ic_t > 3.0
    assert figures.auc > 0.53
    assert figures.hit_rate > figures.base_rate


def test_shuffled_labels_are_not_predicted(synthetic_set: MakeSet) -> None:
    training_set = synthetic_set(sessions=800)
    shuffled = replace(training_set, y=np.random.default_rng(0).permutation(training_set.y))
    figures = train(shuffled, QUICK).figures
    assert abs(figures.rank_ic) < 0.05
    assert abs(figures.rank_ic_t) < 3.0
    assert figures.auc == pytest.approx(0.5, abs=0.03)


def test_the_purge_takes_what_overlapping_labels_would_give_away(synthetic_set: MakeSet) -> None:
    """Labels are noise, folds are three sessions, and the features say only which session and symbol a
    row is. A learner that sees the labels of the sessions just before a fold finds most of the fold's
    labels in them."""
    training_set = synthetic_set(strength=0.0, features=("session", "symbol"), sessions=250)
    known = np.stack([training_set.session, training_set.symbol], axis=1).astype(np.float64)
    training_set = replace(training_set, X=known)
    memory = Parameters(rounds=10, learning_rate=0.5, max_depth=8, min_child_weight=0.1, subsample=1.0,
                        colsample_bytree=1.0, reg_lambda=0.1, max_bin=512)  # fmt: skip
    purged = purged_walk_forward(training_set.session, training_set.label_end, 80, 0)
    leaking = [
        (np.flatnonzero(training_set.session < training_set.session[test].min()), test) for _, test in purged
    ]

    def mean_rank_ic(splits: list[tuple[np.ndarray, np.ndarray]]) -> float:
        scores = out_of_fold(training_set, splits, memory)
        rows = np.concatenate([test for _, test in splits])
        return float(session_rank_ics(scores[rows], training_set.y[rows], training_set.session[rows]).mean())

    assert mean_rank_ic(leaking) > 0.3
    assert abs(mean_rank_ic(purged)) < 0.1


def test_out_of_fold_scores_exist_for_tested_rows_only(synthetic_set: MakeSet) -> None:
    training_set = synthetic_set()
    splits = purged_walk_forward(training_set.session, training_set.label_end, 3, 5)
    scores = out_of_fold(training_set, splits, QUICK)
    tested = np.concatenate([test for _, test in splits])
    assert np.isfinite(scores[tested]).all()
    assert np.isnan(np.delete(scores, tested)).all()


def test_a_row_after_a_fold_changes_no_score_of_it(synthetic_set: MakeSet) -> None:
    training_set = synthetic_set()
    splits = purged_walk_forward(training_set.session, training_set.label_end, 3, 5)
    before = out_of_fold(training_set, splits, QUICK)
    last = splits[-1][1]
    altered = training_set.y.copy()
    altered[last] *= -1.0
    after = out_of_fold(replace(training_set, y=altered), splits, QUICK)
    assert np.array_equal(before, after, equal_nan=True)


def test_real_bars_train_end_to_end_with_figures_that_are_honestly_weak(real_set: TrainingSet) -> None:
    model = train(real_set)
    figures, data = model.figures, model.training_data
    assert data.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert data.labels_through <= "2010-12-31"
    assert data.rows == len(real_set) > 8000
    assert len(figures.folds) == 5
    assert figures.rows > 5000
    assert figures.auc == pytest.approx(0.5, abs=0.06)  # more would be a leak, on five large caps
    assert abs(figures.rank_ic) < 0.15
    assert model.quantiles[0] < model.quantiles[500] < model.quantiles[-1]


def test_real_features_with_shuffled_labels_predict_nothing(real_set: TrainingSet) -> None:
    shuffled = replace(real_set, y=np.random.default_rng(1).permutation(real_set.y))
    figures = train(shuffled).figures
    assert abs(figures.rank_ic_t) < 3.0
    assert figures.auc == pytest.approx(0.5, abs=0.03)
