"""The stream of trade updates as a service: what happens at the exchange is in the journal at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from queue import Queue

import pytest
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import decided, send, signal

from trading_assets.broker.alpaca.update_stream import UpdateStream
from trading_assets.broker.port import Connected, NewOrder, OrderChanged, Unreachable, Update
from trading_assets.broker.purpose import Purpose
from trading_assets.broker.rate_budget import SHARES
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation.trade_updates import LookPace, listen, take_updates
from trading_assets.engine.orders.follow import follow
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
PROMISED_SECONDS = 1.0
PATIENCE_SECONDS = 20.0


@contextmanager
def listening(desk: Desk) -> Iterator[None]:
    """The service beside the desk, in a thread of this test's own, connected when the block begins."""
    stop, opened = threading.Event(), []

    def open_desk() -> Desk:
        opened.append(reopened(desk))
        return opened[-1]

    with UpdateStream(desk.settings, {}) as stream:
        service = threading.Thread(target=listen, args=(open_desk, stream.updates, stop))
        service.start()
        try:
            until(lambda: bool(opened) and stream.updates.empty(), PATIENCE_SECONDS)
            yield
        finally:
            stop.set()
            service.join(PATIENCE_SECONDS)
            assert not service.is_alive()


def reopened(desk: Desk) -> Desk:
    """As another process would open it."""
    return Desk.open(desk.settings, environ={})


def until(true: Callable[[], bool], seconds: float) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.01)


def resting(desk: Desk) -> OrderRecord:
    (order,) = send(desk, decided(desk, signal(desk, resting=True)))
    assert order.state == "ACCEPTED"
    return order


def fill(floor: TradingFloor, order: OrderRecord) -> None:
    """Bring the market down to the order's limit, and back to the tape."""
    limit = order.intent.limit_price
    floor.control("/quote", symbol=order.intent.symbol, bid=str(limit - Decimal("0.02")), ask=str(limit))
    floor.control("/quote", symbol=order.intent.symbol)


def changed(order: OrderRecord) -> OrderChanged:
    return OrderChanged(str(order.broker_order_id), order.intent.client_order_id, "fill")


