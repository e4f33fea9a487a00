"""Orders that the broker does not have any more, and what it has again after the journal gave it up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from support.planted import Altered, plant_order
from support.trading_floor import TradingFloor
from wire import decided, failing, locked, look, send, signal

from trading_assets.broker.port import OrderChanged, OrderState, Unreachable
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.breaks import BreakKind
from trading_assets.engine.evidence.order_states import ABSENCES_APART_NS
from trading_assets.engine.operation.trade_updates import take_updates
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
WORKING = {
    State.ACCEPTED: (State.SUBMITTING, State.ACCEPTED),
    State.PARTIALLY_FILLED: (State.SUBMITTING, State.PARTIALLY_FILLED),
    State.PENDING_CANCEL: (State.SUBMITTING, State.ACCEPTED, State.PENDING_CANCEL),
}


def later(floor: TradingFloor, desk: Desk, ns: int = ABSENCES_APART_NS) -> None:
    floor.control("/clock", step_ns=ns)
    desk.begin()


def state_of(desk: Desk, record: OrderRecord) -> str:
    return desk.journal.order(record.intent.client_order_id).state


def alerts(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


@pytest.mark.parametrize("state", WORKING)
@pytest.mark.parametrize("reducing", [False, True])
def test_an_order_that_the_broker_does_not_have_at_two_times_is_abandoned_in_session_and_holds_nothing(
    floor: TradingFloor, desk: Desk, state: State, reducing: bool
) -> None:
    record = plant_order(desk, 1, states=WORKING[state], reducing=reducing)
    reconcile(desk)
    assert state_of(desk, record) == state
    later(floor, desk)
    reconcile(desk)
    assert state_of(desk, record) == "ABANDONED"
    (row,) = look(desk, signal(desk)).symbols
    assert (row.in_flight, row.reserved_qty, row.open_entry_usd) == (0, 0, 0)
    assert locked(desk) == {("AAPL", "ORDER_STATE")}
    assert "AAPL locked: ORDER_STATE" in alerts(desk)
    assert not reconcile(desk).breaks


@pytest.mark.parametrize("apart_ns", [0, ABSENCES_APART_NS - 1])
def test_two_looks_at_nearly_one_moment_count_as_one(floor: TradingFloor, desk: Desk, apart_ns: int) -> None:
    record = plant_order(desk, 1)
    reconcile(desk)
    if apart_ns:
        later(floor, desk, apart_ns)
    report = reconcile(desk)
    assert state_of(desk, record) == "ACCEPTED"
    assert [one.kind for one in report.breaks] == [BreakKind.MISSING_ORDER]


def test_a_lookup_that_fails_says_nothing_and_keeps_nobody_from_being_protected(
    floor: TradingFloor, desk: Desk
) -> None:
    record = plant_order(desk, 1)
    real = desk.broker
    for answer in (None, Unreachable("scripted"), Unreachable("scripted")):
        desk.broker = Altered(real, order_by_client_id=failing(answer)) if answer else real
        report = reconcile(desk)
        later(floor, desk)
    assert state_of(desk, record) == "ACCEPTED"
    assert not report.breaks  # it was not looked at: no second sighting


def test_an_order_that_was_found_again_in_between_has_to_be_missed_twice_anew(
    floor: TradingFloor, desk: Desk
) -> None:
    (order,) = send(desk, decided(desk, signal(desk, resting=True)))
    real = desk.broker
    gone = Altered(real, open_orders=list, orders_since=lambda _: [], order_by_client_id=lambda _: None)
    for broker, state in ((gone, "ACCEPTED"), (real, "ACCEPTED"), (gone, "ACCEPTED"), (gone, "ABANDONED")):
        desk.broker = broker
        reconcile(desk)
        assert state_of(desk, order) == state
        later(floor, desk)


def given_up(floor: TradingFloor, desk: Desk) -> OrderRecord:
    """A resting order that the broker denied twice, and has again."""
    (order,) = send(desk, decided(desk, signal(desk, resting=True)))
    real = desk.broker
    desk.broker = Altered(
        real, open_orders=list, orders_since=lambda _: [], order_by_client_id=lambda _: None
    )
    for _ in range(2):
        reconcile(desk)
        later(floor, desk)
    desk.broker = real
    assert state_of(desk, order) == "ABANDONED"
    return order


def test_what_was_given_up_and_works_at_the_broker_is_exposure_and_is_cancelled_there(
    floor: TradingFloor, desk: Desk
) -> None:
    order = given_up(floor, desk)
    (row,) = look(desk).symbols
    assert row.open_entry_usd == pytest.approx(float(order.intent.qty * order.intent.limit_price))
    protect_alone(desk, new_execution_id())
    assert not desk.broker.open_orders()
    assert "AAPL: an order that had ended here worked at the broker" in alerts(desk)
    for _ in range(2):
        later(floor, desk)
        report = reconcile(desk)
    assert not report.breaks
    assert state_of(desk, order) == "ABANDONED"


def test_a_late_fill_revives_what_was_given_up(floor: TradingFloor, desk: Desk) -> None:
    order = given_up(floor, desk)
    limit = order.intent.limit_price
    floor.control("/quote", symbol="AAPL", bid=str(limit - Decimal("0.02")), ask=str(limit))
    floor.control("/quote", symbol="AAPL")
    report = reconcile(desk)
    assert (state_of(desk, order), report.breaks) == ("FILLED", ())


def test_a_cancel_of_what_ended_here_that_fails_is_asked_again(floor: TradingFloor, desk: Desk) -> None:
    given_up(floor, desk)
    real = desk.broker
    desk.broker = Altered(real, cancel=failing(Unreachable("scripted")))
    protect_alone(desk, new_execution_id())
    assert real.open_orders()
    desk.broker = real
    protect_alone(desk, new_execution_id())
    assert not real.open_orders()


def test_the_listeners_newer_word_beside_a_reconciliations_older_list_locks_nothing(
    floor: TradingFloor, desk: Desk
) -> None:
    (order,) = send(desk, decided(desk, signal(desk, resting=True)))
    real = desk.broker
    assert order.broker_order_id is not None

    def orders_since(since_ns: int) -> list[OrderState]:
        listed = list(real.orders_since(since_ns))  # the list leaves the broker …
        real.cancel(str(order.broker_order_id))  # … the order ends, and another process has it first
        with Desk.open(desk.settings, environ={}) as listener:
            changed = OrderChanged(str(order.broker_order_id), order.intent.client_order_id, "canceled")
            take_updates(listener, [changed])
        return listed

    desk.broker = Altered(real, orders_since=orders_since, open_orders=real.open_orders)
    reconcile(desk)
    assert state_of(desk, order) == "CANCELED"
    assert not locked(desk)
    desk.broker = real
    assert reconcile(desk).clean
