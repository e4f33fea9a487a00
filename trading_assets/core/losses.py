"""A book's equity figures and what the three loss breakers measure on them: `core.breakers`, composed.

Values go in and values come out. The caller keeps figures, latches and rearms.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

from trading_assets.core.breakers import daily_loss, drawdown, higher_peak, unit_value
from trading_assets.core.compiled import allocation_free


class LossFigures(NamedTuple):
    """Equity as observed last, with its bases. USD; NaN: nothing observed yet."""

    e0: float  # equity at the previous close
    equity: float = nan
    session_peak: float = nan
    unit_value: float = 1.0
    unit_peak: float = nan


class Losses(NamedTuple):
    """What the breakers measure, fractions."""

    session_drawdown: float
    daily_loss: float
    max_drawdown: float


@allocation_free
def observe(
    figures: LossFigures, equity: float, moved_usd: float = 0.0, transfers_usd: float = 0.0
) -> LossFigures:
    """The figures after `equity` was read.

    moved_usd:     net deposits since the last reading; they raise the session's peak and no unit value
    transfers_usd: net deposits since E0 was struck, for the first reading of a session (its peak is NaN)

    The session's peak is seeded with E0. A unit value that cannot be computed stays as it was.
    """
    seed = figures.session_peak + moved_usd
    if seed != seed:
        seed = figures.e0 + transfers_usd
    unit = unit_value(figures.unit_value, figures.equity, equity, moved_usd)
    if unit != unit:
        unit = figures.unit_value
    return LossFigures(
        figures.e0, equity, higher_peak(seed, equity), unit, higher_peak(figures.unit_peak, unit)
    )


@allocation_free
def losses_of(figures: LossFigures, transfers_usd: float = 0.0) -> Losses:
    """Session drawdown, daily loss and drawdown of the unit value of the figures.

    transfers_usd: net deposits since E0 was struck
    """
    return Losses(
        drawdown(figures.session_peak, figures.equity),
        daily_loss(figures.e0, figures.equity, transfers_usd),
        drawdown(figures.unit_peak, figures.unit_value),
    )
