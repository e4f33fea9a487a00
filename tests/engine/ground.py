"""The ground of the engine's tests: a real embedded exchange in a process of its own, and desks on it.

Not in conftest.py: two folders' modules of that name hide one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks import data, table
from trading_assets.engine.market_data import bars, feature_rows
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import books, tick
from trading_assets.engine.ticks.tick import ExecutionReport
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.market.sessions import Sessions
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 9, 11)
CASH = Decimal(100_000)


@dataclass
class Ground:
    """One exchange with its keeper, and the settings of a desk on it."""

    home: Path
    exchange: ExchangeProcess
    keeper: ControlClient
    settings: Settings
    session: date = SESSION
    sessions: Sessions = field(default_factory=Sessions)

    def desk(self, environ: Mapping[str, str] | None = None, **changes: object) -> Desk:
        """A desk as a new process would open it; `changes` are settings."""
        return Desk.open(self.settings.model_copy(update=changes), environ={} if environ is None else environ)

    def ticks(self) -> list[int]:
        return self.sessions.ticks(self.session, self.settings.tick_minutes)

    def go_to_tick(self, number: int) -> int:
        """Move the exchange's clock to the session's tick `number`, from 0; returns its time."""
        self.keeper.move_to(self.ticks()[number])
        return self.ticks()[number]

    def go_to_session(self, session: date, number: int = 0) -> int:
        """Move to another session's tick and stay with that session; returns its time."""
        self.session = session
        return self.go_to_tick(number)

    def move_quote(self, desk: Desk, symbol: str, factor: str) -> None:
        """Quote by hand at `factor` times the present quote, with a spread of a cent: no trade says so."""
        quote = desk.broker.quotes([symbol])[symbol]
        assert quote.bid is not None
        bid = (quote.bid * Decimal(factor)).quantize(Decimal("0.01"))
        self.keeper.quote(symbol, float(bid), float(bid + Decimal("0.01")))


def buy(ground: Ground, desk: Desk, symbol: str = "AAPL", value: float = 1.0) -> OrderRecord:
    """A whole tick, now, that buys one symbol by a signal; its order, filled."""
    now = desk.now_ns()
    bid, ask = (getattr(desk.broker.quotes([symbol])[symbol], side) for side in ("bid", "ask"))
    tick_signals.receive(desk, symbol, value, reference_price=(bid + ask) / 2)
    report, _ = run_tick(desk, ground.session, now)
    (order,) = report.orders
    assert order.state == "FILLED"
    return order


def buy_dear(ground: Ground, desk: Desk, symbol: str = "AAPL") -> OrderRecord:
    """Buy at 6.5 % above the market, and let the market come back: its bid is through the stop, and the
    last trade confirms it."""
    ground.move_quote(desk, symbol, "1.065")
    order = buy(ground, desk, symbol)
    ground.keeper.tape_quote(symbol)
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
