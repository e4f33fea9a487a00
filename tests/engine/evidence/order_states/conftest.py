"""A desk for what is taken in from the broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from absorbed import SESSION
from support.trading_floor import TradingFloor, trading_floor
from wire import new_account

from trading_assets.engine.book.desk import Desk


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    with trading_floor(tmp_path_factory.mktemp("absorb"), SESSION) as floor:
        floor.tick(SESSION, 1)
        yield floor


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        yield desk
