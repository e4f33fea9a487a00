"""The standard work by vectorbt's `from_orders`, in its own environment: arrays only, no gate, no ledger."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import vectorbt as vbt
from work import CASH_USD, WEIGHT, standard_work


def main(repetitions: int) -> None:
    work = standard_work()
    size = np.where(work.wanted, WEIGHT, 0.0).T[:-1]
    price, valued = work.open.T[1:], work.close.T[:-1]
    seconds = []
    for _ in range(repetitions + 1):  # the first compiles
        began = time.process_time()
        portfolio = vbt.Portfolio.from_orders(
            close=work.close.T[1:],
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
        seconds.append(time.process_time() - began)
    json.dump({"orders": int(portfolio.orders.count()), "seconds": seconds[1:]}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
