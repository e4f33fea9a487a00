"""Exits that meet trouble: an unknown outcome, a short, a missing model, a lookup that fails in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.planted import Altered, plant_order
from support.trading_floor import TradingFloor
from wire import Posts, at_broker, decided, failing, new_account, send, signal, states

from trading_assets.broker.port import NewOrder, OutcomeUnknown, PositionState, Unreachable
from trading_assets.config import ModelSettings
from trading_assets.core.orders import State
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.store.records import AdjustmentRecord, OrderRecord

SESSION = date(2012, 9, 11)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
SECOND_NS = 10**9
LOST, OUT_OF_REACH = OutcomeUnknown("scripted: no answer"), Unreachable("scripted: no answer")


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        yield desk
    floor.control("/quote", symbol="AAPL")


def protect(desk: Desk) -> ProtectReport:
    return protect_alone(desk, new_execution_id())


def later(floor: TradingFloor, desk: Desk, seconds: int) -> None:
    floor.control("/clock", step_ns=seconds * SECOND_NS)
    desk.clock.sync()


def move_market(floor: TradingFloor, desk: Desk, factor: str) -> None:
    bid = desk.broker.quotes(["AAPL"])["AAPL"].bid
    assert bid is not None
    price = (bid * Decimal(factor)).quantize(Decimal("0.01"))
    floor.control("/quote", symbol="AAPL", bid=str(price), ask=str(price + Decimal("0.01")))


def exit_with_unknown_outcome(floor: TradingFloor, desk: Desk) -> OrderRecord:
    """A position in AAPL, and the order that should sell it: it did not land, and nobody can tell."""
    (entry,) = send(desk, decided(desk, signal(desk)))
    later(floor, desk, 1)
    reconcile(desk)
    real = desk.broker
    posts = Posts(real.submit, (False, LOST))
    desk.broker = Altered(real, submit=posts, order_by_client_id=failing(OUT_OF_REACH))
    decision = decided(desk, signal(desk, value=-1.0, key="out"), phase=Phase.EXITS)
    (order,) = send(desk, decision)
    assert order.state == "UNKNOWN"
    assert order.intent.qty == entry.intent.qty
    desk.broker = real
    return order


def sales(desk: Desk) -> list[tuple[str, str]]:
    return [
        (order.client_order_id, order.status_word) for order in at_broker(desk) if order.side == Side.SELL
    ]


def test_an_unknown_exit_goes_out_once_more_as_it_was_and_is_repriced_when_the_market_has_left_it(
    floor: TradingFloor, desk: Desk
) -> None:
    order = exit_with_unknown_outcome(floor, desk)
    move_market(floor, desk, "0.97")
    later(floor, desk, 600)  # an entry would have gone stale
    protect(desk)
    first = order.intent.client_order_id
    assert sales(desk) == [(first, "new")]  # the same id, so the same order: at its old limit it rests
    assert states(desk, first)[-3:] == ["UNKNOWN", "SUBMITTING", "ACCEPTED"]
    later(floor, desk, 31)
    (second,) = protect(desk).orders
    assert second.intent.decision_id == order.intent.decision_id
    assert (second.intent.attempt, second.intent.qty) == (2, order.intent.qty)
    assert second.intent.limit_price < order.intent.limit_price
    assert sales(desk) == [(first, "canceled"), (second.intent.client_order_id, "filled")]
    assert not desk.broker.positions()
    assert not protect(desk).orders


def test_an_unknown_exit_that_landed_is_not_sent_again(floor: TradingFloor, desk: Desk) -> None:
    order = exit_with_unknown_outcome(floor, desk)
    intent, real = order.intent, desk.broker
    real.submit(NewOrder(intent.client_order_id, intent.symbol, intent.side, intent.qty, intent.limit_price))
    posts = Posts(real.submit)
    desk.broker = Altered(real, submit=posts)
    protect(desk)
    assert not posts.sent
    assert desk.journal.order(intent.client_order_id).state == "FILLED"
    assert not real.positions()


def test_a_flatten_buys_to_cover_under_a_kill(desk: Desk) -> None:
    operator.kill(desk, reason="test", author="tester")
    real = desk.broker
    short = [PositionState("AAPL", Decimal(-5), Decimal(600), Decimal(-5))]
    posts = Posts(lambda order: real.submit(replace(order, reducing=None)))  # the exchange has no short sales
    desk.broker = Altered(real, positions=lambda: short, submit=posts)
    (verdict,), (order,) = operator.flatten(desk, reason="cover it", author="tester")
    assert not verdict.failed
    assert (order.intent.side, order.intent.qty, order.intent.reducing) == (Side.BUY, Decimal(5), True)
    (sent,) = posts.sent
    assert (sent.side, sent.qty, sent.reducing) == (Side.BUY, Decimal(5), True)
    assert order.state == "FILLED"


def test_a_stop_sells_while_the_model_is_missing(floor: TradingFloor, desk: Desk, tmp_path: Path) -> None:
    move_market(floor, desk, "1.065")
    send(desk, decided(desk, signal(desk)))
    floor.control("/quote", symbol="AAPL")
    later(floor, desk, 60)
    paths = {"model_path": tmp_path / "none.ubj", "features_path": tmp_path / "none.json"}
    desk.settings = desk.settings.model_copy(update={"model": ModelSettings(enabled=True), **paths})
    report = run_tick(desk, SESSION, desk.now_ns(), new_execution_id())
    assert [problem.split(":")[0] for problem in report.problems] == ["signals"]
    assert [(order.intent.kind, order.state) for order in report.execution.orders] == [("stop", "FILLED")]
    assert not desk.broker.positions()


@pytest.mark.parametrize("missing", ["all of it", "more than all"])
def test_a_position_that_the_ledger_does_not_hold_has_a_stop_at_the_brokers_average_price(
    floor: TradingFloor, desk: Desk, missing: str
) -> None:
    """A wrong split line: the position is there, and our ledger has none of it, or is short."""
    send(desk, decided(desk, signal(desk)))
    later(floor, desk, 6)
    reconcile(desk)
    (held,) = desk.broker.positions()
    gone = -held.qty * (1 if missing == "all of it" else 2)
    wrong = AdjustmentRecord(
        desk.book, "wrong", "SPLIT", "AAPL", gone, Decimal(0), desk.now_ns(), "broker", "SPLIT"
    )
    desk.journal.record_adjustments([wrong])
    real = desk.broker

    def priced(factor: str) -> None:
        def positions() -> list[PositionState]:
            return [
                replace(one, avg_entry_price=one.avg_entry_price * Decimal(factor))
                for one in real.positions()
            ]

        desk.broker = Altered(real, positions=positions)

    for seconds in (6, 6):  # seen twice it is a break
        priced("1.04")
        later(floor, desk, seconds)
        assert protect(desk).stopped == ()
    assert {lock.symbol for lock in desk.journal.locks(desk.book) if lock.cause == "BREAK"} == {"AAPL"}
    alerts = [one.title for one in desk.journal.pending_alerts()]
    ours = float(held.qty + gone)
    assert f"AAPL: the broker holds {held.qty}, our ledger {ours:g}" in alerts
    priced("1.07")
    later(floor, desk, 6)
    report = protect(desk)
    assert report.stopped == ("AAPL",)
    assert [(order.intent.qty, order.state) for order in report.orders] == [(held.qty, "FILLED")]
    assert real.positions() == []


def test_only_clean_sweeps_in_a_row_abandon_an_order(floor: TradingFloor, desk: Desk) -> None:
    # the last of this file: the session is over
    client_id = plant_order(desk, 1, states=(State.SUBMITTING, State.UNKNOWN)).intent.client_order_id
    floor.keeper.move_to(desk.sessions.close_ns(SESSION) + SECOND_NS)
    real = desk.broker
    unreadable = Altered(real, order_by_client_id=failing(OUT_OF_REACH))
    seen = []
    for broker in (real, unreadable, real, unreadable, real, real):
        desk.broker = broker
        protect(desk)
        seen.append(desk.journal.order(client_id).state)
    assert seen == ["UNKNOWN"] * 5 + ["ABANDONED"]
