"""Ledger against broker on the real exchange: each kind of break, what it locks, and what is no break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from engine_ticks import buy, run_tick
from support.planted import Altered, plant_order
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, Unreachable
from trading_assets.core.gate import reason
from trading_assets.core.orders import Kind, State, client_order_id, decision_id
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import BREAK_LOCK, adopt, reconcile
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import KEY_ID, SECRET

BELOW = Decimal("0.95")


def person(floor: TradingFloor) -> TradingClient:
    """A plain client of the same account, as a person's own program has it."""
    return TradingClient(KEY_ID, SECRET, paper=True, url_override=floor.exchange.url)


def buy_by_hand(floor: TradingFloor, symbol: str, qty: int, side: OrderSide = OrderSide.BUY) -> str:
    order: Any = person(floor).submit_order(
        MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.DAY)
    )
    return str(order.client_order_id)


def rest_by_hand(floor: TradingFloor, desk: Desk, symbol: str, client_id: str | None = None) -> str:
    bid = desk.broker.quotes([symbol])[symbol].bid
    assert bid is not None
    order: Any = person(floor).submit_order(
        LimitOrderRequest(
            symbol=symbol,
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=float((bid * BELOW).quantize(Decimal("0.01"))),
            client_order_id=client_id,
        )
    )
    return str(order.client_order_id)


def sighted_twice(floor: TradingFloor, desk: Desk) -> dict[str, set[str]]:
    """What two reconciliations in a row, a second apart, confirm: subjects by kind of break."""
    desk.clock.sync()
    reconcile(desk)
    floor.keeper.move_to(desk.now_ns() + 10**9)
    result: dict[str, set[str]] = {}
    for record in reconcile(desk).breaks:
        if record.sightings >= 2:
            result.setdefault(record.kind, set()).add(record.subject)
    return result


def locked(desk: Desk) -> set[str]:
    return {lock.symbol for lock in desk.journal.locks(desk.book) if lock.cause == BREAK_LOCK}


def hidden(desk: Desk, *kinds: str) -> None:
    """The broker books no activity of these types for the time being."""
    real = desk.broker
    desk.broker = Altered(
        real, activities=lambda since: [one for one in real.activities(since) if one.type.name not in kinds]
    )


