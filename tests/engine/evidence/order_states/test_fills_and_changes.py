"""What the broker says of fills, their busts and corrections, and of what else the account did, taken into
the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from absorbed import SESSION, alerts, order_report, planted
from support import broker_words

from trading_assets.broker.port import AccountActivity
from trading_assets.core.ledger import Holding
from trading_assets.core.words import Side
from trading_assets.engine.book.accounting import ledger_of, whole_ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.activities import journal_activities
from trading_assets.engine.evidence.order_states import apply_order_state

pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


def activity(desk: Desk, name: str, type_: str = "FILL", **changes: Any) -> AccountActivity:
    line = broker_words.activity(
        name,
        type_,
        desk.now_ns(),
        "AAPL",
        Side.BUY,
        Decimal(1),
        Decimal(600),
        cum_qty=Decimal(1),
        order_id="broker-1",
    )
    return replace(line, **changes)


def test_fills_are_taken_once_and_in_order_of_cumulative_quantity(desk: Desk) -> None:
    record = planted(desk)
    apply_order_state(desk, record, order_report(record, "partially_filled", 3))
    third, first, second = (activity(desk, f"fill-{n}", cum_qty=Decimal(n)) for n in (3, 1, 2))
    fills, _ = journal_activities(desk, [third, first])
    assert [fill.cum_qty for fill in fills] == [1, 3]
    assert {fill.client_order_id for fill in fills} == {record.intent.client_order_id}
    again, _ = journal_activities(desk, [first, second, replace(third, id="the same, another id")])
    assert [fill.cum_qty for fill in again] == [2]
    assert sum(fill.qty for fill in desk.journal.fills(desk.book)) == 3


def test_a_dividend_is_cash_and_a_type_that_nobody_knows_alerts(desk: Desk) -> None:
    dividend = activity(desk, "div", "DIV", net_amount=Decimal("13.25"))
    odd = activity(desk, "odd", "MOON", net_amount=Decimal("-1"), order_id=None)
    _, kept = journal_activities(desk, [dividend, odd])
    assert [(line.kind, line.cash_delta, line.qty_delta) for line in kept] == [
        ("DIVIDEND", Decimal("13.25"), Decimal(0)),
        ("OTHER", Decimal(-1), Decimal(0)),
    ]
    assert alerts(desk) == ["Account activity of an unknown type: MOON"]
    assert journal_activities(desk, [dividend, odd]) == ([], [])


def test_a_trade_in_a_word_that_nobody_knows_is_told_and_booked_once_it_is_called_a_fill(desk: Desk) -> None:
    strange = activity(desk, "fill-1", "MOON")
    assert journal_activities(desk, [strange]) == ([], [])
    assert journal_activities(desk, [strange]) == ([], [])
    assert alerts(desk) == ["AAPL: trade of an unknown type: MOON"]
    (fill,), _ = journal_activities(desk, [activity(desk, "fill-1")])
    assert fill.qty == 1
    assert ledger_of(desk.journal, desk.book).holdings["AAPL"].qty == 1


def test_what_happened_before_the_book_was_opened_is_left_out(desk: Desk) -> None:
    earlier = activity(desk, "earlier", at_ns=desk.now_ns() - 1)
    assert journal_activities(desk, [earlier]) == ([], [])


def test_a_fill_without_its_price_costs_itself_and_is_told(desk: Desk) -> None:
    fills, _ = journal_activities(desk, [activity(desk, "odd", price=None), activity(desk, "fill-1")])
    assert [fill.activity_id for fill in fills] == ["fill-1"]
    assert alerts(desk) == ["AAPL: FILL that cannot be read"]


def filled_for(desk: Desk, *prices: str) -> list[AccountActivity]:
    """Fills of ten shares each at these prices, taken in."""
    lines = [
        activity(
            desk,
            f"20120705::{number}",
            at_ns=desk.now_ns() + number,
            qty=Decimal(10),
            cum_qty=Decimal(10 * number),
            price=Decimal(price),
        )
        for number, price in enumerate(prices, start=1)
    ]
    journal_activities(desk, lines)
    return lines


def held(desk: Desk) -> tuple[float, float, float]:
    """Quantity, average cost and cash."""
    ledger = ledger_of(desk.journal, desk.book)
    assert ledger == whole_ledger_of(desk.journal, desk.book)
    holding = ledger.holdings.get("AAPL", Holding())
    return holding.qty, holding.avg_cost, ledger.cash_usd


def change(
    desk: Desk, name: str, type_: str, of: AccountActivity | str, **changes: object
) -> AccountActivity:
    changed = of if isinstance(of, str) else of.id
    return activity(desk, name, type_, at_ns=desk.now_ns() + 100, qty=Decimal(10), changes=changed, **changes)


@pytest.mark.parametrize("named", [lambda fill: fill.id, lambda fill: fill.id.removeprefix("20120705::")])
def test_a_bust_takes_its_fill_out_as_if_it_had_not_happened_and_tells_a_person_once(
    desk: Desk, named: Callable[[AccountActivity], str]
) -> None:
    _, dear = filled_for(desk, "100", "110")
    assert held(desk) == (20, 105, 97_900)
    bust = change(desk, "bust", "TRADE_BUST", named(dear), price=Decimal(110))
    for _ in range(2):
        _, kept = journal_activities(desk, [bust])
    assert kept == []
    assert held(desk) == (10, 100, 99_000)
    (entry,) = desk.journal.adjustments(desk.book)
    assert (entry.kind, entry.reverses, entry.qty_delta, entry.cash_delta) == (
        "BUST",
        dear.id,
        Decimal(-10),
        Decimal(1100),
    )
    assert len(desk.journal.fills(desk.book)) == 2  # append-only
    assert alerts(desk) == ["AAPL: a fill was busted"]


@pytest.mark.parametrize("named", ["the one before", "the fill"])
def test_a_fill_is_corrected_and_corrected_again_and_busted_at_last(desk: Desk, named: str) -> None:
    (fill,) = filled_for(desk, "100")
    chain = named == "the one before"
    first = change(desk, "first", "TRADE_CORRECT", fill, price=Decimal("100.40"))
    second = change(desk, "second", "TRADE_CORRECT", first if chain else fill, price=Decimal("100.10"))
    bust = change(desk, "bust", "TRADE_BUST", second if chain else fill, price=Decimal("100.10"))
    after, read = [], []
    for line in (first, second, bust):
        read.append(line)
        for _ in range(2):  # all of them again
            journal_activities(desk, read)
        after.append(held(desk))
    assert after == [(10, 100.4, 98_996), (10, 100.1, 98_999), (0, 0, 100_000)]
    assert {entry.reverses for entry in desk.journal.adjustments(desk.book)} == {fill.id}


def test_a_correction_may_be_of_the_quantity(desk: Desk) -> None:
    (fill,) = filled_for(desk, "100")
    fewer = replace(change(desk, "fewer", "TRADE_CORRECT", fill, price=Decimal(100)), qty=Decimal(7))
    journal_activities(desk, [fewer])
    assert held(desk) == (7, 100, 99_300)


def test_a_busted_sale_gives_the_shares_back_at_their_cost(desk: Desk) -> None:
    filled_for(desk, "100")
    sale = activity(desk, "sale", at_ns=desk.now_ns() + 9, side=Side.SELL, qty=Decimal(4), price=Decimal(120))
    journal_activities(desk, [replace(sale, order_id="broker-2", cum_qty=Decimal(4))])
    assert held(desk) == (6, 100, 99_480)
    bust = change(desk, "bust", "TRADE_BUST", sale, price=Decimal(120), side=Side.SELL)
    journal_activities(desk, [replace(bust, qty=Decimal(4))])
    assert held(desk) == (10, 100, 99_000)


def test_a_bust_that_comes_before_its_fill_counts_with_it(desk: Desk) -> None:
    late = activity(desk, "late", qty=Decimal(10), cum_qty=Decimal(10), price=Decimal(100))
    bust = change(desk, "bust", "TRADE_BUST", late, price=Decimal(100))
    journal_activities(desk, [bust])
    assert held(desk) == (-10, 100, 101_000)  # as far as is known; reconciliation says that it differs
    journal_activities(desk, [late])
    assert held(desk) == (0, 0, 100_000)


def test_a_correction_of_a_fill_that_nobody_knows_is_left_to_a_person(desk: Desk) -> None:
    line = change(desk, "odd", "TRADE_CORRECT", "nobody", price=Decimal(100))
    assert journal_activities(desk, [line]) == ([], [])
    assert alerts(desk) == ["AAPL: correction of a fill that is not in the journal"]


def test_a_split_of_more_than_is_known_to_be_held_does_not_stop_the_ledger(desk: Desk) -> None:
    sale = activity(desk, "sale", side=Side.SELL, qty=Decimal(5), cum_qty=Decimal(5))
    split = activity(desk, "split", "SPLIT", at_ns=desk.now_ns() + 9, qty=Decimal(10))
    journal_activities(desk, [sale, split])  # the buy before it is missing
    assert held(desk)[0] == 5
