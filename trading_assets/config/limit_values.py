"""The limits as gate, sizer and breakers are given them: what the file leaves to the feed is filled in.

What each limit is, and which of two values is the looser, is the table in `core.limits`. Keeping the limits
that are in force while a looser file waits for a person's rearm belongs to the engine.
"""

from __future__ import annotations

import math
from typing import Any

from trading_assets.config.settings import Settings
from trading_assets.core.limits import Limits

STALE_QUOTE_SECONDS = {"sip": 15.0, "iex": 120.0}


def limits(settings: Settings) -> Limits:
    """Counts as floats; the oldest quote by the feed where none is configured; another unset limit is NaN."""
    values = settings.limit_values()
    if values["stale_quote_seconds"] is None:
        values["stale_quote_seconds"] = STALE_QUOTE_SECONDS[settings.feed]
    return Limits(**{name: _number(value) for name, value in values.items()})


def _number(value: float | int | bool | None) -> Any:
    """A float, or a switch as it is."""
    if value is None:
        return math.nan
    return value if isinstance(value, bool) else float(value)
