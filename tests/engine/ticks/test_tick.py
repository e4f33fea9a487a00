"""One tick at engine level on the real exchange: from a signal to a reconciled position."""

from __future__ import annotations

import pytest
from ground import Ground, buy_dear, execute, prepare, run_tick

from trading_assets.core.gate import reason
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks.tick import NotThisTick
from trading_assets.market.clock import ClockUnread

SECOND_NS = 1_000_000_000


def test_a_signal_passes_the_gate_is_filled_and_reconciled(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        report, reconciled = run_tick(desk, ground.session, now)
        assert [reason(v.failed) for v in report.verdicts] == ["PASS"]
        (order,) = report.orders
        assert order.state == "FILLED"
        assert list(report.outcomes.values()) == ["ORDERED"]
        assert reconciled.clean
        assert reconciled.ledger.holdings["AAPL"].qty == float(reconciled.positions["AAPL"].qty) == 1.0
        stored = desk.history.query("SELECT state, filled_qty FROM orders").to_pylist()
        assert stored == [{"state": "FILLED", "filled_qty": 1.0}]
        assert desk.history.query("SELECT count(*) AS n FROM verdicts").to_pylist() == [{"n": 34}]


def test_a_signal_older_than_the_limit_is_refused(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15, as_of_ns=now - 130 * SECOND_NS)
        report, _ = run_tick(desk, ground.session, now)
        assert [reason(v.failed) for v in report.verdicts] == ["STALE_SIGNAL"]
        assert not report.orders
        assert not desk.broker.orders_since(0)


def test_a_step_done_again_sends_nothing_and_stores_nothing_twice(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        run_tick(desk, ground.session, now)
        before = desk.history.query("SELECT count(*) AS n FROM bars").to_pylist()
    with ground.desk() as desk:
        report, reconciled = run_tick(desk, ground.session, now)
        assert not report.orders
        assert reconciled.clean
        assert len(desk.broker.orders_since(0)) == 1
        assert desk.history.query("SELECT count(*) AS n FROM bars").to_pylist() == before
        assert desk.history.query("SELECT count(*) AS n FROM signals").to_pylist() == [{"n": 1}]


def test_a_tick_without_stored_data_checks_sends_no_entry(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        tick_signals.receive(desk, "AAPL", 0.15)
        prepare(desk, ground.session, now)
    later = ground.go_to_tick(1)
    with ground.desk() as desk:
        # The step before stored signals for the new tick, but no check was run for it.
        tick_signals.receive(desk, "IBM", 0.5)
        tick_signals.store_signals(desk, ground.session, later)
        report = execute(desk, ground.session, later)
        assert report.vetoed
        assert {reason(v.failed, v.cause) for v in report.verdicts} == {"REDUCE_ONLY cause=CHECKS_FAILED"}
        assert not report.orders


def test_another_session_and_a_late_tick_are_refused(ground: Ground) -> None:
    ground.go_to_tick(3)
    with ground.desk() as desk:
        with pytest.raises(NotThisTick, match="current session only"):
            execute(desk, ground.sessions.previous(ground.session), ground.ticks()[3])
        with pytest.raises(NotThisTick, match="still to come"):
            execute(desk, ground.session, ground.ticks()[4])
        with pytest.raises(NotThisTick, match="late"):
            execute(desk, ground.session, ground.ticks()[0])


def test_a_tick_whose_venue_does_not_tell_the_time_protects_and_says_so(ground: Ground) -> None:
    tick_ns = ground.go_to_tick(3)
    with ground.desk() as desk:
        buy_dear(ground, desk)  # the book is known, and so is the time of its last figures
    ground.keeper.script([{"kind": "server_error", "path": "/v2/clock", "times": None}])
    with ground.desk() as desk, pytest.raises(ClockUnread, match="has not been read"):
        execute(desk, ground.session, tick_ns)
    ground.keeper.script([])
    with ground.desk() as desk:
        assert list(desk.broker.positions()) == []  # at its stop, and sold
