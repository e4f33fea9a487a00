"""A broker that is silent on single orders: exits do not wait for a request for each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counter import Counter, desk_at
from support.broker_words import restated
from support.planted import Altered, plant_order

from trading_assets.broker.port import OrderState, OutcomeUnknown, Unreachable
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.locks import dispute
from trading_assets.engine.operation import operator
from trading_assets.engine.orders import follow, obstacles, submit
from trading_assets.engine.protection import protect
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import MOST_ASKED_ALONE, adopt, reconcile
from trading_assets.market.clock import system_now_ns
from trading_assets.store.database import JournalBusy
from trading_assets.store.leases import LEASE_SECONDS
from trading_assets.store.records import FlattenRecord, OrderRecord

MANY = 3 * MOST_ASKED_ALONE
SLOW_SECONDS = 0.05


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """It holds IBM, which is at its stop, and AAPL."""
    with desk_at(Counter({"AAPL": (10, 100), "IBM": (10, 200)}), tmp_path, "AAPL", "IBM") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        yield desk


def working(desk: Desk, number: int) -> OrderRecord:
    record = plant_order(desk, number)
    client_id = record.intent.client_order_id
    return desk.journal.move(
        client_id, State.ACCEPTED, at_ns=desk.now_ns(), broker_order_id=f"theirs-{number}"
    ).after


class Silence:
    """Fails slowly, and keeps what it was asked."""

    def __init__(self) -> None:
        self.lookups: list[str] = []

    def __call__(self, name: str) -> None:
        self.lookups.append(name)
        time.sleep(SLOW_SECONDS)
        raise OutcomeUnknown("scripted: no answer")


def unreadable(_: object = None) -> list[OrderState]:
    raise Unreachable("scripted: no list")


@pytest.mark.parametrize("silent", [False, True], ids=["has none of them", "does not answer"])
def test_without_lists_a_stop_waits_for_no_lookup_of_each_order_at_work(desk: Desk, silent: bool) -> None:
    for number in range(MANY):
        working(desk, number)
    lookup = Silence()

    def none(name: str) -> None:
        lookup.lookups.append(name)

    desk.broker = Altered(
        desk.broker,
        orders_since=unreadable,
        open_orders=unreadable,
        order_by_client_id=lookup if silent else none,
    )
    (order,) = protect_alone(desk, new_execution_id()).orders
    assert (order.intent.symbol, order.state) == ("IBM", "FILLED")
    assert len(lookup.lookups) == (1 if silent else MOST_ASKED_ALONE)


def test_a_recovery_that_takes_too_long_goes_on_at_the_next_look_where_it_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [plant_order(desk, number, states=(State.SUBMITTING,)) for number in range(MANY)]
    monkeypatch.setattr(submit, "RECOVERY_SECONDS", 4 * SLOW_SECONDS)
    lookup = Silence()
    desk.broker = Altered(desk.broker, order_by_client_id=lookup)
    (order,) = protect_alone(desk, new_execution_id()).orders
    assert (order.intent.symbol, order.state) == ("IBM", "FILLED")
    first = list(lookup.lookups)
    assert 0 < len(first) <= 4
    assert {desk.journal.order(one.intent.client_order_id).state for one in orders} == {"UNKNOWN"}
    protect_alone(desk, new_execution_id())
    assert lookup.lookups[len(first)] == orders[len(first)].intent.client_order_id


@pytest.mark.parametrize("whose", ["ours", "a person's"])
def test_cancels_that_are_not_answered_are_asked_only_as_long_as_there_is_patience(
    desk: Desk, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "CANCEL_PATIENCE_SECONDS", 4 * SLOW_SECONDS)
    monkeypatch.setattr(obstacles, "PATIENCE_SECONDS", 4 * SLOW_SECONDS)
    cancel = Silence()
    if whose == "ours":
        orders = [working(desk, number) for number in range(MANY)]
        desk.broker = Altered(desk.broker, cancel=cancel, orders_since=unreadable, order=unreadable)
        after = follow.cancel(desk, orders)
        assert [one.intent.client_order_id for one in after] == [one.intent.client_order_id for one in orders]
        assert {one.state for one in after} == {"ACCEPTED"}
    else:
        (sold,) = protect_alone(desk, new_execution_id()).orders
        pattern = desk.broker.order(str(sold.broker_order_id))
        theirs = [restated(pattern, id=f"p-{n}", client_order_id=f"p-{n}", status="new") for n in range(MANY)]
        desk.broker = Altered(desk.broker, cancel=cancel, open_orders=lambda: theirs)
        obstacles.cancel_others(desk, lambda _: True, why="test")
    assert 0 < len(cancel.lookups) <= 5


def test_a_kill_asks_for_its_cancels_though_its_flatten_cannot_be_kept_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.settings = desk.settings.model_copy(update={"flatten_on_kill": True})
    requests: list[str] = []
    broker, journal = desk.broker, desk.journal

    def cancel_all() -> dict[str, int]:
        requests.append("all")
        return {}

    def busy(_: FlattenRecord) -> FlattenRecord:
        if requests:
            return real(_)
        raise JournalBusy("the journal")

    real = journal.latch_flatten
    monkeypatch.setattr(journal, "latch_flatten", busy)
    desk.broker = Altered(broker, cancel_all=cancel_all)
    operator.kill(desk, reason="test", author="tester")
    assert requests
    assert desk.journal.latched(desk.book)
    assert broker.positions() == []  # the protection that follows begins the flatten for the kill


def test_a_kill_whose_flatten_cannot_be_tried_has_cancelled_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.settings = desk.settings.model_copy(update={"flatten_on_kill": True})
    order = working(desk, 1)
    desk.broker = Altered(desk.broker, cancel_all=lambda: {"theirs-1": 200})

    def lost(*_: object, **__: object) -> None:
        raise JournalBusy("the journal")

    monkeypatch.setattr(desk.journal, "acquire_lease", lost)
    (after,) = operator.kill(desk, reason="test", author="tester")
    assert (after.intent, after.state) == (order.intent, "PENDING_CANCEL")
    assert desk.journal.flatten_in_force(desk.book) is not None


def test_a_dispute_whose_lock_a_person_releases_in_between_is_told_and_raises_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = working(desk, 1)
    dispute(desk, order, "first")
    monkeypatch.setattr(desk.journal, "locks", lambda _: [])
    dispute(desk, order, "second")
    assert [alert.body for alert in desk.journal.pending_alerts()][-2:] == ["first", "second"]


def test_a_protection_that_the_broker_held_up_has_its_whole_lease_for_the_exits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def lease_left(*_: object, **__: object) -> tuple[tuple[()], tuple[()]]:
        held = desk.journal.lease_holder(desk.book)
        assert held is not None
        left.append((held.expires_ns - system_now_ns()) / 1e9)
        return (), ()

    monkeypatch.setattr(protect, "force_exits", lease_left)
    with desk.journal.lease(desk.book, "test", ttl_seconds=LEASE_SECONDS / 2) as lease:
        protect.protect(desk, lease, tick_ns=desk.now_ns(), execution_id=new_execution_id())
    assert left[0] > 0.75 * LEASE_SECONDS
