"""Decimal amounts: made from floats, read from text and written as text; and the ticks of prices.

Money, prices and quantities are Decimal inside the exchange; the tape's floats are quantised here.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from trading_assets.exchange.refusals import malformed

ZERO = Decimal(0)
CENT = Decimal("0.01")
SHARE_STEP = Decimal("0.000000001")  # nine decimals
PRICE_STEP = Decimal("0.0001")
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?")
_LARGEST = Decimal(10) ** 12


def text(value: Decimal) -> str:
    """Plain decimal text without exponent or trailing zeros: 100, 0.5, -23140.2."""
    return format(value.normalize(), "f") if value else "0"


def price_of(value: float) -> Decimal:
    """A float of the tape as a price with four decimals, rounded half to even."""
    return Decimal(repr(float(value))).quantize(PRICE_STEP, ROUND_HALF_EVEN)


def tick_at(price: Decimal) -> Decimal:
    """The minimum price variation: $0.01 at or above $1, $0.0001 below (Reg NMS Rule 612)."""
    return CENT if price >= 1 else PRICE_STEP


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_CEILING) * step


def shares(value: Decimal) -> Decimal:
    """A quantity cut to nine decimals, toward zero."""
    return value.quantize(SHARE_STEP, ROUND_DOWN)


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_EVEN)


def decimals(value: Decimal) -> int:
    """How many decimals are needed to write the value."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def parse(field: str, value: Any) -> Decimal:
    """A number of a request: JSON number (already Decimal) or text. Refused: anything else, NaN,
    infinity, more than nine decimals, 10¹² and more in size."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise malformed(f"{field} is not a number")
    if abs(value) >= _LARGEST:
        raise malformed(f"{field} is too large")
    if decimals(value) > 9:
        raise malformed(f"{field} has more than 9 decimal places")
    return value
