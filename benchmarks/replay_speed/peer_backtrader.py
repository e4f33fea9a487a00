"""The work in backtrader."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import backtrader as bt
from contest import contend
from work import CASH_USD, WEIGHT, Work, shares_to_trade


class Bars(bt.feed.DataBase):
    """One symbol's bars from arrays."""

    params = (("bars", None),)

    def start(self):
        self._row = 0

    def _load(self):
        stamps, opens, highs, lows, closes = self.p.bars
        row = self._row
        if row == len(closes):
            return False
        self.lines.datetime[0] = stamps[row]
        self.lines.open[0], self.lines.high[0] = opens[row], highs[row]
        self.lines.low[0], self.lines.close[0] = lows[row], closes[row]
        self.lines.volume[0] = 1e9
        self._row += 1
        return True


class Rebalanced(bt.Strategy):
    params = (("work", None),)

    def __init__(self):
        self.bar, self.sent = -1, []

    def prenext(self):
        self.next()

    def next(self):
        self.bar += 1
        if self.bar == self.p.work.close.shape[1] - 1:
            return
        wanted, equity = self.p.work.wanted[:, self.bar], round(self.broker.getvalue(), 2)  # cents
        for row, data in enumerate(self.datas):
            held = self.getposition(data).size
            if not (wanted[row] or held):
                continue
            qty = shares_to_trade(held, WEIGHT if wanted[row] else 0.0, equity, data.close[0])
            if qty > 0:
                self.buy(data, size=qty)
            elif qty < 0:
                self.sell(data, size=-qty)
            if qty:
                self.sent.append((self.bar + 1, row, int(qty)))


def prepared(work: Work) -> Callable[[], bt.Strategy]:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH_USD)
    cerebro.broker.set_checksubmit(False)
    first = datetime(2012, 7, 2, 9, 31, tzinfo=UTC)
    stamps = [bt.date2num(first + timedelta(minutes=minute)) for minute in range(work.close.shape[1])]
    for row in range(work.close.shape[0]):
        columns = [column[row].tolist() for column in (work.open, work.high, work.low, work.close)]
        cerebro.adddata(Bars(bars=(stamps, *columns)), name=str(row))
    cerebro.addstrategy(Rebalanced, work=work)
    return lambda: cerebro.run()[0]


if __name__ == "__main__":
    contend(prepared, lambda strategy: (strategy.sent, strategy.broker.getvalue()))
