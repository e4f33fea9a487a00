"""A desk for the lines of an account's history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from activity_lines import Books, bought
from support.trading_floor import TradingFloor
from wire import new_account

from trading_assets.engine.book.desk import Desk


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        yield desk


@pytest.fixture
def books(desk: Desk) -> Books:
    books = Books(desk)
    books.say(bought(desk, "AAPL", 10))
    books.begin()
    return books
