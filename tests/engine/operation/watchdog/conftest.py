"""A floor for the watchdog's tests, each with a book of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.receiver import Receiver, listening
from support.trading_floor import TradingFloor, trading_floor
from watched import SESSION


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    many = 100_000  # requests a minute: many accounts, one after the other, in the same few minutes
    with trading_floor(tmp_path_factory.mktemp("watchdog"), SESSION, requests_per_minute=many) as floor:
        floor.tick(SESSION, 1)
        yield floor


@pytest.fixture
def floor(shared: TradingFloor, tmp_path: Path) -> TradingFloor:
    """A new account on the module's exchange, with a desk's directory of its own and a hasty watchdog."""
    shared.control("/account/reset", cash="100000")
    for symbol in ("AAPL", "IBM"):
        shared.control("/quote", symbol=symbol)
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    settings = yaml.safe_load(shared.config_path.read_text())
    path.write_text(
        yaml.safe_dump(settings | {"watchdog_seconds": 0.4, "reconciliation_interval_seconds": 0.2})
    )
    return TradingFloor(shared.exchange, path, shared.sessions)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver
