"""The loss triggers and the stop: what each measures, and when it fires. Pure; the engine latches.

Each trigger is a measure and its limit, compared by `is_tripped`, which fires at equality. A measure
that cannot be computed is NaN and fires nothing: a missing figure is no loss, and the gate
refuses entries by itself when the equity is missing. USD; "transfers" are net deposits less withdrawals.
"""

from __future__ import annotations

from math import nan

from trading_assets.core.compiled import allocation_free
from trading_assets.core.limits import Limits
from trading_assets.core.stamps import seconds_between
from trading_assets.core.tolerance import at_least, at_most, is_finite, is_positive

E0_TOLERANCE = 0.001
STOP_CONFIRMATION_PCT = 0.01
STOP_CONFIRMATION_SECONDS = 300.0


@allocation_free
def is_tripped(measured: float, limit: float) -> bool:
    """measured ≥ limit, at equality too. Never for a NaN measure or an infinite limit."""
    return at_least(measured, limit)


@allocation_free
def higher_peak(peak: float, value: float) -> float:
    """The new peak after `value` was seen. A value that is not a finite number above zero changes nothing.

    Seeds the session peak: higher_peak(E0, first equity of the session).
    """
    if not is_positive(value):
        return peak
    return peak if is_finite(peak) and peak > value else value


@allocation_free
def drawdown(peak: float, value: float) -> float:
    """(peak − value)/peak, negative above the peak. Limits: `session_drawdown` on equity from the
    session's peak, `max_drawdown` on the unit value from its peak."""
    if not (is_positive(peak) and is_finite(value)):
        return nan
    return (peak - value) / peak


@allocation_free
def daily_loss(e0: float, equity: float, transfers_usd: float) -> float:
    """(E0 − (E − transfers))/E0, transfers being those booked since E0 was struck. Limit:
    `max_daily_loss`."""
    if not (is_positive(e0) and is_finite(equity) and is_finite(transfers_usd)):
        return nan
    return (e0 - (equity - transfers_usd)) / e0


@allocation_free
def unit_value(previous: float, previous_equity: float, equity: float, transfers_usd: float) -> float:
    """Value of one unit of the book after an interval: previous·(equity − transfers)/previous equity.

    A deposit buys units and a withdrawal redeems them at the interval's end, so neither moves the
    value (the time-weighted return of performance measurement). A book begins at 1. `transfers_usd`
    are those booked since `previous_equity` was read. NaN where it cannot be computed.
    """
    known = is_positive(previous) and is_positive(previous_equity)
    if not (known and is_finite(equity) and is_finite(transfers_usd)):
        return nan
    return previous * ((equity - transfers_usd) / previous_equity)


@allocation_free
def e0_agrees(last_equity: float, stored_close: float, transfers_usd: float) -> bool:
    """Whether the broker's last equity is within 0.1 % of our stored close plus the transfers since.

    False where either is not known; a book that has no stored close yet has nothing to compare.
    """
    expected = stored_close + transfers_usd
    if not (is_positive(last_equity) and is_positive(expected)):
        return False
    return at_most(abs(last_equity - expected) / expected, E0_TOLERANCE)


@allocation_free
def stop_price(average_cost: float, limits: Limits) -> float:
    """(1 − stop_loss)·average cost, at or below which the bid stops a long position out. `average_cost`
    is our ledger's, adjusted for splits and dividends. NaN without a cost."""
    return (1.0 - limits.stop_loss) * average_cost if is_positive(average_cost) else nan


@allocation_free
def stop_hit(
    bid: float,
    ask: float,
    quote_as_of_ns: int,
    last_trade: float,
    trade_as_of_ns: int,
    average_cost: float,
    now_ns: int,
    limits: Limits,
) -> bool:
    """True when the bid has reached a long position's stop and may be believed.

    Believed: the bid is there and not above the ask (a missing ask says nothing against it), the
    quote is no older than `stale_quote_seconds`, and a trade of the last five minutes lies within 1 %
    of it.
    """
    if not (is_positive(bid) and is_positive(last_trade)) or bid > ask > 0.0:
        return False
    if not at_most(bid, stop_price(average_cost, limits)):
        return False
    fresh = at_most(seconds_between(quote_as_of_ns, now_ns), limits.stale_quote_seconds)
    recent = at_most(seconds_between(trade_as_of_ns, now_ns), STOP_CONFIRMATION_SECONDS)
    return fresh and recent and at_most(abs(last_trade - bid) / bid, STOP_CONFIRMATION_PCT)
