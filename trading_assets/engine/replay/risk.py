"""The loss halts of a replay's book from session to session: what ends, and what a person rearms.

Within a session the compiled walk measures and latches (`core.losses`, `core.walk.session`); the live desk
keeps the same figures in its journal (`engine.reconciliation.equity`, `engine.book.halts`). A replay has no
transfers, no broker to lose and nobody to kill it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from math import isnan, nan
from typing import NamedTuple

from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import (
    E0,
    EQUITY,
    EVENTS,
    SESSION_PEAK,
    SOLD,
    SOLD_SESSIONS,
    UNIT_PEAK,
    UNIT_VALUE,
    Book,
    Sheet,
)
from trading_assets.engine.book.halts import Cause

BREAKERS = (Cause.SESSION_DRAWDOWN, Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN)  # as `core.losses.Losses`


class HaltEvent(NamedTuple):
    """A halt latched, or cleared."""

    session: date
    at_ns: int
    cause: Cause
    action: str  # latch or clear
    reason: str


def begin_session(book: Book, session: date, at_ns: int, *, rearm: bool) -> list[HaltEvent]:
    """E0 is the last equity; a session drawdown ends; `rearm` is a person clearing what else is latched."""
    figures, events = book.figures, []
    sold = figures[SOLD : SOLD + SOLD_SESSIONS]
    sold[1:], sold[0] = sold[:-1].copy(), 0.0  # each is a session further back
    if not isnan(figures[EQUITY]):
        figures[E0] = figures[EQUITY]
    figures[SESSION_PEAK] = nan
    for number, cause in enumerate(BREAKERS):
        ends = cause is Cause.SESSION_DRAWDOWN
        if not book.latched[number] or not (ends or rearm):
            continue
        if cause is Cause.MAX_DRAWDOWN:
            figures[UNIT_PEAK] = figures[UNIT_VALUE]
        book.latched[number] = False
        reason = "the session that it was latched in is over" if ends else "rearmed before the session"
        events.append(HaltEvent(session, at_ns, cause, "clear", reason))
    return events


def tripped(sheet: Sheet, book: Book, session: date, limits: Limits) -> Iterator[HaltEvent]:
    """What the session latched."""
    bounds = (limits.session_drawdown, limits.max_daily_loss, limits.max_drawdown)
    for event in sheet.events[: sheet.counts[EVENTS]]:
        cause, limit = BREAKERS[event["cause"]], bounds[event["cause"]]
        reason = (
            f"measured {event['measured']:.6f}, limit {limit:g}; equity {event['equity']:.2f}, "
            f"E0 {book.figures[E0]:.2f}"
        )
        yield HaltEvent(session, int(event["at_ns"]), cause, "latch", reason)
