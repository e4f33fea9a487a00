"""Desks of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_ticks import buy
from support.trading_floor import TradingFloor
from wire import new_account

from trading_assets.engine.book.desk import Desk


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    """A reconciled desk on a new account."""
    with new_account(floor, tmp_path) as desk:
        yield desk


@pytest.fixture(params=["stands", "runs"])
def held(floor: TradingFloor, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk on the day after it bought."""
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk(embedded=floor.settings.embedded.model_copy(update={"time": request.param})) as desk:
        yield desk
