"""One field of a row of Alpaca's JSON: text, a flag, a number, a price, a side, a time.

What the desk depends on and is not there raises `Malformed`, which names the row and the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from trading_assets.core.words import Side
from trading_assets.market import timestamps

Row = Mapping[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_MOST = 1e15
MOST = Decimal(10) ** 15  # no price, quantity or amount of an account is larger; a float holds it to the cent
_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}


class Malformed(ValueError):
    """An answer lacks what the desk depends on; the text names the row and the field."""


def word(row: Row, name: str) -> str:
    """Text where the row has some, else empty."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def mapping(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise Malformed(f"expected an object, got {shown(row)}")
    return row


def text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"no `{name}` in {shown(row)}")
    return value


def flag(row: Row, name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise Malformed(f"no `{name}` in {shown(row)}")
    return value


def decimal(row: Row, name: str) -> Decimal:
    """A number that came as text or as a JSON number; a float is taken at its shortest text."""
    value = row.get(name)
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) else None
    except InvalidOperation:
        number = None
    if number is None or isinstance(value, bool) or not (number.is_finite() and abs(number) < MOST):
        raise Malformed(f"`{name}` is no number in {shown(row)}")
    return number


def plain_number(row: Row, name: str) -> float:
    """What `decimal` reads, as a float; of many rows in a tenth of the time."""
    value = row.get(name)
    if (type(value) is float or type(value) is int) and -_MOST < value < _MOST:
        return float(value)
    return float(decimal(row, name))


def decimal_or_none(row: Row, name: str) -> Decimal | None:
    """A figure that nothing depends on: None where it cannot be read."""
    try:
        return decimal(row, name)
    except Malformed:
        return None


def positive(row: Row, name: str) -> float:
    number = float(decimal(row, name))
    if number <= 0:
        raise Malformed(f"`{name}` is not positive in {shown(row)}")
    return number


def price_if_any(row: Row, name: str) -> Decimal | None:
    price = decimal_or_none(row, name)
    return price if price is not None and price > 0 else None


def price_or_none(row: Row, name: str) -> Decimal | None:
    if row.get(name) is None:
        return None
    price = decimal(row, name)
    return price if price > 0 else None


def side_of(row: Row) -> Side:
    side = _SIDES.get(str(row.get("side")))
    if side is None:
        raise Malformed(f"`side` is neither buy nor sell in {shown(row)}")
    return side


def ns_of_field(row: Row, name: str) -> int:
    """RFC 3339 text as UTC nanoseconds, exact to the ninth decimal."""
    text = str(row.get(name))
    if _STAMP.fullmatch(text) is None:
        raise Malformed(f"`{name}` is no time in {shown(row)}")
    try:
        return timestamps.parse_ns(text.upper())
    except ValueError as error:
        raise Malformed(f"`{name}` is no time in {shown(row)}") from error


def ns_or_none(row: Row, name: str) -> int | None:
    """As `_ns`; Alpaca's zero time (year 1) and an absent one are None."""
    if row.get(name) is None:
        return None
    ns = ns_of_field(row, name)
    return ns if ns > 0 else None


def date_of(row: Row, name: str) -> date:
    try:
        return date.fromisoformat(text(row, name)[:10])
    except ValueError as error:
        raise Malformed(f"`{name}` is no date in {shown(row)}") from error


def local_ns(day: date, at: time) -> int:
    return timestamps.ns_of(datetime.combine(day, at, tzinfo=NEW_YORK))


def new_york_date(ns: int) -> date:
    return timestamps.utc_time(ns).astimezone(NEW_YORK).date()


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
