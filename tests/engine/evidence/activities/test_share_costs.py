"""What shares cost that came by no trade: by a transfer, a change of symbol, a merger, a spin-off, an option,
a split."""

from __future__ import annotations

import pytest
from activity_lines import COST, SESSION, SHARES, TRANSFERS, Books, bought, line, mid_of

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.port import (
    CorporateActionState,
    SpinOffState,
)
from trading_assets.engine.reconciliation.reconcile import reconcile

pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


def test_shares_that_come_without_a_cost_take_the_brokers_average_entry_price_and_those_that_go_take_theirs(
    books: Books,
) -> None:
    desk, names = books.desk, sorted(TRANSFERS & SHARES)
    books.lines += [bought(desk, f"{name}X", 10) for name in names]
    books.say(*(line(desk, name, f"in-{name}", symbol=f"{name}X", qty="20") for name in names))
    for name in names:  # the broker's position does not show them yet: nobody knows their cost
        assert books.held(f"{name}X")[0] == 30
        assert books.held(f"{name}X")[1] == pytest.approx(COST)
        books.at_broker[f"{name}X"] = ("30", "300")
    for _ in range(2):
        reconcile(desk)
        for name in names:
            assert books.held(f"{name}X")[0] == 30
            assert books.held(f"{name}X")[1] == pytest.approx(400)
    books.say(*(line(desk, name, f"out-{name}", symbol=f"{name}X", qty="-4") for name in names))
    for name in names:
        assert books.held(f"{name}X")[0] == 26
        assert books.held(f"{name}X")[1] == pytest.approx(400)


def test_shares_whose_cost_the_broker_does_not_state_are_told_once(books: Books) -> None:
    books.at_broker["436CVR021"] = ("10", "0")
    books.say(line(books.desk, "JNLS", "in", symbol="436CVR021", qty="10", price="0.05"))
    reconcile(books.desk)
    assert books.held("436CVR021").avg_cost == 0
    assert books.titles() == [
        "436CVR021: 10 shares came without a cost",
        "436CVR021 is held at cost 0: its stop cannot fire",
    ]
    books.at_broker["436CVR021"] = ("10", "0.02")
    reconcile(books.desk)
    assert books.held("436CVR021").avg_cost == pytest.approx(0.02)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_symbol_change_carries_the_cost_from_the_old_symbol_in_whichever_order_it_is_told(
    books: Books, grouped: bool
) -> None:
    desk = books.desk
    books.say(bought(desk, "OLD", 4, 100), bought(desk, "SAME", 7, 50))
    group = [{"group_id": f"g-{number}"} if grouped else {} for number in range(3)]
    for one in (
        line(desk, "NC", "a", symbol="NEWA", qty="10", **group[0]),
        line(desk, "NC", "b", symbol="AAPL", qty="-10", **group[0]),
        line(desk, "NC", "c", symbol="OLD", qty="-4", **group[1]),
        line(desk, "NC", "d", symbol="NEWO", qty="4", **group[1]),
        line(desk, "NC", "e", symbol="SAME", qty="7", **group[2]),  # another CUSIP, the same symbol
        line(desk, "NC", "f", symbol="SAME", qty="-7", **group[2]),
    ):
        books.lines.append(one)
    reconcile(desk)
    for symbol, qty, cost in (("NEWA", 10, COST), ("NEWO", 4, 100), ("SAME", 7, 50)):
        assert books.held(symbol)[0] == qty
        assert books.held(symbol)[1] == pytest.approx(cost)
    assert (books.held("AAPL").qty, books.held("OLD").qty) == (0, 0)


def test_a_symbol_change_is_carried_over_looks(books: Books) -> None:
    books.say(line(books.desk, "NC", "b", symbol="AAPL", qty="-10"))
    assert books.held().qty == 0
    books.say(line(books.desk, "NC", "a", symbol="NEWA", qty="10"))
    assert books.held("NEWA")[0] == 10
    assert books.held("NEWA")[1] == pytest.approx(COST)


@pytest.mark.parametrize("type_", ["NC", "MA", "REO"])
@pytest.mark.parametrize("later_s", [-1, 1])
def test_shares_that_are_stamped_apart_from_those_they_replace_carry_their_cost(
    books: Books, type_: str, later_s: int
) -> None:
    desk = books.desk
    stamps = [parsing.stamp(desk.now_ns() + (2 + number) * 10**9) for number in (0, later_s)]
    books.say(
        line(desk, type_, "a", symbol="NEWA", qty="10", created_at=stamps[0]),
        line(desk, type_, "b", symbol="AAPL", qty="-10", created_at=stamps[1]),
    )
    assert books.held("NEWA")[0] == 10
    assert books.held("NEWA")[1] == pytest.approx(COST)
    assert (books.held().qty, books.held().waiting_usd) == (0, 0)


