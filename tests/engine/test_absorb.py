"""What the broker says of orders and of the account, taken into the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from planted import Altered, plant_order
from trading_floor import TradingFloor, trading_floor
from wire import failing, locked, look, new_account, signal

from trading_assets.broker.port import AccountActivity, NewOrder, OrderState, Unreachable
from trading_assets.core.ledger import Holding
from trading_assets.core.orders import OPEN_STATES, PREFIX, State, path_on_evidence, state_of_status
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.absorb import absorb_order, foreign_orders
from trading_assets.engine.account_activities import absorb_activities
from trading_assets.engine.accounting import ledger_of, whole_ledger_of
from trading_assets.engine.desk import Desk
from trading_assets.engine.follow import cancel
from trading_assets.engine.halts import Cause
from trading_assets.engine.reconcile import reconcile
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
SUBMITTING, UNKNOWN = (State.SUBMITTING,), (State.SUBMITTING, State.UNKNOWN)
ACCEPTED = (State.SUBMITTING, State.ACCEPTED)
LOW_PRICE = Decimal("1.00")
PATH_TO = {
    State.INTENT: (),
    State.SUBMITTING: SUBMITTING,
    State.UNKNOWN: UNKNOWN,
    State.ACCEPTED: ACCEPTED,
    State.PARTIALLY_FILLED: (*ACCEPTED, State.PARTIALLY_FILLED),
    State.PENDING_CANCEL: (*ACCEPTED, State.PENDING_CANCEL),
}


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
    states = states or ACCEPTED
    return plant_order(desk, 1, qty=qty, states=states)


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


@pytest.mark.parametrize("end", [State.CANCELED, State.EXPIRED])
@pytest.mark.parametrize("filled", [1, 2])
def test_a_fill_that_is_known_does_not_revive_what_had_ended_when_it_is_told_late(
    desk: Desk, end: State, filled: int
) -> None:
    record = planted(desk, *ACCEPTED)
    ended = absorb_order(desk, record, told(record, end.value.lower(), 2))
    for seen in (record, ended):
        after = absorb_order(desk, seen, told(record, "partially_filled", filled))
        assert (after.state, after.filled_qty) == (end, 2)
    assert len(desk.journal.events(record.intent.client_order_id)) == len(ACCEPTED) + 2
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
        after = absorb_order(desk, record, told(record, status, filled))
        assert (after.state, after.filled_qty) == (end, filled)
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
        absorb_order(desk, record, told(record, "rejected", id=f"broker-{number}"))
    assert alerts(desk) == ["AAPL locked: ORDER_STATE", "AAPL: ORDER_STATE"]


# --- old news


@pytest.mark.parametrize("age", [-1, 0])
@pytest.mark.parametrize("status", ["new", "pending_cancel", "on_the_moon", "partially_filled"])
@pytest.mark.parametrize("end", ["canceled", "expired", "rejected", "filled"])
def test_what_is_older_than_what_was_taken_in_is_no_edge_no_lock_and_no_break(
    desk: Desk, end: str, status: str, age: int
) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns + 100
    filled = 5 if end == "filled" else 2
    ended = absorb_order(desk, record, told(record, end, filled, updated_ns=stamp))
    for seen in (record, ended):
        assert absorb_order(desk, seen, told(record, status, 2, updated_ns=stamp + age)) == ended
    assert not locked(desk)


def test_a_newer_word_that_an_ended_order_works_is_a_contradiction(desk: Desk) -> None:
    record = planted(desk)
    ended = absorb_order(desk, record, told(record, "canceled"))
    assert ended.evidence_ns is not None
    assert absorb_order(desk, ended, told(record, "new", updated_ns=ended.evidence_ns + 1)) == ended
    assert locked(desk) == {("AAPL", "ORDER_STATE")}


def test_an_older_look_does_not_take_back_that_a_cancel_is_pending(desk: Desk) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns
    pending = absorb_order(desk, record, told(record, "pending_cancel", updated_ns=stamp + 5))
    assert absorb_order(desk, pending, told(record, "new", updated_ns=stamp)).state == "PENDING_CANCEL"
    assert absorb_order(desk, pending, told(record, "new", updated_ns=stamp + 6)).state == "ACCEPTED"


def test_an_end_without_a_time_of_its_own_ends_the_order_all_the_same(desk: Desk) -> None:
    record = planted(desk)
    stamp = record.intent.created_ns
    working = absorb_order(desk, record, told(record, "new", 2, updated_ns=stamp + 5))
    assert absorb_order(desk, working, told(record, "canceled", 2, updated_ns=stamp)).state == "CANCELED"


def test_evidence_that_another_process_has_overtaken_is_no_illegal_edge(desk: Desk) -> None:
    record = planted(desk)
    newest = absorb_order(desk, record, told(record, "filled", 5))
    assert absorb_order(desk, record, told(record, "pending_cancel")) == newest
    assert not locked(desk)


# --- log lines


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of orders; of other changes of state the state."""
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [
        line["state"] if line["event"] == "order state" else line["event"]
        for line in said
        if line["event"].startswith("order ")
    ]


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
        absorb_order(desk, record, told(record, status, filled))
    assert lines(caplog) == expected


