"""The runbook's first session, typed as it stands: every command of it, in its order, on a desk of its own.

The desk is a copy of the project on free ports. What a person is told to look at in the web interface is
asked for over GraphQL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from project_copy import environment, project_copy
from runbook_page import INTERRUPT, Step, lacking, steps
from support.running_desk import BOOK, ROOT, RunningDesk, free_ports
from terminal import Terminal

from trading_assets.config import key_pair
from trading_assets.engine.book.accounting import CASH
from trading_assets.store.journal import Journal

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "runbook.md"
COMMITTED_PORTS = (3000, 8765, 8766)
PATIENCE_SECONDS = 300

_UNDER_WAY = """{ runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) {
  ... on Runs { results { jobName } } } }"""


class Session:
    """The page's steps on their way: `make up` in the first terminal, everything else in the second."""

    def __init__(self, home: Path, ports: list[int]) -> None:
        self.home = home
        self.ports = ports
        self.left = deque(steps(PAGE))
        self._environ = environment() | {"WEB_PORT": str(ports[0])}
        self._terminal = Terminal(home, self._environ, patience_seconds=PATIENCE_SECONDS)
        self.desk: RunningDesk | None = None

    def type_section(self, section: str, most: int = 100) -> None:
        """Type the next steps, which must be the section's, and hold what comes to what the page shows."""
        assert self.left[0].section == section
        while most and self.left and self.left[0].section == section:
            self._type_step(self.left.popleft())
            most -= 1

    def _type_step(self, step: Step) -> None:
        if step.typed == "make up":
            status, output = 0, self._start(step)
        elif step.typed == INTERRUPT:
            status, output = 0, self._interrupt()
        else:
            status, output = self._terminal.type(step.typed)
        for port, committed in zip(self.ports, COMMITTED_PORTS, strict=True):
            output = output.replace(f"127.0.0.1:{port}", f"127.0.0.1:{committed}")
        missing = lacking(step.shown, output)
        assert missing is None, f"$ {step.typed}\n{output}\nThe runbook shows: {missing}"
        assert status == 0, f"$ {step.typed}\n{output}\nexit status {status}"
        assert "Traceback" not in output, output

    def _start(self, step: Step) -> str:
        process = subprocess.Popen(
            ["make", "up"],
            cwd=self.home,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C reaches make and what it runs
        )
        self.desk = RunningDesk(process, self.home, self.ports)
        watchdog = threading.Timer(PATIENCE_SECONDS, self._interrupted)
        watchdog.start()
        output = ""
        while lacking(step.shown[-1:], output) is not None:
            line = self.desk.next_line()
            assert line, f"it ended, or did not say {step.shown[-1:]}:\n{output}\n{self.desk.logs()}"
            output += line
        watchdog.cancel()
        return output

    def _interrupted(self) -> None:
        assert self.desk is not None
        os.killpg(self.desk.process.pid, signal.SIGINT)

    def _interrupt(self) -> str:
        assert self.desk is not None
        self._interrupted()
        output, _ = self.desk.process.communicate(timeout=60)
        return str(output)

    def end(self) -> None:
        self._terminal.end()
        if self.desk is not None and self.desk.process.poll() is None:
            self._interrupt()

    def up(self) -> RunningDesk:
        assert self.desk is not None
        return self.desk

    def wait_until_quiet(self) -> None:
        """As *Runs* shows it."""
        self.up().wait(
            "no run under way", lambda: not self.up().graphql(_UNDER_WAY)["runsOrError"]["results"]
        )

    def wait_for_ticks(self, count: int) -> None:
        before = len(self.up().runs("trading_tick"))
        self.up().wait(f"{count} ticks", lambda: len(self.up().runs("trading_tick")) >= before + count)

    def orders_at_the_exchange(self) -> list[dict[str, Any]]:
        pair = key_pair(self.home / "var" / "exchange")
        keys = {"APCA-API-KEY-ID": pair.key_id, "APCA-API-SECRET-KEY": pair.secret}
        url = f"http://127.0.0.1:{self.ports[1]}/v2/orders?status=all"
        document: list[dict[str, Any]] = requests.get(url, headers=keys, timeout=10).json()
        return document


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """The tests below are one session, in the page's order."""
    home = tmp_path_factory.mktemp("desk")
    ports = free_ports(3)
    project_copy(home, ports=dict(zip(COMMITTED_PORTS, ports, strict=True)))
    session = Session(home, ports)
    yield session
    session.end()


def test_the_desk_starts_and_opens_its_book(session: Session) -> None:
    session.type_section("Start")
    with Journal.open(session.home / "var" / "journal.sqlite") as journal:
        assert [(entry.author, entry.symbol) for entry in journal.opening(BOOK)] == [("system", CASH)]


def test_the_schedule_is_armed_and_a_tick_goes_by(session: Session) -> None:
    session.type_section("Turn on the schedule")
    session.wait_until_quiet()
    assert session.up().runs("premarket")
    assert session.up().runs("trading_tick")


def test_the_first_trade_is_one_order_filled(session: Session) -> None:
    session.type_section("The first trade")
    (order,) = session.orders_at_the_exchange()
    assert (order["symbol"], order["side"], order["status"]) == ("AAPL", "buy", "filled")


def test_a_signal_at_a_price_that_is_gone_is_refused_and_nothing_leaves(session: Session) -> None:
    session.type_section("A controlled reject")
    assert len(session.orders_at_the_exchange()) == 1


def test_the_checklist_finds_nothing_wrong(session: Session) -> None:
    session.type_section("What to watch")
    for job in ("premarket", "trading_tick", "reconcile"):
        assert session.up().runs(job, "FAILURE") == []


def test_a_halt_refuses_what_comes_and_says_so(session: Session) -> None:
    session.type_section("Halt")
    assert len(session.orders_at_the_exchange()) == 1


def test_a_rearm_ends_the_halt(session: Session) -> None:
    session.type_section("Rearm")


def test_after_a_restart_in_mid_session_the_day_goes_on_and_nothing_is_sent_twice(session: Session) -> None:
    session.type_section("Restart in mid-session", most=1)
    session.wait_for_ticks(2)
    stood_at = session.up().runs("trading_tick")
    session.type_section("Restart in mid-session")
    assert len(session.up().runs("trading_tick")) >= len(stood_at)
    session.wait_for_ticks(1)
    assert [order["symbol"] for order in session.orders_at_the_exchange()] == ["AAPL"]


def test_the_session_is_verified_and_the_page_has_no_step_that_was_not_taken(session: Session) -> None:
    session.type_section("The end of the day")
    assert list(session.left) == []
