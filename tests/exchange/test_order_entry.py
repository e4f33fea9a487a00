from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from tapes import SmallTape, at, body, submit, venue

from trading_assets.exchange.ids import asset_id
from trading_assets.exchange.payloads import order_json
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.venue import Venue

MALFORMED, RULE, FORBIDDEN = (422, 40010001), (422, 42210000), (403, 40310000)


@pytest.fixture(scope="module")
def exchange() -> Venue:
    """One venue for refused orders: none of them may change it."""
    return venue(not_fractionable=frozenset({"BBB"}))


def refused(exchange: Venue, raw: bytes) -> tuple[int, int, str]:
    before = exchange.journal_bytes()
    with pytest.raises(ApiRefusal) as refusal:
        exchange.submit(raw)
    assert exchange.journal_bytes() == before
    return refusal.value.status, refusal.value.body["code"], refusal.value.body["message"]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "request body"),
        (b"{", "request body"),
        (b"[]", "not a JSON object"),
        (b'{"qty": NaN}', "NaN"),
        (b'{"qty": Infinity}', "Infinity"),
        (b"\xff\xfe", "request body"),
        (b'{"qty": 1e999999999999999999999}', "request body"),
        (body(symbol=None), "symbol is required"),
        (body(symbol=7), "symbol is required"),
        (body(symbol="ZZZ"), "asset ZZZ not found"),
        (body(side=None), "side is required"),
        (body(side="short"), "invalid side"),
        (body(type="iceberg"), "invalid type"),
        (body(time_in_force="forever"), "invalid time_in_force"),
        (body(order_class="triple"), "invalid order_class"),
        (body(qty=None), "one of qty and notional"),
        (body(notional="100"), "one of qty and notional"),
        (body(qty="0"), "qty must be > 0"),
        (body(qty="-1"), "qty must be > 0"),
        (body(qty=-1.5), "qty must be > 0"),
        (body(qty=True), "qty is not a number"),
        (body(qty="ten"), "qty is not a number"),
        (body(qty="nan"), "qty is not a number"),
        (body(qty="Infinity"), "qty is not a number"),
        (body(qty="1_000"), "qty is not a number"),
        (body(qty=[1]), "qty is not a number"),
        (body(qty="1e90"), "qty is too large"),
        (body(qty="0.0000000001"), "more than 9 decimal places"),
        (body(qty=0.1 + 0.2), "more than 9 decimal places"),
        (body(type="limit"), "limit orders require limit_price"),
        (body(type="market", limit_price="100"), "market orders require no limit_price"),
        (body(type="limit", limit_price="100", stop_price="99"), "limit orders require no stop_price"),
        (body(type="market", stop_price="99"), "market orders require no stop_price"),
        (body(type="stop"), "stop orders require stop_price"),
        (body(type="stop", stop_price="99", limit_price="99"), "stop orders require no limit_price"),
        (body(type="stop_limit", stop_price="99"), "stop_limit orders require limit_price"),
        (body(type="stop_limit", limit_price="99"), "stop_limit orders require stop_price"),
        (body(stop_price="-1"), "stop_price must be > 0"),
        (body(limit_price="0"), "limit_price must be > 0"),
        (body(client_order_id="x" * 129), "at most 128"),
        (body(client_order_id=12), "client_order_id must be text"),
        (body(extended_hours="yes"), "extended_hours must be a boolean"),
        (body(position_intent="to_open"), "invalid position_intent"),
        (body(position_intent=1), "invalid position_intent"),
    ],
)
def test_a_malformed_order_is_refused_with_40010001(exchange: Venue, raw: bytes, says: str) -> None:
    status, code, message = refused(exchange, raw)
    assert (status, code) == MALFORMED
    assert says in message


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"limit_price": "100.001"}, "sub-penny"),
        ({"limit_price": "1.005"}, "sub-penny"),
        ({"limit_price": "0.00005"}, "sub-penny"),
        ({"qty": None, "notional": "10.001"}, "2 decimal places"),
        ({"qty": None, "notional": "10", "limit_price": "100"}, "must be market orders"),
        ({"qty": None, "notional": "10", "time_in_force": "gtc"}, "must be DAY"),
        ({"qty": "0.5", "time_in_force": "gtc"}, "must be DAY"),
        ({"extended_hours": True}, "DAY or GTC limit orders"),
        ({"stop_price": "90.001"}, "invalid stop_price 90.001. sub-penny"),
        ({"stop_price": "90", "limit_price": "89.999"}, "invalid limit_price 89.999. sub-penny"),
        ({"stop_price": "110", "extended_hours": True}, "DAY or GTC limit orders"),
        ({"qty": None, "notional": "10", "stop_price": "110"}, "must be market orders"),
        ({"qty": "0.5", "stop_price": "110", "time_in_force": "gtc"}, "must be DAY"),
        ({"type": "trailing_stop", "trail_percent": "1"}, "trailing_stop orders are not supported"),
        *(
            ({"time_in_force": word}, f"time_in_force {word} is not supported")
            for word in ("opg", "cls", "ioc", "fok")
        ),
        *(
            ({"order_class": word}, f"{word} orders are not supported")
            for word in ("bracket", "oco", "oto", "mleg")
        ),
        ({"take_profit": {"limit_price": "110"}}, "take_profit orders are not supported"),
        *(
            ({"position_intent": word}, f"inferred: buy_to_open, specified: {word}")
            for word in ("buy_to_close", "sell_to_open", "sell_to_close")
        ),
        *(
            ({"side": "sell", "position_intent": word}, f"inferred: sell_to_open, specified: {word}")
            for word in ("buy_to_open", "buy_to_close", "sell_to_close")
        ),
    ],
)
def test_an_order_against_the_rules_is_refused_with_42210000(
    exchange: Venue, members: dict[str, Any], says: str
) -> None:
    status, code, message = refused(exchange, body(**members))
    assert (status, code) == RULE
    assert says in message


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"symbol": "BBB", "qty": "0.5"}, "not fractionable"),
        ({"symbol": "BBB", "qty": None, "notional": "50"}, "not fractionable"),
        ({"qty": "0.009"}, "cost basis"),
        ({"qty": None, "notional": "0.99"}, "cost basis"),
        ({"qty": "1000"}, "insufficient buying power"),
        ({"side": "sell"}, "not allowed to short"),
    ],
)
def test_an_order_that_the_account_may_not_place_is_refused_with_403(
    exchange: Venue, members: dict[str, Any], says: str
) -> None:
    status, code, message = refused(exchange, body(**members))
    assert (status, code) == FORBIDDEN
    assert says in message


