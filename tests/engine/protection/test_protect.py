"""Stops and unfilled exits on the real exchange: when they fire, when not, and what cannot hold them up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_ticks import buy, buy_dear, execute, prepare, run_tick
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, OrderState, Unreachable
from trading_assets.core.gate import reason
from trading_assets.core.orders import PREFIX
from trading_assets.core.words import Side
from trading_assets.engine.book.accounting import verify_checkpoint
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.engine.checks import data, table
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.exits_over import STOP_LOCK
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.market.sessions import MINUTE_NS
from trading_assets.store.history import History, HistoryLocked

SYMBOLS_OF_2005 = ("AAPL", "IBM", "MSFT")


def protect(desk: Desk) -> tuple[str, ...]:
    """The symbols whose stop is in force after a protect."""
    return protect_alone(desk, new_execution_id()).stopped


def stop_locked(desk: Desk) -> set[str]:
    return {lock.symbol for lock in desk.journal.locks(desk.book) if lock.cause == STOP_LOCK}


def held(desk: Desk) -> dict[str, Decimal]:
    return {position.symbol: position.qty for position in desk.broker.positions()}


def outrun(floor: TradingFloor, desk: Desk, symbol: str) -> None:
    """From now on the market leaves each order of the symbol behind before it arrives."""
    real = desk.broker

    def submit(order: NewOrder) -> OrderState:
        if order.symbol == symbol:
            floor.move_quote(desk, symbol, "0.99" if order.side == Side.SELL else "1.01")
        return real.submit(order)

    desk.broker = Altered(real, submit=submit)


def reenter(floor: TradingFloor, desk: Desk, symbol: str = "AAPL") -> set[str]:
    """What the gate says to a new signal for the symbol."""
    tick_signals.receive(desk, symbol, 1.0)
    report, _ = run_tick(desk, floor.session, desk.now_ns())
    return {reason(v.failed, v.cause) for v in report.verdicts if v.symbol == symbol}


def test_a_bid_through_the_stop_sells_at_once_and_lets_nobody_in_again_that_session(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        bought = buy_dear(floor, desk)
        report = protect_alone(desk, new_execution_id())
        (order,) = report.orders
        assert report.stopped == ("AAPL",)
        assert (order.intent.kind, order.intent.side, order.intent.qty, order.state) == (
            "stop",
            Side.SELL,
            bought.intent.qty,
            "FILLED",
        )
        assert held(desk) == {}
        assert desk.halts().causes == ()  # a stop is no halt
        floor.go_to_tick(1)
        desk.clock.sync()
        assert reenter(floor, desk) == {"RECONCILIATION_LOCK"}
        assert reenter(floor, desk, "IBM") == {"PASS"}
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        assert protect(desk) == ()
        assert stop_locked(desk) == set()
        assert reenter(floor, desk) == {"PASS"}


def test_a_stop_is_sticky_and_repriced_as_the_next_attempt_with_an_alert_after_three(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        outrun(floor, desk, "AAPL")
        attempts, limits = [], []
        for number in range(1, 5):
            (order,) = protect_alone(desk, new_execution_id()).orders
            assert order.state == "ACCEPTED"
            attempts.append(order.intent.attempt)
            limits.append(order.intent.limit_price)
            assert protect_alone(desk, new_execution_id()).orders == ()  # not while one is at work
            floor.go_to_tick(number)
            titles = [alert.title for alert in desk.journal.pending_alerts()]
            assert ("AAPL: exit attempt 4" in titles) == (number == 4)
        assert attempts == [1, 2, 3, 4]
        assert limits == sorted(limits, reverse=True)
    with floor.desk() as desk:
        (resting,) = desk.broker.open_orders()
        desk.broker.cancel(resting.id)
        floor.move_quote(desk, "AAPL", "1.2")  # far above the stop again: it stays in force until flat
        (order,) = protect_alone(desk, new_execution_id()).orders
        assert (order.intent.attempt, order.state) == (5, "FILLED")
        assert held(desk) == {}


def test_a_stop_of_yesterday_that_is_sold_today_keeps_the_symbol_closed_today(floor: TradingFloor) -> None:
    floor.go_to_tick(11)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        outrun(floor, desk, "AAPL")
        assert protect(desk) == ("AAPL",)
    floor.go_to_session(floor.sessions.next(floor.session))
    floor.keeper.tape_quote("AAPL")
    with floor.desk() as desk:
        assert protect(desk) == ("AAPL",)
        assert held(desk) == {}
        assert reenter(floor, desk) == {"RECONCILIATION_LOCK"}
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        assert reenter(floor, desk) == {"PASS"}


def test_no_stop_fires_on_a_bid_that_no_trade_confirms(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.move_quote(desk, "AAPL", "0.9")
        assert protect(desk) == ()
        assert len(held(desk)) == 1


def test_no_stop_fires_on_a_bid_that_is_not_there(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        ask = desk.broker.quotes(["AAPL"])["AAPL"].ask
        assert ask is not None
        floor.keeper.quote("AAPL", 0, float(ask))
        assert protect(desk) == ()
        floor.keeper.tape_quote("AAPL")
        assert protect(desk) == ("AAPL",)


def test_no_stop_fires_on_a_stale_quote(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        floor.keeper.halt("AAPL")
        floor.keeper.move_to(desk.now_ns() + 121 * 10**9)
        desk.clock.sync()
        assert protect(desk) == ()
        floor.keeper.halt("AAPL", halted=False)
        assert protect(desk) == ("AAPL",)


def test_a_position_above_its_stop_is_left_alone(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        floor.move_quote(desk, "AAPL", "1.045")
        buy(floor, desk)
        floor.keeper.tape_quote("AAPL")
        assert protect(desk) == ()


def test_stops_fire_under_reduce_only(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        latch(desk.journal, desk.book, Cause.BREAK, at_ns=1, session=desk.session_text(), reason="planted")
        assert protect(desk) == ("AAPL",)
        assert held(desk) == {}


def test_stops_do_not_fire_under_a_kill_and_that_is_said_loudly(
    floor: TradingFloor, caplog: pytest.LogCaptureFixture
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        operator.kill(desk, reason="test", author="tester")
        report = protect_alone(desk, new_execution_id())
        assert (report.stopped, report.verdicts) == (("AAPL",), ())
        assert len(held(desk)) == 1
        assert "stops do not fire" in caplog.text
        assert any("Stops do not fire" in alert.title for alert in desk.journal.pending_alerts())
        operator.rearm(desk, reason="test over", author="tester")
        assert protect(desk) == ("AAPL",)
        assert held(desk) == {}


def by_hand(desk: Desk, symbol: str, side: Side, qty: Decimal, factor: str) -> None:
    """A person's order at `factor` times the bid, past the desk."""
    bid = desk.broker.quotes([symbol])[symbol].bid
    assert bid is not None
    limit = (bid * Decimal(factor)).quantize(Decimal("0.01"))
    desk.broker.submit(NewOrder(f"by-hand-{symbol}-{factor}", symbol, side, qty, limit))


