"""Equity, its peaks, and the loss halts of a replay's book. The formulas are `core.breakers`.

The live desk keeps the same figures in its journal (`engine.risk`, `engine.halts`); here they are a
value of the walk. A replay has no transfers, no broker to lose and nobody to kill it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from math import nan
from typing import NamedTuple

from trading_assets.core.breakers import daily_loss, drawdown, higher_peak, is_tripped, unit_value
from trading_assets.core.words import HaltState, Limits
from trading_assets.engine.halts import Cause, HaltView

_NO_HALT = HaltView(HaltState.ACTIVE, ())


class HaltEvent(NamedTuple):
    """A halt latched, or cleared."""

    session: date
    at_ns: int
    cause: Cause
    action: str  # latch or clear
    reason: str


class Losses(NamedTuple):
    """What the three breakers measure, fractions."""

    session_drawdown: float
    daily_loss: float
    max_drawdown: float


@dataclass(slots=True)
class Risk:
    """The book's loss state. USD."""

    limits: Limits
    e0: float  # equity at the previous close
    session: date | None = None
    equity: float = nan  # as observed last
    session_peak: float = nan
    unit_value: float = 1.0
    unit_peak: float = nan
    latched: dict[Cause, date] = field(default_factory=dict)
    events: list[HaltEvent] = field(default_factory=list)

    def begin_session(self, session: date, at_ns: int, *, rearm: bool) -> None:
        """A session drawdown ends; `rearm` is a person clearing what else is latched."""
        if self.session is not None:
            self.e0 = self.equity
        self.session, self.session_peak = session, nan
        for cause in list(self.latched):
            if cause is Cause.SESSION_DRAWDOWN:
                self._clear(cause, at_ns, "the session that it was latched in is over")
            elif rearm:
                if cause is Cause.MAX_DRAWDOWN:
                    self.unit_peak = self.unit_value
                self._clear(cause, at_ns, "rearmed before the session")

    def observe(self, equity: float, at_ns: int) -> Losses:
        """Take in the book's equity and latch what it trips."""
        assert self.session is not None  # a session has begun
        seed = self.e0 if self.session_peak != self.session_peak else self.session_peak
        self.session_peak = higher_peak(seed, equity)
        unit = unit_value(self.unit_value, self.equity, equity, 0.0)
        self.unit_value = self.unit_value if unit != unit else unit
        self.unit_peak = higher_peak(self.unit_peak, self.unit_value)
        self.equity = equity
        losses = Losses(
            drawdown(self.session_peak, equity),
            daily_loss(self.e0, equity, 0.0),
            drawdown(self.unit_peak, self.unit_value),
        )
        for cause, measured, limit in (
            (Cause.SESSION_DRAWDOWN, losses.session_drawdown, self.limits.session_drawdown),
            (Cause.DAILY_LOSS, losses.daily_loss, self.limits.max_daily_loss),
            (Cause.MAX_DRAWDOWN, losses.max_drawdown, self.limits.max_drawdown),
        ):
            if cause not in self.latched and is_tripped(measured, limit):
                self.latched[cause] = self.session
                reason = f"measured {measured:.6f}, limit {limit:g}; equity {equity:.2f}, E0 {self.e0:.2f}"
                self.events.append(HaltEvent(self.session, at_ns, cause, "latch", reason))
        return losses

    def halts(self) -> HaltView:
        return _NO_HALT.with_transient(tuple(self.latched))

    def _clear(self, cause: Cause, at_ns: int, reason: str) -> None:
        assert self.session is not None
        del self.latched[cause]
        self.events.append(HaltEvent(self.session, at_ns, cause, "clear", reason))
