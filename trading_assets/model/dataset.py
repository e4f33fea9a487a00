"""The training set made from what the history had received.

`model.training_set` defines a training set; `store.bar_history` has the statements on bars and corporate
actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY, FeatureSet
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.model.training_set import HORIZON, SymbolHistory, TrainingSet, build_training_set
from trading_assets.store.bar_history import actions_until, markets_of, recorded_daily
from trading_assets.store.history import History


def training_set_from_history(
    history: History,
    symbols: Sequence[str],
    first: date,
    last: date,
    *,
    as_of_ns: int,
    features: FeatureSet = DAILY,
    horizon: int = HORIZON,
) -> TrainingSet:
    """The training set of the stored daily bars and corporate actions of first ≤ session ≤ last.

    as_of_ns: only what had been received by then is used, so that a training can be repeated

    It reads nothing after `last`, labels included. Raises InvalidInput for a symbol without bars in
    the range and as `build_training_set` does, HistoryLocked as the store does.
    """
    recorded = recorded_daily(history, symbols, first, last, as_of_ns=as_of_ns)
    actions = actions_until(history, symbols, last, as_of_ns=as_of_ns)
    for symbol, (bars, _) in recorded.items():
        if not len(bars.start_ns):
            raise InvalidInput(
                f"no daily bars of {symbol} from {first} to {last} had been received",
                where="history, table bars",
                remedy="Load the symbol's bars, or leave it out of the training symbols.",
            )
    span = (new_york_midnight_ns(first), new_york_midnight_ns(last + timedelta(days=1)))
    markets = markets_of(history, symbols, *span, as_of_ns=as_of_ns)
    histories = {
        symbol: SymbolHistory(daily=bars, actions=actions[symbol], source=sources, market=markets[symbol])
        for symbol, (bars, sources) in recorded.items()
    }
    return build_training_set(histories, features=features, horizon=horizon)
