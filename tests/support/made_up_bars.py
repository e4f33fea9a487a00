"""Made-up daily bars of many symbols: a market that all of them share, fat tails, volumes of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.quarantine.series import Series
from trading_assets.market.sessions import Sessions

LAST = date(2016, 9, 30)


def clean_series(symbols: int, sessions: int, seed: int = 1, *, most_usual: float = 0.012) -> Series:
    """Nothing is wrong with it. Returns are Student's t with 3 degrees of freedom, so that moves of a tenth
    happen.

    most_usual: the largest standard deviation of a symbol's own returns
    """
    rng = np.random.default_rng(seed)
    days = Sessions().between(date(2014, 1, 2), LAST)[-sessions:]
    ordinals = np.array([day.toordinal() for day in days], np.int64)
    opens, closes = Sessions().hours(days)
    shape = (symbols, sessions)
    market = rng.standard_normal(sessions) * 0.01
    own = rng.standard_t(3, shape) / np.sqrt(3) * rng.uniform(0.005, most_usual, (symbols, 1))
    moved = market * rng.uniform(0.8, 1.3, (symbols, 1)) + own
    close = np.exp(np.cumsum(moved, axis=1)) * rng.uniform(5, 200, (symbols, 1))
    # a third of a move takes place overnight
    open_ = close * np.exp(-moved * 2 / 3)
    high = np.maximum(open_, close) * (1 + rng.exponential(0.004, shape))
    low = np.minimum(open_, close) / (1 + rng.exponential(0.004, shape))
    volume = np.round(
        np.exp(rng.normal(11, 1.5, (symbols, 1)) + rng.standard_normal(shape) * 0.5 + 10 * np.abs(own))
    )
    values = (open_, high, low, close, volume)
    rows = Bars._make(
        (np.tile(opens, symbols), np.tile(closes, symbols), *(column.ravel() for column in values))
    )
    return Series(
        Interval.DAY,
        [f"S{number:04d}" for number in range(symbols)],
        np.repeat(np.arange(symbols, dtype=np.int32), sessions),
        np.tile(ordinals, symbols),
        rows,
        {},
        {},
    )


def own_rows(series: Series, symbol: str) -> slice:
    number = list(series.symbols).index(symbol)
    return slice(int(series.begins[number]), int(series.begins[number + 1]))


def scaled(series: Series, rows: slice | int, price: float = 1.0, volume: float = 1.0) -> Series:
    """With prices and volumes of these rows times a factor."""
    columns = [column.copy() for column in series.rows]
    for column in columns[2:6]:
        column[rows] *= price
    columns[6][rows] *= volume
    return replace(series, rows=Bars._make(columns))


def without(series: Series, rows: slice | int | list[int]) -> Series:
    kept = np.ones(len(series.day), np.bool_)
    kept[rows] = False
    return replace(
        series,
        number=series.number[kept],
        day=series.day[kept],
        rows=Bars._make(column[kept] for column in series.rows),
    )


def telling(series: Series, *actions: CorporateAction) -> Series:
    message = dict(series.actions)
    for action in actions:
        message[action.symbol] = (*message.get(action.symbol, ()), action)
    return replace(series, actions=message)


def session_of(series: Series, row: int) -> date:
    return date.fromordinal(int(series.day[row]))
