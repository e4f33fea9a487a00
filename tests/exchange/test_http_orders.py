"""Orders over HTTP with alpaca-py."""

from __future__ import annotations

import json
from decimal import Decimal as D
from uuid import UUID, uuid4

import pytest
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import (
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from exchange_ground import MINUTE_NS, ask_of, control, limit_order, raw_trading, trading
from modelled_client import stated

from trading_assets.exchange.process import ExchangeProcess

pytestmark = pytest.mark.exchange


def test_alpaca_py_buys_holds_and_sells(exchange: ExchangeProcess) -> None:
    client, ask = trading(exchange), ask_of(exchange, "IBM")
    sent = client.submit_order(
        limit_order("IBM", OrderSide.BUY, 10, round(ask + 0.05, 2), client_order_id="b")
    )
    assert (sent.status, sent.filled_qty) == (OrderStatus.PENDING_NEW, "0")
    order = client.get_order_by_id(sent.id)
    assert (order.status, order.filled_qty, stated(order.filled_avg_price)) == (OrderStatus.FILLED, "10", ask)
    assert client.get_order_by_client_id("b").id == sent.id
    position = client.get_open_position("IBM")
    assert (position.qty, position.qty_available, float(position.avg_entry_price)) == ("10", "10", ask)
    account = client.get_account()
    assert D(str(account.cash)) + D(str(position.market_value)) == D(str(account.equity))
    assert D(str(account.cash)) == 100_000 - 10 * D(str(ask))
    sold = client.submit_order(
        MarketOrderRequest(symbol="IBM", side=OrderSide.SELL, qty=2.5, time_in_force=TimeInForce.DAY)
    )
    assert client.get_order_by_id(sold.id).status == OrderStatus.FILLED
    assert [p.qty for p in client.get_all_positions()] == ["7.5"]


def test_alpaca_py_lists_and_cancels_orders(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    ids = [client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100 + k)).id for k in range(4)]
    client.submit_order(limit_order("MSFT", OrderSide.BUY, 1, 10))
    assert [o.id for o in client.get_orders(GetOrdersRequest(symbols=["AAPL"]))] == ids[::-1]
    client.cancel_order_by_id(ids[0])
    assert client.get_order_by_id(ids[0]).status == OrderStatus.CANCELED
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [o.id for o in closed] == [ids[0]]
    both = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=2, direction=Sort.ASC))
    assert [o.id for o in both] == ids[:2]
    page = raw_trading(exchange).get(
        "/orders", {"status": "all", "direction": "asc", "after_order_id": ids[1]}
    )
    assert [UUID(o["id"]) for o in page][:2] == ids[2:]
    assert {str(c.id): c.status for c in client.cancel_orders()}.keys() >= {str(i) for i in ids[1:]}
    assert client.get_orders() == []
    assert D(str(client.get_account().buying_power)) == 100_000


def test_orders_are_selected_by_when_they_were_submitted(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    first = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100))
    control(exchange, "/clock", step_ns=MINUTE_NS)
    second = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 101))
    after = client.get_orders(GetOrdersRequest(after=first.submitted_at))
    until = client.get_orders(GetOrdersRequest(until=first.submitted_at))
    assert ([o.id for o in after], [o.id for o in until]) == ([second.id], [first.id])


