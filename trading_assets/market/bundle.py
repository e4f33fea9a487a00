"""The tape that ships with the package: real daily bars of five symbols, minute bars derived from them.

data/PROVENANCE.md says where the file comes from and what was found in it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from trading_assets.errors import TradingAssetsError
from trading_assets.market.actions import recovered_actions
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.defects import daily_defects
from trading_assets.market.derive import minute_bars
from trading_assets.market.sessions import Sessions

SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
DOUBLED_VOLUME = frozenset({"GOOG"})
SESSIONS_OF_MINUTES_KEPT = 256  # 22 KB each


class BundleDamaged(TradingAssetsError):
    """The bundled file has changed since it was bundled."""


class _History(NamedTuple):
    days: dict[date, int]  # session → row
    daily: Bars
    actions: tuple[CorporateAction, ...]


def checked(content: bytes) -> bytes:
    """Return `content`. Raises BundleDamaged when its SHA-256 differs from the bundled file's."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise BundleDamaged(
            f"market/data/stocks.csv.gz has SHA-256 {digest}, not {SHA256}; install the package again"
        )
    return content


@cache
def _histories() -> dict[str, _History]:
    """Read once a process, about 0.1 s. The arrays are shared, and so read-only."""
    file = resources.files("trading_assets.market").joinpath("data", "stocks.csv.gz")
    rows = csv.reader(gzip.decompress(checked(file.read_bytes())).decode("ascii").splitlines()[1:])
    by_symbol: dict[str, list[list[str]]] = {}
    for symbol, *row in rows:
        by_symbol.setdefault(symbol, []).append(row)
    return {symbol: _history(symbol, table) for symbol, table in sorted(by_symbol.items())}


def _history(symbol: str, table: list[list[str]]) -> _History:
    days = [date.fromisoformat(row[0]) for row in table]
    columns = np.array([row[1:] for row in table], dtype=np.float64).T.copy()
    open_, high, low, close, volume, adjusted = columns
    if symbol in DOUBLED_VOLUME:
        volume /= 2.0
    daily = Bars(*Sessions().hours(days), open_, high, low, close, volume)
    for column in daily:
        column.flags.writeable = False
    if defects := daily_defects(daily, Sessions()):
        raise BundleDamaged(f"{symbol}: {defects[0].day}: {defects[0].fault} ({len(defects)} defects)")
    actions = recovered_actions(symbol, days, close, adjusted)
    return _History({day: row for row, day in enumerate(days)}, daily, actions)


class BundledTape:
    """The bundled file as a `market.bars.Tape`. Equal seeds give equal minutes, on every machine."""

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        self._minutes = lru_cache(SESSIONS_OF_MINUTES_KEPT)(self._derived_minutes)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(_histories())

    @property
    def derived(self) -> bool:
        return True

    def is_derived(self, symbol: str, session: date) -> bool:
        return True

    def daily(self, symbol: str) -> Bars:
        """Raw daily bars. Raises KeyError for a symbol that is not on the tape."""
        return _histories()[symbol].daily

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return _histories()[symbol].actions

    def minutes(self, symbol: str, session: date) -> Bars:
        """The session's minutes, the same arrays each time; empty where the symbol has no daily bar."""
        return self._minutes(symbol, session)

    def _derived_minutes(self, symbol: str, session: date) -> Bars:
        history = _histories()[symbol]
        row = history.days.get(session)
        if row is None:
            return Bars._make(column[:0] for column in history.daily)
        day = Bars._make(column[row : row + 1] for column in history.daily)
        bars = minute_bars(symbol, session, day, self._seed)
        for column in bars:
            column.flags.writeable = False
        return bars
