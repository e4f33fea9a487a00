"""The work in bt, bought and sold one bar after the decision at that bar's open (`transact` with a price)."""

from __future__ import annotations

from collections.abc import Callable

import bt
import pandas as pd
from contest import Outcome, contend
from work import CASH_USD, WEIGHT, Work, shares_to_trade


class Rebalanced(bt.Algo):
    """The rule, and what it sent."""

    def __init__(self, work: Work, names: list[str]) -> None:
        super().__init__()
        self.work, self.names, self.bar, self.sent, self.pending = work, names, -1, [], []

    def __call__(self, target):
        self.bar += 1
        bar, work = self.bar, self.work
        securities = target.children
        for row, qty in self.pending:
            securities[self.names[row]].transact(qty, update=False, price=work.open[row, bar])
        target.update(target.now)
        self.pending = []
        if bar == work.close.shape[1] - 1:
            return True
        wanted, close, equity = work.wanted[:, bar], work.close[:, bar], round(target.value, 2)  # cents
        for row, name in enumerate(self.names):
            held = securities[name].position
            if wanted[row] or held:
                qty = shares_to_trade(held, WEIGHT if wanted[row] else 0.0, equity, close[row])
                if qty:
                    self.pending.append((row, qty))
                    self.sent.append((bar + 1, row, int(qty)))
        return True


def prepared(work: Work) -> Callable[[], bt.Strategy]:
    names = [f"S{row:03}" for row in range(len(work.close))]
    stamps = pd.date_range("2012-07-02 09:31", periods=work.close.shape[1], freq="min")
    prices = pd.DataFrame(work.close.T.copy(), index=stamps, columns=names)
    backtest = bt.Backtest(
        bt.Strategy("work", [Rebalanced(work, names)], children=[bt.Security(name) for name in names]),
        prices,
        initial_capital=CASH_USD,
        commissions=lambda qty, price: 0.0,
        integer_positions=True,
        progress_bar=False,
        additional_data={"bidoffer": prices * 0.0},
    )

    def run() -> bt.Strategy:
        backtest.run()
        return backtest.strategy  # a copy of what was given, with a copy of the rule

    return run


def outcome(strategy: bt.Strategy) -> Outcome:
    (rule,) = strategy.stack.algos
    return rule.sent, float(strategy.value)


if __name__ == "__main__":
    contend(prepared, outcome)