def test_an_order_that_says_what_it_does_to_the_position_is_taken_and_shows_it() -> None:
    exchange = venue()
    bought = exchange.submit(body(qty="5", position_intent="buy_to_open"))
    for raw in (
        body(side="sell", qty="2", position_intent="sell_to_open"),
        body(position_intent="buy_to_close"),
    ):
        assert refused(exchange, raw)[:2] == RULE
    sold = exchange.submit(body(side="sell", qty="2", position_intent="sell_to_close"))
    shown = [order_json(exchange.order(one.id))["position_intent"] for one in (bought, sold)]
    assert shown == ["buy_to_open", "sell_to_close"]


def test_the_malformed_is_refused_before_a_broken_rule_and_that_before_the_forbidden(exchange: Venue) -> None:
    everything = {"qty": "100000", "limit_price": "100.001", "order_class": "bracket"}
    assert refused(exchange, body(side="none", **everything))[:2] == MALFORMED
    assert refused(exchange, body(**everything))[:2] == RULE
    everything["limit_price"] = "100.01"
    del everything["order_class"]
    assert refused(exchange, body(**everything))[:2] == FORBIDDEN


def test_numbers_are_taken_as_json_numbers_and_as_text_and_kept_exactly() -> None:
    exchange = venue()
    assert str(submit(exchange, qty=0.1, limit_price=99.5).qty) == "0.1"
    assert str(submit(exchange, qty="0.123456789", limit_price="99.50").qty) == "0.123456789"
    assert str(submit(exchange, qty=3, limit_price=99).qty) == "3"


def test_a_price_below_a_dollar_may_have_four_decimals() -> None:
    exchange = venue(SmallTape({"AAA": dict.fromkeys(range(1, 6), 0.5)}, step=0.0))
    assert str(submit(exchange, qty=100, limit_price="0.4999").limit_price) == "0.4999"


def test_a_client_order_id_is_unique_for_good() -> None:
    exchange = venue()
    first = submit(exchange, client_order_id="one")
    assert first.status == "filled"
    exchange.cancel(submit(exchange, limit_price="50", client_order_id="two").id)
    for taken in ("one", "two"):
        assert refused(exchange, body(client_order_id=taken)) == (
            *MALFORMED,
            "client_order_id must be unique",
        )
    assert refused(exchange, body(client_order_id="one", limit_price="1.001"))[:2] == MALFORMED
    assert submit(exchange, client_order_id="x" * 128).client_order_id == "x" * 128


