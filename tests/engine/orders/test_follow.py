"""Following sent orders on the real exchange, and cancelling what outlives the execution timeout."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.broker_words import restated
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import at_broker, decided, failing, new_account, send, signal, states

from trading_assets.broker.port import OrderState, OutcomeUnknown, Unreachable
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.order_states import apply_order_state
from trading_assets.engine.orders.follow import cancel, follow
from trading_assets.engine.protection.protect import protect_alone
from trading_assets.market.clock import VenueClock
from trading_assets.store.journal import Journal
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
NEXT_SESSION = date(2012, 7, 6)
SECOND_NS = 1_000_000_000


def resting(desk: Desk, symbol: str = "AAPL") -> OrderRecord:
    (order,) = send(desk, decided(desk, signal(desk, symbol, resting=True)))
    return order


def fill_what_rests(floor: TradingFloor, order: OrderRecord) -> None:
    """Bring the market down to the order's limit, and back to the tape."""
    limit = order.intent.limit_price
    floor.control("/quote", symbol=order.intent.symbol, bid=str(limit - Decimal("0.02")), ask=str(limit))
    floor.control("/quote", symbol=order.intent.symbol)


def answering(desk: Desk, *answers: tuple[str, int]) -> None:
    """The broker tells these statuses and filled quantities of every order, the last one for good."""
    broker, waiting = desk.broker, list(answers)

    def order(order_id: str) -> OrderState:
        status, filled = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return restated(broker.order(order_id), status=status, filled_qty=Decimal(filled))

    desk.broker = Altered(broker, order=order)


def test_a_resting_order_stays_working_while_time_stands(desk: Desk) -> None:
    (order,) = follow(desk, [resting(desk)])
    assert order.state == "ACCEPTED"
    assert [state.status_word for state in at_broker(desk)] == ["new"]


@pytest.mark.parametrize(("seconds", "state"), [(29, "ACCEPTED"), (30, "CANCELED")])
def test_protect_cancels_what_has_worked_for_the_execution_timeout(
    desk: Desk, floor: TradingFloor, seconds: int, state: str
) -> None:
    assert desk.settings.timeout_seconds == 30
    (order,) = follow(desk, [resting(desk)])
    floor.control("/clock", step_ns=seconds * SECOND_NS)
    protect_alone(desk, "protect")
    assert desk.journal.order(order.intent.client_order_id).state == state
    assert bool(desk.broker.open_orders()) == (state == "ACCEPTED")


def test_where_time_runs_the_timeout_cancels_and_follows_to_the_end(desk: Desk) -> None:
    order = resting(desk)
    broker = desk.broker
    desk.clock = VenueClock(lambda: broker.clock().now_ns, stands=False)
    desk.settings = desk.settings.model_copy(update={"timeout_seconds": 0.2})
    (followed,) = follow(desk, [order])
    assert followed.state == "CANCELED"
    assert states(desk, order.intent.client_order_id) == [
        "INTENT",
        "SUBMITTING",
        "ACCEPTED",
        "PENDING_CANCEL",
        "CANCELED",
    ]


def test_an_order_that_fills_while_it_is_followed_is_not_cancelled(desk: Desk, floor: TradingFloor) -> None:
    order = resting(desk)
    fill_what_rests(floor, order)
    (followed,) = follow(desk, [order])
    assert followed.state == "FILLED"
    assert followed.filled_qty == order.intent.qty


def test_partial_fills_are_counted_on_the_way_to_the_fill(desk: Desk) -> None:
    order = resting(desk)
    total = int(order.intent.qty)
    answering(desk, ("partially_filled", 1), ("partially_filled", 3), ("filled", total))
    (followed,) = follow(desk, [order])
    assert (followed.state, followed.filled_qty) == ("FILLED", Decimal(total))
    assert states(desk, order.intent.client_order_id)[2:] == [
        "ACCEPTED",
        "PARTIALLY_FILLED",
        "PARTIALLY_FILLED",
        "FILLED",
    ]


def test_what_was_filled_before_a_cancel_is_kept(desk: Desk) -> None:
    order = resting(desk)
    answering(desk, ("partially_filled", 3), ("canceled", 3))
    (followed,) = cancel(desk, [order])
    assert (followed.state, followed.filled_qty) == ("CANCELED", Decimal(3))


def test_a_cancel_that_is_refused_because_the_order_filled_meanwhile_finds_the_fill(
    desk: Desk, floor: TradingFloor
) -> None:
    order = resting(desk)
    fill_what_rests(floor, order)
    (after,) = cancel(desk, [order])
    assert (after.state, after.filled_qty) == ("FILLED", order.intent.qty)


def test_a_cancel_that_another_process_sees_through_first_goes_on_to_the_next_order(
    desk: Desk,
) -> None:
    """A kill cancels without the lease while a tick follows the same orders."""
    orders = [resting(desk), resting(desk, "IBM")]
    broker = desk.broker

    def cancel_and_be_overtaken(order_id: str) -> None:
        broker.cancel(order_id)
        with Journal.open(Path(desk.settings.data_dir) / "journal.sqlite") as journal:
            (record,) = [order for order in orders if order.broker_order_id == order_id]
            other = replace(desk, journal=journal)
            apply_order_state(other, record, broker.order(order_id))

    desk.broker = Altered(broker, cancel=cancel_and_be_overtaken)
    assert [order.state for order in cancel(desk, orders)] == ["CANCELED", "CANCELED"]
    assert not broker.open_orders()


def test_a_cancel_without_an_answer_is_asked_again_by_the_next_protect(
    desk: Desk, floor: TradingFloor
) -> None:
    order, broker = resting(desk), desk.broker
    desk.broker = Altered(broker, cancel=failing(OutcomeUnknown("scripted")))
    (after,) = cancel(desk, [order])
    assert after.state == "ACCEPTED"
    desk.broker = broker
    floor.control("/clock", step_ns=30 * SECOND_NS)
    protect_alone(desk, "protect")
    assert desk.journal.order(order.intent.client_order_id).state == "CANCELED"


def test_an_order_that_outlives_its_accepted_cancel_is_cancelled_again(
    desk: Desk, floor: TradingFloor
) -> None:
    order, broker = resting(desk), desk.broker
    desk.broker = Altered(broker, cancel=lambda _: None)  # 204, and nothing happens
    (after,) = cancel(desk, [order])
    assert after.state == "ACCEPTED"
    assert "PENDING_CANCEL" in states(desk, order.intent.client_order_id)
    desk.broker = broker
    floor.control("/clock", step_ns=30 * SECOND_NS)
    protect_alone(desk, "protect")
    assert desk.journal.order(order.intent.client_order_id).state == "CANCELED"


def test_a_look_that_fails_changes_nothing(desk: Desk) -> None:
    order, broker = resting(desk), desk.broker
    desk.broker = Altered(broker, order=failing(Unreachable("scripted")))
    assert follow(desk, [order]) == [order]


def test_an_order_that_rests_at_the_close_expires(floor: TradingFloor, tmp_path: Path) -> None:
    floor.go_to_session(NEXT_SESSION, 0)
    with new_account(floor, tmp_path) as desk:
        quote = desk.broker.quotes(["AAPL"])["AAPL"]
        floor.control("/quote", symbol="AAPL", bid=str(quote.bid), ask=str(quote.ask))  # it stays there
        (order,) = follow(desk, [resting(desk)])
        floor.keeper.move_to(floor.sessions.close_ns(NEXT_SESSION) + SECOND_NS)
        protect_alone(desk, "protect")
        assert desk.journal.order(order.intent.client_order_id).state == "EXPIRED"
