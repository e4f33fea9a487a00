from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import pytest
from tapes import SmallTape, at, body, submit, venue

from trading_assets.exchange.events import OrderAccepted, OrderFilled, OrderReplaced
from trading_assets.exchange.orders import VenueOrder
from trading_assets.exchange.recorder import Recorded
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.venue import Venue

MALFORMED, RULE, FORBIDDEN = (422, 40010001), (422, 42210000), (403, 40310000)


def replace(exchange: Venue, order: VenueOrder, **members: Any) -> VenueOrder:
    """Replace an order; returns the new one as the next read shows it."""
    return exchange.order(exchange.replace(order.id, json.dumps(members).encode()).id)


def refused(exchange: Venue, order: VenueOrder, **members: Any) -> tuple[int, int, str]:
    before = exchange.journal_bytes()
    with pytest.raises(ApiRefusal) as refusal:
        replace(exchange, order, **members)
    assert exchange.journal_bytes() == before
    return refusal.value.status, refusal.value.body["code"], refusal.value.body["message"]


def test_a_replacement_is_a_new_order_and_the_old_one_says_which() -> None:
    exchange = venue()
    old = submit(exchange, qty="10", limit_price="90", client_order_id="first")
    answer = exchange.replace(old.id, b'{"limit_price": "91", "client_order_id": "second"}')
    assert answer.status == "pending_new"
    new, old = exchange.order(answer.id), exchange.order(old.id)
    assert (new.status, new.qty, new.limit_price, new.replaces) == ("new", D(10), D("91"), old.id)
    assert (old.status, old.replaced_by, old.ended_ns) == ("replaced", new.id, at(2, "10:00"))
    assert exchange.order_by_client_id("first").id == old.id
    assert exchange.order_by_client_id("second").id == new.id
    assert list(exchange.state.account.open_ids) == [new.id]
    assert exchange.state.account.buying_power == 100_000 - 910
    assert refused(exchange, old, limit_price="92")[2] == "cannot replace order in replaced status"


def test_a_replacement_that_has_become_marketable_trades() -> None:
    exchange = venue()
    new = replace(exchange, submit(exchange, qty="10", limit_price="90"), limit_price="101")
    assert (new.status, new.filled_value) == ("filled", D("1003.20"))


def test_every_price_the_quantity_and_the_time_in_force_can_be_changed() -> None:
    exchange = venue()
    order = submit(exchange, qty="10", stop_price="110", limit_price="111")
    new = replace(exchange, order, qty=4, stop_price=112, limit_price=113.5, time_in_force="gtc")
    assert (new.qty, new.stop_price, new.limit_price) == (D(4), D(112), D("113.5"))
    assert (new.type, new.time_in_force) == ("stop_limit", "gtc")
    assert new.expires_ns > order.expires_ns
    assert replace(exchange, new, qty=5).stop_price == 112


def test_a_replacement_of_a_partly_filled_order_is_for_what_is_left() -> None:
    exchange = venue(SmallTape(step=0.0), fill_mode="participation", participation=D("0.01"))
    order = submit(exchange, qty="25", limit_price="100.02")
    assert (order.status, order.filled_qty) == ("partially_filled", D(10))
    assert refused(exchange, order, qty=10)[2] == "qty must be > filled_qty"
    new = replace(exchange, order, qty=30, limit_price=99)
    assert (new.qty, new.filled_qty) == (D(20), D(0))
    old = exchange.order(order.id)
    assert (old.status, old.filled_qty) == ("replaced", D(10))
    assert exchange.state.account.reserved_cash == 20 * 99
    assert replace(exchange, new, limit_price=98).qty == 20


def test_what_the_replaced_order_reserves_is_free_for_its_replacement() -> None:
    exchange = venue(cash=D(1000))
    buy = submit(exchange, qty="10", limit_price="99")
    assert refused(exchange, buy, limit_price="100.01")[:2] == FORBIDDEN
    buy = replace(exchange, buy, limit_price="100")
    assert exchange.state.account.buying_power == 0
    buy = replace(exchange, buy, limit_price="50")
    assert exchange.state.account.buying_power == 500
    exchange.cancel(buy.id)
    submit(exchange, qty="9")
    sell = submit(exchange, side="sell", qty="9", limit_price="150")
    sell = replace(exchange, sell, limit_price="140")
    assert refused(exchange, sell, qty=10)[2].startswith("insufficient qty available")
    replace(exchange, sell, qty=3)
    assert exchange.state.account.held_for_orders("AAA") == 3