def test_a_fill_is_in_the_journal_within_a_second_of_its_happening(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    with listening(desk):
        fill(floor, order)
        began = time.monotonic()
        until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
        seconds = time.monotonic() - began
    (taken,) = desk.journal.fills(desk.book)
    assert (taken.broker_order_id, taken.qty) == (order.broker_order_id, order.intent.qty)
    assert desk.journal.order(order.intent.client_order_id).state == "FILLED"
    assert seconds < PROMISED_SECONDS


def test_a_fill_that_the_listener_and_a_tick_take_in_together_is_told_once(
    floor: TradingFloor, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "trading_assets")
    with listening(desk):
        order = resting(desk)
        fill(floor, order)
        (followed,) = follow(desk, [order])
        assert followed.state == "FILLED"
        until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
    events = [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]
    assert [event for event in events if event.startswith("order ")] == ["order accepted", "order filled"]


def test_a_cancel_by_a_person_at_the_broker_ends_the_order_here(desk: Desk) -> None:
    order = resting(desk)
    assert order.broker_order_id is not None
    with listening(desk):
        desk.broker.cancel(order.broker_order_id)
        until(lambda: desk.journal.order(order.intent.client_order_id).state == "CANCELED", PATIENCE_SECONDS)


def test_the_fill_of_a_persons_own_order_is_an_activity_and_no_order_of_ours(desk: Desk) -> None:
    ask = desk.broker.quotes(["IBM"])["IBM"].ask
    assert ask is not None
    with listening(desk):
        desk.broker.submit(NewOrder("by-hand", "IBM", Side.BUY, Decimal(2), ask))
        until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
    (taken,) = desk.journal.fills(desk.book)
    assert (taken.symbol, taken.qty, taken.client_order_id) == ("IBM", Decimal(2), None)
    assert desk.journal.orders(desk.book) == []


def test_a_connection_that_was_lost_and_found_is_followed_by_a_reconciliation(
    floor: TradingFloor, desk: Desk
) -> None:
    """What happened in between was not told: the listener reads it."""
    order = resting(desk)
    with listening(desk):
        floor.control("/faults", faults=[{"kind": "socket_closed"}])
        fill(floor, order)
        until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
    floor.control("/faults", faults=[])
    assert desk.journal.order(order.intent.client_order_id).state == "FILLED"


def test_beside_a_running_tick_the_reconciling_is_left_to_it(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    connected = Queue[Update]()
    stop = threading.Event()
    fill(floor, order)
    with desk.journal.lease(desk.book, "tick"):
        for update in (Connected(), Connected(), changed(order)):
            connected.put(update)
        service = threading.Thread(target=listen, args=(lambda: reopened(desk), connected, stop))
        service.start()
        until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
        stop.set()
        service.join(PATIENCE_SECONDS)
        holder = desk.journal.lease_holder(desk.book)
        assert holder is not None
        assert holder.holder == "tick"


def test_an_order_that_is_being_sent_is_its_senders(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    fill(floor, order)
    sending = Altered(desk.journal, order=lambda _: replace(order, state="SUBMITTING"))
    desk.journal = sending
    assert take_updates(desk, [changed(order)]) == [changed(order)]
    assert sending.order(order.intent.client_order_id).state == "SUBMITTING"


def test_an_update_tells_nothing_that_the_broker_does_not_confirm(desk: Desk) -> None:
    order = resting(desk)
    assert take_updates(desk, [changed(order)]) == []
    assert desk.journal.order(order.intent.client_order_id).state == "ACCEPTED"
    assert desk.journal.fills(desk.book) == []


def test_a_broker_out_of_reach_costs_an_update_and_not_the_service(floor: TradingFloor, desk: Desk) -> None:
    order = resting(desk)
    reachable = threading.Event()
    tried = []

    def open_desk() -> Desk:
        if not reachable.is_set():
            tried.append(1)
            raise Unreachable("for this test")
        return reopened(desk)

    stop = threading.Event()
    with UpdateStream(desk.settings, {}) as stream:
        service = threading.Thread(target=listen, args=(open_desk, stream.updates, stop))
        service.start()
        try:
            until(lambda: bool(tried), PATIENCE_SECONDS)
            reachable.set()
            fill(floor, order)
            until(lambda: bool(desk.journal.fills(desk.book)), PATIENCE_SECONDS)
        finally:
            stop.set()
            service.join(PATIENCE_SECONDS)


def test_a_busy_listener_gathers_updates_and_keeps_to_its_share_of_the_requests() -> None:
    """An update every tenth of a second for ten minutes; some four requests a batch."""
    now, batches = 0.0, []
    pace = LookPace(lambda: now)
    while now < 600.0:
        now += pace.rest() + 0.1
        batches.append(now)
    assert [at < 1.0 for at in batches[:5]] == [True] * 4 + [False]
    share = 200 * SHARES[Purpose.LOOK].most
    for began in batches[5:]:
        assert 4 * sum(began <= at < began + 60.0 for at in batches) <= share
    now += 600.0
    assert pace.rest() == 0.0


def test_many_updates_are_one_list_of_orders_and_one_look_at_the_activities(
    floor: TradingFloor, desk: Desk
) -> None:
    orders = send(
        desk, decided(desk, *(signal(desk, name, resting=True) for name in ("AAPL", "IBM", "GOOG")))
    )
    for order in orders:
        fill(floor, order)
    requests, real = Counter[str](), desk.broker

    def counting(name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            requests[name] += 1
            return getattr(real, name)(*arguments)

        return call

    counted = ("order", "orders_since", "open_orders", "activities", "order_by_client_id")
    desk.broker = Altered(real, **{name: counting(name) for name in counted})
    assert take_updates(desk, [changed(order) for order in orders]) == []
    assert requests == {"orders_since": 1, "activities": 1}
    assert {desk.journal.order(order.intent.client_order_id).state for order in orders} == {"FILLED"}
