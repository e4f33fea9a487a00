"""The daily features in plain polars: one long frame, every expression over its symbol."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from panel import LOOKBACK, Floats, compute_features

COLUMNS = ("open", "high", "low", "close", "volume", "split", "cash")


def features(frame: pl.DataFrame) -> pl.DataFrame:
    c = {
        name: pl.col(name)
        for name in (*COLUMNS, "prices", "shares", "traded", "previous", "returns", "change")
    }

    def each(**expressions: pl.Expr) -> list[pl.Expr]:
        return [expression.over("symbol").alias(name) for name, expression in expressions.items()]

    before = c["close"].shift(1)
    factor = ((before - c["cash"]) / (before * c["split"])).fill_null(1.0)
    frame = frame.with_columns(
        *each(
            prices=factor.cum_prod(reverse=True).shift(-1).fill_null(1.0),
            shares=c["split"].cum_prod(reverse=True).shift(-1).fill_null(1.0),
        ),
        (c["close"] * c["volume"]).alias("traded"),
    ).with_columns(
        *(c[name] * c["prices"] for name in ("open", "high", "low", "close")), c["volume"] * c["shares"]
    )
    frame = frame.with_columns(each(previous=c["close"].shift(1)))
    frame = frame.with_columns(
        (c["close"] / c["previous"] - 1.0).alias("returns"), (c["close"] - c["previous"]).alias("change")
    )
    close, high, low, returns, change = c["close"], c["high"], c["low"], c["returns"], c["change"]
    slow = returns.rolling_std(20).shift(1)
    true_range = pl.max_horizontal(high, c["previous"]) - pl.min_horizontal(low, c["previous"])
    gains, losses = (
        change.clip(lower_bound=0.0).rolling_sum(14),
        (-change).clip(lower_bound=0.0).rolling_sum(14),
    )
    bottom, top = low.rolling_min(14), high.rolling_max(14)
    found = (
        returns,
        close / close.shift(5) - 1.0,
        close / close.shift(20) - 1.0,
        close / close.shift(60) - 1.0,
        c["open"] / c["previous"] - 1.0,
        close / c["open"] - 1.0,
        close / close.rolling_mean(10) - 1.0,
        close / close.rolling_mean(50) - 1.0,
        slow,
        returns.rolling_std(5).shift(1) / slow,
        true_range.rolling_mean(14).shift(1) / c["previous"],
        gains / (gains + losses),
        close / high.rolling_max(60) - 1.0,
        close / low.rolling_min(60) - 1.0,
        (close - bottom) / (top - bottom),
        c["volume"].shift(1) / c["volume"].rolling_mean(20).shift(2),
        (returns.abs() / (c["traded"] / 1e6)).rolling_mean(20).shift(1),
        returns.rolling_max(20).shift(1),
    )
    full = pl.int_range(pl.len()).over("symbol") >= LOOKBACK - 1
    return frame.select(
        pl.when(full).then(feature.over("symbol")).alias(f"f{number}") for number, feature in enumerate(found)
    )


def prepared(tables: Floats) -> Callable[[], tuple[int, pl.DataFrame]]:
    _, symbols, sessions = tables.shape
    columns = {name: column.ravel() for name, column in zip(COLUMNS, tables, strict=True)}
    frame = pl.DataFrame({"symbol": np.repeat(np.arange(symbols, dtype=np.int32), sessions), **columns})
    return lambda: (sessions, features(frame))


def rows(done: tuple[int, pl.DataFrame], count: int) -> list[Floats]:
    sessions, found = done
    return [found.slice(symbol * sessions, sessions).to_numpy() for symbol in range(count)]


if __name__ == "__main__":
    compute_features(prepared, rows)
