"""The limits as the gate is given them, and which of two sets is the looser one.

Here is the direction in which each limit loosens. Keeping the limits that are in force while a
looser file waits for a person's rearm belongs to the engine.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from trading_assets.config.settings import Settings
from trading_assets.core.words import Limits

STALE_QUOTE_SECONDS = {"sip": 15.0, "iex": 120.0}


def limits(settings: Settings) -> Limits:
    """What the gate, the sizer and the breakers are given: counts as floats, an unset target as NaN."""
    values: dict[str, Any] = settings.model_dump(include=set(Limits._fields))
    values["stale_quote_seconds"] = settings.stale_quote_seconds or STALE_QUOTE_SECONDS[settings.feed]
    values["volatility_target"] = (
        math.nan if settings.volatility_target is None else settings.volatility_target
    )
    counts = {name: float(value) for name, value in values.items() if type(value) is int}
    return Limits(**{**values, **counts})


class Looser(IntEnum):
    """In which direction a limit lets more happen. A boolean limit is looser when it is true."""

    LOWER = -1
    HIGHER = 1


LOOSER_WHEN: dict[str, Looser] = {
    "limit_offset": Looser.HIGHER,
    "max_slip_pct": Looser.HIGHER,
    "exit_collar_pct": Looser.HIGHER,
    "max_spread_bps": Looser.HIGHER,
    "max_symbol_move": Looser.HIGHER,
    "stale_signal_seconds": Looser.HIGHER,
    "stale_quote_seconds": Looser.HIGHER,
    "stale_account_seconds": Looser.HIGHER,
    "no_entry_seconds_after_open": Looser.LOWER,
    "no_entry_minutes_before_close": Looser.LOWER,
    "min_order_notional": Looser.LOWER,
    "max_order_notional": Looser.HIGHER,
    "max_position_pct": Looser.HIGHER,
    "max_gross_exposure": Looser.HIGHER,
    "threshold": Looser.LOWER,
    "max_orders_per_symbol_per_day": Looser.HIGHER,
    "max_orders_per_day": Looser.HIGHER,
    "max_orders_per_execution": Looser.HIGHER,
    "max_reject_streak": Looser.HIGHER,
    "max_exit_orders_per_day": Looser.HIGHER,
    "session_drawdown": Looser.HIGHER,
    "max_daily_loss": Looser.HIGHER,
    "max_drawdown": Looser.HIGHER,
    "stop_loss": Looser.HIGHER,
    "volatility_target": Looser.HIGHER,  # off (NaN) is the loosest: nothing is scaled down
    "use_margin": Looser.HIGHER,
    "fractional": Looser.HIGHER,
}


def looser_limits(in_force: Limits, wanted: Limits) -> tuple[str, ...]:
    """Names of the limits in which `wanted` is looser than `in_force`, in the order of `Limits`."""
    return tuple(
        name
        for name in Limits._fields
        if _looseness(name, getattr(wanted, name)) > _looseness(name, getattr(in_force, name))
    )


def tightened(in_force: Limits, wanted: Limits) -> Limits:
    """The tighter of both, limit by limit: what holds until a person's rearm accepts `wanted`."""
    return wanted._replace(**{name: getattr(in_force, name) for name in looser_limits(in_force, wanted)})


def _looseness(name: str, value: float) -> float:
    return math.inf if math.isnan(value) else LOOSER_WHEN[name] * value
