"""Seeded data of the comparisons, made in memory. Needs numpy only.

Features: daily bars of 4000 symbols × 2500 sessions, with splits and dividends, as the tables that
`features.daily` reads. Training: 1 M rows of 30 features, of which a few explain a little.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOOKBACK = 61
MODEL_FEATURES = 30


def tables(symbols: int, sessions: int, seed: int = 3) -> Floats:
    """(7, symbols, sessions): open, high, low, close, volume, split ratio and cash of the ex-date, raw."""
    random = np.random.default_rng(seed)
    shape = (symbols, sessions)
    split = np.where(random.random(shape) < 1 / 1250, 2.0, 1.0)
    returns = np.exp(random.normal(0.0003, 0.015, shape))
    close = random.uniform(20.0, 200.0, (symbols, 1)) * np.cumprod(returns / split, axis=1)
    cash = np.zeros(shape)
    cash[:, 63::63] = 0.004 * close[:, 62:-1:63] if sessions > 63 else 0.0
    previous = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    open_ = previous / split * np.exp(random.normal(0.0, 0.005, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(random.normal(0.0, 0.003, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(random.normal(0.0, 0.003, shape)))
    volume = np.round(np.exp(random.normal(13.0, 0.5, shape)))
    return np.stack([open_, high, low, close, volume, split, cash])


def training_rows(rows: int, seed: int = 5) -> tuple[Floats, Floats]:
    """(n, 30) features, and labels (n,) of which they explain about two per cent."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, MODEL_FEATURES))
    signal = 0.1 * x[:, 0] + 0.07 * x[:, 1] * x[:, 2] + 0.07 * np.tanh(x[:, 3])
    return x, 0.02 * (signal + random.normal(size=rows))


def compute_features(
    prepared: Callable[[Floats], Callable[[], object]], rows: Callable[[object, int], Iterable[Floats]]
) -> None:
    """`script SYMBOLS SESSIONS SAMPLE`: time the features of that panel; keep the first symbols' as a file.

    prepared: takes the tables and gives what is timed
    rows:     from what that returned, the rows of each of the first so many symbols, (sessions, 18)
    """
    symbols, sessions, sample = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    run = prepared(tables(symbols, sessions))
    began = time.process_time()
    done = run()
    seconds = time.process_time() - began
    np.save(sample, np.stack(list(rows(done, min(symbols, 20)))))
    json.dump({"seconds": [seconds]}, sys.stdout)
