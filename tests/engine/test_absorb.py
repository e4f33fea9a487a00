"""What the broker says of orders and of the account, taken into the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from planted import Altered, plant_order
from trading_floor import TradingFloor, trading_floor
from wire import failing, locked, look, new_account

from trading_assets.broker.port import AccountActivity, NewOrder, OrderState, Unreachable
from trading_assets.core.orders import PREFIX, State
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.absorb import absorb_activities, absorb_order, foreign_orders
from trading_assets.engine.desk import Desk
from trading_assets.engine.follow import cancel
from trading_assets.engine.halts import Cause
from trading_assets.engine.reconcile import reconcile
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
SUBMITTING, UNKNOWN = (State.SUBMITTING,), (State.SUBMITTING, State.UNKNOWN)
ACCEPTED = (State.SUBMITTING, State.ACCEPTED)
LOW_PRICE = Decimal("1.00")


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    with trading_floor(tmp_path_factory.mktemp("absorb"), SESSION) as floor:
        floor.tick(SESSION, 1)
        yield floor


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        yield desk


def planted(desk: Desk, *states: State, qty: str = "5") -> OrderRecord:
    return plant_order(desk, 1, qty=qty, states=states or ACCEPTED)


def told(record: OrderRecord, status: str, filled: int = 0, **changes: object) -> OrderState:
    """The broker's word on our order."""
    intent = record.intent
    order = OrderState(
        id="broker-1",
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        qty=intent.qty,
        limit_price=intent.limit_price,
        status=status,
        filled_qty=Decimal(filled),
        filled_avg_price=None,
        submitted_ns=intent.created_ns,
        updated_ns=intent.created_ns,
        replaced_by=None,
        type="limit",
        time_in_force="day",
    )
    return replace(order, **changes)


def alerts(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


# --- statuses


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        *((status, 0, "ACCEPTED") for status in ("new", "accepted", "pending_new", "accepted_for_bidding")),
        *((status, 0, "ACCEPTED") for status in ("held", "pending_replace", "calculated", "suspended")),
        ("stopped", 0, "ACCEPTED"),
        ("new", 2, "PARTIALLY_FILLED"),
        ("partially_filled", 2, "PARTIALLY_FILLED"),
        ("pending_cancel", 0, "PENDING_CANCEL"),
        ("filled", 5, "FILLED"),
        ("canceled", 0, "CANCELED"),
        ("canceled", 2, "CANCELED"),
        ("expired", 0, "EXPIRED"),
        ("done_for_day", 0, "EXPIRED"),
        ("rejected", 0, "REJECTED"),
    ],
)
@pytest.mark.parametrize("before", [SUBMITTING, UNKNOWN, ACCEPTED], ids=lambda path: path[-1].value)
def test_a_status_moves_the_order_to_its_state(
    desk: Desk, before: tuple[State, ...], status: str, filled: int, state: str
) -> None:
    record = planted(desk, *before)
    after = absorb_order(desk, record, told(record, status, filled))
    assert (after.state, after.filled_qty, after.broker_order_id) == (state, filled, "broker-1")
    assert after == desk.journal.order(record.intent.client_order_id)
    assert not locked(desk)
    assert not alerts(desk)


def test_a_status_that_nobody_knows_counts_as_working_and_alerts_once(desk: Desk) -> None:
    record = planted(desk)
    for _ in range(2):
        record = absorb_order(desk, record, told(record, "on_the_moon"))
    assert record.state == "ACCEPTED"
    assert alerts(desk) == ["Unexpected order status"]


@pytest.mark.parametrize("end", [State.CANCELED, State.EXPIRED])
@pytest.mark.parametrize(
    ("status", "filled", "state"), [("filled", 5, "FILLED"), ("new", 2, "PARTIALLY_FILLED")]
)
def test_a_late_fill_revives_what_had_ended(
    desk: Desk, end: State, status: str, filled: int, state: str
) -> None:
    record = planted(desk, *ACCEPTED, end)
    after = absorb_order(desk, record, told(record, status, filled))
    assert (after.state, after.filled_qty) == (state, filled)
    assert not locked(desk)


