"""Ticks at engine level, without Dagster: whole ones, their parts, and one that buys."""

from __future__ import annotations

from datetime import date

from support.trading_floor import TradingFloor

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks import data, table
from trading_assets.engine.market_data import bars, feature_rows
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import books, tick
from trading_assets.engine.ticks.tick import ExecutionReport
from trading_assets.store.records import OrderRecord


def buy(floor: TradingFloor, desk: Desk, symbol: str = "AAPL", value: float = 1.0) -> OrderRecord:
    """A whole tick, now, that buys one symbol by a signal; its order, filled."""
    now = desk.now_ns()
    bid, ask = (getattr(desk.broker.quotes([symbol])[symbol], side) for side in ("bid", "ask"))
    tick_signals.receive(desk, symbol, value, reference_price=(bid + ask) / 2)
    report, _ = run_tick(desk, floor.session, now)
    (order,) = report.orders
    assert order.state == "FILLED"
    return order


def buy_dear(floor: TradingFloor, desk: Desk, symbol: str = "AAPL") -> OrderRecord:
    """Buy at 6.5 % above the market, and let the market come back: its bid is through the stop, and the
    last trade confirms it."""
    floor.move_quote(desk, symbol, "1.065")
    order = buy(floor, desk, symbol)
    floor.keeper.tape_quote(symbol)
    return order


def prepare(desk: Desk, session: date, tick_ns: int) -> None:
    """Everything of a tick before the orders, with the data checks stored as the assets store them."""
    bars.store_bars(desk, session, tick_ns)
    table.record(desk, session, tick_ns, data.bar_checks(desk, session, tick_ns))
    feature_rows.store_features(desk, session, tick_ns)
    table.record(desk, session, tick_ns, data.feature_checks(desk, session, tick_ns))
    tick_signals.store_signals(desk, session, tick_ns)
    table.record(desk, session, tick_ns, data.signal_checks(desk, session, tick_ns))


def execute(desk: Desk, session: date, tick_ns: int) -> ExecutionReport:
    """One execution, named anew."""
    return tick.execute(desk, session, tick_ns, new_execution_id())


def run_tick(desk: Desk, session: date, tick_ns: int) -> tuple[ExecutionReport, ReconcileReport]:
    """A whole tick at engine level, as the job `trading_tick` runs it."""
    prepare(desk, session, tick_ns)
    report = execute(desk, session, tick_ns)
    books.book_fills(desk, session, tick_ns)
    return report, books.reconcile_positions(desk, session, tick_ns)
