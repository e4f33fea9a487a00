"""A flatten that meets an order of which nobody knows what became, and what it says of what is still held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from counter import NS, Counter, desk_at
from support.planted import Altered, plant_order

from trading_assets.broker.port import NewOrder, OutcomeUnknown
from trading_assets.core.orders import Kind, State
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.flattens import still_held
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.store.records import OrderRecord

MINUTE_NS = 60 * NS


@contextmanager
def holding(tmp_path: Path) -> Iterator[tuple[Counter, Desk]]:
    counter = Counter({"AAPL": (10, 100)})
    with desk_at(counter, tmp_path, "AAPL") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        yield counter, desk


def silent(*_: object) -> Any:
    raise OutcomeUnknown("scripted: no answer")


def unknown(desk: Desk, *, reducing: bool) -> OrderRecord:
    """An order of ours whose answer never came. Its limit lets it rest at the counter."""
    price = "200" if reducing else "50"
    states = (State.SUBMITTING, State.UNKNOWN)
    return plant_order(desk, 1, qty="10", limit_price=price, reducing=reducing, states=states)


def land(counter: Counter, record: OrderRecord) -> None:
    intent = record.intent
    counter.submit(
        NewOrder(intent.client_order_id, intent.symbol, intent.side, intent.qty, intent.limit_price)
    )


def later(counter: Counter, desk: Desk, minutes: int = 1) -> list[OrderRecord]:
    """Flattens that protection sends some minutes on."""
    counter.now_ns += minutes * MINUTE_NS
    return [
        order for order in protect_alone(desk, new_execution_id()).orders if order.intent.kind == Kind.FLATTEN
    ]


def sold(counter: Counter) -> Decimal:
    """Shares sold at the counter, by whatever order."""
    return sum((line.qty for line in counter.lines if line.side == Side.SELL and line.qty), Decimal(0))


Lookups = Callable[[Desk], None]


def lookups_fail(desk: Desk) -> None:
    """Nobody tells of single orders: by id, by our id, or by list."""
    desk.broker = Altered(desk.broker, order_by_client_id=silent, order=silent, orders_since=silent)


def lists_fail_too(desk: Desk) -> None:
    lookups_fail(desk)
    desk.broker = Altered(desk.broker, open_orders=silent)


LOOKUPS: dict[str, Lookups] = {
    "it is looked up": lambda _: None,
    "lookups fail": lookups_fail,
    "lists fail too": lists_fail_too,
}


@pytest.mark.parametrize("lookups", LOOKUPS)
@pytest.mark.parametrize("reducing", [False, True], ids=["entry", "exit"])
@pytest.mark.parametrize("landed", [False, True], ids=["never landed", "landed"])
@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.slow
def test_a_flatten_sells_beside_an_order_of_unknown_outcome_once_it_must_have_arrived_and_sells_once(
    tmp_path: Path, lookups: str, reducing: bool, landed: bool, killed: bool
) -> None:
    with holding(tmp_path) as (counter, desk):
        record = unknown(desk, reducing=reducing)
        if landed:
            land(counter, record)
        LOOKUPS[lookups](desk)
        if killed:
            operator.kill(desk, reason="test", author="tester")
        operator.flatten_now(desk, reason="all out", author="tester")
        for _ in range(4):
            later(counter, desk)
        assert not counter.positions()
        assert sold(counter) == 10
        desk.broker = counter
        for _ in range(3):
            later(counter, desk)
        assert desk.journal.flatten_in_force(desk.book) is None
        assert desk.journal.open_orders(desk.book) == []
        assert sold(counter) == 10


def test_an_exit_that_turns_out_to_have_filled_is_not_sold_a_second_time(tmp_path: Path) -> None:
    with holding(tmp_path) as (counter, desk):
        record = plant_order(
            desk, 1, qty="10", limit_price="90", reducing=True, states=(State.SUBMITTING, State.UNKNOWN)
        )
        land(counter, record)
        lists_fail_too(desk)
        operator.flatten_now(desk, reason="all out", author="tester")
        assert not any(later(counter, desk) for _ in range(4))
        assert sold(counter) == 10


def test_an_order_that_is_on_its_way_is_waited_for(tmp_path: Path) -> None:
    with holding(tmp_path) as (counter, desk):
        unknown(desk, reducing=False)
        lookups_fail(desk)
        assert operator.flatten_now(desk, reason="all out", author="tester").orders == ()
        assert later(counter, desk)


def test_a_buy_that_lands_late_is_sold_too(tmp_path: Path) -> None:
    with holding(tmp_path) as (counter, desk):
        record = unknown(desk, reducing=False)
        lists_fail_too(desk)
        operator.flatten_now(desk, reason="all out", author="tester")
        later(counter, desk)
        assert not counter.positions()
        assert desk.journal.flatten_in_force(desk.book) is not None
        intent = record.intent
        counter.submit(NewOrder(intent.client_order_id, "AAPL", Side.BUY, intent.qty, Decimal(101)))
        later(counter, desk, 2)
        assert not counter.positions()


def test_what_is_still_held_is_told_with_quantities_what_reserves_them_and_the_next_try(
    tmp_path: Path,
) -> None:
    with holding(tmp_path) as (counter, desk):
        counter.submit(NewOrder("take-profit", "AAPL", Side.SELL, Decimal(4), Decimal(200)))
        counter.shares["AAPL"] = (Decimal(12), Decimal(100))  # two more than our books know of
        desk.broker = Altered(counter, cancel=lambda _: None, cancel_all=dict)
        report = operator.flatten_now(desk, reason="all out", author="tester")
        assert not report.flat
        (line,) = still_held(desk)
        assert (line.qty, line.books) == (Decimal(4), Decimal(2))
        assert line.reserved == ("a person's order take-profit (sell 4, new)",)
        assert "reserved by a person's order take-profit (sell 4, new)" in line.summary
        assert not [one for one in desk.journal.pending_alerts() if one.title.startswith("Flatten: 1")]
        for _ in range(3):
            later(counter, desk)
        (alert,) = [one for one in desk.journal.pending_alerts() if one.title.startswith("Flatten: 1")]
        assert "AAPL, 4 shares: 2 in our books, reserved by a person's order take-profit" in alert.body
        assert "tried again at the next look" in alert.body
        later(counter, desk, 5)
        assert len([one for one in desk.journal.pending_alerts() if one.title.startswith("Flatten: 1")]) == 2