def test_a_late_fill_revives_what_was_abandoned(desk: Desk) -> None:
    record = planted(desk, *UNKNOWN, State.ABANDONED)
    assert absorb_order(desk, record, told(record, "filled", 5)).state == "FILLED"


def test_a_fill_before_the_cancel_is_taken_from_the_cancelled_order(desk: Desk) -> None:
    record = planted(desk, *ACCEPTED, State.CANCELED)
    after = absorb_order(desk, record, told(record, "canceled", 2))
    assert (after.state, after.filled_qty) == ("CANCELED", 2)


@pytest.mark.parametrize(
    ("path", "status", "filled"),
    [
        ((*SUBMITTING, State.REJECTED), "filled", 5),
        ((State.DROPPED,), "new", 0),
        ((*ACCEPTED, State.FILLED), "canceled", 0),
        ((*ACCEPTED, State.CANCELED), "new", 0),
        ((*UNKNOWN, State.ABANDONED), "canceled", 0),
        ((*ACCEPTED, State.PARTIALLY_FILLED), "rejected", 0),
    ],
    ids=lambda value: value[-1].value if isinstance(value, tuple) else None,
)
def test_an_edge_that_the_table_does_not_have_locks_the_symbol_and_alerts_once(
    desk: Desk, path: tuple[State, ...], status: str, filled: int
) -> None:
    record = planted(desk, *path)
    for _ in range(3):
        assert absorb_order(desk, record, told(record, status, filled)) == record
    assert desk.journal.order(record.intent.client_order_id) == record
    assert locked(desk) == {("AAPL", "ORDER_STATE")}
    assert alerts(desk) == ["AAPL locked: ORDER_STATE"]


def test_evidence_that_another_process_has_overtaken_is_no_illegal_edge(desk: Desk) -> None:
    record = planted(desk)
    newest = absorb_order(desk, record, told(record, "filled", 5))
    assert absorb_order(desk, record, told(record, "pending_cancel")) == newest
    assert not locked(desk)


# --- replaced at the broker


def replaced(desk: Desk) -> tuple[OrderRecord, OrderState, list[str]]:
    """Our order, replaced twice by a person; what the broker was asked to cancel is in the list."""
    record = planted(desk)
    first = told(record, "replaced", replaced_by="broker-2")
    second = told(record, "replaced", id="broker-2", client_order_id="person-2", replaced_by="broker-3")
    third = told(record, "new", id="broker-3", client_order_id="person-3", limit_price=Decimal(601))
    chain, cancelled = {order.id: order for order in (first, second, third)}, []

    def cancel_one(order_id: str) -> None:
        cancelled.append(order_id)
        chain[order_id] = replace(chain[order_id], status="canceled")

    desk.broker = Altered(
        desk.broker, order=chain.__getitem__, cancel=cancel_one, open_orders=lambda: [third]
    )
    return record, first, cancelled


def test_a_replaced_order_is_followed_to_the_end_of_its_chain(desk: Desk) -> None:
    record, first, cancelled = replaced(desk)
    for _ in range(2):
        record = absorb_order(desk, record, first)
    assert (record.state, record.broker_order_id) == ("ACCEPTED", "broker-3")
    assert alerts(desk) == ["Order replaced at the broker"]
    (seen,) = look(desk).symbols
    assert seen.open_entry_usd == 5 * 600.0  # once: the order and what replaced it are one
    (ended,) = cancel(desk, [record])
    assert ended.state == "CANCELED"
    assert cancelled == ["broker-3"]


def test_a_replacement_that_cannot_be_read_changes_nothing(desk: Desk) -> None:
    record, first, _ = replaced(desk)
    desk.broker = Altered(desk.broker, order=failing(Unreachable("scripted")))
    assert absorb_order(desk, record, first) == record


# --- foreign orders: the Knight rule


def test_an_order_with_our_prefix_and_no_intent_halts_and_is_not_ours_to_adopt(desk: Desk) -> None:
    desk.broker.submit(NewOrder(f"{PREFIX}stray", "AAPL", Side.BUY, Decimal(1), LOW_PRICE))
    report = reconcile(desk)
    assert report.foreign == (f"order {PREFIX}stray at the broker has no approved intent",)
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
    assert desk.halts().state is HaltState.HALTED


