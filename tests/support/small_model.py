"""A small real model for tests: few rounds, trained on the bundled bars of 2000–2010."""

from __future__ import annotations

from pathlib import Path

from trading_assets.market.bundle import BundledTape
from trading_assets.model import registry
from trading_assets.model.training import Parameters, train
from trading_assets.model.training_set import SymbolHistory, build_training_set


def saved_below(models: Path) -> Path:
    """The directory of the model, saved below `models`."""
    tape = BundledTape()
    histories = {}
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        daily = tape.daily(symbol)
        before_2011 = int((daily.end_ns < 1_293_840_000_000_000_000).sum())
        cut = type(daily)._make(column[:before_2011] for column in daily)
        histories[symbol] = SymbolHistory(cut, tape.actions(symbol), "bundled")
    trained = train(build_training_set(histories), Parameters(rounds=20, folds=3))
    return registry.save(trained, models, created_at_ns=0)