def test_an_empty_account_opens_by_itself(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        report = reconcile(desk)
        assert report.clean
        assert desk.reconciled
        (cash,) = desk.journal.opening(desk.book)
        assert (cash.symbol, cash.qty, cash.author) == ("", Decimal(100_000), "system")


@pytest.mark.parametrize("holds", ["position", "order"])
def test_an_account_that_is_not_empty_waits_for_a_person(floor: TradingFloor, holds: str) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        if holds == "position":
            buy_by_hand(floor, "IBM", 3)
        else:
            rest_by_hand(floor, desk, "IBM")
        tick_signals.receive(desk, "AAPL", 1.0)
        report, settled = run_tick(desk, floor.session, desk.now_ns())
        assert [reason(verdict.failed) for verdict in report.verdicts] == ["RECONCILING"]
        assert not settled.opened
        assert desk.journal.fills(desk.book) == []
        with pytest.raises(InvalidInput, match="needs a reason"):
            adopt(desk, author="tester", reason="")
        assert adopt(desk, author="tester", reason="mine") == (1 if holds == "position" else 0)
        assert adopt(desk, author="tester", reason="again") == 0
        opening = {record.symbol: record for record in desk.journal.opening(desk.book)}
        assert opening[""].reason == "mine"
        breaks = sighted_twice(floor, desk)
        if holds == "position":
            assert breaks == {}
            assert opening["IBM"].qty == 3
            tick_signals.receive(desk, "MSFT", 1.0)
            report, settled = run_tick(desk, floor.session, floor.ticks()[0])
            assert [reason(v.failed) for v in report.verdicts if v.symbol == "MSFT"] == ["PASS"]
            assert settled.clean
        else:
            assert set(breaks) == {"ORPHAN_ORDER"}


def test_a_persons_resting_order_is_an_orphan_and_locks_its_symbol_at_the_second_sighting(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        orphan = rest_by_hand(floor, desk, "IBM")
        (first,) = reconcile(desk).breaks
        assert (first.kind, first.subject, first.sightings) == ("ORPHAN_ORDER", orphan, 1)
        assert locked(desk) == set()
        assert sighted_twice(floor, desk) == {"ORPHAN_ORDER": {orphan}}
        assert locked(desk) == {"IBM"}
        assert desk.halts().causes == ()
        tick_signals.receive(desk, "IBM", 1.0)
        tick_signals.receive(desk, "MSFT", 1.0)
        report, _ = run_tick(desk, floor.session, floor.ticks()[0])
        assert {v.symbol: reason(v.failed) for v in report.verdicts} == {
            "IBM": "RECONCILIATION_LOCK",
            "MSFT": "PASS",
        }
        person(floor).cancel_orders()
        assert sighted_twice(floor, desk) == {}
        assert locked(desk) == {"IBM"}  # it loosens by a person
        operator.rearm(desk, reason="it was mine", author="tester")
        assert locked(desk) == set()


def test_a_persons_trade_is_in_the_ledger_and_locks_its_symbol_until_a_rearm(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        floor.go_to_tick(1)
        orphan = buy_by_hand(floor, "IBM", 3)
        assert sighted_twice(floor, desk) == {"ORPHAN_ORDER": {orphan}}
        report = reconcile(desk)
        assert report.ledger.holdings["IBM"].qty == 3
        assert locked(desk) == {"IBM"}
        titles = [alert.title for alert in desk.journal.pending_alerts()]
        assert titles.count("IBM: an order that is not this desk's bought at the broker") == 1
        operator.rearm(desk, reason="it was mine", author="tester")
        floor.keeper.move_to(desk.now_ns() + 10**9)
        assert sighted_twice(floor, desk) == {}
        assert locked(desk) == set()


def test_a_position_that_nothing_explains_is_unexpected_and_its_cash_stops_entries(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        floor.go_to_tick(1)
        hidden(desk, "FILL")
        orphan = buy_by_hand(floor, "IBM", 3)
        assert sighted_twice(floor, desk) == {
            "ORPHAN_ORDER": {orphan},
            "MISSING_FILL": {orphan},
            "UNEXPECTED_POSITION": {"IBM"},
            "CASH": {"cash"},
        }
        assert locked(desk) == {"IBM"}
        assert desk.halts().causes == (Cause.BREAK,)
        tick_signals.receive(desk, "MSFT", 1.0)
        report, _ = run_tick(desk, floor.session, floor.ticks()[1])
        assert [reason(v.failed, v.cause) for v in report.verdicts] == ["REDUCE_ONLY cause=BREAK"]


def test_a_quantity_apart_is_a_break_and_the_position_is_not_overwritten(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        bought = buy(floor, desk)
        floor.go_to_tick(1)
        hidden(desk, "FILL")
        buy_by_hand(floor, "AAPL", 1)
        assert sighted_twice(floor, desk)["QUANTITY"] == {"AAPL"}
        assert reconcile(desk).ledger.holdings["AAPL"].qty == float(bought.intent.qty)


def test_a_fill_that_comes_late_repairs_the_break_from_the_brokers_evidence(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        now = floor.go_to_tick(1)
        desk.clock.sync()
        real = desk.broker
        hidden(desk, "FILL")
        tick_signals.receive(desk, "AAPL", 1.0)
        report, first = run_tick(desk, floor.session, now)
        (order,) = report.orders
        assert {record.kind for record in first.breaks} == {"MISSING_FILL", "UNEXPECTED_POSITION", "CASH"}
        assert locked(desk) == set()  # one sighting is none
        desk.broker = real
        floor.keeper.move_to(desk.now_ns() + 10**9)
        second = reconcile(desk)
        assert second.clean
        assert [fill.client_order_id for fill in second.new_fills] == [order.intent.client_order_id]
        assert desk.halts().causes == ()


def test_an_activity_that_is_booked_with_an_old_date_is_found_when_the_cash_is_apart(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        real = desk.broker
        hidden(desk, "CSD")
        floor.keeper.transfer(Decimal(500))
        floor.go_to_tick(11)  # hours later: beyond the overlap of the watermark
        assert [record.kind for record in reconcile(desk).breaks] == ["CASH"]
        desk.broker = real
        floor.keeper.move_to(desk.now_ns() + 10**9)
        assert reconcile(desk).clean
        assert desk.halts().causes == ()


def test_a_transfer_is_no_break(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        floor.keeper.transfer(Decimal("1234.56"))
        assert sighted_twice(floor, desk) == {}
        (entry,) = desk.journal.adjustments(desk.book)
        assert (entry.kind, entry.cash_delta, entry.author) == ("TRANSFER", Decimal("1234.56"), "broker")
        assert reconcile(desk).ledger.cash_usd == pytest.approx(101_234.56)


@pytest.mark.parametrize(("apart", "expected"), [("0.99", {}), ("1.01", {"CASH": {"cash"}})])
def test_cash_may_be_a_dollar_apart(floor: TradingFloor, apart: str, expected: dict[str, set[str]]) -> None:
    with floor.desk() as desk:
        reconcile(desk)
        hidden(desk, "CSD")
        floor.keeper.transfer(Decimal(apart))
        assert sighted_twice(floor, desk) == expected
        assert desk.halts().causes == ((Cause.BREAK,) if expected else ())


@pytest.mark.parametrize(("symbols", "causes"), [(3, ()), (4, (Cause.BREAK,))])
def test_more_than_three_locked_symbols_stop_all_entries(
    floor: TradingFloor, symbols: int, causes: tuple[Cause, ...]
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        names = ("AAPL", "GOOG", "IBM", "MSFT")[:symbols]
        for symbol in names:
            rest_by_hand(floor, desk, symbol)
        sighted_twice(floor, desk)
        assert locked(desk) == set(names)
        assert desk.halts().causes == causes


def test_an_order_that_the_broker_does_not_have_is_missing(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        planted = plant_order(desk, 1)
        assert sighted_twice(floor, desk) == {"MISSING_ORDER": {planted.intent.client_order_id}}
        assert locked(desk) == {"AAPL"}


def test_an_order_that_ended_long_after_it_was_sent_is_taken_in_and_not_missing(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        bid = desk.broker.quotes(["IBM"])["IBM"].bid
        assert bid is not None
        tick_signals.receive(desk, "IBM", 0.5, limit_price=bid * Decimal("0.996"))
        report, _ = run_tick(desk, floor.session, desk.now_ns())
        (order,) = report.orders
        for number in (1, 2):  # the watermark leaves the order's time behind
            floor.go_to_tick(number)
            floor.move_quote(desk, "IBM", "1.01")
            reconcile(desk)
        assert desk.journal.order(order.intent.client_order_id).state == "ACCEPTED"
        person(floor).cancel_orders()
        assert sighted_twice(floor, desk) == {}
        assert desk.journal.order(order.intent.client_order_id).state == "CANCELED"


def test_a_status_that_our_order_cannot_have_locks_its_symbol(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        planted = plant_order(desk, 1, symbol="IBM", limit_price="150", states=(State.SUBMITTING,))
        intent = planted.intent
        desk.broker.submit(NewOrder(intent.client_order_id, "IBM", Side.BUY, intent.qty, intent.limit_price))
        desk.journal.move(intent.client_order_id, State.REJECTED, at_ns=desk.now_ns())
        assert sighted_twice(floor, desk) == {"ORDER_STATUS": {intent.client_order_id}}
        assert {(lock.symbol, lock.cause) for lock in desk.journal.locks(desk.book)} == {
            ("IBM", "ORDER_STATE"),
            ("IBM", BREAK_LOCK),
        }


READS = ("account", "positions", "orders_since", "open_orders", "activities")


@pytest.mark.parametrize("read", READS)
def test_a_failed_fetch_concludes_nothing(floor: TradingFloor, read: str) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        before = desk.journal.mark(desk.book, "reconciled_ns")
        real = desk.broker
        floor.go_to_tick(1)

        def fails(*_: object) -> object:
            raise Unreachable(f"{read} did not answer")

        desk.broker = Altered(real, **{read: fails})
        with pytest.raises(Unreachable):
            reconcile(desk)
        assert desk.journal.open_breaks(desk.book) == []
        assert desk.journal.mark(desk.book, "reconciled_ns") == before
        desk.broker = real
        assert reconcile(desk).clean


def foreign(desk: Desk) -> str:
    """An id with our prefix that no intent has."""
    return client_order_id(decision_id(desk.book, Kind.EXTERNAL, "IBM", "nobody"), Side.BUY, 0, 1)


def test_an_order_with_our_prefix_and_no_intent_halts_and_is_cancelled(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        own = rest_by_hand(floor, desk, "MSFT")
        rest_by_hand(floor, desk, "IBM", foreign(desk))
        report = protect_alone(desk, new_execution_id())
        assert report.reconciliation.foreign
        assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
        assert [order.client_order_id for order in desk.broker.open_orders()] == [own]  # a person's is left


def test_an_order_that_is_not_what_was_meant_halts(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        reconcile(desk)
        intent = plant_order(desk, 1, symbol="IBM", qty="2", limit_price="150").intent
        desk.broker.submit(NewOrder(intent.client_order_id, "IBM", Side.BUY, Decimal(3), intent.limit_price))
        reconcile(desk)
        assert desk.halts().causes == (Cause.FOREIGN_ORDER,)


def test_a_split_that_the_ledger_does_not_have_is_a_corporate_action(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(session=date(2005, 2, 25), symbols=("AAPL", "IBM", "MSFT"))
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        hidden(desk, "SPLIT")
        floor.go_to_session(date(2005, 2, 28))
        assert sighted_twice(floor, desk) == {"CORPORATE_ACTION": {"AAPL"}}
        assert locked(desk) == {"AAPL"}


def test_an_average_cost_is_compared_for_information_and_is_no_break(
    floor: TradingFloor, caplog: pytest.LogCaptureFixture
) -> None:
    floor.go_to_tick(0)
    caplog.set_level("INFO", "trading_assets")
    with floor.desk() as desk:
        buy(floor, desk)
        (position,) = desk.broker.positions()
        for cents, apart in (("0", False), ("0.9", False), ("1.1", True), ("-1.1", True)):
            theirs = position.avg_entry_price + Decimal(cents) / 100
            planted = replace(position, avg_entry_price=theirs)
            desk.broker = Altered(desk.broker, positions=lambda planted=planted: [planted])
            report = reconcile(desk)
            assert report.clean
            (cost,) = report.average_costs
            assert (cost.symbol, cost.theirs, cost.apart) == ("AAPL", float(theirs), apart)
            assert cost.ours == pytest.approx(float(position.avg_entry_price), abs=1e-6)
            messages = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
            last = [line for line in messages if line["event"] == "reconciled"][-1]
            assert last["average_costs_apart"] == ([f"AAPL {cost.ours:g} {cost.theirs:g}"] if apart else [])
