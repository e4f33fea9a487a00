from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal as D

import pytest
from tapes import SmallTape, at, submit, venue

from trading_assets.exchange.events import OrderElected
from trading_assets.exchange.recorder import Recorded
from trading_assets.market.bars import CorporateAction

# The small tape opens at 100.00; with step −0.01 minute k closes at 100.00 − k cents. At 10:00: 99.70.
FALLING = SmallTape(step=-0.01)


def test_a_sell_stop_rests_until_a_bar_reaches_it_and_trades_at_its_price() -> None:
    exchange = venue(FALLING)
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="99.60")
    assert (stop.status, stop.elected_ns) == ("new", None)
    assert exchange.state.account.held_for_orders("AAA") == 10
    exchange.move_clock(at(2, "10:09"))
    assert exchange.order(stop.id).status == "new"
    exchange.move_clock(at(2, "10:10"))
    sold = exchange.order(stop.id)
    assert (sold.status, sold.filled_value, sold.elected_ns) == ("filled", D("996.00"), at(2, "10:10"))


def test_a_buy_stop_trades_when_the_price_rises_to_it() -> None:
    exchange = venue()
    stop = submit(exchange, qty="10", stop_price="100.40")
    exchange.move_clock(at(2, "10:09"))
    assert exchange.order(stop.id).status == "new"
    exchange.move_clock(at(2, "10:10"))
    assert exchange.order(stop.id).filled_value == D("1004.00")


def test_a_stop_beyond_which_the_next_session_opens_trades_at_the_open() -> None:
    exchange = venue(SmallTape({"AAA": {3: 90.0}}))
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="95", time_in_force="gtc")
    exchange.move_clock(at(3, "09:29"))
    assert exchange.order(stop.id).status == "new"
    exchange.move_clock(at(3, "09:30"))
    assert (exchange.order(stop.id).filled_value, exchange.order(stop.id).ended_ns) == (
        D(900),
        at(3, "09:30"),
    )


def test_a_stop_that_the_last_price_has_reached_trades_at_once() -> None:
    exchange = venue(spread_bps=D(2))
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="100.30")
    assert (stop.status, stop.filled_value) == ("filled", D("1002.80")), "the bid, as a market order"


def test_a_buy_stop_reserves_and_pays_no_more_than_its_collar() -> None:
    """Alpaca makes of a buy stop a stop limit 2.5 % above it (4 % below $50)."""
    exchange = venue(SmallTape({"AAA": {3: 150.0, 4: 100.0}}))
    stop = submit(exchange, qty="10", stop_price="120", time_in_force="gtc")
    assert exchange.state.account.buying_power == 100_000 - 10 * D("123")
    exchange.move_clock(at(3, "16:00"))
    waiting = exchange.order(stop.id)
    assert (waiting.status, waiting.elected_ns) == ("new", at(3, "09:30"))
    exchange.move_clock(at(4, "09:30"))
    assert exchange.order(stop.id).filled_value == 1000
    penny = submit(venue(), qty="10", stop_price="49.99", side="buy")
    assert penny.reserve_price == D("51.98")


def test_a_stop_limit_is_a_limit_order_from_its_election_on() -> None:
    exchange = venue(SmallTape({"AAA": {3: 93.0, 4: 95.5}}))
    submit(exchange, qty="10")
    order = submit(exchange, side="sell", qty="10", stop_price="98", limit_price="97.90", time_in_force="gtc")
    exchange.move_clock(at(3, "09:30"))
    elected = exchange.order(order.id)
    assert (elected.status, elected.elected_ns) == ("new", at(3, "09:30"))
    exchange.move_clock(at(4, "13:29"))
    assert exchange.order(order.id).status == "new"
    exchange.move_clock(at(4, "13:30"))
    assert exchange.order(order.id).filled_value == 979