def test_alpaca_py_places_stops_and_replaces_orders(exchange: ExchangeProcess) -> None:
    client, ask = trading(exchange), ask_of(exchange, "IBM")
    client.submit_order(limit_order("IBM", OrderSide.BUY, 10, round(ask + 0.05, 2)))
    low, lower = round(ask * 0.8), round(ask * 0.7)
    stop = client.submit_order(
        StopOrderRequest(
            symbol="IBM",
            side=OrderSide.SELL,
            qty=4,
            stop_price=low,
            time_in_force=TimeInForce.GTC,
            client_order_id="s",
        )
    )
    limit = client.submit_order(
        StopLimitOrderRequest(
            symbol="IBM",
            side=OrderSide.SELL,
            qty=6,
            stop_price=low,
            limit_price=lower,
            time_in_force=TimeInForce.DAY,
        )
    )
    assert (stop.order_type, stop.stop_price, stop.limit_price) == (OrderType.STOP, str(low), None)
    assert (limit.order_type, limit.stop_price, limit.limit_price) == (
        OrderType.STOP_LIMIT,
        str(low),
        str(lower),
    )
    assert client.get_open_position("IBM").qty_available == "0"
    new = client.replace_order_by_id(stop.id, ReplaceOrderRequest(qty=3, stop_price=float(lower)))
    assert (new.qty, new.stop_price, new.replaces, new.time_in_force) == (
        "3",
        str(lower),
        stop.id,
        TimeInForce.GTC,
    )
    old = client.get_order_by_client_id("s")
    assert (old.id, old.status, old.replaced_by) == (stop.id, OrderStatus.REPLACED, new.id)
    assert old.replaced_at is not None
    assert client.get_open_position("IBM").qty_available == "1"
    assert {order.id for order in client.get_orders()} == {new.id, limit.id}
    control(exchange, "/quote", symbol="IBM", bid=str(low - 1), ask=str(low))
    sold = client.get_order_by_id(limit.id)
    assert (sold.status, stated(sold.filled_avg_price)) == (OrderStatus.FILLED, low - 1)
    control(exchange, "/quote", symbol="IBM")


def test_alpaca_py_closes_positions(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    for symbol, qty in (("IBM", 10), ("MSFT", 4), ("AAPL", 3)):
        order = MarketOrderRequest(symbol=symbol, side=OrderSide.BUY, qty=qty, time_in_force=TimeInForce.DAY)
        client.submit_order(order)
    part = client.close_position("IBM", ClosePositionRequest(percentage="50"))
    assert (part.side, part.qty, part.order_type) == (OrderSide.SELL, "5", OrderType.MARKET)
    client.submit_order(limit_order("MSFT", OrderSide.SELL, 3, 900))
    with pytest.raises(APIError) as error:
        client.close_position("MSFT")
    assert (error.value.status_code, error.value.code) == (403, 40310000)
    closed = {row["symbol"]: row for row in raw_trading(exchange).delete("/positions")}
    assert {symbol: row["status"] for symbol, row in closed.items()} == {"AAPL": 200, "IBM": 200, "MSFT": 403}
    assert closed["IBM"]["body"]["qty"] == "5"
    assert [position.symbol for position in client.get_all_positions()] == ["MSFT"]
    answers = client.close_all_positions(cancel_orders=True)
    assert [(answer.symbol, answer.status) for answer in answers] == [("MSFT", 200)]
    assert (client.get_all_positions(), client.get_orders()) == ([], [])
    with pytest.raises(APIError) as error:
        client.close_position("MSFT")
    assert (error.value.status_code, error.value.code) == (404, 40410000)


MALFORMED, RULE, FORBIDDEN = (422, 40010001), (422, 42210000), (403, 40310000)
IBM = {"symbol": "IBM", "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (StopOrderRequest(**IBM, qty=1, stop_price=90.001), RULE),
        (StopOrderRequest(**IBM | {"time_in_force": TimeInForce.GTC}, qty=1.5, stop_price=90), RULE),
        (StopOrderRequest(**IBM, qty=1_000_000, stop_price=900), FORBIDDEN),
        (LimitOrderRequest(**IBM, qty=0.001, limit_price=50), FORBIDDEN),
        (LimitOrderRequest(**IBM, qty=1e-10, limit_price=50), MALFORMED),
        (LimitOrderRequest(**IBM | {"time_in_force": TimeInForce.OPG}, qty=1, limit_price=50), RULE),
        (MarketOrderRequest(**IBM | {"time_in_force": TimeInForce.CLS}, qty=1), RULE),
        (MarketOrderRequest(**IBM | {"time_in_force": TimeInForce.IOC}, qty=1), RULE),
        (MarketOrderRequest(**IBM | {"time_in_force": TimeInForce.FOK}, qty=1), RULE),
        (MarketOrderRequest(**IBM, notional=10.001), RULE),
        (MarketOrderRequest(**IBM | {"time_in_force": TimeInForce.GTC}, notional=10), RULE),
        (MarketOrderRequest(**IBM, qty=1, extended_hours=True), RULE),
        (TrailingStopOrderRequest(**IBM, qty=1, trail_percent=1), RULE),
        (
            MarketOrderRequest(
                **IBM,
                qty=1,
                order_class=OrderClass.BRACKET,
                take_profit=TakeProfitRequest(limit_price=900),
                stop_loss=StopLossRequest(stop_price=10),
            ),
            RULE,
        ),
        (
            MarketOrderRequest(
                **IBM, qty=1, order_class=OrderClass.OTO, stop_loss=StopLossRequest(stop_price=10)
            ),
            RULE,
        ),
    ],
)
def test_an_order_against_a_rule_is_refused_with_its_status_and_code(
    exchange: ExchangeProcess, order: OrderRequest, expected: tuple[int, int]
) -> None:
    client = trading(exchange)
    with pytest.raises(APIError) as error:
        client.submit_order(order)
    assert (error.value.status_code, error.value.code) == expected
    assert client.get_orders() == []


