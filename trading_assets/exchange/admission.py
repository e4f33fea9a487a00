"""Admission: may this account place this order now? The 403 row of Alpaca's table, and what an order
reserves.

The request is well-formed and keeps the rules of order entry; this module checks it against the account, its
other orders and the quote.
"""

from __future__ import annotations

from decimal import Decimal

from trading_assets.core.words import Side
from trading_assets.exchange.account import VenueAccount
from trading_assets.exchange.amounts import ZERO, ceil_to, text, tick_at
from trading_assets.exchange.order_entry import OrderRequest
from trading_assets.exchange.orders import VenueOrder, stop_collar
from trading_assets.exchange.quotes import VenueQuote
from trading_assets.exchange.refusals import ApiRefusal, forbidden, unprocessable

SMALLEST_COST_BASIS = Decimal(1)  # USD
WAITING_MARKET_COLLAR = Decimal("1.05")  # a market buy that waits for the open reserves 5 % more


def reserve_price(request: OrderRequest, quote: VenueQuote, *, market_open: bool) -> Decimal:
    """The price per share at which the order is expected to trade: its limit or stop, else the quote's far
    side.

    Raises ApiRefusal where a market order has no far side.
    """
    if request.limit_price is not None:
        return request.limit_price
    if request.stop_price is not None:
        return stop_collar(request.stop_price) if request.side is Side.BUY else request.stop_price
    side = quote.ask if request.side is Side.BUY else quote.bid
    if not side:
        raise forbidden(f"no available quote for {request.symbol}")
    if request.side is Side.BUY and not market_open:
        return ceil_to(side * WAITING_MARKET_COLLAR, tick_at(side))
    return side


def position_intent(side: Side, held: Decimal) -> str:
    """What an order on this side does to a position of `held` shares, in Alpaca's words."""
    if side is Side.BUY:
        return "buy_to_close" if held < 0 else "buy_to_open"
    return "sell_to_close" if held > 0 else "sell_to_open"


def check_position_intent(request: OrderRequest, account: VenueAccount) -> None:
    """Raises ApiRefusal 42210000 where the order would do something else than the client states."""
    inferred = position_intent(request.side, account.position_qty(request.symbol))
    if request.position_intent not in (None, inferred):
        raise unprocessable(
            f"position intent mismatch, inferred: {inferred}, specified: {request.position_intent}"
        )


def admit(
    request: OrderRequest,
    price: Decimal,
    account: VenueAccount,
    *,
    fractionable: bool,
    replaced: VenueOrder | None = None,
) -> None:
    """Raises ApiRefusal 403 where the account may not place the order at its reserve price.

    replaced: the order that it replaces, with what that one reserves
    """
    if account.configuration.suspend_trade:
        raise forbidden("new orders are rejected by user request")
    if request.is_fractional and not account.configuration.fractional_trading:
        raise forbidden("fractional trading is disabled for this account")
    if request.is_fractional and not fractionable:
        raise forbidden(f'asset "{request.symbol}" is not fractionable')
    held = account.position_qty(request.symbol)
    closes = request.side is Side.SELL and request.qty == held
    cost_basis = request.notional if request.notional is not None else (request.qty or ZERO) * price
    if cost_basis < SMALLEST_COST_BASIS and not closes:
        raise forbidden("cost basis must be >= minimal amount of order 1", cost_basis=text(cost_basis))
    _refuse_wash_trade(request, account)
    if request.side is Side.SELL:
        reserved = account.held_for_orders(request.symbol) - (replaced.leaves_qty if replaced else ZERO)
        _refuse_uncovered(request, price, held, reserved)
        return
    power = account.buying_power + (replaced.reserved_cash if replaced else ZERO)
    if cost_basis > power:
        raise forbidden("insufficient buying power", buying_power=text(power), cost_basis=text(cost_basis))


def _refuse_uncovered(request: OrderRequest, price: Decimal, held: Decimal, reserved: Decimal) -> None:
    wanted = request.qty if request.qty is not None else (request.notional or ZERO) / price
    if wanted <= held - reserved:
        return
    message = "account is not allowed to short"
    if held:
        free = text(held - reserved)
        message = f"insufficient qty available for order (requested: {text(wanted)}, available: {free})"
    raise forbidden(
        message,
        symbol=request.symbol,
        available=text(held - reserved),
        existing_qty=text(held),
        held_for_orders=text(reserved),
    )


def _refuse_wash_trade(request: OrderRequest, account: VenueAccount) -> None:
    """An opposite open order with a market or stop order among the two, or two limits that could cross."""
    for order in account.open_orders(request.symbol):
        if order.side is request.side:
            continue
        mine, theirs = request.limit_price, order.limit_price
        if mine is None or theirs is None:
            raise _wash_trade("opposite side market/stop order exists", order.id)
        if (mine - theirs) * request.side >= 0:
            raise _wash_trade("opposite side limit order exists", order.id)


def _wash_trade(reason: str, order_id: str) -> ApiRefusal:
    return forbidden(
        "potential wash trade detected. use complex orders", reject_reason=reason, existing_order_id=order_id
    )
