"""The glossary as types: what the gate and the sizer take, all scalars, so that numba can compile them.

Prices and amounts are float64 USD, quantities float64 shares, times int64 nanoseconds since the
epoch in UTC. A missing number is NaN, never zero: the gate fails closed on NaN. No decision needs
a symbol's name or an order's id; the engine keeps these.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Side(IntEnum):
    """+1 buys, −1 sells, so that side × quantity is a signed quantity."""

    SELL = -1
    BUY = 1


class HaltState(IntEnum):
    """Ordered by tightness: by itself the state only rises."""

    ACTIVE = 0
    REDUCE_ONLY = 1
    HALTED = 2


class Order(NamedTuple):
    """A proposed limit order."""

    side: int  # a Side
    qty: float  # shares, > 0
    limit_price: float
    flatten: bool  # proposed by the operator's flatten: the only order that a kill lets through


class Signal(NamedTuple):
    """What the order was decided on; waived for reducing orders."""

    as_of_ns: int  # the producer's stamp
    reference_price: float  # the price that the producer saw


class Account(NamedTuple):
    """The broker's account as last read."""

    equity_usd: float
    buying_power_usd: float
    settled_cash_usd: float
    as_of_ns: int


class Position(NamedTuple):
    """One symbol's position at the broker, and how much of it our open orders already claim."""

    qty: float  # signed shares
    reserved_qty: float  # shares that open exits have reserved, ≥ 0
    exposure_usd: float  # |qty| × mark + Σ open entries' remaining qty × limit price


class Quote(NamedTuple):
    """Top of book, with the two fallbacks of the mark. An absent side is NaN or 0."""

    bid: float
    ask: float
    last_trade: float
    previous_close: float  # adjusted for today's split and dividend
    as_of_ns: int


class Session(NamedTuple):
    """The trading session and the asset's standing in it."""

    open_ns: int
    close_ns: int
    calendar_open: bool  # our calendar has a session now (regular, or extended where that is allowed)
    broker_open: bool  # the broker's clock says open
    tradable: bool
    symbol_halted: bool


class Activity(NamedTuple):
    """What was sent before: counts of this session and of this execution, and our open orders."""

    decision_sent: bool  # this decision, side, slice and attempt was already sent
    in_flight: int  # unresolved orders of ours in the symbol, slices of the same exit left out
    opposite_limit: float  # the nearest limit of an opposite open order of ours, NaN: none
    gross_exposure_usd: float  # Σ exposure over all symbols
    symbol_orders_today: int
    orders_today: int
    execution_orders: int
    exit_orders_today: int  # of all symbols, a flatten's left out
    reject_streak: int
    symbol_exits_today: int = 0  # exits of this symbol, a flatten's left out
    exits_kept_for_others: int = 0  # one for each held symbol without an exit today; 0: this is its first


class Halt(NamedTuple):
    """The halt state in force, the symbol's lock, and the loss breakers that are latched."""

    state: int  # a HaltState
    symbol_locked: bool
    reconciling: bool  # the book is not yet reconciled since start
    daily_loss: bool
    max_drawdown: bool
    session_drawdown: bool
