"""The standard work as a bare loop, without a gate or a ledger: what orders and equity must be."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from work import CASH_USD, WEIGHT, Work, shares_to_trade, standard_work


def run(work: Work) -> dict[str, object]:
    """Orders as (bar of the fill, symbol, signed shares), closing equity, CPU seconds."""
    began = time.process_time()
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
    return {"orders": orders, "equity": (cents + last) / 100, "seconds": [time.process_time() - began]}


if __name__ == "__main__":
    json.dump(run(standard_work()), sys.stdout)
