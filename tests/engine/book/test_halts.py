"""Every halt trigger on the real exchange: what it latches, what it stops, and who ends it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from engine_ticks import buy, prepare, run_tick
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import Unreachable
from trading_assets.core.gate import reason
from trading_assets.core.words import HaltState
from trading_assets.engine.book.desk import LIMITS_MARK, Desk
from trading_assets.engine.book.halts import (
    STATE_OF,
    Cause,
    clear_all,
    end_session_drawdown,
    in_force,
    kill_switch_seen,
    latch,
)
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import Journal

LARGE = {"max_position_pct": 0.9, "max_order_notional": 95_000.0, "max_gross_exposure": 0.95}
BELOW = Decimal("0.996")  # rests there, inside the price collar


def rest_order(floor: TradingFloor, desk: Desk, symbol: str = "IBM") -> str:
    """An entry that rests below the market; its client order id."""
    bid = desk.broker.quotes([symbol])[symbol].bid
    assert bid is not None
    tick_signals.receive(desk, symbol, 0.5, limit_price=bid * BELOW)
    report, _ = run_tick(desk, floor.session, desk.now_ns())
    (order,) = report.orders
    assert order.state == "ACCEPTED"
    return order.intent.client_order_id


def causes_after_protect(desk: Desk) -> tuple[Cause, ...]:
    protect_alone(desk, new_execution_id())
    return desk.halts().causes


def reasons_of_a_new_signal(floor: TradingFloor, desk: Desk, symbol: str = "MSFT") -> set[str]:
    tick_signals.receive(desk, symbol, 0.5)
    report, _ = run_tick(desk, floor.session, desk.now_ns())
    return {reason(v.failed, v.cause) for v in report.verdicts if v.symbol == symbol}


def lose(floor: TradingFloor, desk: Desk, equity_share: float, symbol: str = "AAPL") -> None:
    """Move the only large position's quote so that equity falls by a share of what it is."""
    account = desk.broker.account()
    (position,) = (p for p in desk.broker.positions() if p.symbol == symbol)
    quote = desk.broker.quotes([symbol])[symbol]
    assert quote.bid is not None
    fall = equity_share * float(account.equity) / float(position.qty * quote.bid)
    floor.move_quote(desk, symbol, f"{1 - fall:.6f}")


