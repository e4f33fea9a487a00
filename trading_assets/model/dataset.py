"""The training set from the history store: the only SQL of the model layer.

What a training set is lives in `model.training_set`, the tables in `store.history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY, FeatureSet
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.model.training_set import HORIZON, SymbolHistory, TrainingSet, build_training_set
from trading_assets.store.history import History

# The newest version of each daily bar that had been received. Derived bars know their future: they
# are never trained on.
_BARS = """
SELECT start_ns, available_at_ns, open, high, low, close, volume, source
FROM bars
WHERE symbol = ? AND "interval" = '1d' AND NOT derived AND session BETWEEN ? AND ?
  AND available_at_ns <= ? AND received_at_ns <= ?
QUALIFY row_number() OVER (PARTITION BY session ORDER BY version DESC, received_at_ns DESC) = 1
ORDER BY session
"""

# What had been received last of each ex-date, which may be a split and a dividend.
_ACTIONS = """
SELECT ex_date, split_ratio, cash_usd
FROM corporate_actions
WHERE symbol = ? AND ex_date BETWEEN ? AND ? AND received_at_ns <= ?
QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY ex_date)
ORDER BY ex_date, split_ratio DESC, cash_usd
"""


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

    as_of_ns: what had been received by then is used, so that a training can be repeated

    Nothing after `last` is read, labels included. Raises InvalidInput for a symbol without bars in
    the range and as `build_training_set` does, HistoryLocked as the store does.
    """
    histories = {symbol: _symbol_history(history, symbol, first, last, as_of_ns) for symbol in symbols}
    return build_training_set(histories, features=features, horizon=horizon)


def _symbol_history(history: History, symbol: str, first: date, last: date, as_of_ns: int) -> SymbolHistory:
    bars = history.query(_BARS, (symbol, first, last, as_of_ns, as_of_ns))
    if not bars.num_rows:
        raise InvalidInput(
            f"no daily bars of {symbol} from {first} to {last} had been received",
            where="history, table bars",
            remedy="Load the symbol's bars, or leave it out of the training symbols.",
        )
    return SymbolHistory(
        daily=Bars(
            *(bars[column].to_numpy().astype(np.int64) for column in ("start_ns", "available_at_ns")),
            *(
                bars[column].to_numpy().astype(np.float64)
                for column in ("open", "high", "low", "close", "volume")
            ),
        ),
        actions=tuple(
            CorporateAction(symbol, row["ex_date"], row["split_ratio"], row["cash_usd"])
            for row in history.query(_ACTIONS, (symbol, first, last, as_of_ns)).to_pylist()
        ),
        source=", ".join(sorted(set(bars["source"].to_pylist()))),
    )
