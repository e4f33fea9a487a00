"""From a model's score to a signal in [−1, 1]: the scale. Scoring and thresholds are elsewhere.

Scores of two models have no common unit. The share of a model's own out-of-fold scores that lie below a score
is comparable: the signal is that share stretched to [−1, 1], so |signal| ≥ 0.8 means the most extreme fifth
of the scores that the model gives to data that it has not seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUANTILES = 1000


def quantile_table(out_of_fold: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most QUANTILES order statistics of the finite scores, ascending: the model's own scale.

    Every score when there are that few, else those in the middle of QUANTILES equal slices, so
    that a share read from the table is within 1 / QUANTILES of the share among all scores.
    """
    scores = np.sort(out_of_fold[np.isfinite(out_of_fold)])
    if len(scores) <= QUANTILES:
        return scores
    return scores[(2 * np.arange(QUANTILES) + 1) * len(scores) // (2 * QUANTILES)]


def signals(scores: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 × (share of `quantiles` below the score) − 1, one for each score.

    scores:    float64[n]; NaN gives NaN, which is no signal
    quantiles: float64[q], ascending, not empty

    Scores equal to one or more of the table count half of them as below. The result rises with the
    score, lies in [−1, 1] and is computed score by score, so one row gives what a batch gives.
    """
    below = np.searchsorted(quantiles, scores, side="left")
    not_above = np.searchsorted(quantiles, scores, side="right")
    signal = (below + not_above) / len(quantiles) - 1.0
    return np.where(np.isnan(scores), np.nan, signal)
