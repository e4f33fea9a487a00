"""Two processes at one book: the lease lets one through and names it, and no order is sent twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import pytest
from scenario import Opinion, give
from support.trading_floor import TradingFloor

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.replay import ExternalSignals, ReplaySpec, run
from trading_assets.engine.ticks.tick import execute
from trading_assets.store.journal import LeaseHeld

SESSION = date(2012, 9, 11)
pytestmark = [pytest.mark.slow, pytest.mark.floor(SESSION, shared=True)]
PAUSED_DESK = Path(__file__).with_name("paused_desk.py")
FIRST_POST, ITS_INTENT = "request:POST/v2/orders#1", "after:record_intents#1"


@pytest.fixture
def settings(floor: TradingFloor, tmp_path: Path) -> Settings:
    """A new account, and a desk that has signals for the tick that is due."""
    floor.go_to_session(SESSION, 1)
    floor.control("/account/reset", cash="100000")
    settings = config.load(floor.config_path).model_copy(update={"data_dir": tmp_path})
    with Desk.open(settings, environ={}) as desk:
        give(desk, SESSION, desk.now_ns(), [Opinion("AAPL", 1.0), Opinion("IBM", 1.0)], stored=True)
    return settings


def started(settings: Settings, floor: TradingFloor, point: str = "-") -> subprocess.Popen[str]:
    tick_ns = floor.sessions.ticks(SESSION, 30)[1]
    return subprocess.Popen(
        [
            sys.executable,
            str(PAUSED_DESK),
            settings.model_dump_json(),
            SESSION.isoformat(),
            str(tick_ns),
            point,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@contextmanager
def paused(settings: Settings, floor: TradingFloor, point: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of its tick."""
    with started(settings, floor, point) as process:
        try:
            ended = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            assert ended is not None
            assert ended.si_code == os.CLD_STOPPED, process.stdout and process.stdout.read()
            yield process
        finally:
            process.kill()


def let_go_on(process: subprocess.Popen[str]) -> str:
    """To its end; what it said."""
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    return output


def sent(settings: Settings) -> list[str]:
    with Desk.open(settings, environ={}) as desk:
        return [f"{order.symbol} {order.status_word}" for order in desk.broker.orders_since(0)]


def test_a_tick_beside_a_tick_is_told_who_holds_the_book(floor: TradingFloor, settings: Settings) -> None:
    tick_ns = floor.sessions.ticks(SESSION, 30)[1]
    with paused(settings, floor, FIRST_POST) as other:
        with Desk.open(settings, environ={}) as desk:
            with pytest.raises(LeaseHeld, match=f"'tick', process {other.pid}"):
                execute(desk, SESSION, tick_ns, new_execution_id())
            with pytest.raises(LeaseHeld, match=f"'tick', process {other.pid}"):
                protect_alone(desk, new_execution_id())
            assert not desk.broker.orders_since(0)
        assert let_go_on(other) == ""
        assert other.returncode == 0
    assert sorted(sent(settings)) == ["AAPL filled", "IBM filled"]


def test_of_two_runs_at_the_same_moment_one_trades(floor: TradingFloor, settings: Settings) -> None:
    both = [started(settings, floor) for _ in range(2)]
    output = [process.communicate(timeout=60)[0] for process in both]
    assert sorted(sent(settings)) == ["AAPL filled", "IBM filled"]
    late = [text for text in output if text]
    assert all("LeaseHeld" in text and "'tick'" in text for text in late)
    with closing(sqlite3.connect(settings.data_dir / "journal.sqlite")) as journal:
        executions = journal.execute("SELECT COUNT(DISTINCT execution_id) FROM tick_inputs").fetchone()[0]
    assert executions == 2 - len(late)  # the second one found nothing to do, where it was not refused


def test_a_dead_tick_does_not_hold_the_next_one_up(floor: TradingFloor, settings: Settings) -> None:
    with paused(settings, floor, FIRST_POST) as other:
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        with Desk.open(settings, environ={}) as desk:
            execute(desk, SESSION, floor.sessions.ticks(SESSION, 30)[1], new_execution_id())
    assert sorted(sent(settings)) == ["AAPL filled", "IBM filled"]


@pytest.mark.parametrize(
    ("point", "left"),
    [(FIRST_POST, ["AAPL filled"]), (ITS_INTENT, [])],
    ids=["sending", "intending"],
)
def test_a_tick_that_slept_past_its_lease_sends_nothing_again(
    floor: TradingFloor, settings: Settings, point: str, left: list[str]
) -> None:
    """A suspended machine: another process has recovered the order that the sleeper was about to send."""
    with paused(settings, floor, point) as sleeper:
        with closing(sqlite3.connect(settings.data_dir / "journal.sqlite")) as journal, journal:
            journal.execute("UPDATE leases SET expires_ns = 0")
        with Desk.open(settings, environ={}) as desk:
            protect_alone(desk, new_execution_id())
        assert sent(settings) == left
        output = let_go_on(sleeper)
        assert sleeper.returncode == 3
        assert "LeaseLost" in output or "IllegalTransition" in output
    assert sent(settings) == left
    with Desk.open(settings, environ={}) as desk:
        assert protect_alone(desk, new_execution_id()).reconciliation.clean
        assert not desk.journal.locks(desk.book)


def test_a_kill_waits_for_no_lease_and_stops_the_order_that_is_about_to_leave(
    floor: TradingFloor, settings: Settings
) -> None:
    with paused(settings, floor, ITS_INTENT) as other:
        with Desk.open(settings, environ={}) as desk:
            operator.kill(desk, reason="test", author="test")
        let_go_on(other)
    assert sent(settings) == []


def test_a_replay_runs_beside_a_live_tick(floor: TradingFloor, settings: Settings) -> None:
    spec = ReplaySpec(SESSION, SESSION, ExternalSignals(()))
    with paused(settings, floor, FIRST_POST) as other:
        report = run(settings, spec)
        assert [result.session for result in report.sessions] == [SESSION]
        let_go_on(other)
        assert other.returncode == 0
    assert sorted(sent(settings)) == ["AAPL filled", "IBM filled"]
