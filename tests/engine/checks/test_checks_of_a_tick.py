"""All checks together over real ticks: green while all is well, red for what was traded past the gate."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_ticks import buy, buy_dear, run_tick
from support.planted import buy_behind_our_back, red
from support.trading_floor import TradingFloor

from trading_assets.core.orders import Kind, client_order_id, decision_id
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.engine.checks.book_limits import limit_checks
from trading_assets.engine.checks.data import data_checks
from trading_assets.engine.checks.orders import fill_checks, order_checks
from trading_assets.engine.checks.table import CHECKS, PROBLEMS_SHOWN, CheckOutcome, outcome
from trading_assets.engine.signals import tick_signals


def all_checks(floor: TradingFloor, desk: Desk, tick_ns: int) -> list[CheckOutcome]:
    session = floor.session
    return [
        *data_checks(desk, session, tick_ns),
        *order_checks(desk, session),
        *fill_checks(desk, session),
        *limit_checks(desk),
    ]


def test_every_check_is_green_after_ticks_with_entries_exits_refusals_and_resting_orders(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, "AAPL")
        buy(floor, desk, "IBM")
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        bid = desk.broker.quotes(["MSFT"])["MSFT"].bid
        assert bid is not None
        tick_signals.receive(desk, "AAPL", -1.0)
        tick_signals.receive(desk, "IBM", 0.4)
        tick_signals.receive(desk, "MSFT", 1.0, limit_price=bid * Decimal("0.996"))
        tick_signals.receive(desk, "GOOG", 1.0, reference_price=bid)  # far from its price: refused
        report, _ = run_tick(desk, floor.session, now)
        assert sorted(report.outcomes.values()) == ["ORDERED", "ORDERED", "ORDERED", "REFUSED"]
        outcomes = all_checks(floor, desk, now)
        assert [outcome.check for outcome in outcomes] == list(CHECKS)
        assert red(outcomes) == set()


def test_what_a_person_trades_past_the_gate_is_red(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, "AAPL")
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        buy_behind_our_back(desk, "IBM", 30, "person-1")  # 6 % of equity
        run_tick(desk, floor.session, now)
        assert red(all_checks(floor, desk, now)) == {"each_belongs_to_an_order", "position_limit"}
        foreign = client_order_id(decision_id(desk.book, Kind.EXTERNAL, "IBM", "nobody"), Side.BUY, 0, 1)
        buy_behind_our_back(desk, "MSFT", 1, foreign)
        result = red(all_checks(floor, desk, now))
        assert {"no_foreign_order", "all_received", "ledger_equals_broker", "cash_agrees"} <= result


@pytest.mark.parametrize(("halted", "expected"), [(False, set()), (True, {"stop_loss"})])
def test_a_stop_that_a_halt_holds_back_is_red_and_one_that_was_sold_is_not(
    floor: TradingFloor, halted: bool, expected: set[str]
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        if halted:
            now = desk.now_ns()
            latch(desk.journal, desk.book, Cause.KILL, at_ns=now, session=desk.session_text(), reason="x")
        assert "stop_loss" not in red(limit_checks(desk))  # protection has not looked since
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        run_tick(desk, floor.session, now)
        assert red(all_checks(floor, desk, now)) & {"stop_loss"} == expected


def test_a_detail_names_the_first_problems_and_counts_the_others() -> None:
    named = outcome("bars.sane", [f"bar {number}" for number in range(PROBLEMS_SHOWN)])
    assert named.detail.endswith(f"bar {PROBLEMS_SHOWN - 1}")
    many = outcome("bars.sane", [f"bar {number}" for number in range(500)])
    assert not many.passed
    assert many.detail.endswith(f"bar {PROBLEMS_SHOWN - 1}; and {500 - PROBLEMS_SHOWN} more")
