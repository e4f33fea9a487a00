"""The rows of `panel.training_rows` as the desk's training set: 400 symbols in each session."""

from __future__ import annotations

from datetime import date

import numpy as np
from panel import training_rows

from trading_assets.market.sessions import Sessions
from trading_assets.model.training_set import HORIZON, Dropped, TrainingSet, frozen

SYMBOLS = 400


def training_set(rows: int) -> TrainingSet:
    x, y = training_rows(rows)
    sessions = tuple(Sessions().between(date(2010, 1, 4), date(2022, 12, 30)))
    session = np.arange(rows) // SYMBOLS
    return TrainingSet(
        X=frozen(x),
        y=frozen(y),
        session=frozen(session),
        symbol=frozen(np.arange(rows) % SYMBOLS),
        label_end=frozen(session + 1 + HORIZON),
        sessions=sessions,
        symbols=tuple(f"S{number:03}" for number in range(SYMBOLS)),
        sources=("seeded",) * SYMBOLS,
        feature_names=tuple(f"x{number}" for number in range(x.shape[1])),
        feature_identity="seeded",
        horizon=HORIZON,
        dropped=Dropped(0, 0, 0),
    )
