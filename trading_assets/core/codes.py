"""The gate's reject codes and the check each belongs to.

The order of `Code` is the order of precedence (the reason shown is the first failed code) and a
code's value is its bit in the gate's verdict. Definitions of the codes live in `core.gate`.
"""

from __future__ import annotations

from enum import IntEnum


class Check(IntEnum):
    """The nine pre-trade checks, in their order."""

    HALT_STATE = 1
    SESSION = 2
    FRESHNESS = 3
    DUPLICATE = 4
    ORDER_SIZE = 5
    PRICE = 6
    POSITION = 7
    PORTFOLIO = 8
    ACTIVITY = 9


class Code(IntEnum):
    """Why the gate refuses an order; the value is the bit index in the verdict."""

    KILL_SWITCH_ACTIVE = 0
    REDUCE_ONLY = 1
    RECONCILIATION_LOCK = 2
    RECONCILING = 3
    MARKET_CLOSED = 4
    NEAR_OPEN = 5
    NEAR_CLOSE = 6
    ASSET_NOT_TRADABLE = 7
    SYMBOL_HALTED = 8
    STALE_SIGNAL = 9
    SIGNAL_FROM_FUTURE = 10
    STALE_QUOTE = 11
    STALE_ACCOUNT = 12
    DUPLICATE_ORDER = 13
    ORDER_IN_FLIGHT = 14
    SELF_TRADE = 15
    NOTIONAL_BELOW_MIN = 16
    NOTIONAL_ABOVE_MAX = 17
    PRICE_COLLAR = 18
    PRICE_DRIFT = 19
    SPREAD_TOO_WIDE = 20
    SYMBOL_MOVE = 21
    QUOTE_INVALID = 22
    POSITION_LIMIT = 23
    SHORT_NOT_ALLOWED = 24
    INSUFFICIENT_BUYING_POWER = 25
    GROSS_EXPOSURE = 26
    DAILY_LOSS = 27
    MAX_DRAWDOWN = 28
    SESSION_DRAWDOWN = 29
    SYMBOL_ORDER_COUNT = 30
    DAILY_ORDER_COUNT = 31
    EXECUTION_ORDER_COUNT = 32
    REJECT_STREAK = 33


CODE_COUNT = len(Code)

CHECK_OF: dict[Code, Check] = {
    code: check
    for check, codes in {
        Check.HALT_STATE: (
            Code.KILL_SWITCH_ACTIVE,
            Code.REDUCE_ONLY,
            Code.RECONCILIATION_LOCK,
            Code.RECONCILING,
        ),
        Check.SESSION: (
            Code.MARKET_CLOSED,
            Code.NEAR_OPEN,
            Code.NEAR_CLOSE,
            Code.ASSET_NOT_TRADABLE,
            Code.SYMBOL_HALTED,
        ),
        Check.FRESHNESS: (
            Code.STALE_SIGNAL,
            Code.SIGNAL_FROM_FUTURE,
            Code.STALE_QUOTE,
            Code.STALE_ACCOUNT,
        ),
        Check.DUPLICATE: (Code.DUPLICATE_ORDER, Code.ORDER_IN_FLIGHT, Code.SELF_TRADE),
        Check.ORDER_SIZE: (Code.NOTIONAL_BELOW_MIN, Code.NOTIONAL_ABOVE_MAX),
        Check.PRICE: (
            Code.PRICE_COLLAR,
            Code.PRICE_DRIFT,
            Code.SPREAD_TOO_WIDE,
            Code.SYMBOL_MOVE,
            Code.QUOTE_INVALID,
        ),
        Check.POSITION: (
            Code.POSITION_LIMIT,
            Code.SHORT_NOT_ALLOWED,
            Code.INSUFFICIENT_BUYING_POWER,
        ),
        Check.PORTFOLIO: (
            Code.GROSS_EXPOSURE,
            Code.DAILY_LOSS,
            Code.MAX_DRAWDOWN,
            Code.SESSION_DRAWDOWN,
        ),
        Check.ACTIVITY: (
            Code.SYMBOL_ORDER_COUNT,
            Code.DAILY_ORDER_COUNT,
            Code.EXECUTION_ORDER_COUNT,
            Code.REJECT_STREAK,
        ),
    }.items()
    for code in codes
}


def failed_codes(verdict: int) -> tuple[Code, ...]:
    """The failed codes of a verdict, first reason first. An empty tuple is a pass."""
    return tuple(code for code in Code if verdict >> code & 1)
