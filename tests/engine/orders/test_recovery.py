"""A process that is killed in the middle of sending: what the next execution makes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_ticks import execute, prepare
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import BELOW_THE_MARKET, at_broker, locked, look, recovered, states

from trading_assets.broker.port import NewOrder, OrderState, Rejected
from trading_assets.core.gate import reason
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.submit import UNRESOLVED_LOCK
from trading_assets.engine.protection.protect import protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.store.journal import Lease
from trading_assets.store.records import OrderRecord

SECOND_NS = 1_000_000_000
ABOVE_THE_MARKET = Decimal("1.004")  # rests there, inside the collar of an exit
DYING_DESK = Path(__file__).parents[1] / "dying_desk.py"


def killed_at(floor: TradingFloor, point: str, *, resting: bool = False) -> tuple[int, OrderRecord]:
    """A tick with one signal, executed by a process that is killed at `point`; the order it leaves."""
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        bid = desk.broker.quotes(["AAPL"])["AAPL"].bid
        assert bid is not None
        tick_signals.receive(desk, "AAPL", 0.15, limit_price=bid * BELOW_THE_MARKET if resting else None)
        prepare(desk, floor.session, now)
    dead = subprocess.run(
        [
            sys.executable,
            str(DYING_DESK),
            floor.settings.model_dump_json(),
            floor.session.isoformat(),
            str(now),
            point,
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()
    with floor.desk() as desk:
        (order,) = desk.journal.open_orders(desk.book)
    return now, order


def killed(desk: Desk) -> None:
    latch(
        desk.journal,
        desk.book,
        Cause.KILL,
        at_ns=desk.now_ns(),
        session=desk.session_text(),
        reason="test",
    )


def where_it_went(desk: Desk, order: OrderRecord) -> list[str]:
    return states(desk, order.intent.client_order_id)


def test_an_intent_that_never_left_is_dropped_and_decided_again(floor: TradingFloor) -> None:
    now, order = killed_at(floor, "intent")
    assert order.state == "INTENT"
    with floor.desk() as desk:
        assert not at_broker(desk)
        report = execute(desk, floor.session, now)  # the dead process's lease does not hold it up
        assert [record.state for record in report.protection.recovered] == ["DROPPED"]
        (verdict,) = report.verdicts
        (again,) = report.orders
        assert reason(verdict.failed) == "PASS"
        assert (verdict.attempt, again.intent.attempt, again.state) == (2, 2, "FILLED")
        assert again.intent.client_order_id != order.intent.client_order_id
        assert [sent.client_order_id for sent in at_broker(desk)] == [again.intent.client_order_id]
        assert len(desk.journal.verdicts(desk.book)) == 2

        report = execute(desk, floor.session, now)
        assert not report.orders
        assert len(at_broker(desk)) == 1


def test_an_order_killed_before_its_bytes_left_is_sent_once_with_the_same_id(floor: TradingFloor) -> None:
    now, order = killed_at(floor, "submitting")
    assert order.state == "SUBMITTING"
    with floor.desk() as desk:
        assert not at_broker(desk)
        report = execute(desk, floor.session, now)
        assert not report.orders
        assert report.protection.recovered
        assert desk.journal.order(order.intent.client_order_id).state == "FILLED"
        assert where_it_went(desk, order) == [
            "INTENT",
            "SUBMITTING",
            "UNKNOWN",
            "SUBMITTING",
            "ACCEPTED",
            "FILLED",
        ]
        assert [sent.client_order_id for sent in at_broker(desk)] == [order.intent.client_order_id]
        execute(desk, floor.session, now)
        assert len(at_broker(desk)) == 1


def test_an_order_killed_before_its_answer_was_stored_is_adopted(floor: TradingFloor) -> None:
    now, order = killed_at(floor, "posted")
    assert order.state == "SUBMITTING"
    with floor.desk() as desk:
        (landed,) = at_broker(desk)
        report = execute(desk, floor.session, now)
        assert not report.orders
        result = desk.journal.order(order.intent.client_order_id)
        assert (result.state, result.broker_order_id) == ("FILLED", landed.id)
        assert where_it_went(desk, order) == ["INTENT", "SUBMITTING", "UNKNOWN", "FILLED"]
        assert len(at_broker(desk)) == 1
        assert not locked(desk)


def test_a_stale_order_that_never_landed_is_held_through_its_session_and_then_abandoned(
    floor: TradingFloor,
) -> None:
    _, order = killed_at(floor, "submitting")
    client_id = order.intent.client_order_id
    floor.keeper.move_to(floor.ticks()[0] + 121 * SECOND_NS)
    with floor.desk() as desk:
        for _ in range(3):  # sweeps of the running session prove nothing
            protect_alone(desk, "protect")
        assert desk.journal.order(client_id).state == "UNKNOWN"
        assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
        (view,) = look(desk).symbols
        assert view.open_entry_usd == float(order.intent.qty * order.intent.limit_price)
    floor.keeper.move_to(floor.sessions.close_ns(floor.session) + SECOND_NS)
    with floor.desk() as desk:
        protect_alone(desk, "protect")
        assert desk.journal.order(client_id).state == "UNKNOWN"
        protect_alone(desk, "protect")
        assert desk.journal.order(client_id).state == "ABANDONED"
        assert not locked(desk)
        assert not look(desk).symbols
        assert not at_broker(desk)


def test_an_order_that_never_landed_is_not_sent_into_a_halt(floor: TradingFloor) -> None:
    killed_at(floor, "submitting")
    with floor.desk() as desk:
        killed(desk)
        (record,) = recovered(desk)
        assert record.state == "UNKNOWN"
        assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
        assert not at_broker(desk)


def test_an_order_that_landed_before_the_kill_is_cancelled_by_the_halt(floor: TradingFloor) -> None:
    """Adopting it is what lets the kill reach it."""
    killed_at(floor, "posted", resting=True)
    with floor.desk({"KILL_SWITCH": "1"}) as desk:
        (resting,) = desk.broker.open_orders()
        protect_alone(desk, "protect")
        assert not desk.broker.open_orders()
        assert desk.journal.order(resting.client_order_id).state == "CANCELED"


def test_the_slices_of_an_exit_that_a_kill_dropped_are_the_next_attempts(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 1.0)
        prepare(desk, floor.session, now)
        (bought,) = execute(desk, floor.session, now).orders
    now = floor.go_to_tick(1)
    with floor.desk(max_order_notional=float(bought.intent.limit_price * 3)) as desk:
        tick_signals.receive(desk, "AAPL", -1.0)
        prepare(desk, floor.session, now)
        broker = desk.broker

        def submit_then_kill(order: NewOrder) -> OrderState:
            answer = broker.submit(order)
            killed(desk)
            return answer

        desk.broker = Altered(broker, submit=submit_then_kill)
        first, *others = execute(desk, floor.session, now).orders
        assert first.state == "FILLED"
        assert {order.state for order in others} == {"DROPPED"}
        desk.broker = broker
        operator.rearm(desk, reason="test", author="test")
        report = execute(desk, floor.session, now)
        assert {(order.intent.attempt, order.state) for order in report.orders} == {(2, "FILLED")}
        assert sum(order.filled_qty for order in (first, *report.orders)) == bought.filled_qty
        assert not desk.broker.positions()


@pytest.mark.parametrize("at_work", [False, True], ids=["the first filled", "the first at work"])
def test_the_slices_of_an_exit_that_a_crash_left_unsent_are_sold_as_its_next_attempt(
    floor: TradingFloor, at_work: bool
) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 1.0)
        prepare(desk, floor.session, now)
        (bought,) = execute(desk, floor.session, now).orders
    now = floor.go_to_tick(1)
    with floor.desk(max_order_notional=float(bought.intent.limit_price * 3)) as desk:
        ask = desk.broker.quotes(["AAPL"])["AAPL"].ask
        assert ask is not None
        tick_signals.receive(desk, "AAPL", -1.0, limit_price=ask * ABOVE_THE_MARKET if at_work else None)
        prepare(desk, floor.session, now)
        journal, left = desk.journal, 3  # renewals: after the look, before intents, before the first leaves

        def renew_thrice(lease: Lease) -> Lease:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt  # the process ends between two slices
            return journal.renew_lease(lease)

        desk.journal = Altered(journal, renew_lease=renew_thrice)
        with pytest.raises(KeyboardInterrupt):
            execute(desk, floor.session, now)
        desk.journal = journal
        first, *unsent = journal.open_orders(desk.book)
        assert {order.state for order in unsent} == {"INTENT"}
        report = execute(desk, floor.session, now)
        if at_work:
            assert not report.orders  # its attempt is not over
            floor.move_quote(desk, "AAPL", "1.01")
            report = execute(desk, floor.session, now)
        assert {(order.intent.attempt, order.state) for order in report.orders} == {(2, "FILLED")}
        first = journal.order(first.intent.client_order_id)
        assert first.filled_qty + sum(order.filled_qty for order in report.orders) == bought.filled_qty
        assert not desk.broker.positions()
        assert not execute(desk, floor.session, now).verdicts  # and that was all


def test_a_refused_second_attempt_is_not_sent_a_third_time(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, floor.session, now)
        journal, broker = desk.journal, desk.broker

        def record_then_kill(*about: Any) -> None:
            journal.record_intents(*about)
            killed(desk)

        def refuse(_: NewOrder) -> OrderState:
            raise Rejected(403, 40310000, "scripted")

        desk.journal = Altered(journal, record_intents=record_then_kill)
        (first,) = execute(desk, floor.session, now).orders
        desk.journal, desk.broker = journal, Altered(broker, submit=refuse)
        operator.rearm(desk, reason="test", author="test")
        (second,) = execute(desk, floor.session, now).orders
        assert [order.state for order in (first, second)] == ["DROPPED", "REJECTED"]
        desk.broker = broker
        report = execute(desk, floor.session, now)
        assert [reason(verdict.failed) for verdict in report.verdicts] == ["DUPLICATE_ORDER"]
        assert not report.orders
        assert not at_broker(desk)
