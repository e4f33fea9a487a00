"""The gate's reject codes: the check that each belongs to, what it measures, and which one is shown first.

`core.gate` decides each code; `core.limits` names the limit that the code enforces.
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
    """Why the gate refuses an order: the code's number, its check, and what it measures.

    The number is the code's bit in a verdict and its place in the lists of measures, and is stored with every
    verdict: a new code takes the next number, and no number is used again. The order in which the codes stand
    here is their precedence: of several that fail, the first is the reason shown.
    """

    check: Check
    definition: str

    def __new__(cls, number: int, check: Check, definition: str) -> Code:
        code = int.__new__(cls, number)
        code._value_ = number
        code.check, code.definition = check, definition
        return code

    KILL_SWITCH_ACTIVE = (
        0,
        Check.HALT_STATE,
        "Halt state (0 ACTIVE, 1 REDUCE_ONLY, 2 HALTED) is HALTED.",
    )
    REDUCE_ONLY = (
        1,
        Check.HALT_STATE,
        "Halt state is REDUCE_ONLY or tighter.",
    )
    RECONCILIATION_LOCK = (
        2,
        Check.HALT_STATE,
        "The symbol is locked (1) after a break or an unresolved order.",
    )
    RECONCILING = (
        3,
        Check.HALT_STATE,
        "The book has not been reconciled since start (1).",
    )
    MARKET_CLOSED = (
        4,
        Check.SESSION,
        "The calendar or the broker's clock says closed (1).",
    )
    NEAR_OPEN = (
        5,
        Check.SESSION,
        "Seconds since the open, below the limit; negative before the open, which passes.",
    )
    NEAR_CLOSE = (
        6,
        Check.SESSION,
        "Seconds to the close, below the limit; negative after the close, which passes.",
    )
    ASSET_NOT_TRADABLE = (
        7,
        Check.SESSION,
        "The broker does not let the asset be traded (1).",
    )
    SYMBOL_HALTED = (
        8,
        Check.SESSION,
        "Trading in the symbol is halted (1).",
    )
    STALE_SIGNAL = (
        9,
        Check.FRESHNESS,
        "Age of the signal by its producer's stamp, in seconds, above the limit.",
    )
    SIGNAL_FROM_FUTURE = (
        10,
        Check.FRESHNESS,
        "Seconds by which the signal's stamp is ahead of now, above 2.",
    )
    STALE_QUOTE = (
        11,
        Check.FRESHNESS,
        "Age of the quote in seconds, above the limit.",
    )
    STALE_ACCOUNT = (
        12,
        Check.FRESHNESS,
        "Age of the account's figures in seconds, above the limit.",
    )
    DUPLICATE_ORDER = (
        13,
        Check.DUPLICATE,
        "This decision, side, slice and attempt was already sent (1).",
    )
    ORDER_IN_FLIGHT = (
        14,
        Check.DUPLICATE,
        "Unresolved orders of ours in the symbol, slices of the same exit left out.",
    )
    SELF_TRADE = (
        15,
        Check.DUPLICATE,
        "The order's limit price meets the limit of an opposite open order of ours (NaN: none).",
    )
    NOTIONAL_BELOW_MIN = (
        16,
        Check.ORDER_SIZE,
        "Quantity × limit price in USD, below the limit.",
    )
    NOTIONAL_ABOVE_MAX = (
        17,
        Check.ORDER_SIZE,
        "Quantity × limit price in USD, above the limit.",
    )
    PRICE_COLLAR = (
        18,
        Check.PRICE,
        "|limit price − mid|/mid, above the limit.",
    )
    PRICE_DRIFT = (
        19,
        Check.PRICE,
        "|mid − the signal's reference price|/reference price, above the limit.",
    )
    SPREAD_TOO_WIDE = (
        20,
        Check.PRICE,
        "(ask − bid)/mid in basis points, above the limit.",
    )
    SYMBOL_MOVE = (
        21,
        Check.PRICE,
        "|mid − adjusted previous close|/previous close, above the limit.",
    )
    QUOTE_INVALID = (
        22,
        Check.PRICE,
        "A side of the quote is missing or the quote is crossed (1).",
    )
    POSITION_LIMIT = (
        23,
        Check.POSITION,
        "(The symbol's exposure + the order's notional)/equity, above the limit.",
    )
    SHORT_NOT_ALLOWED = (
        24,
        Check.POSITION,
        "Shares sold, above the long position less what open exits have reserved.",
    )
    INSUFFICIENT_BUYING_POWER = (
        25,
        Check.POSITION,
        "Notional of a buy in USD, above the broker's buying power and, without margin, settled cash.",
    )
    GROSS_EXPOSURE = (
        26,
        Check.PORTFOLIO,
        "(Exposure over all symbols + the order's notional)/equity, above the limit.",
    )
    DAILY_LOSS = (
        27,
        Check.PORTFOLIO,
        "The daily loss breaker is latched (1).",
    )
    MAX_DRAWDOWN = (
        28,
        Check.PORTFOLIO,
        "The maximum drawdown breaker is latched (1).",
    )
    SESSION_DRAWDOWN = (
        29,
        Check.PORTFOLIO,
        "The session drawdown breaker is latched (1).",
    )
    SYMBOL_ORDER_COUNT = (
        30,
        Check.ACTIVITY,
        "Orders sent today for the symbol, at or above the limit.",
    )
    DAILY_ORDER_COUNT = (
        31,
        Check.ACTIVITY,
        (
            "Orders sent today, at or above the limit. For a reducing order: exits of all symbols, with one "
            "for each other held symbol that had none, or exits of the symbol, whichever has less left. A "
            "symbol's first exit of the day waits for no other's; a flatten's do not count."
        ),
    )
    EXECUTION_ORDER_COUNT = (
        32,
        Check.ACTIVITY,
        "Orders sent in this execution, at or above the limit.",
    )
    REJECT_STREAK = (
        33,
        Check.ACTIVITY,
        "Broker rejections without an acceptance between, at or above the limit.",
    )


PRECEDENCE = tuple(Code)
CODE_COUNT = len(Code)

FIRST_CODE_COUNT = 34
"""The codes that there were when verdicts began to be stored."""


def failed_codes(verdict: int) -> tuple[Code, ...]:
    """The failed codes of a verdict, first reason first. An empty tuple is a pass."""
    return tuple(code for code in PRECEDENCE if verdict >> code & 1)