def test_two_desks_that_take_in_the_same_acceptance_and_fills_tell_each_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    record = planted(desk, *SUBMITTING)
    caplog.set_level("INFO", "trading_assets")
    with Desk.open(desk.settings, environ={}) as other, ThreadPoolExecutor(2) as threads:
        for status, filled in (("new", 0), ("new", 2), ("partially_filled", 4), ("filled", 5)):
            seen = desk.journal.order(record.intent.client_order_id)
            answer = told(record, status, filled)
            both = threads.map(lambda each: absorb_order(each, seen, answer), (desk, other))  # noqa: B023
            assert {(after.state, after.filled_qty) for after in both} == {
                (state_of_status(status, filled, 5)[0], filled)
            }
    assert lines(caplog) == ["order accepted", *["order partially filled"] * 2, "order filled"]


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
    assert seen.open_entry_usd == 5 * 601.0  # once, at its price: the order and what replaced it are one
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
    odd = activity(desk, "odd", "MOON", net_amount=Decimal("-1"), order_id=None)
    _, kept = absorb_activities(desk, [dividend, odd])
    assert [(line.kind, line.cash_delta, line.qty_delta) for line in kept] == [
        ("DIVIDEND", Decimal("13.25"), 0),
        ("OTHER", Decimal(-1), 0),
    ]
    assert alerts(desk) == ["Account activity of an unknown type: MOON"]
    assert absorb_activities(desk, [dividend, odd]) == ([], [])


def test_a_trade_in_a_word_that_nobody_knows_is_told_and_booked_once_it_is_called_a_fill(desk: Desk) -> None:
    strange = activity(desk, "fill-1", "MOON")
    assert absorb_activities(desk, [strange]) == ([], [])
    assert absorb_activities(desk, [strange]) == ([], [])
    assert alerts(desk) == ["AAPL: trade of an unknown type: MOON"]
    (fill,), _ = absorb_activities(desk, [activity(desk, "fill-1")])
    assert fill.qty == 1
    assert ledger_of(desk.journal, desk.book).holdings["AAPL"].qty == 1


def test_what_happened_before_the_book_was_opened_is_left_out(desk: Desk) -> None:
    earlier = activity(desk, "earlier", at_ns=desk.now_ns() - 1)
    assert absorb_activities(desk, [earlier]) == ([], [])


def test_a_fill_without_its_price_costs_itself_and_is_told(desk: Desk) -> None:
    fills, _ = absorb_activities(desk, [activity(desk, "odd", price=None), activity(desk, "fill-1")])
    assert [fill.activity_id for fill in fills] == ["fill-1"]
    assert alerts(desk) == ["AAPL: FILL that cannot be read"]


# --- busts and corrections


def filled_for(desk: Desk, *prices: str) -> list[AccountActivity]:
    """Fills of ten shares each at these prices, taken in."""
    lines = [
        activity(
            desk,
            f"20120705::{number}",
            at_ns=desk.now_ns() + number,
            qty=Decimal(10),
            cum_qty=Decimal(10 * number),
            price=Decimal(price),
        )
        for number, price in enumerate(prices, start=1)
    ]
    absorb_activities(desk, lines)
    return lines


def held(desk: Desk) -> tuple[float, float, float]:
    """Quantity, average cost and cash."""
    ledger = ledger_of(desk.journal, desk.book)
    assert ledger == whole_ledger_of(desk.journal, desk.book)
    holding = ledger.holdings.get("AAPL", Holding())
    return holding.qty, holding.avg_cost, ledger.cash_usd


def change(
    desk: Desk, name: str, type_: str, of: AccountActivity | str, **changes: object
) -> AccountActivity:
    changed = of if isinstance(of, str) else of.id
    return activity(desk, name, type_, at_ns=desk.now_ns() + 100, qty=Decimal(10), changes=changed, **changes)


