"""The ground of the replay's tests: bars made by hand in a history, and a small real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_bars import HandmadeBars
from support.small_model import saved_below as small_model_below

from trading_assets.engine.replay import ModelSignals
from trading_assets.model import registry


@pytest.fixture
def bars(tmp_path: Path) -> HandmadeBars:
    return HandmadeBars(tmp_path)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> ModelSignals:
    """Few rounds, trained on the bundled bars of 2000–2010."""
    directory = small_model_below(tmp_path_factory.mktemp("models"))
    return ModelSignals(directory / registry.MODEL, directory / registry.FEATURES)
