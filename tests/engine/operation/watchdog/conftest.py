"""A floor for the watchdog's tests, each with a book of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.receiver import Receiver, listening
from support.trading_floor import TradingFloor


@pytest.fixture
def floor(floor: TradingFloor, tmp_path: Path) -> TradingFloor:
    """A new account on the module's exchange, with a desk's directory of its own and a hasty watchdog."""
    floor.control("/account/reset", cash="100000")
    for symbol in ("AAPL", "IBM"):
        floor.control("/quote", symbol=symbol)
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    settings = yaml.safe_load(floor.config_path.read_text())
    path.write_text(
        yaml.safe_dump(settings | {"watchdog_seconds": 0.4, "reconciliation_interval_seconds": 0.2})
    )
    return replace(floor, config_path=path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver
