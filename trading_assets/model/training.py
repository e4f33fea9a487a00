"""Fitting: parameters and a training set in, a trained model with its out-of-sample figures out.

This module has the learner and the walk-forward that judges it. `model.registry` keeps models, `model.signal`
turns a score into a signal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.feeds import WHOLE_MARKET
from trading_assets.model.evaluation import ScoreFigures, evaluate
from trading_assets.model.signal import quantile_table
from trading_assets.model.splits import purged_walk_forward
from trading_assets.model.training_set import Dropped, TrainingSet

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, slots=True)
class Parameters:
    """Gradient boosting for signals that explain a per cent or two of what happens: shallow trees,
    slow steps, half of rows and features at a time, leaves of at least a few hundred rows, and no
    early stopping, which would choose the number of rounds by the noise of one fold."""

    rounds: int = 150
    learning_rate: float = 0.03
    max_depth: int = 3
    min_child_weight: float = 50.0  # Σ hessian of a leaf: about a quarter of its rows
    subsample: float = 0.5
    colsample_bytree: float = 0.5
    reg_lambda: float = 10.0
    max_bin: int = 64
    seed: int = 7
    folds: int = 5
    embargo: int = 5  # sessions


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model was fitted on, for its manifest. Dates are ISO."""

    first_session: str
    last_session: str
    labels_through: str  # the last session whose open a label used
    rows: int
    symbols: tuple[str, ...]
    sources: tuple[str, ...]  # one for each symbol
    horizon: int  # sessions
    dropped: Dropped
    sha256: str  # of features, labels, sessions and symbols
    market: str = WHOLE_MARKET  # whose trades the bars are, `market.feeds`


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model fitted on all rows, with figures of models that had not seen the rows they scored."""

    ubj: bytes  # XGBoost's own format
    feature_names: tuple[str, ...]
    feature_identity: str
    quantiles: tuple[float, ...]  # of the out-of-fold scores, ascending
    figures: ScoreFigures
    training_data: TrainingData
    parameters: Parameters
    xgboost_version: str


def train(
    training_set: TrainingSet, parameters: Parameters = Parameters(), *, threads: int = 1
) -> TrainedModel:
    """Fit on all rows, after scoring each walk-forward fold by a model of the rows before it.

    The learner is XGBoost's histogram method with the logistic loss on "label > 0": a week's
    relative return has tails that a squared loss would fit first. Scores are log-odds. The same
    training set, parameters and version of XGBoost give the same bytes, whatever `threads` is.
    Figures and quantiles come from the out-of-fold scores; nothing uses the final model's in-sample
    scores.

    Raises InvalidInput when the range does not suffice for the folds.
    """
    import xgboost

    splits = purged_walk_forward(
        training_set.session, training_set.label_end, parameters.folds, parameters.embargo
    )
    scores = out_of_fold(training_set, splits, parameters, threads=threads)
    final = _fit(training_set, np.arange(len(training_set)), parameters, threads)
    return TrainedModel(
        ubj=bytes(final.save_raw("ubj")),
        feature_names=training_set.feature_names,
        feature_identity=training_set.feature_identity,
        quantiles=tuple(quantile_table(scores).tolist()),
        figures=evaluate(training_set, scores, splits),
        training_data=_describe(training_set),
        parameters=parameters,
        xgboost_version=xgboost.__version__,
    )


def out_of_fold(
    training_set: TrainingSet,
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    parameters: Parameters,
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """float64[n]: each test row's score by a model of its split's training rows; NaN: never tested."""
    scores = np.full(len(training_set), np.nan)
    for train_rows, test_rows in splits:
        booster = _fit(training_set, train_rows, parameters, threads)
        scores[test_rows] = booster.inplace_predict(training_set.X[test_rows], predict_type="margin")
    return scores


def _fit(
    training_set: TrainingSet, rows: NDArray[np.int64], parameters: Parameters, threads: int
) -> xgboost.Booster:
    import xgboost

    data = xgboost.QuantileDMatrix(
        training_set.X[rows],
        (training_set.y[rows] > 0.0).astype(np.float64),
        feature_names=list(training_set.feature_names),
        max_bin=parameters.max_bin,
        nthread=threads,
    )
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": parameters.max_bin,
        "learning_rate": parameters.learning_rate,
        "max_depth": parameters.max_depth,
        "min_child_weight": parameters.min_child_weight,
        "subsample": parameters.subsample,
        "colsample_bytree": parameters.colsample_bytree,
        "reg_lambda": parameters.reg_lambda,
        "seed": parameters.seed,
        "nthread": threads,
    }
    return xgboost.train(settings, data, num_boost_round=parameters.rounds)


def _describe(training_set: TrainingSet) -> TrainingData:
    digest = hashlib.sha256()
    for rows in (training_set.X, training_set.y, training_set.session, training_set.symbol):
        digest.update(np.ascontiguousarray(rows).tobytes())
    days = training_set.sessions
    return TrainingData(
        first_session=days[training_set.session[0]].isoformat(),
        last_session=days[training_set.session[-1]].isoformat(),
        labels_through=days[training_set.label_end[-1]].isoformat(),
        rows=len(training_set),
        symbols=training_set.symbols,
        sources=training_set.sources,
        horizon=training_set.horizon,
        dropped=training_set.dropped,
        sha256=digest.hexdigest(),
        market=training_set.market,
    )
