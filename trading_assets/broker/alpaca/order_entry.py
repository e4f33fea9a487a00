"""A new order as it goes on the wire: quantised, and its numbers as exact decimal text.

What comes back is in `broker.alpaca.parsing`; whether an order should go at all was decided long before.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

from trading_assets.broker.port import NewOrder
from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput

QTY_STEP = Decimal("0.000000001")
_EFFECT = {True: "close", False: "open"}


def quantised(new: NewOrder) -> NewOrder:
    """The order as it can be sent: quantity cut to nine decimals, price to the tick on the safe side
    (a buy down, a sell up). Ticks are $0.01 at or above $1 and $0.0001 below (SEC Rule 612).

    Raises InvalidInput when nothing is left of one of them, or the client order id is not 1–128 long.
    """
    price = new.limit_price
    if not (price.is_finite() and new.qty.is_finite()):
        raise _unsendable(new, "quantity and limit price must be finite")
    tick = Decimal("0.01") if price >= 1 else Decimal("0.0001")
    price = price.quantize(tick, rounding=ROUND_FLOOR if new.side == Side.BUY else ROUND_CEILING)
    qty = new.qty.quantize(QTY_STEP, rounding=ROUND_DOWN)
    if qty <= 0 or price <= 0:
        raise _unsendable(new, f"quantity {new.qty} and limit price {new.limit_price} leave nothing to send")
    if not 1 <= len(new.client_order_id) <= 128:
        raise _unsendable(new, "the client order id must have 1 to 128 characters")
    return replace(new, qty=qty, limit_price=price)


def order_fields(new: NewOrder) -> dict[str, Any]:
    """The body of POST /orders. Numbers are decimal text, as Alpaca's specification types them: a
    float on the wire would turn 0.3 into 0.30000000000000004. With `position_intent` the broker refuses an
    order that would open what it is to close."""
    side = "buy" if new.side == Side.BUY else "sell"
    intent = {} if new.reducing is None else {"position_intent": f"{side}_to_{_EFFECT[new.reducing]}"}
    return {
        "symbol": new.symbol,
        "side": side,
        "type": "limit",
        "time_in_force": "day",
        "qty": _plain(new.qty),
        "limit_price": _plain(new.limit_price),
        "client_order_id": new.client_order_id,
        "extended_hours": new.extended_hours,
        **intent,
    }


def _unsendable(new: NewOrder, what: str) -> InvalidInput:
    return InvalidInput(
        what,
        where=f"order {new.client_order_id} in {new.symbol}",
        remedy="Nothing was sent; correct the order",
    )


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
