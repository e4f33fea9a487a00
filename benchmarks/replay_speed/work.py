"""The standard work of the comparisons: 50 symbols × 60 sessions of 390 one-minute bars, seeded.

Target weight 5 % while SMA(10) > SMA(50), the first twelve such symbols in their order, rebalanced at every
bar, whole shares, decided at a bar's close and filled at the next bar's open, 1 M$. No costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SYMBOLS, SESSIONS, MINUTES = 50, 60, 390
CASH_USD = 1_000_000.0
WEIGHT = 0.05
CHOSEN = 12
FAST, SLOW = 10, 50
FIRST_NS = 1_341_235_800 * 10**9  # 2012-07-02 09:30 in New York
MINUTE_NS = 60 * 10**9


class Work(NamedTuple):
    """Bars of shape (symbols, bars) in whole cents, and whether a symbol is wanted at a bar's close."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    wanted: NDArray[np.bool_]


def standard_work(symbols: int = SYMBOLS, bars: int = SESSIONS * MINUTES, seed: int = 7) -> Work:
    """The same bars for every contestant."""
    random = np.random.default_rng(seed)
    returns = random.normal(0.0, 0.0019, (symbols, bars))
    price = random.uniform(20.0, 200.0, (symbols, 1)) * np.exp(np.cumsum(returns, axis=1))
    close = np.maximum(np.round(price, 2), 1.0)
    gap = np.exp(random.normal(0.0, 0.0001, (symbols, bars)))
    open_ = np.empty_like(close)
    open_[:, 0] = close[:, 0]
    open_[:, 1:] = np.maximum(np.round(close[:, :-1] * gap[:, 1:], 2), 1.0)
    high = np.maximum(open_, close)
    low = np.minimum(open_, close)
    return Work(open_, high, low, close, wanted(close))


def wanted(close: NDArray[np.float64]) -> NDArray[np.bool_]:
    """SMA(10) > SMA(50), and no more than eleven such symbols before it."""
    cents = np.round(close * 100.0).astype(np.int64)
    total = np.concatenate([np.zeros((close.shape[0], 1), np.int64), np.cumsum(cents, axis=1)], axis=1)
    above = np.zeros(close.shape, np.bool_)
    fast = total[:, SLOW:] - total[:, SLOW - FAST : -FAST]
    slow = total[:, SLOW:] - total[:, :-SLOW]
    above[:, SLOW - 1 :] = fast * SLOW > slow * FAST
    return above & (np.cumsum(above, axis=0) <= CHOSEN)


def shares_to_trade(held: float, weight: float, equity: float, price: float) -> float:
    """Signed whole shares toward weight × equity at `price`, toward zero; everything for a weight of 0."""
    if weight == 0.0:
        return -held
    difference = weight * equity - held * price
    shares = float(np.floor(abs(difference) / price * (1.0 + 1e-12)))
    return shares if difference > 0.0 else -min(shares, held)
