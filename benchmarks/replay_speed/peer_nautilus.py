"""The work in NautilusTrader: every bar is followed by a quote at the next bar's open, for the fills.

Quotes come a second after the bars, orders two seconds after: at its next event the exchange fills them at
the quotes. The account, its cash and the orders' states are Nautilus'; the strategy adds its holdings at the
closes to the cash.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from contest import Outcome, contend
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler, QuoteTickDataWrangler
from nautilus_trader.trading.strategy import Strategy
from work import CASH_USD, WEIGHT, Work, shares_to_trade

VENUE = Venue("BENCH")


class Rebalanced(Strategy):
    """The rule, and what it sent."""

    def __init__(self, work: Work, bar_types: list[BarType]) -> None:
        super().__init__()
        self.work, self.bar_types = work, bar_types
        self.row = {bar_type.instrument_id: row for row, bar_type in enumerate(bar_types)}
        self.held = [0] * len(bar_types)
        self.seen, self.sent = 0, []

    def on_start(self):
        for bar_type in self.bar_types:
            self.subscribe_bars(bar_type)

    def on_order_filled(self, event):
        qty = int(event.last_qty)
        self.held[self.row[event.instrument_id]] += qty if event.order_side == OrderSide.BUY else -qty

    def equity(self, bar: int) -> float:
        cash = self.portfolio.account(VENUE).balance_total(USD).as_double()
        close = self.work.close[:, bar]
        return round(cash + sum(qty * close[row] for row, qty in enumerate(self.held) if qty), 2)  # cents

    def on_bar(self, bar):
        self.seen += 1
        at, rest = divmod(self.seen, len(self.held))
        if rest or at == self.work.close.shape[1]:
            return
        at -= 1  # the bar that the last symbol's completed
        wanted, close, equity = self.work.wanted[:, at], self.work.close[:, at], self.equity(at)
        for row, held in enumerate(self.held):
            if not (wanted[row] or held):
                continue
            qty = int(shares_to_trade(held, WEIGHT if wanted[row] else 0.0, equity, close[row]))
            if qty:
                side = OrderSide.BUY if qty > 0 else OrderSide.SELL
                instrument_id = self.bar_types[row].instrument_id
                self.submit_order(self.order_factory.market(instrument_id, side, Quantity.from_int(abs(qty))))
                self.sent.append((at + 1, row, qty))


def prepared(work: Work) -> Callable[[], Rebalanced]:
    symbols, bars = work.close.shape
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.CASH,
        base_currency=USD,
        starting_balances=[Money(CASH_USD, USD)],
        latency_model=LatencyModel(base_latency_nanos=2 * 10**9),
        bar_execution=False,
    )
    closes = pd.date_range("2012-07-02 13:31", periods=bars, freq="min", tz="UTC")
    opens = closes - pd.Timedelta(seconds=59)
    bar_types = []
    for row in range(symbols):
        symbol = f"S{row:03}"
        equity = Equity(
            InstrumentId(Symbol(symbol), VENUE),
            Symbol(symbol),
            USD,
            2,
            Price(0.01, 2),
            Quantity.from_int(1),
            0,
            0,
        )
        bar_type = BarType.from_str(f"{symbol}.{VENUE}-1-MINUTE-LAST-EXTERNAL")
        columns = {name: getattr(work, name)[row] for name in ("open", "high", "low", "close")}
        frame = pd.DataFrame({**columns, "volume": 1e6}, index=closes)
        quoted = {"bid_price": work.open[row], "ask_price": work.open[row], "bid_size": 1e6, "ask_size": 1e6}
        engine.add_instrument(equity)
        quotes = QuoteTickDataWrangler(equity).process(pd.DataFrame(quoted, index=opens))
        engine.add_data(quotes, sort=False)
        engine.add_data(BarDataWrangler(bar_type, equity).process(frame), sort=row == symbols - 1)
        bar_types.append(bar_type)
    rule = Rebalanced(work, bar_types)
    engine.add_strategy(rule)

    def run() -> Rebalanced:
        engine.run()
        return rule

    return run


def outcome(rule: Rebalanced) -> Outcome:
    return rule.sent, rule.equity(rule.work.close.shape[1] - 1)


if __name__ == "__main__":
    contend(prepared, outcome)