def working(desk: Desk) -> list[str]:
    return [order.symbol for order in desk.broker.open_orders()]


@pytest.fixture(params=["file", "environment"])
def killing(request: pytest.FixtureRequest) -> Callable[[Desk], None]:
    """Sets a kill that the desk is yet to see."""

    def kill(desk: Desk) -> None:
        if request.param == "file":
            desk.kill_file.touch()
        else:
            desk.environ = {"KILL_SWITCH": "1"}

    return kill


def test_a_kill_that_protect_sees_cancels_a_persons_orders_too_and_tells_of_it_once(
    floor: TradingFloor, killing: Callable[[Desk], None]
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        by_hand(desk, "IBM", Side.BUY, Decimal(1), "0.9")
        by_hand(desk, "AAPL", Side.SELL, held(desk)["AAPL"], "1.1")
        protect(desk)
        assert working(desk) == ["IBM", "AAPL"]
        killing(desk)
        report = protect_alone(desk, new_execution_id())
        assert working(desk) == []
        assert (report.cancelled, report.orders) == ((), ())
        by_hand(desk, "IBM", Side.BUY, Decimal(1), "0.8")  # one more, under the kill
        protect(desk)
        protect(desk)
        assert working(desk) == []
        assert desk.halts().causes == (Cause.KILL,)
        titles = [alert.title for alert in desk.journal.pending_alerts()]
        assert titles.count("IBM: a person's order is cancelled") == 2
        assert titles.count("AAPL: a person's order is cancelled") == 1


def test_a_kill_that_flattens_sells_what_a_persons_order_held_and_lets_that_sale_work(
    floor: TradingFloor, killing: Callable[[Desk], None]
) -> None:
    floor.go_to_tick(0)
    with floor.desk(flatten_on_kill=True) as desk:
        buy(floor, desk)
        by_hand(desk, "AAPL", Side.SELL, held(desk)["AAPL"], "1.1")
        outrun(floor, desk, "AAPL")
        killing(desk)
        (sale,) = protect_alone(desk, new_execution_id()).orders
        assert (sale.intent.kind, sale.intent.qty, sale.state) == ("flatten", held(desk)["AAPL"], "ACCEPTED")
        by_hand(desk, "IBM", Side.BUY, Decimal(1), "0.9")
        assert protect_alone(desk, new_execution_id()).orders == ()
        assert [order.id for order in desk.broker.open_orders()] == [sale.broker_order_id]
        floor.keeper.tape_quote("AAPL")
        protect(desk)
        assert held(desk) == {}


def test_a_foreign_order_that_halts_leaves_a_persons_orders_working(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        by_hand(desk, "IBM", Side.BUY, Decimal(1), "0.9")
        desk.broker.submit(NewOrder(f"{PREFIX}stray", "MSFT", Side.BUY, Decimal(1), Decimal(1)))
        protect(desk)
        assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
        assert working(desk) == ["IBM"]


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """Another process that holds the DuckDB file open, as a notebook does."""
    script = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().strip() == b"open"
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(10)


def test_a_stop_sells_and_a_kill_works_while_another_process_holds_the_history(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        path = desk.history.path
    now = floor.go_to_tick(1)
    with held_open(path), floor.desk() as desk:
        desk.history = History(path, retry_seconds=0.2)
        with pytest.raises(HistoryLocked):
            desk.history.query("SELECT 1")
        tick_signals.receive(desk, "IBM", 1.0)
        report = execute(desk, floor.session, now)
        assert [(order.intent.kind, order.state) for order in report.orders] == [("stop", "FILLED")]
        assert held(desk) == {}
        assert "history.readable" in report.vetoed
        assert {reason(v.failed, v.cause) for v in report.verdicts if v.symbol == "IBM"} == {
            "REDUCE_ONLY cause=CHECKS_FAILED"
        }
        operator.kill(desk, reason="test", author="tester")
        assert desk.halts().causes == (Cause.KILL,)


def test_a_history_that_stays_locked_is_not_alerted_on_at_every_tick(floor: TradingFloor) -> None:
    first = floor.go_to_tick(0)
    with floor.desk() as desk:
        desk.history.query("SELECT 1")
        path = desk.history.path
    with held_open(path):
        for minutes in (5, 10, 25):
            now = first + minutes * MINUTE_NS
            floor.keeper.move_to(now)
            with floor.desk(tick_minutes=5) as desk:
                desk.history = History(path, retry_seconds=0.2)
                execute(desk, floor.session, now)
                titles = [alert.title for alert in desk.journal.pending_alerts()]
                assert titles.count("History not readable: no entries") == 1


@pytest.mark.parametrize("how", ["failed", "missing"])
def test_data_checks_veto_entries_while_a_stop_sells_in_the_same_execution(
    floor: TradingFloor, how: str
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        tick_signals.receive(desk, "IBM", 1.0)
        if how == "failed":
            prepare(desk, floor.session, now)
            with desk.history.writing() as connection:
                connection.execute("UPDATE signals SET value = 1.5 WHERE tick_ns = ?", [now])
            table.record(desk, floor.session, now, data.signal_checks(desk, floor.session, now))
        else:
            tick_signals.store_signals(desk, floor.session, now)
        report = execute(desk, floor.session, now)
        assert [(order.intent.kind, order.state) for order in report.orders] == [("stop", "FILLED")]
        assert {reason(v.failed, v.cause) for v in report.verdicts if v.symbol == "IBM"} == {
            "REDUCE_ONLY cause=CHECKS_FAILED"
        }


def test_without_the_brokers_clock_entries_wait_while_a_stop_sells(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        tick_signals.receive(desk, "IBM", 1.0)
        prepare(desk, floor.session, now)

        def unreadable() -> None:
            raise Unreachable("the clock does not answer")

        monkeypatch.setattr(desk.broker, "clock", unreadable)
        report = execute(desk, floor.session, now)
        assert [(order.intent.kind, order.state) for order in report.orders] == [("stop", "FILLED")]
        assert {reason(v.failed, v.cause) for v in report.verdicts if v.symbol == "IBM"} == {
            "REDUCE_ONLY cause=BROKER_UNREACHABLE"
        }
        monkeypatch.undo()
        assert protect_alone(desk, new_execution_id()).transient == ()  # it lasts as long as its reason


def test_an_exit_by_signal_that_does_not_fill_is_sent_again_at_the_new_price(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        bought = buy(floor, desk)
        now = floor.go_to_tick(1)
        desk.clock.sync()
        outrun(floor, desk, "AAPL")
        tick_signals.receive(desk, "AAPL", -1.0)
        report, _ = run_tick(desk, floor.session, now)
        (first,) = report.orders
        assert first.state == "ACCEPTED"
    floor.go_to_tick(2)
    with floor.desk() as desk:
        report_2 = protect_alone(desk, new_execution_id())
        (second,) = report_2.orders
        assert second.intent.decision_id == first.intent.decision_id
        assert (second.intent.attempt, second.state) == (2, "FILLED")
        assert second.intent.limit_price < first.intent.limit_price
        assert second.intent.qty == bought.intent.qty
        assert desk.journal.order(first.intent.client_order_id).state == "CANCELED"
        assert held(desk) == {}


def test_an_unfilled_exit_sells_again_no_more_than_it_was_to_sell(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        before = held(desk)["AAPL"]
        now = floor.go_to_tick(1)
        desk.clock.sync()
        outrun(floor, desk, "AAPL")
        tick_signals.receive(desk, "AAPL", 0.5)  # trims to half
        report, _ = run_tick(desk, floor.session, now)
        (first,) = report.orders
        assert 0 < first.intent.qty < before
    floor.go_to_tick(2)
    with floor.desk() as desk:
        (second,) = protect_alone(desk, new_execution_id()).orders
        assert (second.intent.qty, second.intent.attempt) == (first.intent.qty, 2)
        assert held(desk)["AAPL"] == before - first.intent.qty
        assert protect_alone(desk, new_execution_id()).orders == ()


def over_night(start_floor: Callable[..., TradingFloor], evening: date, symbol: str) -> None:
    """Buy in the evening and pass the ex-date's open: no stop, no loss, no break, no figure apart."""
    floor = start_floor(session=evening, symbols=SYMBOLS_OF_2005)
    floor.go_to_tick(11)
    with floor.desk() as desk:
        buy(floor, desk, symbol)
    floor.keeper.move_to(floor.sessions.close_ns(evening) + 600 * 10**9)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        evening_figures = desk.journal.latest_equity(desk.book)
        before = held(desk)[symbol]
    assert evening_figures is not None
    morning = floor.sessions.next(evening)
    floor.keeper.move_to(floor.sessions.open_ns(morning) - 600 * 10**9)
    with floor.desk() as desk:
        report = protect_alone(desk, new_execution_id())
        night = desk.journal.latest_equity(desk.book)
        assert night is not None
        # The night is no P&L: what the dividend or split takes from the price comes back as cash or shares.
        assert float(night.equity) == pytest.approx(float(evening_figures.equity), abs=0.02)
        assert night.unit_value == pytest.approx(evening_figures.unit_value, rel=1e-6)
        assert night.unit_peak == pytest.approx(evening_figures.unit_peak, rel=1e-6)
        assert float(night.e0) == pytest.approx(float(evening_figures.equity), abs=0.02)
        assert float(night.session_peak) == pytest.approx(float(night.equity), abs=0.02)
        assert report.transient == ()  # E0 fits the close that was stored
        assert report.reconciliation.clean
        (booked,) = desk.journal.adjustments(desk.book)
        assert booked.kind == ("SPLIT" if symbol == "AAPL" else "DIVIDEND")
    floor.go_to_session(morning)
    with floor.desk() as desk:
        report = protect_alone(desk, new_execution_id())
        assert (report.stopped, report.transient, report.reconciliation.breaks) == ((), (), ())
        assert desk.halts().causes == ()
        assert held(desk)[symbol] == before * (2 if symbol == "AAPL" else 1)
        assert verify_checkpoint(desk.journal, desk.book)
        assert reenter(floor, desk, "IBM") == {"PASS"}
        assert desk.journal.pending_alerts() == []


def test_a_split_over_night_is_no_loss_no_break_and_no_stop(start_floor: Callable[..., TradingFloor]) -> None:
    over_night(start_floor, date(2005, 2, 25), "AAPL")


def test_a_dividend_over_night_is_no_loss_no_break_and_no_stop(
    start_floor: Callable[..., TradingFloor],
) -> None:
    over_night(start_floor, date(2004, 11, 12), "MSFT")


def test_a_split_that_the_broker_books_late_fires_no_stop(start_floor: Callable[..., TradingFloor]) -> None:
    floor = start_floor(session=date(2005, 2, 25), symbols=SYMBOLS_OF_2005)
    floor.go_to_tick(11)
    with floor.desk() as desk:
        buy(floor, desk)
    floor.go_to_session(date(2005, 2, 28))
    with floor.desk() as desk:
        real = desk.broker
        halves = [
            type(position)(
                position.symbol, position.qty / 2, position.avg_entry_price, position.available / 2
            )
            for position in real.positions()
        ]
        unbooked: dict[str, Any] = {
            "activities": lambda since: [a for a in real.activities(since) if a.type.name != "SPLIT"],
            "positions": lambda: halves,
        }
        desk.broker = Altered(real, **unbooked)
        assert protect(desk) == ()
        assert held(desk)["AAPL"] == halves[0].qty
        desk.broker = real
        assert protect(desk) == ()
        assert held(desk)["AAPL"] == halves[0].qty * 2
