"""What the broker says of orders, taken into the journal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from absorbed import ACCEPTED, SESSION, alerts, lines, order_report, planted
from support.broker_words import restated
from support.planted import Altered, plant_order
from wire import failing, locked, look, signal

from trading_assets.broker.alpaca.order_words import state_of_status
from trading_assets.broker.port import NewOrder, OrderState, Unreachable
from trading_assets.core.orders import OPEN_STATES, PREFIX, State, path_on_evidence
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.evidence.order_states import apply_order_state, foreign_orders
from trading_assets.engine.orders.follow import cancel
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.store.records import OrderRecord

pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)

SUBMITTING, UNKNOWN = (State.SUBMITTING,), (State.SUBMITTING, State.UNKNOWN)


LOW_PRICE = Decimal("1.00")


PATH_TO = {
    State.INTENT: (),
    State.SUBMITTING: SUBMITTING,
    State.UNKNOWN: UNKNOWN,
    State.ACCEPTED: ACCEPTED,
    State.PARTIALLY_FILLED: (*ACCEPTED, State.PARTIALLY_FILLED),
    State.PENDING_CANCEL: (*ACCEPTED, State.PENDING_CANCEL),
}


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
    after = apply_order_state(desk, record, order_report(record, status, filled))
    assert (after.state, after.filled_qty, after.broker_order_id) == (state, Decimal(filled), "broker-1")
    assert after == desk.journal.order(record.intent.client_order_id)
    assert not locked(desk)
    assert not alerts(desk)


def test_a_status_that_nobody_knows_counts_as_working_and_alerts_once(desk: Desk) -> None:
    record = planted(desk)
    for _ in range(2):
        record = apply_order_state(desk, record, order_report(record, "on_the_moon"))
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
    after = apply_order_state(desk, record, order_report(record, status, filled))
    assert (after.state, after.filled_qty) == (state, Decimal(filled))
    assert not locked(desk)


@pytest.mark.parametrize("end", [State.CANCELED, State.EXPIRED])
@pytest.mark.parametrize("filled", [1, 2])
def test_a_fill_that_is_known_does_not_revive_what_had_ended_when_it_is_told_late(
    desk: Desk, end: State, filled: int
) -> None:
    record = planted(desk, *ACCEPTED)
    ended = apply_order_state(desk, record, order_report(record, end.value.lower(), 2))
    for seen in (record, ended):
        after = apply_order_state(desk, seen, order_report(record, "partially_filled", filled))
        assert (after.state, after.filled_qty) == (end, Decimal(2))
    assert len(desk.journal.events(record.intent.client_order_id)) == len(ACCEPTED) + 2
    assert not locked(desk)


def test_a_late_fill_revives_what_was_abandoned(desk: Desk) -> None:
    record = planted(desk, *UNKNOWN, State.ABANDONED)
    assert apply_order_state(desk, record, order_report(record, "filled", 5)).state == "FILLED"


def test_a_fill_before_the_cancel_is_taken_from_the_cancelled_order(desk: Desk) -> None:
    record = planted(desk, *ACCEPTED, State.CANCELED)
    after = apply_order_state(desk, record, order_report(record, "canceled", 2))
    assert (after.state, after.filled_qty) == ("CANCELED", Decimal(2))


@pytest.mark.parametrize(
    ("path", "status", "filled"),
    [
        ((*SUBMITTING, State.REJECTED), "filled", 5),
        ((State.DROPPED,), "new", 0),
        ((*ACCEPTED, State.FILLED), "canceled", 0),
        ((*ACCEPTED, State.CANCELED), "new", 0),
        ((*UNKNOWN, State.ABANDONED), "canceled", 0),
    ],
    ids=lambda value: value[-1].value if isinstance(value, tuple) else None,
)
def test_an_edge_that_the_table_does_not_have_locks_the_symbol_and_alerts_once(
    desk: Desk, path: tuple[State, ...], status: str, filled: int
) -> None:
    record = planted(desk, *path)
    for _ in range(3):
        assert apply_order_state(desk, record, order_report(record, status, filled)) == record
    assert desk.journal.order(record.intent.client_order_id) == record
    assert locked(desk) == {("AAPL", "ORDER_STATE")}
    assert alerts(desk) == ["AAPL locked: ORDER_STATE"]


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
@pytest.mark.parametrize(
    ("status", "filled", "end"),
    [
        ("rejected", 0, "REJECTED"),
        ("canceled", 0, "CANCELED"),
        ("canceled", 2, "CANCELED"),
        ("expired", 0, "EXPIRED"),
        ("done_for_day", 2, "EXPIRED"),
        ("filled", 5, "FILLED"),
    ],
)
def test_a_terminal_word_ends_an_order_in_any_open_state_and_frees_what_it_held(
    desk: Desk, state: State, status: str, filled: int, end: str
) -> None:
    record = plant_order(desk, 1, qty="5", states=PATH_TO[state])
    for _ in range(2):
        after = apply_order_state(desk, record, order_report(record, status, filled))
        assert (after.state, after.filled_qty) == (end, Decimal(filled))
    assert not desk.journal.open_orders(desk.book)
    assert not look(desk, signal(desk, "AAPL")).symbols[0].in_flight
    if path_on_evidence(state, State(end)).in_table:
        assert not locked(desk)
        assert not alerts(desk)
    else:  # the shares are free; what happened a person looks at
        assert locked(desk) == {("AAPL", "ORDER_STATE")}
        assert alerts(desk) == ["AAPL locked: ORDER_STATE"]


def test_a_second_order_that_contradicts_the_journal_is_told_though_the_symbol_is_locked_already(
    desk: Desk,
) -> None:
    for number in (1, 2):
        record = plant_order(desk, number, qty="5", states=(*ACCEPTED, State.PARTIALLY_FILLED))
        apply_order_state(desk, record, order_report(record, "rejected", id=f"broker-{number}"))
    assert alerts(desk) == ["AAPL locked: ORDER_STATE", "AAPL: ORDER_STATE"]


@pytest.mark.parametrize("age", [-1, 0])
@pytest.mark.parametrize("status", ["new", "pending_cancel", "on_the_moon", "partially_filled"])
@pytest.mark.parametrize("end", ["canceled", "expired", "rejected", "filled"])
def test_what_is_older_than_what_was_taken_in_is_no_edge_no_lock_and_no_break(
    desk: Desk, end: str, status: str, age: int
) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns + 100
    filled = 5 if end == "filled" else 2
    ended = apply_order_state(desk, record, order_report(record, end, filled, updated_ns=stamp))
    for seen in (record, ended):
        assert apply_order_state(desk, seen, order_report(record, status, 2, updated_ns=stamp + age)) == ended
    assert not locked(desk)


def test_a_newer_word_that_an_ended_order_works_is_a_contradiction(desk: Desk) -> None:
    record = planted(desk)
    ended = apply_order_state(desk, record, order_report(record, "canceled"))
    assert ended.evidence_ns is not None
    assert (
        apply_order_state(desk, ended, order_report(record, "new", updated_ns=ended.evidence_ns + 1)) == ended
    )
    assert locked(desk) == {("AAPL", "ORDER_STATE")}


def test_an_older_look_does_not_take_back_that_a_cancel_is_pending(desk: Desk) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns
    pending = apply_order_state(desk, record, order_report(record, "pending_cancel", updated_ns=stamp + 5))
    assert (
        apply_order_state(desk, pending, order_report(record, "new", updated_ns=stamp)).state
        == "PENDING_CANCEL"
    )
    assert (
        apply_order_state(desk, pending, order_report(record, "new", updated_ns=stamp + 6)).state
        == "ACCEPTED"
    )


def test_an_end_without_a_time_of_its_own_ends_the_order_all_the_same(desk: Desk) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns
    working = apply_order_state(desk, record, order_report(record, "new", 2, updated_ns=stamp + 5))
    assert (
        apply_order_state(desk, working, order_report(record, "canceled", 2, updated_ns=stamp)).state
        == "CANCELED"
    )


def test_evidence_that_another_process_has_overtaken_is_no_illegal_edge(desk: Desk) -> None:
    record = planted(desk)
    newest = apply_order_state(desk, record, order_report(record, "filled", 5))
    assert apply_order_state(desk, record, order_report(record, "pending_cancel")) == newest
    assert not locked(desk)


@pytest.mark.parametrize(
    ("path", "status", "filled", "expected"),
    [
        (SUBMITTING, "new", 0, ["order accepted"]),
        (SUBMITTING, "partially_filled", 2, ["order accepted", "order partially filled"]),
        (SUBMITTING, "filled", 5, ["order accepted", "order filled"]),
        (SUBMITTING, "canceled", 2, ["order accepted", "order partially filled", "CANCELED"]),
        (SUBMITTING, "rejected", 0, ["REJECTED"]),
        (UNKNOWN, "new", 0, ["order accepted"]),
        (UNKNOWN, "expired", 0, ["order accepted", "EXPIRED"]),
        (ACCEPTED, "new", 0, []),
        (ACCEPTED, "pending_cancel", 0, ["PENDING_CANCEL"]),
        (ACCEPTED, "partially_filled", 2, ["order partially filled"]),
        (ACCEPTED, "canceled", 2, ["order partially filled", "CANCELED"]),
        (ACCEPTED, "filled", 5, ["order filled"]),
        ((*ACCEPTED, State.PENDING_CANCEL), "new", 0, ["ACCEPTED"]),
        ((*ACCEPTED, State.CANCELED), "filled", 5, ["order filled"]),
    ],
    ids=lambda value: value[-1].value if isinstance(value, tuple) else None,
)
def test_each_event_of_an_order_is_one_line_whoever_takes_it_in_again_from_an_older_record(
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    path: tuple[State, ...],
    status: str,
    filled: int,
    expected: list[str],
) -> None:
    record = planted(desk, *path)
    caplog.set_level("INFO", "trading_assets")
    for _ in range(3):
        apply_order_state(desk, record, order_report(record, status, filled))
    assert lines(caplog) == expected


def test_two_desks_that_take_in_the_same_acceptance_and_fills_tell_each_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    record = planted(desk, *SUBMITTING)
    caplog.set_level("INFO", "trading_assets")
    with Desk.open(desk.settings, environ={}) as other, ThreadPoolExecutor(2) as threads:
        for status, filled in (("new", 0), ("new", 2), ("partially_filled", 4), ("filled", 5)):
            seen = desk.journal.order(record.intent.client_order_id)
            answer = order_report(record, status, filled)
            both = threads.map(lambda each: apply_order_state(each, seen, answer), (desk, other))  # noqa: B023
            assert {(after.state, after.filled_qty) for after in both} == {
                (state_of_status(status, filled, 5)[0], filled)
            }
    assert lines(caplog) == ["order accepted", *["order partially filled"] * 2, "order filled"]


def replaced(desk: Desk) -> tuple[OrderRecord, OrderState, list[str]]:
    """Our order, replaced twice by a person; what the broker was asked to cancel is in the list."""
    record = planted(desk)
    first = order_report(record, "replaced", replaced_by="broker-2")
    second = order_report(
        record, "replaced", id="broker-2", client_order_id="person-2", replaced_by="broker-3"
    )
    third = order_report(record, "new", id="broker-3", client_order_id="person-3", limit_price=Decimal(601))
    chain, cancelled = {order.id: order for order in (first, second, third)}, []

    def cancel_one(order_id: str) -> None:
        cancelled.append(order_id)
        chain[order_id] = restated(chain[order_id], status="canceled")

    desk.broker = Altered(
        desk.broker, order=chain.__getitem__, cancel=cancel_one, open_orders=lambda: [third]
    )
    return record, first, cancelled


def test_a_replaced_order_is_followed_to_the_end_of_its_chain(desk: Desk) -> None:
    record, first, cancelled = replaced(desk)
    for _ in range(2):
        record = apply_order_state(desk, record, first)
    assert (record.state, record.broker_order_id) == ("ACCEPTED", "broker-3")
    assert alerts(desk) == ["Order replaced at the broker"]
    (seen,) = look(desk).symbols
    assert seen.open_entry_usd == 5 * 601.0  # once, at its price: the order and what replaced it are one
    (ended,) = cancel(desk, [record])
    assert ended.state == "CANCELED"
    assert cancelled == ["broker-3"]


def test_a_replacement_that_cannot_be_read_changes_nothing(desk: Desk) -> None:
    record, first, _ = replaced(desk)
    desk.broker = Altered(desk.broker, order=failing(Unreachable("scripted")))
    assert apply_order_state(desk, record, first) == record


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
    assert not foreign_orders([order_report(record, "filled", 5)], known)
    (sentence,) = foreign_orders([order_report(record, "filled", 6)], known)
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
def test_each_part_of_an_intent_must_be_the_brokers(desk: Desk, changes: dict[str, Any]) -> None:
    record = planted(desk)
    known = {record.intent.client_order_id: record}
    assert not foreign_orders([order_report(record, "new", qty=Decimal("5.000"))], known)
    assert foreign_orders([order_report(record, "new", **changes)], known)
