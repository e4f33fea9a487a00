"""What changes an account without an order: its configuration, and what the broker books."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal as D
from typing import Any

import pytest
from tapes import SmallTape, at, body, submit, venue

from trading_assets.exchange.account import VenueActivity, VenueExecution
from trading_assets.exchange.payloads import activity_json
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.venue import Venue


def configure(exchange: Venue, **members: Any) -> None:
    exchange.configure(json.dumps(members).encode())


def last_activity(exchange: Venue) -> dict[str, Any]:
    account, sessions = exchange.state.account, exchange.sessions
    activity = account.activities[-1]
    return activity_json(activity, account, day=sessions.new_york_date(activity.at_ns))


def fills(exchange: Venue) -> list[VenueActivity]:
    return [a for a in exchange.state.account.activities if a.type == "FILL"]


def refused(exchange: Venue, raw: bytes) -> str:
    with pytest.raises(ApiRefusal, match="403/40310000") as refusal:
        exchange.submit(raw)
    return str(refusal.value.body["message"])


def test_a_suspended_account_takes_no_new_order_and_still_cancels() -> None:
    exchange = venue()
    resting = submit(exchange, limit_price="50")
    configure(exchange, suspend_trade=True)
    assert refused(exchange, body()) == "new orders are rejected by user request"
    with pytest.raises(ApiRefusal, match="rejected by user request"):
        exchange.replace(resting.id, b'{"qty": 2}')
    exchange.cancel(resting.id)
    configure(exchange, suspend_trade=False)
    assert submit(exchange).status == "filled"


def test_an_account_without_fractional_trading_takes_whole_shares_only() -> None:
    exchange = venue()
    configure(exchange, fractional_trading=False)
    assert refused(exchange, body(qty="1.5")).startswith("fractional trading is disabled")
    assert refused(exchange, body(qty=None, notional="100")).startswith("fractional trading is disabled")
    assert submit(exchange, qty="2").status == "filled"


def test_the_configuration_keeps_what_is_set_and_a_new_account_has_its_own() -> None:
    exchange = venue()
    configure(exchange, trade_confirm_email="none", max_margin_multiplier="2", dtbp_check="both", colour=1)
    configure(exchange, max_options_trading_level=2, no_shorting=None)
    kept = exchange.state.account.configuration
    assert (kept.trade_confirm_email, kept.max_margin_multiplier) == ("none", "2")
    assert (kept.max_options_trading_level, kept.no_shorting) == (2, True)
    exchange.open_account(D(1))
    assert exchange.state.account.configuration.trade_confirm_email == "all"


@pytest.mark.parametrize(
    "members",
    [
        {"suspend_trade": "yes"},
        {"suspend_trade": 1},
        {"trade_confirm_email": "some"},
        {"trade_confirm_email": True},
        {"max_margin_multiplier": "3"},
        {"max_margin_multiplier": 2},
        {"max_options_trading_level": 4},
        {"max_options_trading_level": True},
        {"max_options_trading_level": 1.5},
    ],
)
def test_a_configuration_that_there_is_not_is_refused(members: dict[str, Any]) -> None:
    exchange = venue()
    before = exchange.journal_bytes()
    with pytest.raises(ApiRefusal, match="422/40010001"):
        configure(exchange, **members)
    assert exchange.journal_bytes() == before


def test_fees_and_interest_are_booked_as_activities_of_their_type() -> None:
    exchange = venue()
    exchange.post_activity("FEE", D("-1.25"), symbol="AAA", description="TAF fee")
    fee = last_activity(exchange)
    assert (fee["activity_type"], fee["net_amount"], fee["symbol"]) == ("FEE", "-1.25", "AAA")
    assert (fee["description"], fee["date"]) == ("TAF fee", "2012-10-02")
    exchange.post_activity("INT", D("0.50"))
    assert exchange.state.account.cash == D("99999.25")


@pytest.mark.parametrize("kind", ["FILL", "SPLIT", "JNLS", "CSD", "CSW", "fee", "", "A"])
def test_an_activity_that_has_another_way_cannot_be_posted(kind: str) -> None:
    with pytest.raises(ApiRefusal, match="cannot be posted"):
        venue().post_activity(kind, D(1))


def test_what_the_account_cannot_pay_or_deliver_is_not_booked() -> None:
    exchange = venue(cash=D(1000))
    submit(exchange, qty="5", limit_price="101")
    submit(exchange, symbol="BBB", qty="4", limit_price="90")
    held = submit(exchange, side="sell", qty="3", limit_price="150")
    account = deepcopy(exchange.state.account)
    before, cash = exchange.journal_bytes(), account.buying_power
    for act in (
        lambda: exchange.post_activity("FEE", -cash - D("0.01")),
        lambda: exchange.move_shares("AAA", D("-2.000000001")),
        lambda: exchange.move_shares("BBB", D(-1)),
        lambda: exchange.bust(fills(exchange)[0].id),
        lambda: exchange.correct(fills(exchange)[0].id, D(500)),
    ):
        with pytest.raises(ApiRefusal, match="403/40310000: insufficient"):
            act()
    assert exchange.journal_bytes() == before
    assert exchange.state.account == account
    assert exchange.order(held.id).status == "new"
    exchange.post_activity("FEE", -cash)
    exchange.move_shares("AAA", D(-2))


def test_shares_are_journalled_in_at_their_mark_and_out_with_their_cost() -> None:
    exchange = venue()
    exchange.move_shares("AAA", D(10))
    line = last_activity(exchange)
    assert [line[name] for name in ("activity_type", "qty", "price")] == ["JNLS", "10", "100.3"]
    assert line["net_amount"] == "0"
    holding = exchange.state.account.holdings["AAA"]
    assert (holding.qty, holding.cost) == (D(10), D(1003))
    exchange.move_shares("AAA", D(-4))
    assert exchange.state.account.holdings["AAA"].avg_entry_price == D("100.3")
    assert last_activity(exchange)["qty"] == "-4"
    exchange.move_shares("AAA", D(-6))
    assert exchange.state.account.holdings == {}
    assert exchange.state.account.cash == 100_000
    with pytest.raises(ApiRefusal, match="404"):
        exchange.move_shares("ZZZ", D(1))


def test_a_bust_takes_a_fill_back_and_leaves_the_order_as_it_was_executed() -> None:
    exchange = venue()
    kept, order = submit(exchange, qty="2"), submit(exchange, qty="10")
    exchange.move_clock(at(2, "11:00"))
    exchange.bust(fills(exchange)[1].id)
    account = exchange.state.account
    assert (account.cash, account.position_qty("AAA")) == (100_000 - kept.filled_value, D(2))
    assert account.holdings["AAA"].cost == kept.filled_value
    assert exchange.order(order.id) == order
    line = last_activity(exchange)
    assert line["activity_type"] == "FILL"
    assert line["type"] == line["execution_type"] == "trade_bust"
    assert (line["order_id"], line["previous_id"]) == (order.id, fills(exchange)[1].id)
    assert (line["qty"], line["price"], line["side"]) == ("10", "100.32", "buy")


def test_a_bust_of_a_sale_brings_the_shares_back_and_takes_the_cash() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    submit(exchange, side="sell", qty="10")
    exchange.bust(fills(exchange)[1].id)
    account = exchange.state.account
    assert (account.position_qty("AAA"), account.cash) == (D(10), 100_000 - D("1003.20"))


def test_a_correction_pays_the_difference_and_can_itself_be_corrected_or_busted() -> None:
    exchange = venue()
    order = submit(exchange, qty="10")
    exchange.correct(fills(exchange)[0].id, D("100.02"))
    account = exchange.state.account
    assert (account.cash, account.holdings["AAA"].cost) == (D("98999.80"), D("1000.20"))
    line = last_activity(exchange)
    assert (line["type"], line["price"]) == ("trade_correct", "100.02")
    assert line["previous_id"] == fills(exchange)[0].id
    exchange.correct(line["id"], D("100.50"))
    assert account.cash == D("98995.00")
    exchange.bust(last_activity(exchange)["id"])
    assert (account.cash, account.holdings) == (D(100_000), {})
    assert exchange.order(order.id).status == "filled"
    assert [a.execution for a in fills(exchange)] == [
        VenueExecution.FILL,
        VenueExecution.CORRECTION,
        VenueExecution.CORRECTION,
        VenueExecution.BUST,
    ]


def test_a_fill_is_amended_once_and_only_a_fill() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    exchange.transfer(D(5))
    fill, transfer = exchange.state.account.activities
    exchange.correct(fill.id, D(100))
    for again in (lambda: exchange.bust(fill.id), lambda: exchange.correct(fill.id, D(99))):
        with pytest.raises(ApiRefusal, match=r"422/42210000.*already amended"):
            again()
    exchange.bust(fills(exchange)[1].id)
    with pytest.raises(ApiRefusal, match="already amended"):
        exchange.bust(fills(exchange)[2].id)
    for unknown in (transfer.id, "nothing"):
        with pytest.raises(ApiRefusal, match="404/40410000"):
            exchange.bust(unknown)
    with pytest.raises(ApiRefusal, match="price must be > 0"):
        exchange.correct(fill.id, D(0))


def test_a_correction_of_a_sale_changes_the_cash_and_no_cost() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    submit(exchange, side="sell", qty="4")
    cost, cash = exchange.state.account.holdings["AAA"].cost, exchange.state.account.cash
    exchange.correct(fills(exchange)[1].id, D("101.28"))
    assert exchange.state.account.holdings["AAA"].cost == cost
    assert exchange.state.account.cash == cash + 4


def test_positions_are_closed_whole_in_part_and_by_percentage() -> None:
    exchange = venue(SmallTape(step=0.0))
    submit(exchange, qty="10")
    submit(exchange, symbol="BBB", qty="2.5")
    assert exchange.order(exchange.close_position("AAA", qty=D("3.5")).id).filled_qty == D("3.5")
    assert exchange.order(exchange.close_position("BBB", percentage=D(50)).id).filled_qty == D("1.25")
    exchange.close_position("BBB", percentage=D(100))
    exchange.close_position("AAA")
    assert exchange.state.account.holdings == {}
    submit(exchange, qty="5")
    assert exchange.order(exchange.close_position("AAA", percentage=D(50)).id).filled_qty == 2, "whole shares"


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"qty": D(1), "percentage": D(10)}, "422/40010001"),
        ({"percentage": D(0)}, "422/40010001"),
        ({"percentage": D("100.1")}, "422/40010001"),
        ({"percentage": D(1)}, "422/42210000"),
        ({"qty": D(11)}, "403/40310000"),
    ],
)
def test_a_position_is_not_closed_by_what_cannot_be_sold(amounts: dict[str, D], expected: str) -> None:
    exchange = venue()
    submit(exchange, qty="10")
    with pytest.raises(ApiRefusal, match=expected):
        exchange.close_position("AAA", **amounts)
    with pytest.raises(ApiRefusal, match="404/40410000: position does not exist"):
        exchange.close_position("BBB")