def test_a_kill_cancels_what_works_refuses_what_follows_and_outlives_the_process(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        resting = rest_order(floor, desk)
        (cancelled,) = operator.kill(desk, reason="test", author="tester")
        assert (cancelled.intent.client_order_id, cancelled.state) == (resting, "CANCELED")
        assert desk.broker.open_orders() == []
        assert reasons_of_a_new_signal(floor, desk) == {"KILL_SWITCH_ACTIVE cause=KILL"}
        book, path = desk.book, floor.settings.data_dir / "journal.sqlite"
    script = (
        "import sys; from trading_assets.engine.book.halts import in_force; "
        "from trading_assets.store.journal import Journal; "
        "print(in_force(Journal.open(sys.argv[1]), sys.argv[2]).state.name)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", script, str(path), book], capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "HALTED"


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_kill_that_is_set_latches_and_unsetting_it_clears_nothing(floor: TradingFloor, where: str) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        resting = rest_order(floor, desk)
        kill_file = desk.kill_file
    if where == "file":
        kill_file.touch()
    with floor.desk(environ={"KILL_SWITCH": "yes"} if where == "environment" else {}) as desk:
        assert causes_after_protect(desk) == (Cause.KILL,)
        assert desk.journal.order(resting).state == "CANCELED"
        with pytest.raises(InvalidInput, match="the kill is still set"):
            operator.rearm(desk, reason="I want to", author="tester")
        assert desk.halts().state is HaltState.HALTED
    kill_file.unlink(missing_ok=True)
    with floor.desk() as desk:
        assert causes_after_protect(desk) == (Cause.KILL,)
        with pytest.raises(InvalidInput, match="needs a reason"):
            operator.rearm(desk, reason=" ", author="tester")
        assert operator.rearm(desk, reason="it was a test", author="tester") == (Cause.KILL,)
        assert desk.halts().state is HaltState.ACTIVE
        assert reasons_of_a_new_signal(floor, desk) == {"PASS"}
        act = desk.journal.halts(desk.book)[-1]
        assert (act.action, act.author, act.reason) == ("clear", "tester", "it was a test")


@pytest.mark.parametrize("value", [None, "", "0", "false", "no"])
def test_a_kill_variable_that_is_not_set_or_says_no_is_no_kill(value: str | None, tmp_path: Path) -> None:
    assert kill_switch_seen({} if value is None else {"KILL_SWITCH": value}, tmp_path / "KILL") is None


@pytest.mark.parametrize(
    "value",
    [
        *(" ", "\n", " 0 ", "0 ", " 0", "00", "0.0", "-0"),
        *("False", "FALSE", "false ", " false", "f", "off", "none", "null"),
        *("No", "NO", "no\n", "n", "1", "true", "yes", "on", "kill"),
    ],
)
def test_a_kill_variable_that_says_anything_else_kills(value: str, tmp_path: Path) -> None:
    assert kill_switch_seen({"KILL_SWITCH": value}, tmp_path / "KILL") is not None


def test_a_kill_works_without_the_broker_and_cancels_once_it_is_back(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        rest_order(floor, desk)
        real = desk.broker
    unreachable = floor.settings.embedded.model_copy(update={"url": "http://127.0.0.1:9"})
    with floor.desk(embedded=unreachable) as desk:  # a process that has never reached it
        operator.kill(desk, reason="no answer", author="tester")
        assert desk.halts().causes == (Cause.KILL,)
        assert any("could not be read" in alert.title for alert in desk.journal.pending_alerts())
    assert real is not None
    with floor.desk() as desk:
        assert len(desk.broker.open_orders()) == 1
        protect_alone(desk, new_execution_id())
        assert desk.broker.open_orders() == []


def test_a_kill_file_cancels_also_while_the_account_cannot_be_read(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        resting = rest_order(floor, desk)
        desk.kill_file.touch()

        def fails(*_: object) -> object:
            raise Unreachable("no answer")

        desk.broker = Altered(desk.broker, account=fails, positions=fails, activities=fails)
        with pytest.raises(Unreachable):
            protect_alone(desk, new_execution_id())
        assert desk.halts().causes == (Cause.KILL,)
        assert desk.journal.order(resting).state == "CANCELED"


def test_a_kill_needs_no_lease(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk, floor.desk() as other:
        rest_order(floor, desk)
        with desk.journal.lease(desk.book, "a tick at work"):
            operator.kill(other, reason="now", author="tester")
        assert desk.halts().state is HaltState.HALTED
        assert desk.broker.open_orders() == []


@pytest.mark.parametrize("by", ["function", "file", "function while a tick holds the book"])
def test_flatten_on_kill_sells_everything_however_the_kill_is_seen(floor: TradingFloor, by: str) -> None:
    floor.go_to_tick(0)
    with floor.desk(flatten_on_kill=True) as desk:
        buy(floor, desk)
        if by == "file":
            desk.kill_file.touch()
        elif by == "function":
            operator.kill(desk, reason="out", author="tester")
            assert desk.broker.positions() == []
        else:
            with desk.journal.lease(desk.book, "a tick at work"):
                operator.kill(desk, reason="out", author="tester")
        report = protect_alone(desk, new_execution_id())
        assert desk.broker.positions() == []
        assert len(report.orders) == (0 if by == "function" else 1)
        assert desk.halts().causes == (Cause.KILL,)
        assert protect_alone(desk, new_execution_id()).orders == ()


def test_without_flatten_on_kill_positions_stay(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        operator.kill(desk, reason="hold", author="tester")
        protect_alone(desk, new_execution_id())
        assert len(desk.broker.positions()) == 1


def test_a_session_drawdown_stops_entries_and_ends_at_the_next_session(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(**LARGE)
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, value=0.6)
        lose(floor, desk, 0.0125)
        assert causes_after_protect(desk) == (Cause.SESSION_DRAWDOWN,)
        assert reasons_of_a_new_signal(floor, desk) == {"REDUCE_ONLY cause=SESSION_DRAWDOWN"}
        floor.keeper.tape_quote("AAPL")  # the loss is made good: it stays latched
        assert causes_after_protect(desk) == (Cause.SESSION_DRAWDOWN,)
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        assert causes_after_protect(desk) == ()
        assert reasons_of_a_new_signal(floor, desk) == {"PASS"}


def test_a_daily_loss_cancels_open_entries_and_a_rearm_takes_the_loss(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(**LARGE)
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, value=0.6)
        resting = rest_order(floor, desk)
        lose(floor, desk, 0.0205)
        assert set(causes_after_protect(desk)) == {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN}
        assert desk.journal.order(resting).state == "CANCELED"
    second = floor.sessions.next(floor.session)
    floor.go_to_session(second)
    floor.keeper.tape_quote("AAPL")
    with floor.desk() as desk:
        assert causes_after_protect(desk) == (Cause.DAILY_LOSS,)
        assert operator.rearm(desk, reason="seen", author="tester") == (Cause.DAILY_LOSS,)
        assert causes_after_protect(desk) == ()
        lose(floor, desk, 0.0205)
        assert Cause.DAILY_LOSS in causes_after_protect(desk)
        operator.rearm(desk, reason="I take this loss", author="tester")
        assert causes_after_protect(desk) == ()  # the same loss is not latched again,
        lose(floor, desk, 0.0205)
        assert set(causes_after_protect(desk)) == {
            Cause.DAILY_LOSS,
            Cause.SESSION_DRAWDOWN,
        }  # the next one is


def test_a_maximum_drawdown_waits_for_a_rearm_that_sets_a_new_base(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(**LARGE, max_daily_loss=1.0, session_drawdown=1.0)
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        lose(floor, desk, 0.099)
        assert causes_after_protect(desk) == ()
        lose(floor, desk, 0.002)
        assert causes_after_protect(desk) == (Cause.MAX_DRAWDOWN,)
        assert reasons_of_a_new_signal(floor, desk) == {"REDUCE_ONLY cause=MAX_DRAWDOWN"}
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        assert causes_after_protect(desk) == (Cause.MAX_DRAWDOWN,)
        operator.rearm(desk, reason="go on from here", author="tester")
        assert causes_after_protect(desk) == ()
        latest = desk.journal.latest_equity(desk.book)
        assert latest is not None
        assert latest.unit_peak == latest.unit_value < 0.91
        lose(floor, desk, 0.101)
        assert causes_after_protect(desk) == (Cause.MAX_DRAWDOWN,)


def test_a_looser_limit_waits_for_rearm_and_a_tighter_one_holds_at_once(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        assert desk.limits.max_position_pct == 0.05
    with floor.desk(max_position_pct=0.04, max_spread_bps=60.0) as desk:
        assert desk.limits.max_position_pct == 0.04
        assert desk.limits.max_spread_bps == 50.0
        assert desk.looser_waiting == ("max_spread_bps",)
    with floor.desk() as desk:  # what was tightened is in force: the old value is looser now
        assert desk.limits.max_position_pct == 0.04
        assert desk.looser_waiting == ("max_position_pct",)
        operator.rearm(desk, reason="as before", author="tester")
        assert desk.limits.max_position_pct == 0.05
    with floor.desk() as desk:
        assert desk.limits.max_position_pct == 0.05
        assert desk.looser_waiting == ()


def test_a_limit_that_the_journal_does_not_know_is_held_to_its_default_until_a_rearm(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        kept = json.loads(desk.journal.mark(desk.book, LIMITS_MARK) or "")
        del kept["max_position_pct"], kept["fractional"]
        kept["of_a_later_release"] = 7.0
        desk.journal.set_mark(desk.book, LIMITS_MARK, json.dumps(kept), 1)
    for _ in range(2):  # it waits until a person takes it up, however often the desk is opened
        with floor.desk(max_position_pct=0.5, fractional=True, max_spread_bps=40.0) as desk:
            assert desk.limits.max_position_pct == 0.05
            assert not desk.limits.fractional
            assert desk.limits.max_spread_bps == 40.0
            assert desk.looser_waiting == ("max_position_pct", "fractional")
    with floor.desk(
        max_spread_bps=40.0
    ) as desk:  # no looser than the default: a person is asked all the same
        assert desk.looser_waiting == ("max_position_pct", "fractional")
        operator.rearm(desk, reason="seen", author="tester")
    with floor.desk(max_spread_bps=40.0) as desk:
        assert desk.looser_waiting == ()


def test_the_journal_is_read_again_by_whoever_holds_a_desk(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk, floor.desk() as other:
        tick_signals.receive(desk, "AAPL", 0.5)
        prepare(desk, floor.session, now)
        operator.kill(other, reason="between", author="tester")
        assert reasons_of_a_new_signal(floor, desk) == {"KILL_SWITCH_ACTIVE cause=KILL"}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("latch"), st.sampled_from(list(Cause)[:6])),
        st.tuples(st.just("session"), st.integers(1, 3)),
    ),
    max_size=25,
)


@pytest.mark.slow(seconds=3)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_no_sequence_of_automatic_events_loosens_but_the_end_of_a_session_drawdown(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, Cause | int]]
) -> None:
    with Journal.open(tmp_path_factory.mktemp("journal") / "journal.sqlite") as journal:
        day, before, drawdown_day = 1, in_force(journal, "book"), 0
        for at_ns, (what, value) in enumerate(events, start=1):
            if what == "latch":
                cause = Cause(value)
                is_new = latch(
                    journal, "book", cause, at_ns=at_ns, session=f"2012-01-{day:02}", reason="event"
                )
                assert is_new == (cause not in before.causes)
                if cause is Cause.SESSION_DRAWDOWN and is_new:
                    drawdown_day = day
            else:
                day = min(day + int(value), 28)
            end_session_drawdown(journal, "book", at_ns=at_ns, session=f"2012-01-{day:02}")
            after = in_force(journal, "book")
            lost = set(before.causes) - set(after.causes)
            assert lost <= {Cause.SESSION_DRAWDOWN}
            assert not lost or drawdown_day < day
            kept = [STATE_OF[cause] for cause in before.causes if cause not in lost]
            assert after.state >= max(kept, default=HaltState.ACTIVE)
            before = after
        latched = before.causes
        cleared = clear_all(journal, "book", at_ns=99, session="2012-02-01", reason="end", author="person")
        assert set(cleared) == set(latched)
        assert in_force(journal, "book").state is HaltState.ACTIVE


@pytest.mark.slow
def test_no_course_of_the_market_loosens_the_state(start_floor: Callable[..., TradingFloor]) -> None:
    floor = start_floor(**LARGE)
    floor.go_to_tick(0)
    chance = random.Random(5)
    with floor.desk() as desk:
        buy(floor, desk, value=0.9)
        before, number = desk.halts(), 0
        seen = set(before.causes)
        for _ in range(40):
            act = chance.choice(("quote", "quote", "tape", "transfer", "tick", "tick", "session", "kill"))
            started = False
            if act == "quote":
                floor.move_quote(desk, "AAPL", f"{chance.uniform(0.9, 1.08):.4f}")
            elif act == "tape":
                floor.keeper.tape_quote("AAPL")
            elif act == "transfer":
                floor.keeper.transfer(Decimal(chance.randint(-900, 900)) + Decimal("0.5"))
            elif act == "kill":
                desk.kill_file.touch()
            elif act == "tick" and number + 1 < len(floor.ticks()):
                number += 1
                floor.go_to_tick(number)
            else:
                number, started = 0, True
                floor.go_to_session(floor.sessions.next(floor.session))
            protect_alone(desk, new_execution_id())
            desk.kill_file.unlink(missing_ok=True)
            after = desk.halts()
            lost = set(before.causes) - set(after.causes)
            assert lost <= ({Cause.SESSION_DRAWDOWN} if started else set())
            before = after
            seen |= set(after.causes)
        assert {Cause.KILL, Cause.SESSION_DRAWDOWN, Cause.DAILY_LOSS} <= seen