def test_a_merger_carries_the_cost_less_the_cash_that_was_paid_and_a_removal_ends_it(books: Books) -> None:
    desk = books.desk
    books.say(
        line(desk, "MA", "a", symbol="AAPL", qty="-10", net_amount="1000"),
        line(desk, "MA", "b", symbol="BUYR", qty="5"),
    )
    assert books.held("BUYR")[0] == 5
    assert books.held("BUYR")[1] == pytest.approx((10 * COST - 1000) / 5)
    books.say(line(desk, "REORG", "c", symbol="BUYR", qty="-5"))
    assert books.held("BUYR").qty == 0


def test_a_spin_off_splits_the_cost_by_value(books: Books) -> None:
    books.announced = [CorporateActionState("AAPL", SESSION, 1.0, 0.0, (SpinOffState("SPUN", 0.5),))]
    quote = books.desk.broker.quotes(["AAPL"])["AAPL"]
    share = 50 / (50 + mid_of(quote))
    books.say(line(books.desk, "SPIN", "a", symbol="SPUN", qty="5", price="100"))
    assert books.held("SPUN")[0] == 5
    assert books.held("SPUN")[1] == pytest.approx(10 * COST * share / 5)
    assert books.held("AAPL")[0] == 10
    assert books.held("AAPL")[1] == pytest.approx(COST * (1 - share))


def test_a_spin_off_of_a_parent_that_nobody_knows_takes_the_brokers_average_entry_price(
    books: Books,
) -> None:
    before = books.held()
    books.at_broker["SPUN"] = ("5", "77")
    books.say(line(books.desk, "SPIN", "a", symbol="SPUN", qty="5", price="100"))
    assert books.held("SPUN")[0] == 5
    assert books.held("SPUN")[1] == pytest.approx(77)
    assert books.held("AAPL") == before


def test_shares_of_an_options_exercise_cost_what_was_paid_for_them(books: Books) -> None:
    books.say(line(books.desk, "OPTRD", "a", symbol="IBM", qty="100", net_amount="-20000"))
    assert books.held("IBM").avg_cost == pytest.approx(200)


def test_shares_that_an_option_takes_away_leave_the_others_at_their_cost(books: Books) -> None:
    books.say(line(books.desk, "OPTRD", "a", symbol="AAPL", qty="-4", net_amount="3600"))
    assert books.held()[0] == 6
    assert books.held()[1] == pytest.approx(COST)


def test_a_split_in_two_lines_keeps_the_cost_whichever_comes_first_and_whenever_the_other(
    books: Books,
) -> None:
    desk, alerts = books.desk, []
    books.lines += [bought(desk, f"{order}{new}", 10) for order in ("OLD", "NEW") for new in (20, 70, 5)]
    for order in ("OLD", "NEW"):
        for new in (20, 70, 5):
            minus = line(desk, "SPLIT", f"a{order}{new}", symbol=f"{order}{new}", qty="-10")
            plus = line(desk, "SPLIT", f"b{order}{new}", symbol=f"{order}{new}", qty=str(new))
            alerts.append((minus, plus) if order == "OLD" else (plus, minus))
    books.say(*(first for first, _ in alerts))
    books.say(*(second for _, second in alerts))
    for order in ("OLD", "NEW"):
        for new in (20, 70, 5):
            holding = books.held(f"{order}{new}")
            assert holding.qty == new
            assert holding.avg_cost == pytest.approx(10 * COST / new)
            assert holding.realized_usd == pytest.approx(0)


def test_cash_in_lieu_of_a_fraction_takes_its_part_of_the_cost_along(books: Books) -> None:
    desk, fraction = books.desk, f"{COST * 3 / 3:.2f}"  # a third of a new share of 1:3, at its cost
    books.lines.append(bought(desk, "TWO", 10))
    books.say(
        line(desk, "SPLIT", "a", symbol="AAPL", qty="-7", net_amount=fraction),
        line(desk, "SPLIT", "b", symbol="TWO", qty="-10", net_amount=fraction),
        line(desk, "SPLIT", "c", symbol="TWO", qty="3"),
    )
    assert books.held("AAPL")[0] == 3
    assert books.held("AAPL")[1] == pytest.approx(COST * 3)
    assert books.held("TWO")[0] == 3
    assert books.held("TWO")[1] == pytest.approx(COST * 3)
