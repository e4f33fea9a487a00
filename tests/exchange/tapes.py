"""A tape small enough to compute by hand, and a venue over it. Sessions: Monday 2012-10-01 to Friday 10-05.

Prices move by what the test says: `paths` gives each session's minute closes' step; by default every
session opens at 100 and every minute closes one cent higher than the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from trading_assets.exchange.orders import VenueOrder
from trading_assets.exchange.store import EventStore
from trading_assets.exchange.venue import Venue, VenueSettings
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.sessions import Sessions

SESSIONS = Sessions()
DAYS = tuple(date(2012, 10, day) for day in range(1, 6))
MINUTE_NS = 60_000_000_000
CENT = 0.01


def at(day: int, clock: str) -> int:
    """2012-10-`day`, `clock` in New York ("09:30" or "09:30:15"), as UTC nanoseconds."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    since_open = (hours * 60 + minutes - 570) * 60 + (seconds[0] if seconds else 0)
    return SESSIONS.open_ns(date(2012, 10, day)) + since_open * 1_000_000_000


class SmallTape:
    """`Tape` of regular sessions in which minute k closes at open + (k + 1) × step."""

    def __init__(
        self,
        opens: Mapping[str, Mapping[int, float]] | None = None,
        *,
        step: float = CENT,
        actions: tuple[CorporateAction, ...] = (),
        first_day: Mapping[str, int] | None = None,
        last_day: Mapping[str, int] | None = None,
        volume: float = 1000.0,
    ) -> None:
        self._opens = opens or {}
        self._step = step
        self._actions = actions
        self._first_day = first_day or {}
        self._last_day = last_day or {}
        self._volume = volume

    @property
    def symbols(self) -> tuple[str, ...]:
        return ("AAA", "BBB")

    @property
    def derived(self) -> bool:
        return True

    def is_derived(self, symbol: str, session: date) -> bool:
        return True

    def _days(self, symbol: str) -> list[date]:
        first, last = self._first_day.get(symbol, 1), self._last_day.get(symbol, 5)
        return [day for day in DAYS if first <= day.day <= last]

    def minutes(self, symbol: str, session: date) -> Bars:
        if session not in self._days(symbol):
            empty = np.empty(0)
            return Bars(empty.astype(np.int64), empty.astype(np.int64), *(empty,) * 5)
        start = SESSIONS.open_ns(session) + MINUTE_NS * np.arange(390)
        first = self._opens.get(symbol, {}).get(session.day, 100.0)
        close = np.round(first + self._step * np.arange(1, 391), 4)
        open_ = np.concatenate([[first], close[:-1]])
        high, low = np.maximum(open_, close), np.minimum(open_, close)
        return Bars(start, start + MINUTE_NS, open_, high, low, close, np.full(390, self._volume))

    def daily(self, symbol: str) -> Bars:
        rows = []
        for day in self._days(symbol):
            m = self.minutes(symbol, day)
            extremes = m.high.max(), m.low.min()
            rows.append((m.start_ns[0], m.end_ns[-1], m.open[0], *extremes, m.close[-1], m.volume.sum()))
        columns = list(zip(*rows, strict=True))
        return Bars(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1], dtype=np.int64),
            *(np.array(column, dtype=np.float64) for column in columns[2:]),
        )

    def actions(self, symbol: str) -> tuple[CorporateAction, ...]:
        return tuple(action for action in self._actions if action.symbol == symbol)


def venue(
    tape: SmallTape | None = None,
    *,
    start_ns: int | None = None,
    directory: Path | None = None,
    **settings: Any,
) -> Venue:
    """A venue over a small tape; it starts on Tuesday at 10:00 with $100 000."""
    start = at(2, "10:00") if start_ns is None else start_ns
    return Venue(tape or SmallTape(), SESSIONS, EventStore(directory), VenueSettings(start, **settings))


def body(symbol: Any = "AAA", side: Any = "buy", qty: Any = "10", **members: Any) -> bytes:
    """An order's JSON: a DAY order of the type that the given prices make it."""
    words = [word for word in ("stop", "limit") if f"{word}_price" in members]
    order: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "qty": qty,
        "type": "_".join(words) or "market",
        "time_in_force": "day",
    }
    order |= members
    return json.dumps({name: value for name, value in order.items() if value is not None}).encode()


def submit(
    exchange: Venue, symbol: Any = "AAA", side: Any = "buy", qty: Any = "10", **members: Any
) -> VenueOrder:
    """Submit an order; returns it as the next read shows it."""
    return exchange.order(exchange.submit(body(symbol, side, qty, **members)).id)
