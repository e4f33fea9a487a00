"""A training set made of numbers alone, so that a test knows what there is to be found in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from trading_assets.market.sessions import Sessions
from trading_assets.model.training import Parameters, TrainedModel, train
from trading_assets.model.training_set import Dropped, TrainingSet

HORIZON = 5
QUICK = Parameters(rounds=20, folds=3, min_child_weight=5.0)


@pytest.fixture(scope="session")
def synthetic_set() -> Callable[..., TrainingSet]:
    def make(
        *, strength: float = 1.0, features: tuple[str, ...] = ("alpha", "beta", "gamma"), symbols: int = 6,
        sessions: int = 400, seed: int = 1,
    ) -> TrainingSet:  # fmt: skip
        """Labels overlap as real ones do; the first feature carries `strength` of each session's own part."""
        rng = np.random.default_rng(seed)
        calendar = Sessions().between(date(2000, 1, 3), date(2012, 12, 31))
        shock = rng.normal(size=(sessions + HORIZON, symbols))
        y = np.stack([shock[t : t + HORIZON].mean(axis=0) for t in range(sessions)])
        y -= y.mean(axis=1, keepdims=True)
        X = rng.normal(size=(sessions, symbols, len(features)))
        X[..., 0] += strength * shock[:sessions]
        session = np.repeat(np.arange(sessions), symbols)
        return TrainingSet(
            X=X.reshape(-1, len(features)),
            y=y.ravel(),
            session=session,
            symbol=np.tile(np.arange(symbols), sessions),
            label_end=session + 1 + HORIZON,
            sessions=tuple(calendar[: sessions + 1 + HORIZON]),
            symbols=tuple(f"S{code:02}" for code in range(symbols)),
            sources=("made up",) * symbols,
            feature_names=features,
            feature_identity="synthetic-1",
            horizon=HORIZON,
            dropped=Dropped(0, 0, 0),
        )

    return make


@pytest.fixture(scope="session")
def synthetic_model(synthetic_set: Callable[..., TrainingSet]) -> TrainedModel:
    return train(synthetic_set(), QUICK)
