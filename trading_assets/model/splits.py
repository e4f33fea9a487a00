"""Time splits for labels that overlap: which rows train and which test. Nothing is fitted here.

A label that looks h sessions ahead shares most of its return with its neighbours', so a row just
before a test fold already tells what the fold's labels will be. López de Prado, *Advances in
Financial Machine Learning* (2018), ch. 7: purge the training rows whose labels reach into the test
fold, and leave an embargo beside it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput

Rows: TypeAlias = NDArray[np.int64]


def purged_walk_forward(sessions: Rows, label_end: Rows, folds: int, embargo: int) -> list[tuple[Rows, Rows]]:
    """Expanding walk-forward splits, cut at sessions, purged by labels.

    sessions:  int64[n], the session index of each row, in any order, repeats allowed
    label_end: int64[n], the session index at which the row's label is known, ≥ `sessions`
    folds:     how many test folds; the distinct sessions are cut into folds + 1 equal blocks and
               each block but the first is tested once, on a model of what precedes it
    embargo:   sessions kept free between the last training label and the fold, ≥ 0

    Returns (training rows, test rows) for each fold, ascending in time. A row trains for a fold
    whose first session is a only if label_end + embargo < a: training stays in the past, so what
    the book embargoes after a fold lies before it here.

    The blocks are scikit-learn's TimeSeriesSplit over *distinct sessions*. Its own `gap` cannot
    purge: it counts rows, and a session has as many rows as symbols that traded.

    Raises InvalidInput when sessions do not suffice or a fold is left without training rows.
    """
    from sklearn.model_selection import TimeSeriesSplit

    distinct = np.unique(sessions)
    if folds < 2 or len(distinct) <= folds:
        raise InvalidInput(
            f"{len(distinct)} sessions cannot be cut into {folds} test folds and a first training block",
            where="purged walk-forward",
            remedy="Use at least 2 folds, and a longer range of sessions than folds.",
        )
    if embargo < 0 or bool(np.any(label_end < sessions)):
        raise InvalidInput(
            "the embargo is negative, or a label ends before its row's session",
            where="purged walk-forward",
            remedy="Give an embargo of 0 or more sessions and labels that look ahead.",
        )
    splits = []
    for _, block in TimeSeriesSplit(n_splits=folds).split(distinct):
        first, last = distinct[block[0]], distinct[block[-1]]
        train = np.flatnonzero(label_end + embargo < first)
        if not len(train):
            raise InvalidInput(
                "purge and embargo leave no training row before the first test fold",
                where="purged walk-forward",
                remedy="Use a longer range of sessions, fewer folds or a smaller embargo.",
            )
        splits.append((train, np.flatnonzero((sessions >= first) & (sessions <= last))))
    return splits