@pytest.mark.parametrize(
    ("members", "expected", "says"),
    [
        ({}, RULE, "order parameters are not changed"),
        ({"limit_price": "90"}, RULE, "order parameters are not changed"),
        ({"qty": 10, "client_order_id": "another"}, RULE, "order parameters are not changed"),
        ({"qty": "10.5"}, RULE, "whole shares"),
        ({"limit_price": "90.001"}, RULE, "sub-penny"),
        ({"time_in_force": "ioc"}, RULE, "ioc is not supported"),
        ({"trail": "1"}, RULE, "trail is not supported"),
        ({"notional": "100"}, RULE, "notional is not supported"),
        ({"qty": 0}, MALFORMED, "qty must be > 0"),
        ({"qty": "many"}, MALFORMED, "qty is not a number"),
        ({"stop_price": "95"}, MALFORMED, "limit orders require no stop_price"),
        ({"time_in_force": "soon"}, MALFORMED, "invalid time_in_force"),
        ({"limit_price": "91", "client_order_id": "taken"}, MALFORMED, "must be unique"),
        ({"limit_price": "91", "client_order_id": 5}, MALFORMED, "client_order_id must be text"),
        ({"qty": 100_000}, FORBIDDEN, "insufficient buying power"),
    ],
)
def test_what_cannot_be_replaced_is_refused_and_leaves_the_order(
    members: dict[str, Any], expected: tuple[int, int], says: str
) -> None:
    exchange = venue()
    submit(exchange, qty="1", limit_price="80", client_order_id="taken")
    order = submit(exchange, qty="10", limit_price="90")
    status, code, message = refused(exchange, order, **members)
    assert ((status, code), says in message) == (expected, True), message
    assert exchange.order(order.id) == order


def test_only_an_order_on_the_market_with_a_quantity_can_be_replaced() -> None:
    exchange = venue()
    filled, cancelled = submit(exchange), submit(exchange, limit_price="50")
    exchange.cancel(cancelled.id)
    for order in (filled, cancelled):
        status = exchange.order(order.id).status
        message = f"cannot replace order in {status} status"
        assert refused(exchange, order, limit_price="60") == (*RULE, message)
    with pytest.raises(ApiRefusal, match="404/40410000"):
        exchange.replace("00000000-0000-4000-8000-000000000000", b'{"qty": 2}')
    exchange.halt("AAA")
    notional = submit(exchange, qty=None, notional="100")
    assert refused(exchange, notional, qty=2)[2].startswith("notional orders cannot be replaced")
    exchange.move_clock(at(2, "17:00"))
    waiting = exchange.submit(body(qty="1", limit_price="50"))
    assert refused(exchange, waiting, qty=2)[2] == "cannot replace order in accepted status"


def test_a_fractional_order_keeps_its_quantity_and_takes_another_price() -> None:
    exchange = venue()
    order = submit(exchange, qty="1.5", limit_price="90")
    assert refused(exchange, order, qty=2)[2].startswith("qty can be changed in whole shares only")
    assert replace(exchange, order, limit_price="91").qty == D("1.5")


def test_listeners_hear_of_the_old_order_first_and_of_nothing_refused() -> None:
    exchange, heard = venue(), list[Recorded]()
    exchange.subscribe(heard.extend)
    order = submit(exchange, qty="10", limit_price="90")
    replace(exchange, order, limit_price="101")
    refused(exchange, order, limit_price="102")
    kinds = [type(recorded.event) for recorded in heard]
    assert kinds == [OrderAccepted, OrderReplaced, OrderAccepted, OrderFilled]
    _, replaced, accepted, filled = heard
    assert replaced.order is not None
    assert accepted.order is not None
    assert filled.order is not None
    assert (replaced.order.id, replaced.order.status) == (order.id, "replaced")
    assert accepted.order.status == "new", "as it was right after its acceptance, and not after its fill"
    assert (filled.order.status, accepted.position_qty, filled.position_qty) == ("filled", D(0), D(10))
