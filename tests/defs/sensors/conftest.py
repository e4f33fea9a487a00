"""An instance and a floor for the sensors' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from evaluated import BOOK, SESSION, Desk
from trading_floor import TOKEN, TradingFloor, trading_floor

from trading_assets.defs.protection import sensors
from trading_assets.market.clock import system_now_ns
from trading_assets.runs import signal_ticks


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def start_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TradingFloor]]:
    """Starts an exchange with its configuration in the environment, as the code server has it."""
    open_floors = []

    def start(session: date = SESSION, **settings: object) -> TradingFloor:
        context = trading_floor(tmp_path, session, **settings)
        floor = context.__enter__()
        open_floors.append(context)
        monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(floor.config_path))
        monkeypatch.setenv("TRADING_ASSETS_EXCHANGE_TOKEN", TOKEN)
        return floor

    yield start
    for context in open_floors:
        context.__exit__(None, None, None)


@pytest.fixture
def floor(start_floor: Callable[..., TradingFloor]) -> TradingFloor:
    return start_floor()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, system_now_ns())
    desk.configure("reconciliation_interval_seconds: 60\n")
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(desk.config_path))
    for module in (sensors, signal_ticks):
        monkeypatch.setattr(module, "system_now_ns", lambda: desk.now_ns)
    with desk.journal() as journal:
        journal.set_mark("embedded:paper", "book", BOOK, 0)
    return desk
