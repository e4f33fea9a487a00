"""Orders and cancels on the wire: sent once, exact, in finite time, and every failure with its meaning."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from alpaca_payloads import ORDER
from scripted_server import CutOff, Hang, Reply, Reset, ScriptedServer, Step, Trickle

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.port import (
    BrokerError,
    DuplicateClientOrderId,
    NewOrder,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    WriteRefused,
)
from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput

NEW = NewOrder("ta-0001", "AAPL", Side.BUY, Decimal("3"), Decimal("594.12"))
HTML = "<html><head><title>502 Bad Gateway</title></head></html>"


def refusal(status: int, code: int, message: str) -> Reply:
    return Reply(status, {"code": code, "message": message})


def test_an_order_leaves_as_a_day_limit_order_with_both_keys_in_its_headers(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on("POST", "/v2/orders", Reply(200, {**ORDER, "status": "pending_new"}))
    placed = broker.submit(NEW)
    (request,) = server.requests
    assert json.loads(request.body) == {
        "symbol": "AAPL",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "qty": "3",
        "limit_price": "594.12",
        "client_order_id": "ta-0001",
        "extended_hours": False,
    }
    assert request.headers["APCA-API-KEY-ID"] == "key-id"
    assert request.headers["APCA-API-SECRET-KEY"] == "secret"
    assert (placed.id, placed.status_word) == (ORDER["id"], "pending_new")


@pytest.mark.parametrize(
    ("side", "reducing", "intent"),
    [
        (Side.BUY, False, "buy_to_open"),
        (Side.SELL, True, "sell_to_close"),
        (Side.BUY, True, "buy_to_close"),
        (Side.SELL, False, "sell_to_open"),
    ],
)
def test_an_order_says_whether_it_opens_or_closes_a_position(
    server: ScriptedServer, broker: AlpacaBroker, side: Side, reducing: bool, intent: str
) -> None:
    server.on("POST", "/v2/orders", Reply(200, {**ORDER, "status": "pending_new"}))
    broker.submit(replace(NEW, side=side, reducing=reducing))
    (request,) = server.requests
    assert json.loads(request.body)["position_intent"] == intent


@pytest.mark.parametrize(
    ("side", "qty", "price", "sent_qty", "sent_price"),
    [
        (Side.BUY, Decimal(0.1 + 0.2), Decimal("10.019"), b'"0.3"', b'"10.01"'),
        (Side.SELL, Decimal("0.1234567899"), Decimal("10.011"), b'"0.123456789"', b'"10.02"'),
        (Side.BUY, Decimal("100.000"), Decimal("0.99999"), b'"100"', b'"0.9999"'),
        (Side.SELL, Decimal("1E+2"), Decimal("0.00011"), b'"100"', b'"0.0002"'),
        (Side.BUY, Decimal("123456789.123456789"), Decimal("1"), b'"123456789.123456789"', b'"1"'),
    ],
)
def test_numbers_on_the_wire_are_exact_decimal_text(
    server: ScriptedServer,
    broker: AlpacaBroker,
    side: Side,
    qty: Decimal,
    price: Decimal,
    sent_qty: bytes,
    sent_price: bytes,
) -> None:
    server.on("POST", "/v2/orders", Reply(200, ORDER))
    broker.submit(NewOrder("ta-0001", "AAPL", side, qty, price))
    body = server.requests[0].body
    assert b'"qty": ' + sent_qty in body
    assert b'"limit_price": ' + sent_price in body


@pytest.mark.parametrize(
    "order",
    [
        NewOrder("ta-1", "AAPL", Side.BUY, Decimal("0.0000000001"), Decimal("10")),
        NewOrder("ta-1", "AAPL", Side.BUY, Decimal("1"), Decimal("0.00001")),
        NewOrder("ta-1", "AAPL", Side.BUY, Decimal("-1"), Decimal("10")),
        NewOrder("ta-1", "AAPL", Side.BUY, Decimal("NaN"), Decimal("10")),
        NewOrder("ta-1", "AAPL", Side.BUY, Decimal("1"), Decimal("Infinity")),
        NewOrder("", "AAPL", Side.BUY, Decimal("1"), Decimal("10")),
        NewOrder("x" * 129, "AAPL", Side.BUY, Decimal("1"), Decimal("10")),
    ],
)
def test_an_order_that_cannot_be_sent_is_refused_before_the_wire(
    server: ScriptedServer, broker: AlpacaBroker, order: NewOrder
) -> None:
    with pytest.raises(InvalidInput):
        broker.submit(order)
    assert server.requests == []


SUBMIT_FAILURES: list[tuple[Step, type[BrokerError]]] = [
    (refusal(400, 40010000, "bad request"), Rejected),
    (refusal(401, 40110000, "request is not authorized"), Unauthorized),
    (refusal(403, 40310000, "insufficient buying power"), Rejected),
    (refusal(404, 40410000, "symbol not found"), NotFound),
    (refusal(422, 42210000, "sub-penny increment"), Rejected),
    (refusal(422, 40010001, "client_order_id must be unique"), DuplicateClientOrderId),
    (Reply(403, HTML), Rejected),
    (Reply(422, {"message": "no code"}), Rejected),
    (Reply(422, ["a", "list"]), Rejected),
    (refusal(429, 42910000, "rate limit exceeded"), RateLimited),
    (refusal(405, 1, "method not allowed"), OutcomeUnknown),
    (refusal(408, 1, "timeout"), OutcomeUnknown),
    (refusal(409, 1, "conflict"), OutcomeUnknown),
    (refusal(500, 50010000, "internal server error"), OutcomeUnknown),
    (Reply(502, HTML), OutcomeUnknown),
    (Reply(503, ""), OutcomeUnknown),
    (Reply(504, {"message": "gateway timeout"}), OutcomeUnknown),
    (Reply(302, None, {"Location": "http://127.0.0.1:9/elsewhere"}), OutcomeUnknown),
    (Reply(200, HTML), OutcomeUnknown),
    (Reply(200, None), OutcomeUnknown),
    (Reply(200, "[]"), OutcomeUnknown),
    (Reply(200, {**ORDER, "id": None}), OutcomeUnknown),
    (Reply(200, {**ORDER, "client_order_id": "another"}), OutcomeUnknown),
    (CutOff(ORDER), OutcomeUnknown),
    (Reset(), OutcomeUnknown),
    (Hang(), OutcomeUnknown),
    (Trickle(json.dumps(ORDER), pause_s=0.05), OutcomeUnknown),
]


@pytest.mark.parametrize(
    ("step", "error"),
    SUBMIT_FAILURES,
    ids=[f"{n}-{error.__name__}" for n, (_, error) in enumerate(SUBMIT_FAILURES)],
)
def test_a_failed_submit_has_left_once_and_is_of_its_kind(
    server: ScriptedServer, broker: AlpacaBroker, step: Step, error: type[BrokerError]
) -> None:
    server.on("POST", "/v2/orders", step)
    began = time.monotonic()
    with pytest.raises(BrokerError) as caught:
        broker.submit(NEW)
    assert type(caught.value) is error
    assert time.monotonic() - began < 2
    assert [one.method for one in server.requests] == ["POST"]


def test_a_later_good_answer_is_not_waited_for_by_sending_again(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    for step in (Reply(429), Reply(504), Reset()):
        server.requests.clear()
        server.on("POST", "/v2/orders", step, Reply(200, ORDER))
        with pytest.raises(BrokerError):
            broker.submit(NEW)
        assert len(server.requests) == 1


def test_a_refusal_carries_status_code_and_message(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("POST", "/v2/orders", refusal(403, 40310000, "insufficient buying power"))
    with pytest.raises(Rejected) as caught:
        broker.submit(NEW)
    error = caught.value
    assert (error.status, error.code, error.message) == (403, 40310000, "insufficient buying power")


def test_a_refusal_without_a_json_body_still_has_its_status(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on("POST", "/v2/orders", Reply(403, HTML))
    with pytest.raises(Rejected) as caught:
        broker.submit(NEW)
    assert (caught.value.status, caught.value.code) == (403, None)
    assert "Bad Gateway" in caught.value.message


@pytest.mark.parametrize(
    ("headers", "reset"),
    [({"X-RateLimit-Reset": "1341322560"}, 1341322560.0), ({}, None), ({"X-RateLimit-Reset": "soon"}, None)],
)
def test_a_rate_limit_says_until_when(
    server: ScriptedServer, broker: AlpacaBroker, headers: dict[str, str], reset: float | None
) -> None:
    server.on("POST", "/v2/orders", Reply(429, {"message": "too many requests"}, headers))
    with pytest.raises(RateLimited) as caught:
        broker.submit(NEW)
    assert caught.value.reset_epoch_s == reset


def test_a_refused_connection_leaves_the_outcome_unknown(server: ScriptedServer) -> None:
    with ScriptedServer() as gone:
        url = gone.url
    unreachable = AlpacaBroker(Origins(url, url), "key-id", "secret")
    with pytest.raises(OutcomeUnknown):
        unreachable.submit(NEW)


def test_a_status_that_nobody_knows_is_handed_on(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("POST", "/v2/orders", Reply(200, {**ORDER, "status": "levitating", "type": "new_kind"}))
    placed = broker.submit(NEW)
    assert (placed.status_word, placed.type) == ("levitating", "new_kind")


def test_a_cancel_asks_once_and_returns_nothing(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("DELETE", f"/v2/orders/{ORDER['id']}", Reply(204))
    broker.cancel(ORDER["id"])
    assert [(one.method, one.path) for one in server.requests] == [("DELETE", f"/v2/orders/{ORDER['id']}")]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (refusal(404, 40410000, "order not found"), NotFound),
        (refusal(422, 42210000, 'order is already in "filled" state'), Rejected),
        (refusal(429, 42910000, "rate limit exceeded"), RateLimited),
        (Reply(504, HTML), OutcomeUnknown),
        (Reply(302, None, {"Location": "/login"}), OutcomeUnknown),
        (Reset(), OutcomeUnknown),
        (Hang(), OutcomeUnknown),
    ],
)
def test_a_failed_cancel_has_left_once_and_is_of_its_kind(
    server: ScriptedServer, broker: AlpacaBroker, step: Step, error: type[BrokerError]
) -> None:
    server.on("DELETE", "/v2/orders/o1", step)
    with pytest.raises(BrokerError) as caught:
        broker.cancel("o1")
    assert type(caught.value) is error
    assert len(server.requests) == 1


def test_a_cancel_of_all_is_one_request_with_a_status_for_each_order(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    answer = [{"id": "o1", "status": 200}, {"id": "o2", "status": 500}, {"id": "o3", "status": "422"}]
    server.on("DELETE", "/v2/orders", Reply(207, answer), Reply(207, []))
    assert broker.cancel_all() == {"o1": 200, "o2": 500, "o3": 422}
    assert broker.cancel_all() == {}
    assert [(one.method, one.path) for one in server.requests] == [("DELETE", "/v2/orders")] * 2


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (refusal(403, 40310000, "not now"), Rejected),
        (refusal(429, 42910000, "rate limit exceeded"), RateLimited),
        (Reply(500, HTML), OutcomeUnknown),
        (Reply(207, {"id": "o1", "status": 200}), OutcomeUnknown),
        (Reply(207, [{"id": "o1"}]), OutcomeUnknown),
        (Reset(), OutcomeUnknown),
    ],
)
def test_a_failed_cancel_of_all_is_of_its_kind(
    server: ScriptedServer, broker: AlpacaBroker, step: Step, error: type[BrokerError]
) -> None:
    server.on("DELETE", "/v2/orders", step)
    with pytest.raises(BrokerError) as caught:
        broker.cancel_all()
    assert type(caught.value) is error
    assert len(server.requests) == 1


def test_an_id_with_a_slash_does_not_reach_another_endpoint(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on("DELETE", "/v2/orders/..%2Fpositions", refusal(404, 40410000, "order not found"))
    with pytest.raises(NotFound):
        broker.cancel("../positions")
    assert [one.path for one in server.requests] == ["/v2/orders/..%2Fpositions"]


def test_a_read_only_connection_sends_neither_order_nor_cancel(server: ScriptedServer) -> None:
    watching = AlpacaBroker(Origins(server.url, server.url), "key-id", "secret", read_only=True)
    calls: list[tuple[Any, Any]] = [(watching.submit, NEW), (watching.cancel, "o1")]
    for call, argument in calls:
        with pytest.raises(WriteRefused, match="read-only"):
            call(argument)
    with pytest.raises(WriteRefused, match="read-only"):
        watching.cancel_all()
    assert server.requests == []
    watching.close()
