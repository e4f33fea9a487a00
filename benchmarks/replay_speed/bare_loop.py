"""The work as a bare loop, without a gate or a ledger: what orders and equity must be."""

from __future__ import annotations

import numpy as np
from contest import Outcome, contend
from work import CASH_USD, WEIGHT, Work, shares_to_trade


def run(work: Work) -> Outcome:
    symbols, bars = work.close.shape
    held, cents, orders = np.zeros(symbols), round(CASH_USD * 100), []
    for bar in range(bars - 1):
        close = work.close[:, bar]
        equity = (cents + sum(round(q * p * 100) for q, p in zip(held, close, strict=True) if q)) / 100
        traded = [
            (row, shares_to_trade(held[row], WEIGHT if work.wanted[row, bar] else 0.0, equity, close[row]))
            for row in np.flatnonzero(work.wanted[:, bar] | (held > 0))
        ]
        for row, qty in traded:
            if qty:
                held[row] += qty
                cents -= round(qty * work.open[row, bar + 1] * 100)
                orders.append((bar + 1, int(row), int(qty)))
    last = sum(round(q * p * 100) for q, p in zip(held, work.close[:, -1], strict=True))
    return orders, (cents + last) / 100


if __name__ == "__main__":
    contend(lambda work: lambda: run(work), lambda done: done)
