"""What the whole replay replays: seeded minutes of many symbols in a history, and a model for them.

The history is as an import leaves it (symbol after symbol, daily bars, minutes, dividends), with a minute in
a thousand missing. The model is trained by the project's own training on the four years before.
"""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from trading_assets.config import Settings
from trading_assets.engine.training import store_training_set, train_model
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.history import History

FIRST_TRAINED, LAST_TRAINED = date(2007, 1, 3), date(2010, 12, 31)
FIRST_REPLAYED = date(2011, 1, 3)
SESSION_MINUTES = 390
MINUTE_DEVIATION = 0.015 / SESSION_MINUTES**0.5  # 1.5 % a session
MISSING = 0.001
SYMBOLS_AT_ONCE = 10
CASH_USD = 1_000_000.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Market(NamedTuple):
    """A desk's data directory with its history, and what there is to replay."""

    directory: Path
    first: date
    middle: date  # the last session of the first half
    last: date

    @property
    def config_path(self) -> Path:
        return self.directory / "execution.yaml"

    def rows(self, last: date) -> int:
        """Minute bars from the first session through `last`."""
        sql = """SELECT count(*) AS n FROM bars WHERE "interval" = '1m' AND session <= ?"""
        return int(History(self.directory / "history.duckdb").query(sql, [last])["n"][0].as_py())


def market(root: Path, symbols: int, sessions: int, seed: int = 7) -> Market:
    """The market of so many symbols and sessions, made on first use."""
    directory = root / f"{symbols}x{sessions}"
    days = Sessions().between(FIRST_REPLAYED, date(FIRST_REPLAYED.year + 2 + sessions // 200, 1, 1))[
        :sessions
    ]
    made = Market(directory, days[0], days[(sessions - 1) // 2], days[-1])
    if not (directory / ".made").exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        _make(made, [f"S{number:03d}" for number in range(symbols)], days, seed)
        (directory / ".made").touch()
    return made


def _make(made: Market, symbols: list[str], days: list[date], seed: int) -> None:
    history, random = History(made.directory / "history.duckdb"), np.random.default_rng(seed)
    before = Sessions().between(FIRST_TRAINED, LAST_TRAINED)
    for begin in range(0, len(symbols), SYMBOLS_AT_ONCE):
        tables = []
        for symbol in symbols[begin : begin + SYMBOLS_AT_ONCE]:
            daily, price = _daily(symbol, before, random.uniform(20.0, 200.0), random)
            tables += [daily, *_minutes(symbol, days, price, random)]
        history.append("bars", pa.concat_tables(tables))
        print(f"  {begin + SYMBOLS_AT_ONCE} of {len(symbols)} symbols made", flush=True)
    history.append("corporate_actions", [_dividend(symbol, days, random) for symbol in symbols])
    model = made.directory / "models" / "champion"
    values = {
        "data_dir": str(made.directory),
        "symbols": symbols,
        "model_path": str(model / "model.ubj"),
        "features_path": str(model / "features.json"),
    }
    made.config_path.write_text(yaml.safe_dump(values))
    settings = Settings(
        data_dir=made.directory, symbols=tuple(symbols), model_path=model / "model.ubj",
        features_path=model / "features.json",
    )  # fmt: skip
    now_ns = Sessions().close_ns(LAST_TRAINED)
    store_training_set(settings, history, FIRST_TRAINED, LAST_TRAINED, as_of_ns=now_ns)
    report = train_model(settings, history, at_ns=now_ns, promote_because="benchmark", threads=2)
    print(f"  {json.dumps({'model': report.directory.name, 'auc': round(report.model.figures.auc, 4)})}")


def _daily(
    symbol: str, days: list[date], price: float, random: np.random.Generator
) -> tuple[pa.Table, float]:
    """Daily bars that begin at `price`, and the last close."""
    close = _cents(price * np.exp(np.cumsum(random.normal(0.0, 0.015, len(days)))))
    open_ = np.append(_cents(np.array([price])), close[:-1])
    wick = np.abs(random.normal(0.0, 0.005, (2, len(days))))
    high, low = np.maximum(open_, close) * (1.0 + wick[0]), np.minimum(open_, close) * (1.0 - wick[1])
    volume = np.round(random.lognormal(14.0, 0.5, len(days)))
    starts, ends = Sessions().hours(days)
    columns = open_, _cents(high), np.minimum(_cents(low), np.minimum(open_, close)), close, volume
    return _table(symbol, "1d", _dates(days), starts, ends, columns), float(close[-1])


def _minutes(symbol: str, days: list[date], price: float, random: np.random.Generator) -> list[pa.Table]:
    """The sessions' minutes after a close of `price`, some of them missing, and the daily bars they make."""
    opens, closes = Sessions().hours(days)
    counts = (closes - opens) // MINUTE_NS
    first = np.append(0, np.cumsum(counts))
    count = int(first[-1])
    close = _cents(price * np.exp(np.cumsum(random.normal(0.0, MINUTE_DEVIATION, count))))
    open_ = np.append(_cents(np.array([price])), close[:-1])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    volume = np.round(random.lognormal(8.0, 0.8, count))
    at = np.repeat(opens - first[:-1] * MINUTE_NS, counts) + np.arange(count) * MINUTE_NS
    day = np.repeat(_dates(days), counts)
    kept = random.random(count) >= MISSING
    kept[first[:-1]] = True  # a session's first price is its daily bar's too
    minutes = tuple(column[kept] for column in (open_, high, low, close, volume))
    daily = (
        open_[first[:-1]],
        np.maximum.reduceat(high, first[:-1]),
        np.minimum.reduceat(low, first[:-1]),
        close[first[1:] - 1],
        np.add.reduceat(volume, first[:-1]),
    )
    return [
        _table(symbol, "1d", _dates(days), opens, closes, daily),
        _table(symbol, "1m", day[kept], at[kept], at[kept] + MINUTE_NS, minutes),
    ]


def _table(
    symbol: str,
    interval: str,
    day: NDArray[np.datetime64],
    start: Ints,
    end: Ints,
    columns: tuple[Floats, ...],
) -> pa.Table:
    named = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    same = {"symbol": symbol, "interval": interval, "source": "benchmark", "derived": False, "version": 1}
    stamps = {"start_ns": start, "available_at_ns": end, "received_at_ns": end}
    repeated = {name: pa.array([value]).take(pa.array(np.zeros(len(start), np.int64)))
                for name, value in same.items()}  # fmt: skip
    return pa.table({**repeated, "session": pa.array(day), **stamps, **named})


def _dividend(symbol: str, days: list[date], random: np.random.Generator) -> dict[str, object]:
    ex_date = days[int(random.integers(1, len(days)))] if len(days) > 1 else days[0]
    return {
        "symbol": symbol, "ex_date": ex_date, "split_ratio": 1.0, "cash_usd": 0.25,
        "received_at_ns": Sessions().open_ns(ex_date), "source": "benchmark",
    }  # fmt: skip


def _dates(days: list[date]) -> NDArray[np.datetime64]:
    return np.array(days, dtype="datetime64[D]")


def _cents(prices: Floats) -> Floats:
    return np.maximum(np.round(prices, 2), 1.0)