def test_a_stop_limit_trades_with_its_election_where_its_limit_allows_it() -> None:
    exchange = venue(FALLING)
    submit(exchange, qty="10")
    kind = submit(exchange, side="sell", qty="4", stop_price="99.60", limit_price="99.50")
    strict = submit(exchange, side="sell", qty="4", stop_price="99.60", limit_price="99.65")
    exchange.move_clock(at(2, "10:10"))
    assert exchange.order(kind.id).filled_value == 4 * D("99.60")
    assert (exchange.order(strict.id).status, exchange.order(strict.id).elected_ns) == ("new", at(2, "10:10"))
    exchange.move_clock(at(2, "15:59"))
    assert exchange.order(strict.id).status == "new", "what comes after the election only falls"


def test_with_a_quote_by_hand_the_side_that_a_stop_would_take_elects_it() -> None:
    exchange = venue()
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="95")
    exchange.override_quote("AAA", bid=D("95.01"), ask=D("95.02"), spread_bps=None)
    assert exchange.order(stop.id).status == "new"
    exchange.override_quote("AAA", bid=D(0), ask=D("90"), spread_bps=None)
    assert exchange.order(stop.id).status == "new", "no bid: nothing to sell to"
    exchange.override_quote("AAA", bid=D("94"), ask=D("94.10"), spread_bps=None)
    assert exchange.order(stop.id).filled_value == 940


def test_a_halted_symbol_elects_no_stop() -> None:
    exchange = venue(FALLING)
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="99.60")
    exchange.halt("AAA")
    exchange.move_clock(at(2, "11:00"))
    assert exchange.order(stop.id).elected_ns is None
    exchange.resume("AAA")
    assert exchange.order(stop.id).status == "filled"
    assert exchange.order(stop.id).filled_value < 10 * D("99.10"), "the bid of 11:00"


def test_a_limit_elected_within_a_minute_does_not_trade_in_the_minute_that_had_begun() -> None:
    exchange = venue(FALLING)
    submit(exchange, qty="10")
    order = submit(exchange, side="sell", qty="10", stop_price="99.60", limit_price="99.40")
    exchange.halt("AAA")
    exchange.move_clock(at(2, "10:30:30"))
    exchange.resume("AAA")
    assert exchange.order(order.id).elected_ns == at(2, "10:30:30")
    exchange.move_clock(at(2, "10:31"))
    assert exchange.order(order.id).status == "new", "that minute opened at 99.40, before the election"


def test_a_split_cancels_stops_whose_price_is_in_old_shares() -> None:
    split = CorporateAction("AAA", date(2012, 10, 3), 2.0, 0.0)
    exchange = venue(SmallTape({"AAA": {3: 51.95}}, actions=(split,)))
    submit(exchange, qty="10")
    stop = submit(exchange, side="sell", qty="10", stop_price="90", time_in_force="gtc")
    other = submit(exchange, symbol="BBB", qty="1", stop_price="120", time_in_force="gtc")
    exchange.move_clock(at(3, "12:00"))
    assert (exchange.order(stop.id).status, exchange.order(stop.id).ended_ns) == ("canceled", at(3, "00:00"))
    assert exchange.state.account.position_qty("AAA") == 20
    assert exchange.order(other.id).status == "new"


@pytest.mark.parametrize("stops", [("11:00",), tuple(f"10:{minute:02d}:30" for minute in range(60))])
def test_the_clock_in_one_step_and_in_many_elects_at_the_same_time(stops: tuple[str, ...]) -> None:
    exchange = venue(FALLING)
    elected: list[int] = []

    def listen(stored: Sequence[Recorded]) -> None:
        elected.extend(r.event.at_ns for r in stored if isinstance(r.event, OrderElected))

    exchange.subscribe(listen)
    submit(exchange, qty="3")
    for cents in (1, 13, 29):
        submit(exchange, side="sell", qty="1", stop_price=str(D("99.70") - D(cents) / 100))
    for stop in stops:
        exchange.move_clock(at(2, stop))
    assert elected == [at(2, "10:01"), at(2, "10:13"), at(2, "10:29")]
