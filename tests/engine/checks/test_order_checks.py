"""Checks of orders and fills turn red on planted orders and fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from support.planted import Altered, buy_behind_our_back, plant_order, red
from support.trading_floor import TradingFloor

from trading_assets.broker.port import (
    AccountActivity,
    MoreActivities,
    MoreOrders,
    NewOrder,
    OrderState,
    Unreachable,
)
from trading_assets.core.orders import State
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.orders import fill_checks, order_checks, session_orders
from trading_assets.engine.checks.table import checks_of
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.store.records import FillRecord, OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


@pytest.fixture
def desk(floor: TradingFloor) -> Iterator[Desk]:
    floor.control("/account/reset", cash="100000")
    with floor.desk() as desk:
        reconcile(desk)
        yield desk


def plant_fill(desk: Desk, order: OrderRecord, qty: str, price: str, cum_qty: str) -> None:
    now = desk.now_ns()
    intent = order.intent
    fill = FillRecord(
        book=desk.book,
        session=intent.session,
        broker_order_id=f"planted-{intent.client_order_id}",
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        qty=Decimal(qty),
        price=Decimal(price),
        cum_qty=Decimal(cum_qty),
        at_ns=now,
        activity_id=f"planted-{cum_qty}",
        received_ns=now,
    )
    desk.journal.record_fills([fill])


def test_no_order_and_no_fill_is_all_green(desk: Desk) -> None:
    of_orders, of_fills = order_checks(desk, SESSION), fill_checks(desk, SESSION)
    assert red(of_orders) == red(of_fills) == set()
    assert [outcome.check for outcome in of_orders] == list(checks_of("gated_orders"))
    assert [outcome.check for outcome in of_fills] == list(checks_of("fills"))


def test_an_order_with_its_verdict_is_green(desk: Desk) -> None:
    plant_order(desk, 1)
    assert red(order_checks(desk, SESSION)) == set()


@pytest.mark.parametrize(
    "change",
    [{"failed": 1 << 9}, {"qty": Decimal(2)}, {"limit_price": Decimal(601)}, {"side": -1}, {"measured": ()}],
)
def test_an_order_that_was_not_judged_as_it_is_is_red(desk: Desk, change: dict[str, Any]) -> None:
    plant_order(desk, 1)
    judged = [replace(verdict, **change) for verdict in desk.journal.verdicts(desk.book)]
    desk.journal = Altered(desk.journal, verdicts=lambda book, session: judged)
    assert red(order_checks(desk, SESSION)) == {"each_has_a_verdict"}


def test_an_order_without_verdict_is_red(desk: Desk) -> None:
    plant_order(desk, 1)
    desk.journal = Altered(desk.journal, verdicts=lambda book, session: [])
    assert red(order_checks(desk, SESSION)) == {"each_has_a_verdict"}


def test_an_order_at_the_broker_with_our_prefix_and_no_intent_is_red(desk: Desk) -> None:
    buy_behind_our_back(desk, "AAPL", 1, f"ta-{desk.book}")
    assert red(order_checks(desk, SESSION)) == {"no_foreign_order"}


def test_a_persons_order_is_not_foreign(desk: Desk) -> None:
    buy_behind_our_back(desk, "AAPL", 1, f"person-{desk.book}")
    assert red(order_checks(desk, SESSION)) == set()


def test_an_order_at_the_broker_that_differs_from_its_intent_is_red(desk: Desk) -> None:
    order = plant_order(desk, 1)
    desk.broker.submit(
        NewOrder(order.intent.client_order_id, "AAPL", Side.BUY, Decimal(2), order.intent.limit_price)
    )
    assert red(order_checks(desk, SESSION)) == {"no_foreign_order"}


def test_a_fill_of_an_order_that_is_not_ours_is_red(desk: Desk) -> None:
    buy_behind_our_back(desk, "AAPL", 1, f"person-{desk.book}")
    reconcile(desk)
    assert red(fill_checks(desk, SESSION)) == {"each_belongs_to_an_order"}


def test_a_fill_that_the_journal_does_not_have_is_red_until_it_is_received(desk: Desk) -> None:
    buy_behind_our_back(desk, "AAPL", 1, f"person-{desk.book}")
    assert red(fill_checks(desk, SESSION)) == {"all_received"}
    reconcile(desk)
    assert "all_received" not in red(fill_checks(desk, SESSION))


@pytest.mark.parametrize(
    ("fills", "expected"),
    [(["1", "1"], set()), (["1"], {"within_order_quantity"}), (["1", "1", "1"], {"within_order_quantity"})],
)
def test_fills_add_up_to_what_is_filled(desk: Desk, fills: list[str], expected: set[str]) -> None:
    order = plant_order(desk, 1, qty="2")
    desk.journal.move(order.intent.client_order_id, State.FILLED, at_ns=desk.now_ns(), filled_qty=Decimal(2))
    for number, qty in enumerate(fills):
        plant_fill(desk, order, qty, "600", str(number + 1))
    assert red(fill_checks(desk, SESSION)) == expected


@pytest.mark.parametrize(
    ("price", "reducing", "expected"),
    [("600", False, False), ("600.01", False, True), ("600", True, False), ("599.99", True, True)],
)
def test_a_fill_beyond_the_limit_price_is_red(desk: Desk, price: str, reducing: bool, expected: bool) -> None:
    order = plant_order(desk, 1, reducing=reducing)
    desk.journal.move(order.intent.client_order_id, State.FILLED, at_ns=desk.now_ns(), filled_qty=Decimal(1))
    plant_fill(desk, order, "1", price, "1")
    assert red(fill_checks(desk, SESSION)) == ({"within_limit_price"} if expected else set())


def in_looks(desk: Desk, length: int) -> None:
    """The broker's lists, as many rows a look."""
    real = desk.broker

    def orders(since_ns: int) -> list[OrderState]:
        result = list(real.orders_since(since_ns))
        if len(result) > length:
            raise MoreOrders(result[:length], result[length - 1].submitted_ns)
        return result

    def activities(since_ns: int, *, after_id: str | None = None) -> list[AccountActivity]:
        result = list(real.activities(since_ns))
        ids = [one.id for one in result]
        rest = result[ids.index(after_id) + 1 if after_id else 0 :]
        if len(rest) > length:
            raise MoreActivities(rest[:length], rest[length - 1].id)
        return rest

    desk.broker = Altered(real, orders_since=orders, activities=activities)


def test_lists_longer_than_one_look_are_read_to_their_end(floor: TradingFloor, desk: Desk) -> None:
    for number in range(4):
        buy_behind_our_back(desk, "AAPL", 1, f"person-{number}-{desk.book}")
        floor.control("/clock", step_ns=10**9)
    desk.clock.sync()
    reconcile(desk)
    whole = session_orders(desk, SESSION)
    assert (len(whole.at_broker), len(whole.activities)) == (4, 4)
    real = desk.broker
    in_looks(desk, 2)
    assert session_orders(desk, SESSION) == whole
    desk.broker = real

    def endless(since_ns: int) -> list[OrderState]:
        raise MoreOrders(whole.at_broker[:1], since_ns)

    desk.broker = Altered(real, orders_since=endless)
    with pytest.raises(Unreachable, match="more orders than"):
        order_checks(desk, SESSION)
