"""Orders of ours that a person replaced at the broker: one exposure and one quantity along the chain."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import requests
from support.broker_words import restated, stated
from support.planted import Altered, plant_order
from support.trading_floor import TradingFloor
from wire import decided, failing, locked, look, send, signal

from trading_assets.broker.port import NotFound, OrderChanged, OrderState, Unreachable
from trading_assets.core.orders import State
from trading_assets.core.words import HaltState
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.checks.orders import fill_checks
from trading_assets.engine.evidence.order_states import ABSENCES_APART_NS, apply_order_state
from trading_assets.engine.evidence.replacements import replacement_at_work
from trading_assets.engine.operation.trade_updates import take_updates
from trading_assets.engine.orders.follow import cancel
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
NS = 1_000_000_000


def resting(desk: Desk) -> OrderRecord:
    (order,) = send(desk, decided(desk, signal(desk, value=0.5, resting=True)))
    assert order.state == "ACCEPTED"
    return order


def person_replaces(floor: TradingFloor, order_id: str | None, **changes: str) -> str:
    """A person's PATCH at the broker; the id of the new order."""
    answer = requests.patch(
        f"{floor.exchange.url}/v2/orders/{order_id}",
        json=changes,
        headers={"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET},
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["id"])


def trade_down_to(floor: TradingFloor, order: OrderRecord, *, at: Decimal | None = None) -> None:
    """Bring the market down to the order's limit, and back to the tape."""
    limit = at or order.intent.limit_price
    floor.control("/quote", symbol="AAPL", bid=str(limit - Decimal("0.02")), ask=str(limit))
    floor.control("/quote", symbol="AAPL")


def protected(desk: Desk) -> ProtectReport:
    return protect_alone(desk, new_execution_id())


def alerts(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


# --- at the real exchange


def test_the_quantity_and_price_of_a_replacement_are_the_exposure_and_take_settled_cash(
    floor: TradingFloor, desk: Desk
) -> None:
    order = resting(desk)
    before = look(desk)
    limit = order.intent.limit_price - 1
    person_replaces(floor, order.broker_order_id, qty="120", limit_price=str(limit))
    for taken_in in (False, True):
        if taken_in:
            protected(desk)
        after = look(desk)
        (row,) = after.symbols
        assert row.open_entry_usd == pytest.approx(120 * float(limit))
        assert row.in_flight == 1
        assert row.highest_buy_limit == float(limit)
        spent = before.settled_cash_usd - after.settled_cash_usd
        assert spent == pytest.approx(120 * float(limit) - before.symbols[0].open_entry_usd)
    assert desk.halts().state is HaltState.ACTIVE


def test_more_filled_than_approved_along_a_chain_halts(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    person_replaces(floor, order.broker_order_id, qty="120")
    protected(desk)
    assert desk.halts().state is HaltState.ACTIVE  # told, and not yet more than was approved
    assert alerts(desk) == ["Order replaced at the broker"]
    trade_down_to(floor, order)
    report = protected(desk)
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
    assert report.reconciliation.foreign == (
        f"order {order.intent.client_order_id} filled 120 of {order.intent.qty}",
    )
    after = desk.journal.order(order.intent.client_order_id)
    assert (after.state, after.filled_qty) == ("FILLED", Decimal(120))
    assert not locked(desk)
    assert not report.reconciliation.breaks


def test_the_listener_halts_as_well_when_a_replacement_fills_beyond_what_was_approved(
    floor: TradingFloor, desk: Desk
) -> None:
    order = resting(desk)
    newest = person_replaces(floor, order.broker_order_id, qty="120")
    reconcile(desk)
    trade_down_to(floor, order)
    take_updates(desk, [OrderChanged(newest, "a-persons-id", "fill")])
    assert desk.journal.order(order.intent.client_order_id).state == "FILLED"
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)


def test_a_replacement_within_what_was_approved_is_followed_to_its_fill_and_its_fills_are_ours(
    floor: TradingFloor, desk: Desk
) -> None:
    order = resting(desk)
    first = person_replaces(floor, order.broker_order_id, qty="3")
    person_replaces(floor, first, qty="4")
    reconcile(desk)
    trade_down_to(floor, order)
    for _ in range(3):
        report = reconcile(desk)
    assert report.clean
    after = desk.journal.order(order.intent.client_order_id)
    assert (after.state, after.filled_qty) == ("FILLED", Decimal(4))
    assert {fill.client_order_id for fill in desk.journal.fills(desk.book)} == {order.intent.client_order_id}
    assert not [one for one in fill_checks(desk, SESSION) if not one.passed and "price" not in one.check.name]
    assert desk.halts().state is HaltState.ACTIVE


def test_a_replacement_of_an_old_order_is_no_stranger_once_it_has_ended(
    floor: TradingFloor, desk: Desk
) -> None:
    """The order that began the chain is outside of what a reconciliation lists; its replacement is not."""
    order = resting(desk)
    newest = person_replaces(floor, order.broker_order_id, qty="3")
    reconcile(desk)
    real = desk.broker
    desk.broker = Altered(
        real,
        orders_since=lambda ns: [one for one in real.orders_since(ns) if one.id == newest],
        open_orders=lambda: [one for one in real.open_orders() if one.id == newest],
    )
    trade_down_to(floor, order)
    for _ in range(3):
        report = reconcile(desk)
        assert report.clean
    assert desk.journal.order(order.intent.client_order_id).state == "FILLED"


def test_a_replaced_order_is_cancelled_under_the_id_that_it_has_now(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    person_replaces(floor, order.broker_order_id, qty="120")
    reconcile(desk)
    (ended,) = cancel(desk, desk.journal.open_orders(desk.book))
    assert ended.state == "CANCELED"
    assert not desk.broker.open_orders()
    assert not look(desk, signal(desk)).symbols[0].in_flight


# --- chains that no healthy broker tells


def link(record: OrderRecord, name: str, status: str, filled: int, **changes: Any) -> OrderState:
    intent = record.intent
    state = stated(
        id=name,
        client_order_id=intent.client_order_id if name == "a" else f"person-{name}",
        symbol=intent.symbol,
        side=intent.side,
        qty=intent.qty,
        limit_price=intent.limit_price,
        status=status,
        filled_qty=Decimal(filled),
        submitted_ns=intent.created_ns,
        updated_ns=intent.created_ns,
    )
    return restated(state, **changes)


def chained(desk: Desk, *links: OrderState) -> None:
    """The broker has these orders and no other."""
    orders = {one.id: one for one in links}

    def order(order_id: str) -> OrderState:
        if order_id not in orders:
            raise NotFound(404, 40410000, "order not found")
        return orders[order_id]

    def by_client_id(client_order_id: str) -> OrderState | None:
        return next((one for one in links if one.client_order_id == client_order_id), None)

    working = [one for one in links if one.status_word in ("new", "partially_filled")]
    desk.broker = Altered(
        desk.broker,
        order=order,
        order_by_client_id=by_client_id,
        orders_since=lambda _: list(links),
        open_orders=lambda: working,
    )


@pytest.fixture
def record(desk: Desk) -> OrderRecord:
    return plant_order(desk, 1, qty="10")


@pytest.mark.parametrize(
    ("filled", "state"), [((3, 0, 0), "PARTIALLY_FILLED"), ((3, 2, 4), "PARTIALLY_FILLED")]
)
def test_what_a_chain_filled_is_the_sum_of_its_orders(
    desk: Desk, record: OrderRecord, filled: tuple[int, int, int], state: str
) -> None:
    a = link(record, "a", "replaced", filled[0], replaced_by="b")
    b = link(record, "b", "replaced", filled[1], replaced_by="c", qty=Decimal(7))
    c = link(record, "c", "new", filled[2], replaces="b", qty=Decimal(5))
    chained(desk, a, b, c)
    for seen in (a, c):
        after = apply_order_state(desk, record, seen)
        assert (after.state, after.filled_qty, after.broker_order_id) == (state, Decimal(sum(filled)), "c")
    assert desk.journal.client_ids(desk.book, ["a", "b", "c", "d"]) == dict.fromkeys(
        "abc", record.intent.client_order_id
    )
    assert replacement_at_work(after, desk.broker.open_orders()) == c
    assert not locked(desk)


def test_a_partly_filled_order_that_is_replaced_has_not_lost_its_fill(
    desk: Desk, record: OrderRecord
) -> None:
    partly = apply_order_state(desk, record, link(record, "a", "partially_filled", 3))
    a = link(record, "a", "replaced", 3, replaced_by="b")
    chained(desk, a, link(record, "b", "new", 0, qty=Decimal(7)))
    after = apply_order_state(desk, partly, a)
    assert (after.state, after.filled_qty) == ("PARTIALLY_FILLED", Decimal(3))
    assert not locked(desk)


def test_an_answer_from_before_the_replacement_does_not_lead_back_to_the_replaced_order(
    desk: Desk, record: OrderRecord
) -> None:
    a = link(record, "a", "replaced", 0, replaced_by="b")
    chained(desk, a, link(record, "b", "new", 0))
    after = apply_order_state(desk, record, a)
    assert apply_order_state(desk, record, link(record, "a", "new", 0)) == after
    assert after.broker_order_id == "b"


@pytest.mark.parametrize("back_to", ["a", "b"])
def test_a_chain_that_loops_is_told_and_ends_by_a_persons_word(
    desk: Desk, record: OrderRecord, back_to: str
) -> None:
    a = link(record, "a", "replaced", 0, replaced_by="b")
    chained(desk, a, link(record, "b", "replaced", 0, replaced_by=back_to))
    for _ in range(2):
        assert apply_order_state(desk, record, a) == record
        reconcile(desk)
    assert "AAPL: a replaced order cannot be followed" in alerts(desk)
    assert desk.halts().state is HaltState.ACTIVE


def test_a_chain_without_end_is_not_followed_for_good(desk: Desk, record: OrderRecord) -> None:
    requests = []

    def endless(order_id: str) -> OrderState:
        requests.append(order_id)
        return link(record, order_id, "replaced", 0, replaced_by=f"{order_id}+")

    desk.broker = Altered(desk.broker, order=endless)
    assert apply_order_state(desk, record, link(record, "a", "replaced", 0, replaced_by="a+")) == record
    assert len(requests) < 250


def test_a_replacement_that_the_broker_does_not_have_at_two_times_ends_the_order(
    floor: TradingFloor, desk: Desk, record: OrderRecord
) -> None:
    a = link(record, "a", "replaced", 2, replaced_by="b")
    chained(desk, a)
    for _ in range(3):
        reconcile(desk)
    assert desk.journal.order(record.intent.client_order_id).state == "ACCEPTED"  # all at one moment
    floor.control("/clock", step_ns=ABSENCES_APART_NS)
    desk.begin()
    reconcile(desk)
    assert desk.journal.order(record.intent.client_order_id).state == "ABANDONED"
    assert locked(desk) == {("AAPL", "ORDER_STATE")}


def test_a_link_that_cannot_be_read_now_changes_nothing(desk: Desk, record: OrderRecord) -> None:
    desk.broker = Altered(desk.broker, order=failing(Unreachable("scripted")))
    assert apply_order_state(desk, record, link(record, "a", "replaced", 0, replaced_by="b")) == record
    assert State(record.state) is State.ACCEPTED
