"""The quote model: one stated way from the tape's last price to a bid and an ask.

mid = the last price (`TapeView.last_print`); half of `spread_bps` is taken off for the bid and added
for the ask, each rounded outward to the tick, so that bid < mid < ask; stamped with the exchange's now.
A halted symbol keeps the quote that it had when the halt began. A person may override a quote.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from trading_assets.exchange.amounts import ZERO, ceil_to, floor_to, tick_at
from trading_assets.exchange.state import VenueState
from trading_assets.exchange.tape_view import TapeView

QUOTED_SIZE = 100  # shares, nominal: fills do not look at it


class VenueQuote(NamedTuple):
    """An absent side is 0."""

    bid: Decimal
    ask: Decimal
    at_ns: int


def around(price: Decimal, spread_bps: Decimal, at_ns: int) -> VenueQuote:
    """The quote around a price. A bid that would not be positive is absent."""
    half, tick = price * spread_bps / 20_000, tick_at(price)
    bid, ask = floor_to(price - half, tick), ceil_to(price + half, tick)
    if bid == price:
        bid -= tick
    if ask == price:
        ask += tick
    return VenueQuote(max(bid, ZERO), ask, at_ns)


def quote_of(symbol: str, state: VenueState, view: TapeView, spread_bps: Decimal, now_ns: int) -> VenueQuote:
    """The symbol's quote at `now_ns`; both sides are absent where the tape has no price."""
    now_ns = min(now_ns, state.halted_since.get(symbol, now_ns))
    override = state.overrides.get(symbol)
    if override is not None and override.spread_bps is None:
        return VenueQuote(override.bid or ZERO, override.ask or ZERO, now_ns)
    print_ = view.last_print(symbol, now_ns)
    if print_ is None:
        return VenueQuote(ZERO, ZERO, now_ns)
    if override is not None and override.spread_bps is not None:
        spread_bps = override.spread_bps
    return around(print_.price, spread_bps, now_ns)


def mark_of(symbol: str, state: VenueState, view: TapeView, now_ns: int) -> Decimal:
    """The price of a holding: the middle of a person's two-sided quote, else the tape's last price."""
    override = state.overrides.get(symbol)
    if override is not None and override.bid and override.ask:
        return (override.bid + override.ask) / 2
    return view.mark(symbol, min(now_ns, state.halted_since.get(symbol, now_ns)))
