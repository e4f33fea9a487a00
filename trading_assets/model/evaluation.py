"""Out-of-sample figures of scores against labels: what is measured, and how sure it is.

Nothing is fitted here. All figures come from rows that the scoring model never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.model.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """One test fold. Dates are ISO; rates are shares of the fold's rows."""

    first_session: str
    last_session: str
    training_rows: int
    test_rows: int
    rank_ic: float
    auc: float
    hit_rate: float
    base_rate: float


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """The model's figures out of sample, over all test folds. NaN: cannot be measured."""

    rows: int
    sessions: int  # sessions with a rank IC
    rank_ic: float  # mean over sessions of Spearman's rank correlation of score and label
    rank_ic_t: float  # its t-statistic, corrected for overlapping labels
    auc: float  # area under the ROC curve for "label > 0"; 0.5 is no skill
    hit_rate: float  # share of rows on whose side of zero the score stands
    base_rate: float  # hit rate of always saying the more frequent side: what to beat
    prior_rank_ic: float  # rank IC of knowing no feature but each symbol's past: what to beat, too
    prior_rank_ic_t: float
    prior_auc: float
    folds: tuple[FoldFigures, ...]


def evaluate(
    training_set: TrainingSet,
    scores: NDArray[np.float64],
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> ScoreFigures:
    """Figures of out-of-fold scores.

    scores: float64[n], log-odds of label > 0; read only at the splits' test rows
    splits: (training rows, test rows), as the scores were made
    """
    y, session = training_set.y, training_set.session
    tested = np.concatenate([test for _, test in splits])
    rank_ics = session_rank_ics(scores[tested], y[tested], session[tested])
    prior = symbol_prior(training_set, splits)
    prior_rank_ics = session_rank_ics(prior[tested], y[tested], session[tested])
    return ScoreFigures(
        rows=len(tested),
        sessions=len(rank_ics),
        rank_ic=_mean(rank_ics),
        rank_ic_t=newey_west_t(rank_ics, lags=training_set.horizon),
        auc=_auc(scores[tested], y[tested]),
        hit_rate=_hit_rate(scores[tested], y[tested]),
        base_rate=_base_rate(y[tested]),
        prior_rank_ic=_mean(prior_rank_ics),
        prior_rank_ic_t=newey_west_t(prior_rank_ics, lags=training_set.horizon),
        prior_auc=_auc(prior[tested], y[tested]),
        folds=tuple(
            FoldFigures(
                first_session=_day(training_set.sessions, session[test].min()),
                last_session=_day(training_set.sessions, session[test].max()),
                training_rows=len(train),
                test_rows=len(test),
                rank_ic=_mean(session_rank_ics(scores[test], y[test], session[test])),
                auc=_auc(scores[test], y[test]),
                hit_rate=_hit_rate(scores[test], y[test]),
                base_rate=_base_rate(y[test]),
            )
            for train, test in splits
        ),
    )


def symbol_prior(
    training_set: TrainingSet, splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
) -> NDArray[np.float64]:
    """float64[n]: by how much more than half of the training rows of a test row's symbol are positive.

    NaN where a row is never tested, 0 for a symbol without training rows.

    People choose symbols that did well, so past winners go on winning in these histories. A model whose
    features tell symbols apart finds that too. Its features deserve credit only for what it does better
    than this baseline.
    """
    scores = np.full(len(training_set), np.nan)
    for train, test in splits:
        codes, size = training_set.symbol[train], len(training_set.symbols)
        sides = np.where(training_set.y[train] > 0.0, 0.5, -0.5)
        rows = np.bincount(codes, minlength=size)
        prior = np.bincount(codes, weights=sides, minlength=size) / np.maximum(rows, 1)
        scores[test] = prior[training_set.symbol[test]]
    return scores


def session_rank_ics(
    scores: NDArray[np.float64], y: NDArray[np.float64], session: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The information coefficient of each session, ascending: Spearman's rank correlation across symbols.

    All arrays have shape (n,). Ties take their average rank. A session in which all scores or all
    labels are equal has no correlation and is left out. (Grinold and Kahn, *Active Portfolio
    Management*, ch. 6, for the coefficient.)
    """
    order = np.argsort(session, kind="stable")
    starts = np.flatnonzero(np.diff(session[order])) + 1
    coefficients = []
    for rows in np.split(order, starts):
        a, b = _average_ranks(scores[rows]), _average_ranks(y[rows])
        a, b = a - a.mean(), b - b.mean()
        scale = np.sqrt((a @ a) * (b @ b))
        if scale > 0.0:
            coefficients.append(float(a @ b / scale))
    return np.array(coefficients)


def newey_west_t(values: NDArray[np.float64], lags: int) -> float:
    """The t-statistic of a series' mean, with Newey and West's (1987) variance.

    Labels that look h sessions ahead make neighbouring coefficients alike, and the plain
    t-statistic about √h too large; Bartlett weights over `lags` = h autocovariances undo that.
    NaN for a series without variance, or not longer than the lags.
    """
    n = len(values)
    if n <= lags + 1:
        return float("nan")
    centred = values - values.mean()
    variance = centred @ centred / n
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / n
    return float(values.mean() / np.sqrt(variance / n)) if variance > 0.0 else float("nan")


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


def _auc(scores: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    up = y > 0.0
    return float(roc_auc_score(up, scores)) if up.any() and not up.all() else float("nan")


def _hit_rate(scores: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.mean((scores > 0.0) == (y > 0.0)))


def _base_rate(y: NDArray[np.float64]) -> float:
    up = float(np.mean(y > 0.0))
    return max(up, 1.0 - up)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _day(sessions: Sequence[date], index: np.int64) -> str:
    return sessions[int(index)].isoformat()
