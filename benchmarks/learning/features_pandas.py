"""The daily features in plain pandas: frames of sessions × symbols, which is its fastest way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from panel import LOOKBACK, Floats, compute_features


def features(tables: Floats) -> list[pd.DataFrame]:
    open_, high, low, close, volume, split, cash = (pd.DataFrame(column.T) for column in tables)
    previous = close.shift(1)
    factor = ((previous - cash) / (previous * split)).fillna(1.0)
    prices = factor[::-1].cumprod()[::-1].shift(-1).fillna(1.0)
    shares = split[::-1].cumprod()[::-1].shift(-1).fillna(1.0)
    traded = close * volume
    open_, high, low, close, volume = (
        open_ * prices,
        high * prices,
        low * prices,
        close * prices,
        volume * shares,
    )
    previous = close.shift(1)
    returns = close / previous - 1.0
    slow = returns.rolling(20).std().shift(1)
    true_range = np.maximum(high, previous) - np.minimum(low, previous)
    change = close - previous
    gains = change.clip(lower=0.0).rolling(14).sum()
    losses = (-change).clip(lower=0.0).rolling(14).sum()
    bottom, top = low.rolling(14).min(), high.rolling(14).max()
    found = [
        returns,
        close / close.shift(5) - 1.0,
        close / close.shift(20) - 1.0,
        close / close.shift(60) - 1.0,
        open_ / previous - 1.0,
        close / open_ - 1.0,
        close / close.rolling(10).mean() - 1.0,
        close / close.rolling(50).mean() - 1.0,
        slow,
        returns.rolling(5).std().shift(1) / slow,
        true_range.rolling(14).mean().shift(1) / previous,
        gains / (gains + losses),
        close / high.rolling(60).max() - 1.0,
        close / low.rolling(60).min() - 1.0,
        (close - bottom) / (top - bottom),
        volume.shift(1) / volume.rolling(20).mean().shift(2),
        (returns.abs() / (traded / 1e6)).rolling(20).mean().shift(1),
        returns.rolling(20).max().shift(1),
    ]
    for feature in found:
        feature.iloc[: LOOKBACK - 1] = np.nan
    return found


def prepared(tables: Floats) -> Callable[[], list[pd.DataFrame]]:
    return lambda: features(tables)


if __name__ == "__main__":
    compute_features(
        prepared,
        lambda found, count: [
            np.column_stack([feature[symbol] for feature in found]) for symbol in range(count)
        ],
    )
