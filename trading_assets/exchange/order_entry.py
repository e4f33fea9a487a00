"""Order entry: reads a request's fields and checks the rules that need no account and no market.

Malformed requests (40010001) are refused before those that break a rule (42210000). `admission.py` decides
what the account may do (403), and `replacement.py` what a request may change in an order.
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
# type → the prices that it has; None: not supported
_TYPES: dict[str, frozenset[str] | None] = {
    "market": frozenset(),
    "limit": frozenset({"limit_price"}),
    "stop": frozenset({"stop_price"}),
    "stop_limit": frozenset({"limit_price", "stop_price"}),
    "trailing_stop": None,
}
_TIMES_IN_FORCE = {"day": True, "gtc": True, "opg": False, "cls": False, "ioc": False, "fok": False}
_CLASSES = {"": True, "simple": True, "bracket": False, "oco": False, "oto": False, "mleg": False}
_POSITION_INTENTS = dict.fromkeys(("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"))
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
    stop_price: Decimal | None
    client_order_id: str | None
    extended_hours: bool
    order_class: str
    legs: tuple[str, ...]  # the fields of complex orders that are set
    position_intent: str | None = None  # what the client says that it does to the position

    @classmethod
    def at_market(cls, symbol: str, side: Side, qty: Decimal) -> OrderRequest:
        """A simple DAY market order."""
        return cls(symbol, side, qty, None, "market", "day", None, None, None, False, "", ())

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
    """The order in a request's JSON. Raises ApiRefusal 40010001 for what is missing or malformed."""
    symbol = members.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise malformed("symbol is required")
    side = read_word(members, "side", _SIDES)
    type_ = read_word(members, "type", _TYPES)
    time_in_force = read_word(members, "time_in_force", _TIMES_IN_FORCE)
    order_class = read_word(members, "order_class", _CLASSES) if members.get("order_class") else ""
    qty, notional = read_amount(members, "qty"), read_amount(members, "notional")
    if (qty is None) == (notional is None):
        raise malformed("one of qty and notional is required, and not both")
    prices = {name: read_amount(members, name) for name in ("limit_price", "stop_price")}
    check_prices(type_, prices)
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
        **prices,
        client_order_id=read_client_order_id(members),
        extended_hours=extended_hours,
        order_class=order_class,
        legs=tuple(name for name in _LEG_FIELDS if members.get(name)),
        position_intent=(
            read_word(members, "position_intent", _POSITION_INTENTS)
            if members.get("position_intent")
            else None
        ),
    )


def check_rules(order: OrderRequest) -> None:
    """Check the rules of order entry; a broken one raises ApiRefusal 42210000."""
    if _TYPES[order.type] is None:
        raise unprocessable(
            f"{order.type} orders are not supported by this exchange: send market, limit, stop or stop_limit"
        )
    if not _TIMES_IN_FORCE[order.time_in_force]:
        raise unprocessable(
            f"time_in_force {order.time_in_force} is not supported by this exchange: send day or gtc"
        )
    if not _CLASSES[order.order_class] or order.legs:
        what = order.order_class or order.legs[0]
        raise unprocessable(f"{what} orders are not supported by this exchange: send simple orders")
    for name, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is not None and price % tick_at(price):
            raise unprocessable(
                f"invalid {name} {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
            )
    if order.notional is not None and decimals(order.notional) > 2:
        raise unprocessable("notional value must be limited to 2 decimal places")
    if order.notional is not None and order.type != "market":
        raise unprocessable("notional orders must be market orders")
    if order.is_fractional and order.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if order.extended_hours and order.type != "limit":
        raise unprocessable("extended hours orders must be DAY or GTC limit orders")


def check_prices(type_: str, prices: Mapping[str, Decimal | None]) -> None:
    """Raises ApiRefusal 40010001 unless the request has exactly the prices of its type."""
    if (expected := _TYPES[type_]) is None:
        return
    for name, price in prices.items():
        if price is None and name in expected:
            raise malformed(f"{type_} orders require {name}")
        if price is not None and name not in expected:
            raise malformed(f"{type_} orders require no {name}")


def read_word(members: Mapping[str, Any], field: str, known: Mapping[str, object]) -> str:
    value = members.get(field)
    if value is None:
        raise malformed(f"{field} is required")
    if not isinstance(value, str) or value not in known:
        raise malformed(f"invalid {field}")
    return value


def read_time_in_force(members: Mapping[str, Any]) -> str | None:
    """None where it is not given."""
    if members.get("time_in_force") is None:
        return None
    return read_word(members, "time_in_force", _TIMES_IN_FORCE)


def read_amount(members: Mapping[str, Any], field: str) -> Decimal | None:
    """A positive amount, None where it is not given."""
    value = members.get(field)
    if value is None:
        return None
    amount = parse(field, value)
    if amount <= 0:
        raise malformed(f"{field} must be > 0")
    return amount


def read_client_order_id(members: Mapping[str, Any]) -> str | None:
    """None where it is not given."""
    value = members.get("client_order_id") or None
    if value is not None and not (isinstance(value, str) and len(value) <= LONGEST_CLIENT_ORDER_ID):
        raise malformed(f"client_order_id must be text of at most {LONGEST_CLIENT_ORDER_ID} characters")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")