def test_a_wash_trade_names_the_order_that_it_could_meet(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    client.submit_order(MarketOrderRequest(**IBM, qty=5))
    resting = client.submit_order(limit_order("IBM", OrderSide.SELL, 5, 900))
    for crossing in (
        MarketOrderRequest(**IBM, qty=1),
        StopOrderRequest(**IBM, qty=1, stop_price=800),
        LimitOrderRequest(**IBM, qty=1, limit_price=900),
    ):
        with pytest.raises(APIError) as error:
            client.submit_order(crossing)
        assert (error.value.status_code, error.value.code) == FORBIDDEN
        assert json.loads(error.value._error)["existing_order_id"] == str(resting.id)
    client.submit_order(LimitOrderRequest(**IBM, qty=1, limit_price=20))


def test_alpaca_py_sees_why_an_order_cannot_be_replaced(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    resting = client.submit_order(limit_order("IBM", OrderSide.BUY, 2, 50))
    cases = [
        (ReplaceOrderRequest(limit_price=50), RULE),
        (ReplaceOrderRequest(limit_price=50.001), RULE),
        (ReplaceOrderRequest(stop_price=45), MALFORMED),
        (ReplaceOrderRequest(qty=1_000_000), FORBIDDEN),
    ]
    for request, expected in cases:
        with pytest.raises(APIError) as error:
            client.replace_order_by_id(resting.id, request)
        assert (error.value.status_code, error.value.code) == expected
    client.cancel_order_by_id(resting.id)
    for order_id, expected in ((resting.id, RULE), (uuid4(), (404, 40410000))):
        with pytest.raises(APIError) as error:
            client.replace_order_by_id(order_id, ReplaceOrderRequest(qty=3))
        assert (error.value.status_code, error.value.code) == expected


def test_alpaca_py_sees_refused_orders_with_their_codes(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    client.submit_order(limit_order("IBM", OrderSide.BUY, 1, 50, client_order_id="taken"))
    cases = [
        (limit_order("IBM", OrderSide.BUY, 1, 50, client_order_id="taken"), 422, 40010001),
        (limit_order("IBM", OrderSide.BUY, 1, 50.001), 422, 42210000),
        (limit_order("IBM", OrderSide.BUY, 1_000_000, 50), 403, 40310000),
        (limit_order("IBM", OrderSide.SELL, 1, 500), 403, 40310000),
        (limit_order("NONE", OrderSide.BUY, 1, 50), 422, 40010001),
    ]
    for request, status, code in cases:
        with pytest.raises(APIError) as error:
            client.submit_order(request)
        assert (error.value.status_code, error.value.code) == (status, code)
    assert len(client.get_orders()) == 1