def test_a_refused_order_leaves_its_client_order_id_free() -> None:
    exchange = venue()
    assert refused(exchange, body(qty="100000", client_order_id="mine"))[:2] == FORBIDDEN
    assert submit(exchange, client_order_id="mine").client_order_id == "mine"


def test_the_cost_basis_must_be_a_dollar_unless_the_order_closes_the_position() -> None:
    exchange = venue(spread_bps=0)
    submit(exchange, qty="0.02")
    assert refused(exchange, body(side="sell", qty="0.009"))[2].startswith("cost basis")
    submit(exchange, side="sell", qty="0.015")
    assert submit(exchange, side="sell", qty="0.005").status == "filled"


def test_a_sell_beyond_what_is_free_says_what_is_held_and_reserved() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    submit(exchange, side="sell", qty="6", limit_price="200")
    with pytest.raises(ApiRefusal) as refusal:
        exchange.submit(body(side="sell", qty="5", limit_price="200"))
    details = refusal.value.body
    assert (details["available"], details["existing_qty"], details["held_for_orders"]) == ("4", "10", "6")
    assert submit(exchange, side="sell", qty="4", limit_price="200").status == "new"


def test_a_wash_trade_is_refused_and_names_the_order_that_it_could_meet() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    resting = submit(exchange, side="sell", qty="1", limit_price="110")
    for members in ({"limit_price": "110"}, {"limit_price": "111"}, {}):
        with pytest.raises(ApiRefusal) as refusal:
            exchange.submit(body(qty="1", **members))
        assert refusal.value.body["existing_order_id"] == resting.id
        assert refusal.value.status == 403
    below = submit(exchange, qty="1", limit_price="90")
    assert below.status == "new"
    stop, limit = {"stop_price": "95"}, {"limit_price": "90"}
    for members in ({}, stop, limit, stop | limit):
        assert refused(exchange, body(side="sell", qty="1", **members))[2].startswith("potential wash trade")
    assert submit(exchange, side="sell", qty="1", limit_price="109").status == "new"
    assert submit(exchange, side="sell", qty="1", limit_price="91", stop_price="95").status == "new"
    exchange.cancel(below.id)
    stopping = submit(exchange, side="sell", qty="1", stop_price="80")
    with pytest.raises(ApiRefusal) as refusal:
        exchange.submit(body(qty="1", limit_price="70"))
    assert refusal.value.body["existing_order_id"] == stopping.id


def test_a_market_order_needs_a_quote() -> None:
    exchange = venue()
    exchange.override_quote("AAA", bid=None, ask=None, spread_bps=None)
    assert submit(exchange).status == "filled"
    exchange.override_quote("AAA", bid=Decimal("99"), ask=Decimal(0), spread_bps=None)
    assert refused(exchange, body())[2] == "no available quote for AAA"
    assert submit(exchange, side="sell", qty="1").status == "filled"


def test_a_symbol_cannot_be_traded_before_it_is_listed() -> None:
    exchange = venue(SmallTape(first_day={"BBB": 3}))
    assert refused(exchange, body(symbol="BBB"))[2] == "asset BBB not found"
    exchange.move_clock(at(3, "09:31"))
    assert submit(exchange, symbol="BBB").status == "filled"


def test_a_delisted_symbol_keeps_its_history_and_takes_no_orders() -> None:
    exchange = venue(SmallTape(last_day={"BBB": 3}))
    submit(exchange, symbol="BBB", qty="2")
    resting = submit(exchange, symbol="BBB", qty="1", limit_price="50", time_in_force="gtc")
    exchange.move_clock(at(3, "23:59"))
    assert exchange.order(resting.id).status == "new"
    exchange.move_clock(at(4, "09:30"))
    assert exchange.order(resting.id).status == "canceled"
    assert refused(exchange, body(symbol="BBB", limit_price="50"))[:2] == RULE
    assert exchange.state.account.position_qty("BBB") == 2
    assert exchange.mark("BBB") == Decimal("103.90")
    assert submit(exchange, qty="1").status == "filled"


def test_an_asset_id_names_the_symbol() -> None:
    exchange = venue()
    assert submit(exchange, symbol=asset_id("BBB"), qty="1").symbol == "BBB"


def test_fields_that_are_not_known_are_ignored() -> None:
    members = json.loads(body()) | {"colour": "green", "order_class": "simple", "take_profit": None}
    assert venue().submit(json.dumps(members).encode()).symbol == "AAA"
