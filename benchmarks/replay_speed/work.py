"""The works of the comparisons, by name, and their one rule.

Target weight 5 % while SMA(10) > SMA(50), the first twelve such symbols in their order, rebalanced at every
bar, whole shares, decided at a bar's close and filled at the next bar's open, 1 M$. No costs.

`standard`: 50 symbols × 60 sessions of 390 one-minute bars, seeded. `daily`: 100 symbols × 10 years of daily
bars, seeded. `real`: the bundled daily bars of `real_bars.py`. `alone`: the bars of `standard`, every symbol
with a million of its own, for what knows one symbol only. `standard:3900` is the first 3900 bars of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SYMBOLS, SESSIONS, MINUTES = 50, 60, 390
DAILY_SYMBOLS, DAILY_BARS = 100, 2520
CASH_USD = 1_000_000.0
WEIGHT = 0.05
CHOSEN = 12
FAST, SLOW = 10, 50
FIRST_NS = 1_341_235_800 * 10**9  # 2012-07-02 09:30 in New York
MINUTE_NS = 60 * 10**9
REAL_BARS = Path(__file__).parents[2] / "var" / "bench" / "real_bars.npz"


class Work(NamedTuple):
    """Bars of shape (symbols, bars) in whole cents, and whether a symbol is wanted at a bar's close."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    wanted: NDArray[np.bool_]


def accounts(name: str) -> list[Work]:
    """The work of that name: what each account of a million trades, one account unless it is `alone`."""
    name, _, bars = name.partition(":")
    whole = {"standard": standard_work, "alone": standard_work, "daily": daily_work, "real": real_work}[
        name
    ]()
    work = Work._make(column[:, : int(bars) if bars else None] for column in whole)
    if name != "alone":
        return [work]
    rows = [Work._make(column[row : row + 1] for column in work) for row in range(len(work.close))]
    return [row._replace(wanted=wanted(row.close)) for row in rows]


def standard_work(symbols: int = SYMBOLS, bars: int = SESSIONS * MINUTES, seed: int = 7) -> Work:
    """The same bars for every contestant."""
    return seeded(symbols, bars, seed, per_bar=0.0019, gap=0.0001)


def daily_work() -> Work:
    return seeded(DAILY_SYMBOLS, DAILY_BARS, seed=11, per_bar=0.015, gap=0.004)


def real_work() -> Work:
    with np.load(REAL_BARS) as bars:
        return Work(bars["open"], bars["high"], bars["low"], bars["close"], wanted(bars["close"]))


def seeded(symbols: int, bars: int, seed: int, *, per_bar: float, gap: float) -> Work:
    """Random walks with these standard deviations of a bar's return and of the gap to the next open."""
    random = np.random.default_rng(seed)
    returns = random.normal(0.0, per_bar, (symbols, bars))
    price = random.uniform(20.0, 200.0, (symbols, 1)) * np.exp(np.cumsum(returns, axis=1))
    close = np.maximum(np.round(price, 2), 1.0)
    gaps = np.exp(random.normal(0.0, gap, (symbols, bars)))
    open_ = np.empty_like(close)
    open_[:, 0] = close[:, 0]
    open_[:, 1:] = np.maximum(np.round(close[:, :-1] * gaps[:, 1:], 2), 1.0)
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
