"""The work in backtesting.py, which knows one symbol and one account: `alone` is the nearest to be had."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from backtesting import Backtest, Strategy
from contest import Outcome, contend
from work import CASH_USD, WEIGHT, Work, shares_to_trade


class Rebalanced(Strategy):
    work: Work
    sent: list

    def init(self):
        self.sent = []

    def next(self):
        bar = len(self.data) - 1
        if bar == self.work.close.shape[1] - 1:
            return
        wanted, held = self.work.wanted[0, bar], self.position.size
        if not (wanted or held):
            return
        equity = round(self.equity, 2)  # cents
        qty = int(shares_to_trade(held, WEIGHT if wanted else 0.0, equity, self.work.close[0, bar]))
        if qty > 0:
            self.buy(size=qty)
        elif qty < 0:
            self.sell(size=-qty)
        if qty:
            self.sent.append((bar + 1, 0, qty))


def prepared(work: Work) -> Callable[[], pd.Series]:
    if len(work.close) > 1:
        raise SystemExit("backtesting.py trades one symbol")
    stamps = pd.date_range("2012-07-02 09:31", periods=work.close.shape[1], freq="min")
    columns = {"Open": work.open[0], "High": work.high[0], "Low": work.low[0], "Close": work.close[0]}
    rule = type("Rebalanced", (Rebalanced,), {"work": work})
    backtest = Backtest(pd.DataFrame(columns, index=stamps), rule, cash=CASH_USD, finalize_trades=False)
    return backtest.run


def outcome(done: pd.Series) -> Outcome:
    return done["_strategy"].sent, float(done["Equity Final [$]"])


if __name__ == "__main__":
    contend(prepared, outcome)
