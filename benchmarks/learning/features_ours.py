"""The daily features by this project's kernel: a window at a time, so that a live row is the same number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from panel import LOOKBACK, Floats, compute_features

from trading_assets.features.daily import DAILY
from trading_assets.market.bars import Bars


def prepared(tables: Floats) -> Callable[[], Floats]:
    _, symbols, sessions = tables.shape
    starts = np.arange(sessions) * 86_400 * 10**9
    histories = [
        (Bars(starts, starts, *tables[:5, symbol]), tables[5, symbol], tables[6, symbol])
        for symbol in range(symbols)
    ]
    out = np.empty((symbols, sessions, len(DAILY.names)))
    bars, *actions = histories[0]
    DAILY.compute_last(Bars(*(column[:LOOKBACK] for column in bars)), *(of[:LOOKBACK] for of in actions))

    def run() -> Floats:
        for symbol, (bars, split_ratio, cash) in enumerate(histories):
            out[symbol] = DAILY.compute_bulk(bars, split_ratio, cash)
        return out

    return run


if __name__ == "__main__":
    compute_features(prepared, lambda out, count: out[:count])
