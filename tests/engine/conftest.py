"""The ground of the engine's tests: a real embedded exchange in a process of its own, and desks on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from trading_assets.config import EmbeddedSettings, Settings
from trading_assets.engine import checks, data_checks, featurise, ingest, settle, signalling, tick
from trading_assets.engine.desk import Desk
from trading_assets.engine.protect import new_execution_id
from trading_assets.engine.reconcile import ReconcileReport
from trading_assets.engine.tick import ExecutionReport
from trading_assets.exchange.keeper import Keeper
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.sessions import Sessions

SESSION = date(2012, 9, 11)
CASH = Decimal(100_000)


@dataclass
class Ground:
    """One exchange with its keeper, and the settings of a desk on it."""

    home: Path
    exchange: ExchangeProcess
    keeper: Keeper
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


def prepare(desk: Desk, session: date, tick_ns: int) -> None:
    """Everything of a tick before the orders, with the data checks stored as the assets store them."""
    ingest.store_bars(desk, session, tick_ns)
    checks.record(desk, session, tick_ns, data_checks.bar_checks(desk, session, tick_ns))
    featurise.store_features(desk, session, tick_ns)
    checks.record(desk, session, tick_ns, data_checks.feature_checks(desk, session, tick_ns))
    signalling.store_signals(desk, session, tick_ns)
    checks.record(desk, session, tick_ns, data_checks.signal_checks(desk, session, tick_ns))


def execute(desk: Desk, session: date, tick_ns: int) -> ExecutionReport:
    """One execution, named anew."""
    return tick.execute(desk, session, tick_ns, new_execution_id())


def run_tick(desk: Desk, session: date, tick_ns: int) -> tuple[ExecutionReport, ReconcileReport]:
    """A whole tick at engine level, as the job `trading_tick` runs it."""
    prepare(desk, session, tick_ns)
    report = execute(desk, session, tick_ns)
    settle.settle_fills(desk, session, tick_ns)
    return report, settle.settle_positions(desk, session, tick_ns)


@pytest.fixture
def start_ground(tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    """Starts grounds: `start_ground(session=…, cash=…)`. Each test may start several."""
    started: list[Ground] = []

    def start(session: date = SESSION, cash: Decimal = CASH) -> Ground:
        home = tmp_path / f"ground-{len(started)}"
        home.mkdir()
        token = secrets.token_urlsafe(16)
        exchange = start_process(
            state_dir=home / "exchange", token=token, start_ns=Sessions().open_ns(session), cash=cash
        )
        settings = Settings(
            data_dir=home / "desk",
            tick_minutes=30,
            embedded=EmbeddedSettings(url=exchange.url, control_url=exchange.control_url),
        )
        ground = Ground(home, exchange, Keeper(exchange.control_url, token), settings, session)
        started.append(ground)
        return ground

    yield start
    for ground in started:
        ground.keeper.close()
        ground.exchange.terminate()


@pytest.fixture
def ground(start_ground: Callable[..., Ground]) -> Ground:
    return start_ground()
