"""The bundled tape with one split more, that never was: prices are in new shares from its ex-date on."""

from __future__ import annotations

from datetime import date
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from trading_assets.market.bars import Bars, CorporateAction, Tape
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import new_york_midnight_ns

SEED = 7
_MINUTES_KEPT = 64


class Split(NamedTuple):
    """today: ex on the scenario's session, whose booking is held back; else on the next one."""

    symbol: str
    ex_date: date
    ratio: float  # new shares per old one
    today: bool

    def as_json(self) -> list[Any]:
        return [self.symbol, self.ex_date.isoformat(), self.ratio, self.today]

    @staticmethod
    def read(stated: list[Any] | None) -> Split | None:
        return (
            None if stated is None else Split(stated[0], date.fromisoformat(stated[1]), stated[2], stated[3])
        )


@cache
def tape_with(seed: int, split: Split | None) -> Tape:
    bundled = _bundled(seed)
    return bundled if split is None else SplitTape(bundled, split)


@cache
def _bundled(seed: int) -> BundledTape:
    return BundledTape(seed)


class SplitTape:
    """`market.bars.Tape`: the other one's prices of the split's symbol ÷ ratio, to the cent, from the ex-date
    on, its volumes × ratio."""

    def __init__(self, tape: Tape, split: Split) -> None:
        self._tape, self._split = tape, split
        self._daily = self._in_new_shares(tape.daily(split.symbol))
        self._minutes = lru_cache(_MINUTES_KEPT)(
            lambda session: self._in_new_shares(tape.minutes(split.symbol, session))
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._tape.symbols

    @property
    def derived(self) -> bool:
        return self._tape.derived

    def is_derived(self, symbol: str, session: date) -> bool:
        return self._tape.is_derived(symbol, session)

    def daily(self, symbol: str) -> Bars:
        return self._daily if symbol == self._split.symbol else self._tape.daily(symbol)

    def minutes(self, symbol: str, session: date) -> Bars:
        return self._minutes(session) if symbol == self._split.symbol else self._tape.minutes(symbol, session)

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        result = self._tape.actions(symbol)
        if symbol != self._split.symbol:
            return result
        cash = sum(action.cash_usd for action in result if action.ex_date == self._split.ex_date)
        more = CorporateAction(symbol, self._split.ex_date, self._split.ratio, cash)
        rest = (action for action in result if action.ex_date != self._split.ex_date)
        return tuple(sorted((*rest, more), key=lambda action: action.ex_date))

    def _in_new_shares(self, bars: Bars) -> Bars:
        new = bars.start_ns >= new_york_midnight_ns(self._split.ex_date)
        prices = [np.where(new, np.round(column / self._split.ratio, 2), column) for column in bars[2:6]]
        volume = np.where(new, bars.volume * self._split.ratio, bars.volume)
        return Bars(bars.start_ns, bars.end_ns, *prices, volume)
