"""One tick at engine level on the real exchange: from a signal to a reconciled position."""

from __future__ import annotations

import pytest
from engine_ticks import buy_dear, execute, prepare, run_tick
from support.trading_floor import TradingFloor

from trading_assets.core.gate import reason
from trading_assets.engine.records.status import book_status
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks.tick import NotThisTick
from trading_assets.market.clock import ClockUnread

SECOND_NS = 1_000_000_000


def test_a_signal_passes_the_gate_is_filled_and_reconciled(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        report, reconciled = run_tick(desk, floor.session, now)
        assert [reason(v.failed) for v in report.verdicts] == ["PASS"]
        (order,) = report.orders
        assert order.state == "FILLED"
        assert list(report.outcomes.values()) == ["ORDERED"]
        assert reconciled.clean
        assert reconciled.ledger.holdings["AAPL"].qty == float(reconciled.positions["AAPL"].qty) == 1.0
        stored = desk.history.query("SELECT state, filled_qty FROM orders").to_pylist()
        assert stored == [{"state": "FILLED", "filled_qty": 1.0}]
        assert desk.history.query("SELECT count(*) AS n FROM verdicts").to_pylist() == [{"n": 34}]


def test_a_signal_older_than_the_limit_is_refused(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15, as_of_ns=now - 130 * SECOND_NS)
        report, _ = run_tick(desk, floor.session, now)
        assert [reason(v.failed) for v in report.verdicts] == ["STALE_SIGNAL"]
        assert not report.orders
        assert not desk.broker.orders_since(0)


def test_a_step_done_again_sends_nothing_and_stores_nothing_twice(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        run_tick(desk, floor.session, now)
        before = desk.history.query("SELECT count(*) AS n FROM bars").to_pylist()
    with floor.desk() as desk:
        report, reconciled = run_tick(desk, floor.session, now)
        assert not report.orders
        assert reconciled.clean
        assert len(desk.broker.orders_since(0)) == 1
        assert desk.history.query("SELECT count(*) AS n FROM bars").to_pylist() == before
        assert desk.history.query("SELECT count(*) AS n FROM signals").to_pylist() == [{"n": 1}]


def test_a_tick_without_stored_data_checks_sends_no_entry(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, floor.session, now)
    later = floor.go_to_tick(1)
    with floor.desk() as desk:
        # The step before stored signals for the new tick, but no check was run for it.
        tick_signals.receive(desk, "IBM", 0.5)
        tick_signals.store_signals(desk, floor.session, later)
        report = execute(desk, floor.session, later)
        assert report.vetoed
        assert {reason(v.failed, v.cause) for v in report.verdicts} == {"REDUCE_ONLY cause=CHECKS_FAILED"}
        assert not report.orders


def test_another_session_and_a_late_tick_are_refused(floor: TradingFloor) -> None:
    floor.go_to_tick(3)
    with floor.desk() as desk:
        with pytest.raises(NotThisTick, match="current session only"):
            execute(desk, floor.sessions.previous(floor.session), floor.ticks()[3])
        with pytest.raises(NotThisTick, match="still to come"):
            execute(desk, floor.session, floor.ticks()[4])
        with pytest.raises(NotThisTick, match="late"):
            execute(desk, floor.session, floor.ticks()[0])


def test_where_the_brokers_clock_cannot_be_read_no_other_time_is_shown_as_the_venues(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(3)
    with floor.desk() as desk:
        desk.begin()
        assert desk.told_now() == "it is 2012-09-11 11:30:00 EDT at the venue"
    silence = [{"kind": "server_error", "path": "/v2/clock", "times": None}]
    floor.keeper.script(silence)
    with floor.desk() as desk:
        assert not desk.clock.sync()
        for message in (desk.told_now(), book_status(desk).time_source):
            assert "by this machine; the broker's clock cannot be read: " in message
            assert "at the venue" not in message
    floor.keeper.script([])
    with floor.desk() as desk:
        buy_dear(floor, desk)
    floor.keeper.script(silence)
    with floor.desk() as desk:
        assert not desk.clock.sync()
        assert "by the journal's last figures; the broker's clock cannot be read: " in desk.told_now()
    floor.keeper.script([])


def test_a_tick_whose_venue_does_not_tell_the_time_protects_and_says_so(floor: TradingFloor) -> None:
    tick_ns = floor.go_to_tick(3)
    with floor.desk() as desk:
        buy_dear(floor, desk)  # the book is known, and so is the time of its last figures
    floor.keeper.script([{"kind": "server_error", "path": "/v2/clock", "times": None}])
    with floor.desk() as desk, pytest.raises(ClockUnread, match="has not been read"):
        execute(desk, floor.session, tick_ns)
    floor.keeper.script([])
    with floor.desk() as desk:
        assert list(desk.broker.positions()) == []  # at its stop, and sold
