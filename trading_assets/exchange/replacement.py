"""Replacing an open order: what a request may change, and the order that it asks for instead.

The replacement is a separate order for what the replaced one has left: `qty` in the request includes what was
already filled. `admission.py` decides whether the account may place it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trading_assets.exchange.amounts import decimals
from trading_assets.exchange.order_entry import (
    OrderRequest,
    check_prices,
    read_amount,
    read_client_order_id,
    read_time_in_force,
)
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.refusals import unprocessable

REPLACEABLE = frozenset({Status.NEW, Status.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a request sets; None keeps what the order has."""

    qty: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str | None
    client_order_id: str | None


def read_replacement(members: Mapping[str, Any]) -> Replacement:
    """Raises ApiRefusal 40010001 for what is malformed, 42210000 for what is not supported."""
    for field in ("trail", "notional"):
        if members.get(field) is not None:
            raise unprocessable(f"{field} is not supported by this exchange in a replacement")
    return Replacement(
        qty=read_amount(members, "qty"),
        limit_price=read_amount(members, "limit_price"),
        stop_price=read_amount(members, "stop_price"),
        time_in_force=read_time_in_force(members),
        client_order_id=read_client_order_id(members),
    )


def check_replaceable(order: VenueOrder) -> None:
    """Raises ApiRefusal 42210000 for an order that is not on the market, or that has no quantity."""
    if order.status not in REPLACEABLE:
        raise unprocessable(f"cannot replace order in {order.status} status")
    if order.notional is not None:
        raise unprocessable("notional orders cannot be replaced: cancel the order and submit a new one")


def replacing(order: VenueOrder, wanted: Replacement) -> OrderRequest:
    """The order that replaces `order`. Raises ApiRefusal 40010001 or 42210000."""
    assert order.qty is not None
    limit = order.limit_price if wanted.limit_price is None else wanted.limit_price
    stop = order.stop_price if wanted.stop_price is None else wanted.stop_price
    check_prices(order.type, {"limit_price": limit, "stop_price": stop})
    if wanted.qty is not None and wanted.qty != order.qty and decimals(wanted.qty) + decimals(order.qty):
        raise unprocessable("qty can be changed in whole shares only, and not of a fractional order")
    qty = order.qty if wanted.qty is None else wanted.qty
    if qty <= order.filled_qty:
        raise unprocessable("qty must be > filled_qty")
    request = OrderRequest(
        symbol=order.symbol,
        side=order.side,
        qty=qty - order.filled_qty,
        notional=None,
        type=order.type,
        time_in_force=wanted.time_in_force or order.time_in_force,
        limit_price=limit,
        stop_price=stop,
        client_order_id=wanted.client_order_id,
        extended_hours=order.extended_hours,
        order_class="",
        legs=(),
    )
    kept = (order.qty, order.limit_price, order.stop_price, order.time_in_force)
    if kept == (qty, limit, stop, request.time_in_force):
        raise unprocessable("order parameters are not changed")
    return request
