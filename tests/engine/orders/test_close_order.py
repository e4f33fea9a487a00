"""`close-order`: a person ends an order that evidence does not end, from every state that is open."""

from __future__ import annotations

from datetime import date

import pytest
from support.planted import Altered, plant_order
from wire import decided, failing, locked, look, send, signal

from trading_assets.broker.port import Unreachable
from trading_assets.core.orders import OPEN_STATES, TERMINAL_STATES, State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.locks import dispute, lock
from trading_assets.engine.orders.close_order import ClosedOrder, close_order
from trading_assets.engine.orders.submit import UNRESOLVED_LOCK
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import BREAK_LOCK
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import LeaseHeld
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
S = State
PATHS = {
    S.INTENT: (),
    S.SUBMITTING: (S.SUBMITTING,),
    S.UNKNOWN: (S.SUBMITTING, S.UNKNOWN),
    S.ACCEPTED: (S.SUBMITTING, S.ACCEPTED),
    S.PARTIALLY_FILLED: (S.SUBMITTING, S.PARTIALLY_FILLED),
    S.PENDING_CANCEL: (S.SUBMITTING, S.ACCEPTED, S.PENDING_CANCEL),
    S.FILLED: (S.SUBMITTING, S.FILLED),
    S.CANCELED: (S.SUBMITTING, S.ACCEPTED, S.CANCELED),
    S.EXPIRED: (S.SUBMITTING, S.ACCEPTED, S.EXPIRED),
    S.REJECTED: (S.SUBMITTING, S.REJECTED),
    S.DROPPED: (S.DROPPED,),
    S.ABANDONED: (S.SUBMITTING, S.UNKNOWN, S.ABANDONED),
}


def close(desk: Desk, identity: str | None) -> ClosedOrder:
    return close_order(desk, str(identity), reason="the broker has lost it", author="ann")


def resting(desk: Desk) -> OrderRecord:
    (order,) = send(desk, decided(desk, signal(desk, resting=True)))
    assert order.state == "ACCEPTED"
    return order


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
@pytest.mark.parametrize("reachable", [True, False])
def test_from_every_open_state_an_order_that_the_broker_does_not_settle_ends_and_holds_nothing(
    desk: Desk, state: State, reachable: bool
) -> None:
    record = plant_order(desk, 1, states=PATHS[state], reducing=True)
    if not reachable:
        desk.broker = Altered(desk.broker, order_by_client_id=failing(Unreachable("scripted")))
    closed = close(desk, record.intent.client_order_id)
    ended = "DROPPED" if state is S.INTENT else "ABANDONED"
    assert (closed.was, closed.order.state, closed.by_person) == (state, ended, True)
    assert closed.order == desk.journal.order(record.intent.client_order_id)
    last = desk.journal.events(record.intent.client_order_id)[-1]
    assert (last.from_state, last.to_state) == (state, ended)
    assert last.detail.startswith("closed by ann: the broker has lost it")
    assert not desk.journal.open_orders(desk.book)
    (row,) = look(desk, signal(desk)).symbols
    assert (row.in_flight, row.reserved_qty) == (0, 0)


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_an_order_that_has_ended_is_not_closed_again(desk: Desk, state: State) -> None:
    record = plant_order(desk, 1, states=PATHS[state])
    with pytest.raises(InvalidInput, match=f"has ended already: {state}"):
        close(desk, record.intent.client_order_id)
    assert desk.journal.order(record.intent.client_order_id) == record


@pytest.mark.parametrize("identity", ["ta-nothing", "", "a-persons-order"])
def test_an_order_that_the_book_does_not_have_is_named(desk: Desk, identity: str) -> None:
    with pytest.raises(InvalidInput, match=f"has no order {identity}"):
        close(desk, identity)


def test_it_needs_a_reason_and_nobody_else_at_work(desk: Desk) -> None:
    record = plant_order(desk, 1)
    with pytest.raises(InvalidInput, match="reason"):
        close_order(desk, record.intent.client_order_id, reason=" ", author="ann")
    with desk.journal.lease(desk.book, "tick"), pytest.raises(LeaseHeld):
        close(desk, record.intent.client_order_id)
    assert desk.journal.order(record.intent.client_order_id) == record


def test_what_works_at_the_broker_is_cancelled_there_and_its_word_counts(desk: Desk) -> None:
    order = resting(desk)
    closed = close(desk, order.broker_order_id)
    assert (closed.order.state, closed.at_broker, closed.by_person) == ("CANCELED", "canceled", False)
    assert not desk.broker.open_orders()


def test_what_has_ended_at_the_broker_meanwhile_is_taken_as_that(desk: Desk) -> None:
    order = resting(desk)
    assert order.broker_order_id is not None
    desk.broker.cancel(order.broker_order_id)
    closed = close(desk, order.intent.client_order_id)
    assert (closed.order.state, closed.by_person) == ("CANCELED", False)


def test_an_order_whose_cancel_is_stuck_ends_here_counts_there_and_is_cancelled_by_the_next_protection(
    desk: Desk,
) -> None:
    order, real = resting(desk), desk.broker
    desk.broker = Altered(real, cancel=lambda _: None)
    closed = close(desk, order.intent.client_order_id)
    assert (closed.order.state, closed.by_person) == ("ABANDONED", True)
    assert look(desk).symbols[0].open_entry_usd > 0
    desk.broker = real
    protect_alone(desk, new_execution_id())
    assert not real.open_orders()


def test_it_releases_what_the_order_held_and_says_what_is_still_locked(desk: Desk) -> None:
    record = plant_order(desk, 1, states=PATHS[S.UNKNOWN])
    lock(desk, "AAPL", UNRESOLVED_LOCK, "its outcome is unknown")
    dispute(desk, record, f"order {record.intent.client_order_id} contradicts")
    lock(desk, "AAPL", BREAK_LOCK, "another thing")
    lock(desk, "IBM", UNRESOLVED_LOCK, "another symbol")
    closed = close(desk, record.intent.client_order_id)
    assert sorted(closed.released) == ["ORDER_STATE", UNRESOLVED_LOCK]
    assert closed.still_locked == (BREAK_LOCK,)
    assert locked(desk) == {("AAPL", BREAK_LOCK), ("IBM", UNRESOLVED_LOCK)}


def test_what_another_order_of_the_symbol_holds_stays_locked(desk: Desk) -> None:
    record = plant_order(desk, 1)
    other = plant_order(desk, 2, states=PATHS[S.UNKNOWN])
    lock(desk, "AAPL", UNRESOLVED_LOCK, "its outcome is unknown")
    dispute(desk, other, f"order {other.intent.client_order_id} contradicts")
    closed = close(desk, record.intent.client_order_id)
    assert closed.released == ()
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK), ("AAPL", "ORDER_STATE")}
