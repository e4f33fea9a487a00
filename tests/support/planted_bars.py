"""Defects planted into made-up bars, each with the rule that names it and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from support.made_up_bars import own_rows, scaled, session_of, telling, without
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.quarantine.rules import BarRule
from trading_assets.market.quarantine.series import Series


class Planted(NamedTuple):
    series: Series
    rule: BarRule
    symbol: str
    session: date
    rows: int  # that are to be left out


def plant_split(series: Series, symbol: str, at: int, ratio: float = 2.0) -> Planted:
    rows = own_rows(series, symbol)
    broken = scaled(series, slice(rows.start + at, rows.stop), 1 / ratio, ratio)
    return Planted(broken, BarRule.UNEXPLAINED_SPLIT, symbol, session_of(series, rows.start + at), 1)


def plant_bad_print(series: Series, symbol: str, at: int) -> Planted:
    row = own_rows(series, symbol).start + at
    return Planted(scaled(series, row, 100.0), BarRule.JUMP, symbol, session_of(series, row), 1)


def plant_pence(series: Series, symbol: str, at: int) -> Planted:
    rows = own_rows(series, symbol)
    broken = scaled(series, slice(rows.start + at, rows.stop), 100.0)
    return Planted(broken, BarRule.JUMP, symbol, session_of(series, rows.start + at), 1)


def plant_pounds(series: Series, symbol: str, at: int) -> Planted:
    rows = own_rows(series, symbol)
    broken = scaled(series, slice(rows.start + at, rows.start + at + 3), 0.01)
    return Planted(broken, BarRule.JUMP, symbol, session_of(series, rows.start + at), 3)


def plant_action(series: Series, symbol: str, at: int) -> Planted:
    day = session_of(series, own_rows(series, symbol).start + at)
    return Planted(
        telling(series, CorporateAction(symbol, day, 2.0, 0.0)), BarRule.ACTION_NOT_FOLLOWED, symbol, day, 0
    )


def plant_action_again(series: Series, symbol: str, at: int) -> Planted:
    split = plant_split(series, symbol, at)
    next_day = session_of(series, own_rows(series, symbol).start + at + 1)
    message = [CorporateAction(symbol, day, 2.0, 0.0) for day in (split.session, next_day)]
    return Planted(telling(split.series, *message), BarRule.ACTION_AGAIN, symbol, next_day, 0)


def plant_dividend_again(series: Series, symbol: str, at: int) -> Planted:
    row = own_rows(series, symbol).start + at
    days = [session_of(series, row), session_of(series, row + 1)]
    message = [CorporateAction(symbol, day, 1.0, 0.12) for day in days]
    return Planted(telling(series, *message), BarRule.ACTION_AGAIN, symbol, days[1], 0)


def plant_new_listing(series: Series, symbol: str, at: int) -> Planted:
    rows = own_rows(series, symbol)
    begin = rows.start + at
    broken = scaled(series, slice(begin + 60, rows.stop), 3.3)
    session = session_of(series, begin + 60)
    return Planted(without(broken, slice(begin, begin + 60)), BarRule.NEW_LISTING, symbol, session, 0)


def plant_zero_volume(series: Series, symbol: str, at: int) -> Planted:
    row = own_rows(series, symbol).start + at
    return Planted(scaled(series, row, volume=0.0), BarRule.ZERO_VOLUME, symbol, session_of(series, row), 0)


def plant_stale(series: Series, symbol: str, at: int) -> Planted:
    row = own_rows(series, symbol).start + at
    columns = [column.copy() for column in series.rows]
    for column in columns[2:]:
        column[row : row + 3] = column[row - 1]
    return Planted(
        replace(series, rows=Bars._make(columns)), BarRule.STALE, symbol, session_of(series, row), 0
    )


def plant_hundreds(series: Series, symbol: str, at: int) -> Planted:
    rows = own_rows(series, symbol)
    broken = scaled(series, slice(rows.start + at, rows.stop), volume=0.01)
    return Planted(broken, BarRule.VOLUME_LEVEL, symbol, session_of(series, rows.start + at), 0)


def plant_gap(series: Series, symbol: str, at: int) -> Planted:
    row = own_rows(series, symbol).start + at
    return Planted(
        without(series, slice(row, row + 2)), BarRule.MISSING_SESSIONS, symbol, session_of(series, row), 0
    )


def plant_early(series: Series, symbol: str, at: int) -> Planted:
    """Each bar stands where the one before it should."""
    rows = own_rows(series, symbol)
    columns = [column.copy() for column in series.rows]
    for column in columns[2:]:
        column[rows.start : rows.stop - 1] = column[rows.start + 1 : rows.stop]
    broken = without(replace(series, rows=Bars._make(columns)), rows.stop - 1)
    return Planted(
        broken, BarRule.AHEAD_OF_MARKET, symbol, session_of(series, rows.start), rows.stop - rows.start - 1
    )


def plant_late(series: Series, symbol: str, at: int) -> Planted:
    rows = own_rows(series, symbol)
    columns = [column.copy() for column in series.rows]
    for column in columns[2:]:
        column[rows.start + 1 : rows.stop] = column[rows.start : rows.stop - 1].copy()
    broken = without(replace(series, rows=Bars._make(columns)), rows.start)
    return Planted(broken, BarRule.BEHIND_MARKET, symbol, session_of(series, rows.start + 1), 0)


Planter = Callable[[Series, str, int], Planted]
PLANTERS: list[Planter] = [
    plant_split,
    plant_bad_print,
    plant_pence,
    plant_pounds,
    plant_action,
    plant_action_again,
    plant_dividend_again,
    plant_new_listing,
    plant_zero_volume,
    plant_stale,
    plant_hundreds,
    plant_gap,
    plant_early,
    plant_late,
]
