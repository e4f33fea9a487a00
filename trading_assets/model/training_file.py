"""A training set as a Parquet file: one row for each row, one column for each feature.

The file is stored between building features and fitting, and can be queried. `model.training_set` says what
the columns mean.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trading_assets.errors import InvalidInput
from trading_assets.market.feeds import market_of_sources
from trading_assets.market.sessions import Sessions
from trading_assets.model.training_set import Dropped, TrainingSet, frozen

_KEY = b"training_set"
_COLUMNS = ("session", "symbol", "label", "label_end")


def write_training_set(training_set: TrainingSet, path: Path) -> None:
    """Write the file. An older one is replaced only when the new one is complete."""
    days = np.array(training_set.sessions, dtype="datetime64[D]")
    columns = {
        "session": pa.array(days[training_set.session]),
        "symbol": pa.DictionaryArray.from_arrays(training_set.symbol, list(training_set.symbols)),
        "label": training_set.y,
        "label_end": pa.array(days[training_set.label_end]),
    } | dict(zip(training_set.feature_names, training_set.X.T, strict=True))
    about = {
        "first": training_set.sessions[0].isoformat(),
        "last": training_set.sessions[-1].isoformat(),
        "symbols": training_set.symbols,
        "sources": training_set.sources,
        "market": training_set.market,
        "feature_identity": training_set.feature_identity,
        "horizon": training_set.horizon,
        "dropped": asdict(training_set.dropped),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    pq.write_table(table, staged)
    staged.replace(path)


def read_training_set(path: Path) -> TrainingSet:
    """Read what `write_training_set` wrote, bit for bit. Raises InvalidInput for any other file."""
    remedy = "Build the training set again."
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[_KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise InvalidInput(f"no training set ({error!r})", where=str(path), remedy=remedy) from error
    sessions = tuple(
        Sessions().between(date.fromisoformat(about["first"]), date.fromisoformat(about["last"]))
    )
    days = np.array(sessions, dtype="datetime64[D]")
    names = tuple(name for name in table.column_names if name not in _COLUMNS)
    symbols = np.array(about["symbols"])
    codes = np.searchsorted(symbols, table["symbol"].to_numpy().astype(symbols.dtype))
    return TrainingSet(
        X=frozen(np.stack([table[name].to_numpy() for name in names], axis=1)),
        y=frozen(table["label"].to_numpy().copy()),
        session=frozen(np.searchsorted(days, table["session"].to_numpy())),
        symbol=frozen(codes),
        label_end=frozen(np.searchsorted(days, table["label_end"].to_numpy())),
        sessions=sessions,
        symbols=tuple(about["symbols"]),
        sources=tuple(about["sources"]),
        feature_names=names,
        feature_identity=about["feature_identity"],
        horizon=about["horizon"],
        dropped=Dropped(**about["dropped"]),
        market=about.get("market") or market_of_sources(about["sources"]),
    )
