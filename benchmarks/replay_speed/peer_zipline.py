"""The work in zipline, from arrays in memory: minutes of full sessions on a calendar without holidays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from contest import contend
from exchange_calendars import ExchangeCalendar
from sqlalchemy import create_engine
from work import CASH_USD, MINUTES, WEIGHT, Work, shares_to_trade
from zipline.algorithm import TradingAlgorithm
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data.bar_reader import BarReader
from zipline.data.data_portal import DataPortal
from zipline.finance.commission import NoCommission
from zipline.finance.slippage import SlippageModel
from zipline.finance.trading import SimulationParameters

FIRST, FAR = pd.Timestamp("2012-07-02"), pd.Timestamp("2014-01-01")


class Weekdays(ExchangeCalendar):
    name = "WEEKDAYS"
    tz = ZoneInfo("America/New_York")
    open_times = ((None, time(9, 30)),)
    close_times = ((None, time(16)),)


class Arrays(BarReader):
    """Minute bars from arrays of (symbols, bars)."""

    data_frequency = "minute"
    first_trading_day = FIRST
    trading_calendar = last_available_dt = None  # set at once: properties of the class that is derived from

    def __init__(self, work: Work, calendar: ExchangeCalendar, minutes: pd.DatetimeIndex) -> None:
        volume = np.full(work.close.shape, 10**9)
        self._columns = {**work._asdict(), "volume": volume}
        self._bar = {minute: bar for bar, minute in enumerate(minutes)}
        self.trading_calendar = calendar
        self.last_available_dt = minutes[-1]

    def get_value(self, sid, dt, field):
        return self._columns[field][sid, self._bar[dt]]

    def get_last_traded_dt(self, asset, dt):
        return dt

    def load_raw_arrays(self, columns, start_date, end_date, assets):
        rows = slice(self._bar[start_date], self._bar[end_date] + 1)
        return [self._columns[name][[int(asset) for asset in assets], rows].T for name in columns]


class NextOpen(SlippageModel):
    def process_order(self, data, order):
        return data.current(order.asset, "open"), order.open_amount


class Rebalanced:
    """The rule, and what it sent."""

    def __init__(self, work: Work) -> None:
        self.work, self.bar, self.sent, self.equity = work, -1, [], CASH_USD

    def initialize(self, context):
        context.set_slippage(us_equities=NextOpen())
        context.set_commission(us_equities=NoCommission())
        self.assets = context.asset_finder.retrieve_all(range(len(self.work.close)))

    def handle_data(self, context, data):
        self.bar += 1
        bar, work, portfolio = self.bar, self.work, context.portfolio
        self.equity = round(portfolio.portfolio_value, 2)  # cents
        if bar == work.close.shape[1] - 1:
            return
        holdings = {asset.sid: position.amount for asset, position in portfolio.positions.items()}
        wanted, close = work.wanted[:, bar], work.close[:, bar]
        for row, asset in enumerate(self.assets):
            held = holdings.get(row, 0)
            if not (wanted[row] or held):
                continue
            qty = int(shares_to_trade(held, WEIGHT if wanted[row] else 0.0, self.equity, close[row]))
            if qty:
                context.order(asset, qty)
                self.sent.append((bar + 1, row, qty))


def prepared(work: Work) -> Callable[[], Rebalanced]:
    symbols, bars = work.close.shape
    sessions, rest = divmod(bars, MINUTES)
    if rest:
        raise SystemExit(f"{bars} bars are not whole sessions of {MINUTES} minutes")
    calendar = Weekdays(start=FIRST, end=FAR, side="right")
    days = calendar.sessions[:sessions]
    minutes = calendar.sessions_minutes(days[0], days[-1])
    engine = create_engine("sqlite://")
    listing = {"symbol": [f"S{row:03}" for row in range(symbols)], "start_date": FIRST, "end_date": FAR}
    listed = pd.DataFrame({**listing, "exchange": "BENCH"})
    exchanges = pd.DataFrame({"exchange": ["BENCH"], "country_code": ["US"]})
    AssetDBWriter(engine).write(equities=listed, exchanges=exchanges)
    reader = Arrays(work, calendar, minutes)
    portal = DataPortal(AssetFinder(engine), calendar, FIRST, equity_minute_reader=reader)
    rule = Rebalanced(work)
    algorithm = TradingAlgorithm(
        sim_params=SimulationParameters(
            days[0], days[-1], calendar, capital_base=CASH_USD, data_frequency="minute"
        ),
        data_portal=portal,
        initialize=rule.initialize,
        handle_data=rule.handle_data,
        metrics_set=set(),
        benchmark_returns=pd.Series(0.0, index=days),
    )

    def run() -> Rebalanced:
        algorithm.run()
        return rule

    return run


if __name__ == "__main__":
    contend(prepared, lambda rule: (rule.sent, rule.equity))