@pytest.mark.parametrize("named", [lambda fill: fill.id, lambda fill: fill.id.removeprefix("20120705::")])
def test_a_bust_takes_its_fill_out_as_if_it_had_not_happened_and_tells_a_person_once(
    desk: Desk, named: Callable[[AccountActivity], str]
) -> None:
    _, dear = filled_for(desk, "100", "110")
    assert held(desk) == (20, 105, 97_900)
    bust = change(desk, "bust", "TRADE_BUST", named(dear), price=Decimal(110))
    for _ in range(2):
        _, kept = absorb_activities(desk, [bust])
    assert kept == []
    assert held(desk) == (10, 100, 99_000)
    (entry,) = desk.journal.adjustments(desk.book)
    assert (entry.kind, entry.reverses, entry.qty_delta, entry.cash_delta) == ("BUST", dear.id, -10, 1100)
    assert len(desk.journal.fills(desk.book)) == 2  # append-only
    assert alerts(desk) == ["AAPL: a fill was busted"]


@pytest.mark.parametrize("named", ["the one before", "the fill"])
def test_a_fill_is_corrected_and_corrected_again_and_busted_at_last(desk: Desk, named: str) -> None:
    (fill,) = filled_for(desk, "100")
    chain = named == "the one before"
    first = change(desk, "first", "TRADE_CORRECT", fill, price=Decimal("100.40"))
    second = change(desk, "second", "TRADE_CORRECT", first if chain else fill, price=Decimal("100.10"))
    bust = change(desk, "bust", "TRADE_BUST", second if chain else fill, price=Decimal("100.10"))
    after, read = [], []
    for line in (first, second, bust):
        read.append(line)
        for _ in range(2):  # all of them again
            absorb_activities(desk, read)
        after.append(held(desk))
    assert after == [(10, 100.4, 98_996), (10, 100.1, 98_999), (0, 0, 100_000)]
    assert {entry.reverses for entry in desk.journal.adjustments(desk.book)} == {fill.id}


def test_a_correction_may_be_of_the_quantity(desk: Desk) -> None:
    (fill,) = filled_for(desk, "100")
    fewer = replace(change(desk, "fewer", "TRADE_CORRECT", fill, price=Decimal(100)), qty=Decimal(7))
    absorb_activities(desk, [fewer])
    assert held(desk) == (7, 100, 99_300)


def test_a_busted_sale_gives_the_shares_back_at_their_cost(desk: Desk) -> None:
    filled_for(desk, "100")
    sale = activity(desk, "sale", at_ns=desk.now_ns() + 9, side=Side.SELL, qty=Decimal(4), price=Decimal(120))
    absorb_activities(desk, [replace(sale, order_id="broker-2", cum_qty=Decimal(4))])
    assert held(desk) == (6, 100, 99_480)
    bust = change(desk, "bust", "TRADE_BUST", sale, price=Decimal(120), side=Side.SELL)
    absorb_activities(desk, [replace(bust, qty=Decimal(4))])
    assert held(desk) == (10, 100, 99_000)


def test_a_bust_that_comes_before_its_fill_counts_with_it(desk: Desk) -> None:
    late = activity(desk, "late", qty=Decimal(10), cum_qty=Decimal(10), price=Decimal(100))
    bust = change(desk, "bust", "TRADE_BUST", late, price=Decimal(100))
    absorb_activities(desk, [bust])
    assert held(desk) == (-10, 100, 101_000)  # as far as is known; reconciliation says that it differs
    absorb_activities(desk, [late])
    assert held(desk) == (0, 0, 100_000)


def test_a_correction_of_a_fill_that_nobody_knows_is_left_to_a_person(desk: Desk) -> None:
    line = change(desk, "odd", "TRADE_CORRECT", "nobody", price=Decimal(100))
    assert absorb_activities(desk, [line]) == ([], [])
    assert alerts(desk) == ["AAPL: correction of a fill that is not in the journal"]


def test_a_split_of_more_than_is_known_to_be_held_does_not_stop_the_ledger(desk: Desk) -> None:
    sale = activity(desk, "sale", side=Side.SELL, qty=Decimal(5), cum_qty=Decimal(5))
    split = activity(desk, "split", "SPLIT", at_ns=desk.now_ns() + 9, qty=Decimal(10))
    absorb_activities(desk, [sale, split])  # the buy before it is missing
    assert held(desk)[0] == 5
