"""The ground of the command line's tests: a real exchange, and a configuration that trades on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from support.trading_floor import TradingFloor, trading_floor

SESSION = date(2012, 9, 11)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[TradingFloor]:
    """An exchange an hour before the open, and $100 000."""
    with trading_floor(tmp_path, SESSION) as started:
        yield started
