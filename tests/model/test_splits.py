from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.model.splits import purged_walk_forward

rng = np.random.default_rng


def rows(sessions: int, most_symbols: int, horizon: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Session and label end of rows in shuffled order, with 1 to `most_symbols` rows a session."""
    counts = rng(seed).integers(1, most_symbols + 1, size=sessions)
    session = rng(seed + 1).permutation(np.repeat(np.arange(sessions), counts))
    return session, session + rng(seed + 2).integers(1, horizon + 1, size=len(session))


@given(
    sessions=st.integers(60, 200),
    symbols=st.integers(1, 6),
    horizon=st.integers(1, 8),
    folds=st.integers(2, 4),
    embargo=st.integers(0, 3),
    seed=st.integers(0, 10_000),
)
def test_no_training_label_reaches_the_test_fold_or_its_embargo(
    sessions: int, symbols: int, horizon: int, folds: int, embargo: int, seed: int
) -> None:
    session, label_end = rows(sessions, symbols, horizon, seed)
    splits = purged_walk_forward(session, label_end, folds, embargo)
    assert len(splits) == folds
    for train, test in splits:
        assert len(train)
        assert label_end[train].max() + embargo < session[test].min()


@given(
    sessions=st.integers(60, 200),
    symbols=st.integers(1, 6),
    folds=st.integers(2, 4),
    seed=st.integers(0, 999),
)
def test_folds_ascend_and_test_every_later_row_once_with_whole_sessions(
    sessions: int, symbols: int, folds: int, seed: int
) -> None:
    session, label_end = rows(sessions, symbols, 5, seed)
    tests = [test for _, test in purged_walk_forward(session, label_end, folds, 2)]
    tested = np.concatenate(tests)
    assert len(np.unique(tested)) == len(tested)
    assert set(tested) == set(np.flatnonzero(session >= session[tests[0]].min()))
    for earlier, later in pairwise(tests):
        assert session[earlier].max() < session[later].min()
    sizes = [len(np.unique(session[test])) for test in tests]
    assert max(sizes) == min(sizes)


def test_every_row_that_purge_and_embargo_allow_is_trained_on() -> None:
    session = np.repeat(np.arange(30), 3)
    (first, test), *_ = purged_walk_forward(session, session + 6, 2, 1)
    assert session[test].min() == 10
    assert set(session[first]) == {0, 1, 2}  # label end 8, embargo 9, fold 10


def test_a_range_too_short_for_the_folds_is_refused() -> None:
    session = np.arange(4)
    with pytest.raises(InvalidInput, match="4 sessions cannot be cut into 4 test folds"):
        purged_walk_forward(session, session + 1, 4, 0)


def test_a_purge_that_leaves_nothing_to_train_on_is_refused() -> None:
    session = np.arange(20)
    with pytest.raises(InvalidInput, match="leave no training row"):
        purged_walk_forward(session, session + 6, 3, 0)


def test_a_label_that_ends_before_its_row_is_refused() -> None:
    session = np.arange(50)
    with pytest.raises(InvalidInput, match="a label ends before"):
        purged_walk_forward(session, session - 1, 3, 0)
