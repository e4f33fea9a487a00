"""At what price an order trades: against a quote, or against a bar. Pure and compiled.

Prices only. The caller decides how much of an order trades at once (its fill mode), whether it may trade at
all (sessions, halts, buying power), and what a fill does to an account.
"""

from __future__ import annotations

import math

from trading_assets.core.compiled import allocation_free
from trading_assets.core.words import Side

_BUY = int(Side.BUY)


@allocation_free
def fill_price_at_quote(side: int, limit_price: float, bid: float, ask: float) -> float:
    """The price (USD) at which an order takes a quote: its far side. NaN: it does not trade.

    side:        a Side
    limit_price: NaN for a market order
    bid, ask:    a side that is absent is 0 or NaN
    """
    if side == _BUY:
        if not ask > 0.0 or limit_price < ask:
            return math.nan
        return ask
    if not bid > 0.0 or limit_price > bid:
        return math.nan
    return bid


@allocation_free
def fill_price_in_bar(side: int, limit_price: float, open_: float, high: float, low: float) -> float:
    """The price (USD) at which an order that worked before the bar began trades in it. NaN: it does not.

    A market order (limit_price NaN) trades at the open. A limit order trades when the bar touches its
    limit, at the better of open and limit.
    """
    if not open_ > 0.0:
        return math.nan
    if math.isnan(limit_price):
        return open_
    if side == _BUY:
        if not low <= limit_price:
            return math.nan
        return open_ if open_ < limit_price else limit_price
    if not high >= limit_price:
        return math.nan
    return open_ if open_ > limit_price else limit_price


@allocation_free
def stop_price_in_bar(side: int, stop_price: float, open_: float, high: float, low: float) -> float:
    """The price (USD) of the trade that elects a stop order which worked before the bar began. NaN: none.

    A trade at the stop price or through it elects: at the open where the bar opens there (a gap), else at
    the stop price itself when the bar reaches it.
    """
    if not open_ > 0.0:
        return math.nan
    if side == _BUY:
        if not high >= stop_price:
            return math.nan
        return open_ if open_ > stop_price else stop_price
    if not low <= stop_price:
        return math.nan
    return open_ if open_ < stop_price else stop_price
