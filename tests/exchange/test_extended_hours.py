from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from typing import Any

from tapes import SmallTape, at, body, submit, venue

from trading_assets.market.sessions import Sessions

# Tuesday 2012-10-02 closed at 103.90. Before the open and after the close its quote stands around that.
EXTENDED: dict[str, Any] = {"extended_hours": True}


def test_in_extended_hours_a_marketable_limit_order_trades_with_the_quote() -> None:
    exchange = venue(start_ns=at(2, "17:00"))
    answer = exchange.submit(body(qty="1", limit_price="104", **EXTENDED))
    assert answer.status == "pending_new"
    bought = exchange.order(answer.id)
    assert (bought.status, bought.filled_value, bought.ended_ns) == ("filled", D("103.92"), at(2, "17:00"))
    regular = submit(exchange, qty="1", limit_price="104")
    assert (regular.status, regular.filled_qty) == ("accepted", D(0))


def test_an_order_for_extended_hours_sent_at_night_works_from_four_in_the_morning() -> None:
    exchange = venue(start_ns=at(2, "21:00"))
    resting = submit(exchange, qty="1", limit_price="50", **EXTENDED)
    marketable = submit(exchange, qty="1", limit_price="104", **EXTENDED)
    regular = submit(exchange, qty="1", limit_price="104")
    assert {order.status for order in (resting, marketable, regular)} == {"accepted"}
    exchange.move_clock(at(3, "03:59:59"))
    assert exchange.order(marketable.id).status == "accepted"
    exchange.move_clock(at(3, "04:00"))
    assert exchange.order(resting.id).status == "new"
    assert exchange.order(marketable.id).ended_ns == at(3, "04:00")
    exchange.move_clock(at(3, "09:29"))
    assert exchange.order(regular.id).status == "accepted"
    exchange.move_clock(at(3, "09:30"))
    assert exchange.order(regular.id).filled_value == 100


def test_a_day_order_for_extended_hours_expires_with_them() -> None:
    exchange = venue()
    extended = submit(exchange, qty="1", limit_price="50", **EXTENDED)
    regular = submit(exchange, qty="1", limit_price="50")
    gtc = submit(exchange, qty="1", limit_price="50", time_in_force="gtc", **EXTENDED)
    exchange.move_clock(at(2, "19:59:59"))
    assert [exchange.order(o.id).status for o in (extended, regular, gtc)] == ["new", "expired", "new"]
    exchange.move_clock(at(2, "20:00"))
    assert exchange.order(extended.id).ended_ns == at(2, "20:00")
    exchange.move_clock(at(3, "12:00"))
    assert exchange.order(gtc.id).status == "new"


def test_after_the_close_only_orders_for_extended_hours_meet_a_new_quote() -> None:
    exchange = venue()
    extended = submit(exchange, qty="1", limit_price="50", time_in_force="gtc", **EXTENDED)
    regular = submit(exchange, qty="1", limit_price="50", time_in_force="gtc")
    exchange.move_clock(at(2, "18:00"))
    exchange.override_quote("AAA", bid=D(48), ask=D(49), spread_bps=None)
    assert exchange.order(extended.id).filled_value == 49
    assert exchange.order(regular.id).status == "new"
    exchange.move_clock(at(3, "09:30"))
    assert exchange.order(regular.id).status == "filled"


def test_a_regular_session_is_a_part_of_the_extended_hours() -> None:
    exchange = venue(SmallTape(step=-0.01))
    order = submit(exchange, qty="1", limit_price="99.50", **EXTENDED)
    exchange.move_clock(at(2, "10:20"))
    assert exchange.order(order.id).filled_value == D("99.50")


def test_half_days_end_their_extended_hours_three_hours_early() -> None:
    sessions = Sessions()
    day = next(d for d in sessions.between(date(2012, 7, 1), date(2012, 7, 10)) if sessions.is_half_day(d))
    first_ns, end_ns = sessions.extended_hours(day)
    assert (end_ns - sessions.close_ns(day)) // 3_600_000_000_000 == 4
    assert (sessions.open_ns(day) - first_ns) // 60_000_000_000 == 330
    assert sessions.is_extended(end_ns - 1)
    assert not sessions.is_extended(end_ns)
    assert not sessions.is_extended(first_ns - 1)
