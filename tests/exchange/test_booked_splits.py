"""Splits that the broker books early, late, in two lines, with cash for a fraction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal as D
from pathlib import Path

import pytest
from exchange_ground import TOKEN
from served import Served, keeping
from tapes import SmallTape, at, submit, venue

from trading_assets.exchange.process import start_process
from trading_assets.exchange.refusals import ApiRefusal
from trading_assets.exchange.venue import Venue
from trading_assets.market.bars import CorporateAction
from trading_assets.market.sessions import Sessions

EX_DATE = date(2012, 10, 3)


def exchange_with_a_split(ratio: float, directory: Path | None = None) -> Venue:
    tape = SmallTape({"AAA": {3: 51.95}}, actions=(CorporateAction("AAA", EX_DATE, ratio, 0.0),))
    return venue(tape, spread_bps=D(0), directory=directory)


def held(exchange: Venue) -> tuple[D, D]:
    """Shares, and what they cost in all."""
    holding = exchange.state.account.holdings.get("AAA")
    return (D(0), D(0)) if holding is None else (holding.qty, holding.cost)


def lines(exchange: Venue) -> list[tuple[str, D | None, D]]:
    return [(a.type, a.qty, a.net_amount) for a in exchange.state.account.activities if a.type != "FILL"]


def test_a_split_that_is_held_back_is_booked_late_and_cancels_the_symbols_orders() -> None:
    exchange = exchange_with_a_split(2.0)
    submit(exchange, qty="10")
    cost = held(exchange)[1]
    exchange.splits.hold_back("AAA", held_back=True)
    exchange.move_clock(at(3, "10:00"))
    assert held(exchange) == (D(10), cost)
    resting = submit(exchange, side="sell", qty="10", limit_price="80")
    other = submit(exchange, symbol="BBB", qty="1", limit_price="50")
    assert exchange.splits.book("AAA")
    assert held(exchange) == (D(20), cost)
    assert [exchange.order(order.id).status.value for order in (resting, other)] == ["canceled", "new"]
    assert lines(exchange) == [("SPLIT", D(10), D(0))]
    assert not exchange.splits.book("AAA")


def test_two_lines_take_the_old_shares_and_bring_the_new_ones_with_their_cost() -> None:
    exchange = exchange_with_a_split(0.1)
    submit(exchange, qty="105")
    cost = held(exchange)[1]
    exchange.splits.hold_back("AAA", held_back=True)
    exchange.move_clock(at(3, "10:00"))
    assert exchange.splits.book("AAA", in_two_lines=True, in_lieu=True)
    assert held(exchange) == (D(0), D(0))
    cash, mark = exchange.state.account.cash, exchange.mark("AAA")
    assert exchange.splits.book("AAA", in_two_lines=True, in_lieu=True)
    assert held(exchange) == (D(10), cost)
    paid = (mark / 2).quantize(D("0.01"))
    assert exchange.state.account.cash == cash + paid
    assert lines(exchange) == [("SPLIT", -105, 0), ("SPLIT", 10, 0), ("CIL", None, paid)]


def test_what_was_sold_before_a_late_booking_is_not_split_and_what_was_bought_is_not_either() -> None:
    exchange = exchange_with_a_split(2.0)
    submit(exchange, qty="10")
    exchange.splits.hold_back("AAA", held_back=True)
    exchange.move_clock(at(3, "10:00"))
    submit(exchange, qty="5")
    submit(exchange, side="sell", qty="4")
    exchange.splits.book("AAA")
    assert held(exchange)[0] == 5 + 6 * 2
    submit(exchange, side="sell", qty="17")
    assert not exchange.splits.book("AAA")


def test_a_split_booked_ahead_of_its_ex_date_is_booked_there_for_later_purchases_only() -> None:
    exchange = exchange_with_a_split(2.0)
    submit(exchange, qty="10")
    exchange.splits.announce("AAA")
    exchange.splits.book("AAA")
    assert held(exchange)[0] == 20
    submit(exchange, qty="3")
    exchange.move_clock(at(3, "00:00"))
    assert held(exchange)[0] == 26
    assert not exchange.splits.book("AAA")


def test_a_split_announced_and_not_booked_by_its_ex_date_waits_on() -> None:
    exchange = exchange_with_a_split(2.0)
    submit(exchange, qty="10")
    exchange.splits.announce("AAA")
    exchange.move_clock(at(3, "10:00"))
    assert held(exchange)[0] == 10
    exchange.splits.book("AAA")
    assert held(exchange)[0] == 20


def test_a_split_that_is_not_near_is_not_announced_and_one_of_what_nobody_holds_has_nothing_to_book() -> None:
    exchange = exchange_with_a_split(2.0)
    with pytest.raises(ApiRefusal, match="no split of BBB in the next 15 days"):
        exchange.splits.announce("BBB")
    exchange.splits.announce("AAA")
    assert not exchange.splits.book("AAA")
    submit(exchange, qty="3")
    exchange.move_clock(at(3, "10:00"))
    assert held(exchange)[0] == 6


def test_a_symbol_that_there_is_not_is_refused_by_name() -> None:
    splits = exchange_with_a_split(2.0).splits
    asks = (
        lambda: splits.announce("0"),
        lambda: splits.book("0"),
        lambda: splits.hold_back("0", held_back=True),
    )
    for ask in asks:
        with pytest.raises(ApiRefusal, match="asset not found for 0"):
            ask()


def test_a_split_that_waits_survives_a_restart(tmp_path: Path) -> None:
    exchange = exchange_with_a_split(0.1, tmp_path)
    submit(exchange, qty="105")
    exchange.splits.hold_back("AAA", held_back=True)
    exchange.move_clock(at(3, "10:00"))
    exchange.splits.book("AAA", in_two_lines=True)
    exchange.close()
    again = exchange_with_a_split(0.1, tmp_path)
    assert again.splits.book("AAA")
    assert held(again)[0] == D("10.5")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """On the Friday before AAPL's split of Monday 2005-02-28."""
    start_ns = Sessions().open_ns(date(2005, 2, 25)) + 600_000_000_000
    process = start_process(public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=start_ns)
    with process as exchange, keeping(exchange) as served:
        yield served


