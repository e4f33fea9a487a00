"""The ground of the replay's tests: bars made by hand in a history, and a small real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_bars import HandmadeBars

from trading_assets.engine.replay import ModelSignals
from trading_assets.market.bundle import BundledTape
from trading_assets.model import registry
from trading_assets.model.training import Parameters, train
from trading_assets.model.training_set import SymbolHistory, build_training_set


@pytest.fixture
def bars(tmp_path: Path) -> HandmadeBars:
    return HandmadeBars(tmp_path)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> ModelSignals:
    """Few rounds, trained on the bundled bars of 2000–2010."""
    tape = BundledTape()
    histories = {}
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        daily = tape.daily(symbol)
        before_2011 = int((daily.end_ns < 1_293_840_000_000_000_000).sum())
        cut = type(daily)._make(column[:before_2011] for column in daily)
        histories[symbol] = SymbolHistory(cut, tape.actions(symbol), "bundled")
    trained = train(build_training_set(histories), Parameters(rounds=20, folds=3))
    models = tmp_path_factory.mktemp("models")
    directory = registry.save(trained, models, created_at_ns=0)
    return ModelSignals(directory / registry.MODEL, directory / registry.FEATURES)
