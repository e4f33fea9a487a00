"""The work by vectorbt's `from_orders`: arrays only, no gate, no audit, no ledger."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import vectorbt as vbt
from contest import Outcome, contend
from work import CASH_USD, WEIGHT, Work


def prepared(work: Work) -> Callable[[], vbt.Portfolio]:
    size = np.where(work.wanted, WEIGHT, 0.0).T[:-1]
    price, valued, close = work.open.T[1:], work.close.T[:-1], work.close.T[1:]
    return lambda: vbt.Portfolio.from_orders(
        close=close,
        size=size,
        size_type="targetpercent",
        price=price,
        val_price=valued,
        init_cash=CASH_USD,
        cash_sharing=True,
        group_by=True,
        size_granularity=1.0,
        call_seq="default",
    )


def outcome(portfolio: vbt.Portfolio) -> Outcome:
    orders = portfolio.orders.values
    signed = np.where(orders["side"] == 0, orders["size"], -orders["size"])
    traded = np.column_stack([orders["idx"] + 1, orders["col"], signed]).astype(np.int64)
    return traded.tolist(), float(portfolio.final_value())


if __name__ == "__main__":
    contend(prepared, outcome, warm=1)
