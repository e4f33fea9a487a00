from __future__ import annotations

from collections import Counter
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapes import MINUTE_NS, SmallTape, at, submit, venue

from trading_assets.errors import InvalidInput
from trading_assets.exchange.fill_modes import participation_qty
from trading_assets.exchange.venue import Venue

FLAT = SmallTape(step=0.0)  # every minute at 100.00, 1000 shares


def fills(exchange: Venue, order_id: str) -> list[tuple[D, int]]:
    account = exchange.state.account
    return [
        (a.qty, (a.at_ns - at(2, "10:00")) // MINUTE_NS)
        for a in account.activities
        if a.order is not None and a.order.id == order_id and a.qty is not None
    ]


def test_in_the_ideal_mode_an_order_of_any_size_trades_at_once() -> None:
    exchange = venue(FLAT, cash=D(10_000_000))
    order = submit(exchange, qty="50000")
    assert fills(exchange, order.id) == [(D(50_000), 0)]


def test_on_paper_one_order_in_ten_trades_a_part_first_and_the_rest_at_the_next_minute() -> None:
    exchange = venue(FLAT, fill_mode="alpaca_paper", cash=D(100_000_000))
    orders = [submit(exchange, qty="100") for _ in range(400)]
    partial = [order for order in orders if order.status == "partially_filled"]
    assert {order.status for order in orders} == {"filled", "partially_filled"}
    assert 25 <= len(partial) <= 55, "one in ten of 400, within 2.5 standard deviations"
    assert len({order.filled_qty for order in partial}) > 15, "the parts are random"
    assert all(order.filled_qty % 1 == 0 and 1 <= order.filled_qty <= 99 for order in partial)
    exchange.move_clock(at(2, "10:01"))
    assert all(exchange.order(order.id).status == "filled" for order in orders)
    assert [len(fills(exchange, order.id)) for order in partial] == [2] * len(partial)


def test_the_parts_on_paper_follow_from_the_seed() -> None:
    def parts(seed: int) -> list[D]:
        exchange = venue(FLAT, fill_mode="alpaca_paper", seed=seed, cash=D(10_000_000))
        return [submit(exchange, qty="100").filled_qty for _ in range(60)]

    assert parts(1) == parts(1) != parts(2)


def test_a_single_share_or_less_trades_whole_on_paper() -> None:
    exchange = venue(FLAT, fill_mode="alpaca_paper")
    sizes = ("1", "0.5", "0.1")
    statuses = Counter(submit(exchange, qty=size).status for _ in range(40) for size in sizes)
    assert statuses == {"filled": 120}


def test_a_partly_filled_buy_whose_price_runs_away_is_cancelled_and_keeps_what_it_has() -> None:
    seeds = (venue(FLAT, fill_mode="alpaca_paper", cash=D(10_000), seed=seed) for seed in range(200))
    entered = ((exchange, submit(exchange, qty="99")) for exchange in seeds)
    exchange, order = next(result for result in entered if result[1].status == "partially_filled")
    exchange.override_quote("AAA", bid=D(149), ask=D(5_000), spread_bps=None)
    ended = exchange.order(order.id)
    assert (ended.status, ended.filled_qty) == ("canceled", order.filled_qty)
    assert exchange.state.account.position_qty("AAA") == order.filled_qty
    assert exchange.state.account.reserved_cash == 0


def test_participation_takes_its_share_of_each_minute_and_rests_with_the_remainder() -> None:
    exchange = venue(FLAT, fill_mode="participation", participation=D("0.02"))
    order = submit(exchange, qty="50")
    assert (order.status, order.leaves_qty) == ("partially_filled", D(30))
    assert submit(exchange, qty="5").filled_qty == 0, "the minute's share is used up"
    exchange.move_clock(at(2, "10:01"))
    assert exchange.order(order.id).leaves_qty == 10
    exchange.move_clock(at(2, "10:03"))
    assert fills(exchange, order.id) == [(D(20), 0), (D(20), 1), (D(10), 2)]
    assert exchange.state.account.position_qty("AAA") == 55


def test_participation_is_shared_by_all_orders_of_a_symbol_in_order_of_their_arrival() -> None:
    exchange = venue(FLAT, fill_mode="participation", participation=D("0.02"))
    orders = [submit(exchange, symbol=symbol, qty="15") for symbol in ("AAA", "AAA", "BBB")]
    assert [order.filled_qty for order in orders] == [15, 5, 15]
    exchange.move_clock(at(2, "10:01"))
    assert [exchange.order(order.id).filled_qty for order in orders] == [15, 15, 15]


def test_a_bust_takes_no_part_in_a_minutes_volume() -> None:
    exchange = venue(FLAT, fill_mode="participation", participation=D("0.02"))
    submit(exchange, qty="10")
    exchange.bust(exchange.state.account.activities[0].id)
    assert submit(exchange, qty="12").filled_qty == 10


def test_a_notional_order_takes_its_share_until_its_dollars_are_spent() -> None:
    exchange = venue(FLAT, fill_mode="participation", participation=D("0.001"), spread_bps=D(0))
    order = submit(exchange, qty=None, notional="250")
    assert (order.filled_qty, order.reserved_cash) == (D(1), 250 - D("100.01"))
    exchange.move_clock(at(2, "10:02"))
    done = exchange.order(order.id)
    assert (done.status, done.filled_qty) == ("filled", D("2.4999"))
    assert exchange.state.account.reserved_cash == 0


def test_before_the_first_minute_is_over_there_is_no_volume_to_take_part_in() -> None:
    exchange = venue(FLAT, fill_mode="participation", participation=D("0.01"), start_ns=at(2, "08:00"))
    order = submit(exchange, qty="5")
    exchange.move_clock(at(2, "09:30:59"))
    assert exchange.order(order.id).status == "new"
    exchange.move_clock(at(2, "09:31"))
    assert exchange.order(order.id).filled_value == 500, "the open of the first minute"


@given(
    wanted=st.decimals("0.001", "5000", places=3),
    volume=st.floats(0, 1e6),
    share=st.decimals("0.01", "1", places=2),
    traded=st.integers(0, 20_000).map(D),
)
def test_no_more_than_the_share_of_the_volume_ever_trades(
    wanted: D, volume: float, share: D, traded: D
) -> None:
    qty = participation_qty(wanted, volume, share, traded)
    assert 0 <= qty <= wanted
    assert qty == 0 or float(qty + traded) <= volume * float(share) + 1e-6
    assert qty == wanted or qty % 1 == 0


def test_the_fill_mode_of_the_first_start_is_kept(tmp_path: Path) -> None:
    venue(FLAT, directory=tmp_path, fill_mode="participation", participation=D("0.02")).close()
    again = venue(FLAT, directory=tmp_path, fill_mode="ideal")
    assert submit(again, qty="50").filled_qty == 20


@pytest.mark.parametrize(
    "settings",
    [
        {"fill_mode": "generous"},
        {"fill_mode": "participation", "participation": D(0)},
        {"fill_mode": "participation", "participation": D("1.01")},
    ],
)
def test_a_fill_mode_that_there_is_not_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        venue(FLAT, **settings)
