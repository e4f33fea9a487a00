"""What a quote says and where a price may lie: usable, mid, mark, ticks. No order is priced here.

USD per share. A price that is not known is NaN; a side of the book that is absent is NaN or 0.
"""

from __future__ import annotations

from math import nan

import numpy as np

from trading_assets.core.compiled import allocation_free
from trading_assets.core.tolerance import is_positive

_LARGEST_PRICE = 1e9  # below it every multiple of a tick is a float64 of its own


@allocation_free
def is_usable(bid: float, ask: float) -> bool:
    """Both sides are there and they are not crossed (a locked market is usable)."""
    return is_positive(bid) and is_positive(ask) and bid <= ask


@allocation_free
def mid_price(bid: float, ask: float) -> float:
    """(bid + ask)/2 of a usable quote, else NaN."""
    if is_usable(bid, ask):
        return (bid + ask) / 2.0
    return nan


@allocation_free
def mark(bid: float, ask: float, last_trade: float, last_close: float) -> float:
    """The price a position is valued at: mid, else the last trade, else the last close, else NaN."""
    if is_usable(bid, ask):
        return (bid + ask) / 2.0
    if is_positive(last_trade):
        return last_trade
    if is_positive(last_close):
        return last_close
    return nan


@allocation_free
def _tick_scale(price: float) -> float:
    return 100.0 if price >= 1.0 else 10000.0


@allocation_free
def round_down_to_tick(price: float) -> float:
    """The highest tick at or below `price`: $0.01 at or above $1, $0.0001 below it (Reg NMS Rule 612).

    Equals rounding the price's shortest decimal text: 0.29 stays 0.29. NaN for what is not a price
    below 1e9; 0 for a price below the first tick.
    """
    if not is_positive(price) or price >= _LARGEST_PRICE:
        return nan
    scale = _tick_scale(price)
    # n/scale is the float64 nearest to the decimal tick: comparing it undoes the noise of price·scale.
    ticks = float(np.floor(price * scale))
    near, above = ticks / scale, (ticks + 1.0) / scale
    if above <= price:
        return above
    return near if near <= price else (ticks - 1.0) / scale


@allocation_free
def round_up_to_tick(price: float) -> float:
    """The lowest tick at or above `price`; see `round_down_to_tick`."""
    if not is_positive(price) or price >= _LARGEST_PRICE:
        return nan
    scale = _tick_scale(price)
    ticks = float(np.floor(price * scale))
    near, above = ticks / scale, (ticks + 1.0) / scale
    if near >= price:
        return near
    return above if above >= price else (ticks + 2.0) / scale