def listed(served: Served) -> list[str]:
    result = served.get("/v1/corporate-actions?symbols=AAPL&start=2005-02-01&end=2005-03-15")
    return [action["ex_date"] for action in result["corporate_actions"].get("forward_splits", [])]


def quantities(served: Served) -> list[str]:
    return [position["qty"] for position in served.get("/v2/positions")]


@pytest.mark.exchange
def test_a_fault_books_the_lines_between_two_requests_and_another_hides_the_announcement(
    served: Served,
) -> None:
    assert served.keeper.book_split("AAPL") is False
    served.order("AAPL", qty=3)
    assert listed(served) == []
    served.keeper.announce_split("AAPL")
    assert listed(served) == ["2005-02-28"]
    two_lines = {"kind": "split_booked", "symbol": "AAPL", "path": "/v2/positions", "in_two_lines": True}
    unlisted = {"kind": "split_unlisted", "symbol": "AAPL"}
    served.keeper.script([two_lines | {"nth": 2, "times": 2}, unlisted])
    assert [quantities(served) for _ in range(4)] == [["3"], [], ["6"], ["6"]]
    booked = served.get("/v2/account/activities/SPLIT", direction="asc")
    assert [line["qty"] for line in booked] == ["-3", "6"]
    assert [listed(served) for _ in range(2)] == [[], ["2005-02-28"]]


@pytest.mark.exchange
def test_the_keeper_holds_a_split_back_and_books_it(served: Served) -> None:
    served.order("AAPL", qty=3)
    served.keeper.hold_splits("AAPL")
    served.keeper.move_to(Sessions().open_ns(date(2005, 2, 28)) + 600_000_000_000)
    assert (quantities(served), listed(served)) == (["3"], ["2005-02-28"])
    assert served.keeper.book_split("AAPL", in_lieu=True) is True
    assert quantities(served) == ["6"]
