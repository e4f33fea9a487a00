"""An exchange for the definitions' tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.trading_floor import TradingFloor


@pytest.fixture
def start_floor(
    start_floor: Callable[..., TradingFloor], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TradingFloor]:
    """Its configuration is in the environment, as the code server has it."""
    from support.trading_floor import TOKEN

    def start(*given: Any, **options: Any) -> TradingFloor:
        floor = start_floor(*given, **options)
        monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(floor.config_path))
        monkeypatch.setenv("TRADING_ASSETS_EXCHANGE_TOKEN", TOKEN)
        return floor

    return start
