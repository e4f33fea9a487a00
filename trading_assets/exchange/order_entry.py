"""Order entry: a request's fields, read and held to the rules that need no account and no market.

Malformed requests (40010001) are refused before those that break a rule (42210000). What the account
may do (403) is decided by `venue.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_assets.core.words import Side
from trading_assets.exchange.amounts import decimals, parse, text, tick_at
from trading_assets.exchange.refusals import malformed, unprocessable

LONGEST_CLIENT_ORDER_ID = 128
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES = {"market": True, "limit": True, "stop": False, "stop_limit": False, "trailing_stop": False}
_TIMES_IN_FORCE = {"day": True, "gtc": True, "opg": False, "cls": False, "ioc": False, "fok": False}
_CLASSES = {"": True, "simple": True, "bracket": False, "oco": False, "oto": False, "mleg": False}
_LEG_FIELDS = ("legs", "take_profit", "stop_loss", "advanced_instructions")


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A well-formed request. Exactly one of qty and notional is set."""

    symbol: str
    side: Side
    qty: Decimal | None
    notional: Decimal | None
    type: str
    time_in_force: str
    limit_price: Decimal | None
    client_order_id: str | None
    extended_hours: bool
    order_class: str
    legs: tuple[str, ...]  # the fields of complex orders that are set

    @property
    def is_fractional(self) -> bool:
        return self.notional is not None or (self.qty is not None and decimals(self.qty) > 0)


def read_json(body: bytes) -> Mapping[str, Any]:
    """The request's JSON object, its numbers as Decimal. Refused: anything else, NaN and infinity."""
    try:
        members = json.loads(body, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise malformed(f"request body format is invalid: {error}") from error
    if not isinstance(members, dict):
        raise malformed("request body format is invalid: not a JSON object")
    return members


def read_order(members: Mapping[str, Any]) -> OrderRequest:
    """The order in a request's JSON. Raises Refusal 40010001 for what is missing or malformed."""
    symbol = members.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise malformed("symbol is required")
    side = _word(members, "side", _SIDES)
    type_ = _word(members, "type", _TYPES)
    time_in_force = _word(members, "time_in_force", _TIMES_IN_FORCE)
    order_class = _word(members, "order_class", _CLASSES) if members.get("order_class") else ""
    qty, notional = _amount(members, "qty"), _amount(members, "notional")
    if (qty is None) == (notional is None):
        raise malformed("one of qty and notional is required, and not both")
    limit_price, stop_price = _amount(members, "limit_price"), _amount(members, "stop_price")
    if type_ == "limit" and limit_price is None:
        raise malformed("limit orders require limit_price")
    if type_ == "market" and limit_price is not None:
        raise malformed("market orders require no limit_price")
    if type_ in ("market", "limit") and stop_price is not None:
        raise malformed(f"{type_} orders require no stop_price")
    client_order_id = members.get("client_order_id") or None
    if client_order_id is not None and not (
        isinstance(client_order_id, str) and len(client_order_id) <= LONGEST_CLIENT_ORDER_ID
    ):
        raise malformed(f"client_order_id must be text of at most {LONGEST_CLIENT_ORDER_ID} characters")
    extended_hours = members.get("extended_hours") or False
    if not isinstance(extended_hours, bool):
        raise malformed("extended_hours must be a boolean")
    return OrderRequest(
        symbol=symbol,
        side=_SIDES[side],
        qty=qty,
        notional=notional,
        type=type_,
        time_in_force=time_in_force,
        limit_price=limit_price,
        client_order_id=client_order_id,
        extended_hours=extended_hours,
        order_class=order_class,
        legs=tuple(name for name in _LEG_FIELDS if members.get(name)),
    )


def check_rules(order: OrderRequest) -> None:
    """The rules of order entry; a broken one raises Refusal 42210000."""
    if not _TYPES[order.type]:
        raise unprocessable(f"{order.type} orders are not supported by this exchange: send market or limit")
    if not _TIMES_IN_FORCE[order.time_in_force]:
        raise unprocessable(
            f"time_in_force {order.time_in_force} is not supported by this exchange: send day or gtc"
        )
    if not _CLASSES[order.order_class] or order.legs:
        what = order.order_class or order.legs[0]
        raise unprocessable(f"{what} orders are not supported by this exchange: send simple orders")
    price = order.limit_price
    if price is not None and price % tick_at(price):
        raise unprocessable(
            f"invalid limit_price {text(price)}. "
            "sub-penny increment does not fulfill minimum pricing criteria"
        )
    if order.notional is not None and decimals(order.notional) > 2:
        raise unprocessable("notional value must be limited to 2 decimal places")
    if order.notional is not None and order.type != "market":
        raise unprocessable("notional orders must be market orders")
    if order.is_fractional and order.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if order.extended_hours and order.type != "limit":
        raise unprocessable("extended hours orders must be DAY or GTC limit orders")


def _word(members: Mapping[str, Any], field: str, known: Mapping[str, object]) -> str:
    value = members.get(field)
    if value is None:
        raise malformed(f"{field} is required")
    if not isinstance(value, str) or value not in known:
        raise malformed(f"invalid {field}")
    return value


def _amount(members: Mapping[str, Any], field: str) -> Decimal | None:
    value = members.get(field)
    if value is None:
        return None
    amount = parse(field, value)
    if amount <= 0:
        raise malformed(f"{field} must be > 0")
    return amount


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")