def test_an_order_that_differs_from_its_intent_halts(desk: Desk) -> None:
    record = planted(desk)
    desk.broker.submit(NewOrder(record.intent.client_order_id, "AAPL", Side.BUY, Decimal(4), LOW_PRICE))
    (sentence,) = reconcile(desk).foreign
    assert "differs from its intent" in sentence
    assert desk.halts().state is HaltState.HALTED


def test_an_order_filled_beyond_its_intent_is_foreign(desk: Desk) -> None:
    record = planted(desk)
    known = {record.intent.client_order_id: record}
    assert not foreign_orders([told(record, "filled", 5)], known)
    (sentence,) = foreign_orders([told(record, "filled", 6)], known)
    assert "filled 6 of 5" in sentence


def test_a_persons_order_is_not_foreign(desk: Desk) -> None:
    desk.broker.submit(NewOrder("by-hand", "AAPL", Side.BUY, Decimal(1), LOW_PRICE))
    assert not reconcile(desk).foreign
    assert desk.halts().state is HaltState.ACTIVE


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "IBM"},
        {"side": Side.SELL},
        {"qty": Decimal(4)},
        {"limit_price": Decimal("599.99")},
        {"limit_price": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_part_of_an_intent_must_be_the_brokers(desk: Desk, changes: dict[str, object]) -> None:
    record = planted(desk)
    known = {record.intent.client_order_id: record}
    assert not foreign_orders([told(record, "new", qty=Decimal("5.000"))], known)
    assert foreign_orders([told(record, "new", **changes)], known)


# --- activities


def activity(desk: Desk, name: str, type_: str = "FILL", **changes: object) -> AccountActivity:
    line = AccountActivity(
        id=name,
        type=type_,
        at_ns=desk.now_ns(),
        symbol="AAPL",
        side=Side.BUY,
        qty=Decimal(1),
        price=Decimal(600),
        cum_qty=Decimal(1),
        order_id="broker-1",
        order_status="partially_filled",
        net_amount=None,
    )
    return replace(line, **changes)


def test_fills_are_taken_once_and_in_order_of_cumulative_quantity(desk: Desk) -> None:
    record = planted(desk)
    absorb_order(desk, record, told(record, "partially_filled", 3))
    third, first, second = (activity(desk, f"fill-{n}", cum_qty=Decimal(n)) for n in (3, 1, 2))
    fills, _ = absorb_activities(desk, [third, first])
    assert [fill.cum_qty for fill in fills] == [1, 3]
    assert {fill.client_order_id for fill in fills} == {record.intent.client_order_id}
    again, _ = absorb_activities(desk, [first, second, replace(third, id="the same, another id")])
    assert [fill.cum_qty for fill in again] == [2]
    assert sum(fill.qty for fill in desk.journal.fills(desk.book)) == 3


def test_a_dividend_is_cash_and_a_type_that_nobody_knows_alerts(desk: Desk) -> None:
    dividend = activity(desk, "div", "DIV", net_amount=Decimal("13.25"))
    odd = activity(desk, "odd", "MOON", net_amount=Decimal("-1"))
    _, kept = absorb_activities(desk, [dividend, odd])
    assert [(line.kind, line.cash_delta, line.qty_delta) for line in kept] == [
        ("DIVIDEND", Decimal("13.25"), 0),
        ("OTHER", Decimal(-1), 1),
    ]
    assert alerts(desk) == ["Account activity of an unknown type: MOON"]
    assert absorb_activities(desk, [dividend, odd]) == ([], [])


def test_what_happened_before_the_book_was_opened_is_left_out(desk: Desk) -> None:
    earlier = activity(desk, "earlier", at_ns=desk.now_ns() - 1)
    assert absorb_activities(desk, [earlier]) == ([], [])


def test_a_fill_without_its_price_concludes_nothing(desk: Desk) -> None:
    with pytest.raises(Unreachable, match="lacks a field"):
        absorb_activities(desk, [activity(desk, "odd", price=None)])
    assert not desk.journal.fills(desk.book)
