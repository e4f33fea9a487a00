"""What a person does to the book, on the real exchange, also when something is in the way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from engine_ticks import buy, run_tick
from support.planted import Altered, red
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, OrderState, OutcomeUnknown, PositionState, Rejected
from trading_assets.core.orders import Kind
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.locks import lock
from trading_assets.engine.checks.book_limits import limit_checks
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.exits_over import STOP_LOCK
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import BREAK_LOCK, reconcile
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import LeaseHeld


def rest(desk: Desk, *symbols: str) -> None:
    """Signals whose orders rest below the market."""
    for symbol in symbols:
        bid = desk.broker.quotes([symbol])[symbol].bid
        assert bid is not None
        tick_signals.receive(desk, symbol, 0.5, limit_price=bid * Decimal("0.996"))


@pytest.mark.parametrize("in_one_call", [True, False], ids=["in one call", "one by one"])
def test_a_kill_that_meets_one_refused_cancel_cancels_the_others(
    floor: TradingFloor, in_one_call: bool
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        rest(desk, "AAPL", "IBM", "MSFT")
        run_tick(desk, floor.session, now)
        first, *others = desk.broker.open_orders()
        real = desk.broker

        def cancel(order_id: str) -> None:
            if order_id == first.id:
                raise Rejected(422, 42210000, "cannot be cancelled now")
            real.cancel(order_id)

        def cancel_all() -> dict[str, int]:
            if not in_one_call:
                raise OutcomeUnknown("cancel all orders: HTTP 500")
            for order in real.open_orders():
                if order.id != first.id:
                    real.cancel(order.id)
            return {order.id: 200 if order.id != first.id else 500 for order in (first, *others)}

        desk.broker = Altered(real, cancel=cancel, cancel_all=cancel_all)
        operator.kill(desk, reason="test", author="tester")
        assert [order.id for order in real.open_orders()] == [first.id]
        titles = {alert.title for alert in desk.journal.pending_alerts()}
        assert f"{first.symbol}: cancel refused" in titles
        desk.broker = real
        protect_alone(desk, new_execution_id())
        assert real.open_orders() == []


def test_flatten_sells_every_position_by_the_brokers_quantities_also_under_a_kill(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, "AAPL")
        buy(floor, desk, "IBM")
        operator.kill(desk, reason="test", author="tester")
        verdicts, orders = operator.flatten(desk, reason="all out", author="tester")
        assert [verdict.failed for verdict in verdicts] == [0, 0]
        assert {(order.intent.symbol, order.intent.kind, order.state) for order in orders} == {
            ("AAPL", Kind.FLATTEN, "FILLED"),
            ("IBM", Kind.FLATTEN, "FILLED"),
        }
        assert desk.broker.positions() == []
        assert reconcile(desk).clean
        assert operator.flatten(desk, reason="again", author="tester") == ((), ())


def test_flatten_cuts_a_large_position_into_slices(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk(max_position_pct=0.25, max_order_notional=30_000.0) as desk:
        bought = buy(floor, desk)
    with floor.desk(max_position_pct=0.25, max_order_notional=10_000.0) as desk:
        _, orders = operator.flatten(desk, reason="all out", author="tester")
        assert len(orders) == 3
        assert all(order.intent.qty * order.intent.limit_price <= 10_000 for order in orders)
        assert sum(order.intent.qty for order in orders) == bought.intent.qty
        assert desk.broker.positions() == []


def test_what_a_flatten_could_not_sell_protect_sells_under_the_kill(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        operator.kill(desk, reason="test", author="tester")
        real = desk.broker

        def submit(order: NewOrder) -> OrderState:
            floor.move_quote(desk, "AAPL", "0.99")
            return real.submit(order)

        desk.broker = Altered(real, submit=submit)
        _, (order,) = operator.flatten(desk, reason="all out", author="tester")
        assert order.state == "ACCEPTED"
    floor.go_to_tick(1)
    with floor.desk() as desk:
        (again,) = protect_alone(desk, new_execution_id()).orders
        assert (again.intent.decision_id, again.intent.attempt) == (order.intent.decision_id, 2)
        assert desk.broker.positions() == []


def test_flatten_waits_for_whoever_holds_the_book(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk, desk.journal.lease(desk.book, "a tick at work"), pytest.raises(LeaseHeld):
        operator.flatten(desk, reason="now", author="tester")


@pytest.mark.parametrize("act", ["rearm", "flatten", "adjust"])
def test_an_act_without_a_reason_is_refused(floor: TradingFloor, act: str) -> None:
    with floor.desk() as desk:
        with pytest.raises(InvalidInput, match="needs a reason"):
            getattr(operator, act)(desk, reason=" \n", author="tester")
        assert desk.journal.halts(desk.book) == []


def test_an_adjustment_ends_a_break_that_the_broker_has_no_activity_for(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        real = desk.broker
        desk.broker = Altered(
            real, activities=lambda since: [one for one in real.activities(since) if one.type.name != "CSW"]
        )
        floor.keeper.transfer(Decimal(-250))
        for _ in range(2):
            reconcile(desk)
            floor.keeper.move_to(desk.now_ns() + 10**9)
        assert desk.halts().causes == (Cause.BREAK,)
        operator.rearm(desk, reason="too early", author="tester")
        reconcile(desk)
        assert desk.halts().causes == (Cause.BREAK,)  # it is still there
        operator.adjust(desk, cash_delta=Decimal(-250), reason="a fee by letter", author="tester")
        operator.rearm(desk, reason="explained", author="tester")
        floor.keeper.move_to(desk.now_ns() + 10**9)
        assert reconcile(desk).clean
        assert desk.halts().causes == ()
        (entry,) = desk.journal.adjustments(desk.book)
        assert (entry.kind, entry.author, entry.reason) == ("CORRECTION", "tester", "a fee by letter")


def test_shares_of_an_adjustment_have_the_cost_that_is_said_or_the_brokers_and_leave_with_their_part(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        (position,) = desk.broker.positions()
        qty, paid = position.qty, float(position.avg_entry_price)
        real, added = desk.broker, [Decimal(0)]

        def positions() -> list[PositionState]:
            return [replace(position, qty=qty + sum(added), avg_entry_price=Decimal(500))]

        desk.broker = Altered(real, positions=positions)

        def adjusted(qty_delta: Decimal, cost: Decimal | None = None) -> tuple[float, float]:
            added.append(qty_delta)
            floor.keeper.move_to(desk.now_ns() + 10**9)
            desk.clock.sync()
            operator.adjust(
                desk, symbol="AAPL", qty_delta=qty_delta, cost=cost, reason="test", author="tester"
            )
            reconcile(desk)
            return ledger_of(desk.journal, desk.book).holdings["AAPL"][:2]

        whole = float(qty) * paid
        more, cost = adjusted(qty)
        assert more == 2 * qty
        assert cost == pytest.approx((whole + float(qty) * 500) / float(2 * qty))
        fewer, cost = adjusted(-qty)
        assert fewer == qty
        assert cost == pytest.approx((paid + 500) / 2)
        half = float(qty) * (paid + 500) / 2
        more, cost = adjusted(qty, Decimal(400))
        assert more == 2 * qty
        assert cost == pytest.approx((half + float(qty) * 400) / float(2 * qty))
        as_many, cost = adjusted(Decimal(0), Decimal("321.5"))
        assert as_many == 2 * qty
        assert cost == pytest.approx(321.5)


def test_a_position_at_cost_0_is_red_and_told_until_a_person_says_what_it_cost(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        real = desk.broker
        unpriced = PositionState("AAPL", Decimal(5), Decimal(0), Decimal(5))
        desk.broker = Altered(real, positions=lambda: [unpriced])
        operator.adjust(desk, symbol="AAPL", qty_delta=Decimal(5), reason="a gift", author="tester")
        for _ in range(2):
            reconcile(desk)
        assert "cost_known" in red(limit_checks(desk))
        titles = [alert.title for alert in desk.journal.pending_alerts()]
        assert titles.count("AAPL is held at cost 0: its stop cannot fire") == 1
        floor.keeper.move_to(desk.now_ns() + 10**9)
        desk.clock.sync()
        operator.adjust(desk, symbol="AAPL", cost=Decimal(600), reason="its price then", author="tester")
        assert "cost_known" not in red(limit_checks(desk))
        assert ledger_of(desk.journal, desk.book).holdings["AAPL"][:2] == (5, 600)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"qty_delta": Decimal(1)},
        {"cost": Decimal(1)},
        {"symbol": "AAPL", "cost": Decimal(1)},  # not held
        {"symbol": "AAPL", "qty_delta": Decimal(1), "cost": Decimal(0)},
        {"symbol": "AAPL", "qty_delta": Decimal(-1), "cost": Decimal(5)},
    ],
)
def test_an_adjustment_that_says_nothing_is_refused(floor: TradingFloor, entry: dict[str, Any]) -> None:
    with floor.desk() as desk, pytest.raises(InvalidInput, match="adjust"):
        operator.adjust(desk, **entry, reason="test", author="tester")


def test_rearm_releases_break_locks_and_leaves_a_stop_in_force(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        for cause in (BREAK_LOCK, "ORDER_STATE", STOP_LOCK, "UNRESOLVED_ORDER"):
            lock(desk, "IBM", cause, "planted")
        operator.rearm(desk, reason="seen", author="tester")
        assert {held.cause for held in desk.journal.locks(desk.book)} == {STOP_LOCK, "UNRESOLVED_ORDER"}
