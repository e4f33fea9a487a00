"""`make up` for real: exchange, webserver and daemon; the virtual clock trades, a kill from the UI holds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from receiver import Receiver, listening

from trading_assets import config
from trading_assets.engine.halts import in_force
from trading_assets.exchange.keeper import ControlRefused, Keeper
from trading_assets.market.sessions import Sessions
from trading_assets.store.journal import Journal
from trading_assets.up import FIRST_SESSION

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
TOKEN = "token-of-the-test"
BOOK = "embedded:PA0001:paper"

_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } } }"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_RUNS = (
    """{ runsOrError(limit: 100) { ... on Runs { results { runId jobName status tags { key value } } } } }"""
)
REPOSITORY = {"repositoryLocationName": "trading_assets", "repositoryName": "__repository__"}


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


@dataclass
class Desk:
    """A running `up`, with its places and ports."""

    process: subprocess.Popen[str]
    home: Path
    ports: list[int]

    @property
    def config_path(self) -> Path:
        return self.home / "config" / "execution.yaml"

    @property
    def data_dir(self) -> Path:
        return self.home / "var"

    def said(self) -> str:
        """Its next line, empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def graphql(self, query: str, **variables: object) -> Any:
        answer = requests.post(
            f"http://127.0.0.1:{self.ports[0]}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def runs(self, job: str, status: str = "SUCCESS") -> list[dict[str, Any]]:
        found = self.graphql(_RUNS)["runsOrError"]["results"]
        return [run for run in found if run["jobName"] == job and run["status"] == status]

    def processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def now_ns(self) -> int:
        keeper = Keeper(f"http://127.0.0.1:{self.ports[2]}", TOKEN)
        try:
            return keeper.now_ns()
        finally:
            keeper.close()

    def wait(self, what: str, found: Callable[[], object], seconds: float = 180) -> None:
        until = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < until, f"{what}: not within {seconds} s\n{self.logs()}"
            assert self.process.poll() is None, self.logs()
            time.sleep(0.5)

    def logs(self) -> str:
        paths = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(f"{path.name}\n{path.read_text()[-3000:]}" for path in paths)


def start(home: Path, *, ports: list[int], alert_urls: str = "", **settings: object) -> Desk:
    dagster_home = home / "dagster_home"
    if not dagster_home.exists():
        dagster_home.mkdir(parents=True)
        shutil.copy(ROOT / "dagster_home" / "dagster.yaml", dagster_home)
    path = home / "config" / "execution.yaml"
    path.parent.mkdir(exist_ok=True)
    embedded = {"url": f"http://127.0.0.1:{ports[1]}", "control_url": f"http://127.0.0.1:{ports[2]}"}
    path.write_text(yaml.safe_dump({"tick_minutes": 30, "embedded": embedded, **settings}))
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_assets.up", "--config", str(path), "--port", str(ports[0])],
        cwd=ROOT,
        env=os.environ
        | {
            "DAGSTER_HOME": str(dagster_home),
            "TRADING_ASSETS_EXCHANGE_TOKEN": TOKEN,
            "TRADING_ASSETS_ALERT_URLS": alert_urls,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Desk(process, home, ports)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Desk]:
    """The tests below build on each other: one day begins, trades, is halted, and ends."""
    desk = start(tmp_path_factory.mktemp("up"), ports=free_ports(3), alert_urls=receiver.url)
    yield desk
    if desk.process.poll() is None:
        desk.process.send_signal(signal.SIGINT)
        desk.process.wait(30)


def test_it_says_its_addresses_once_everything_is_ready(desk: Desk) -> None:
    assert f"exchange   http://127.0.0.1:{desk.ports[1]}" in desk.said()
    assert f"Dagster    http://127.0.0.1:{desk.ports[0]}" in desk.said()
    assert desk.said().startswith("Ready.")
    assert "instance" in desk.graphql("{ instance { id } }")


def test_time_stands_until_a_person_arms_trading(desk: Desk) -> None:
    before = desk.now_ns()
    desk.wait("the protecting reconciliation", lambda: desk.runs("reconcile"))
    assert desk.now_ns() == before
    assert not desk.runs("trading_tick")


def test_the_clock_prepares_the_session_and_trades_it_tick_by_tick(desk: Desk) -> None:
    started = desk.graphql(_START, selector={**REPOSITORY, "scheduleName": "trading_hours"})
    assert started["startSchedule"]["__typename"] == "ScheduleStateResult"
    desk.wait("the first tick", lambda: desk.runs("trading_tick"))
    assert len(desk.runs("premarket")) == 1
    part = desk.data_dir / "inbox" / "mine.part"
    part.write_text("symbol,value\nAAPL,0.5\nNOPE,0.5\n")
    part.rename(part.with_suffix(".csv"))
    desk.wait("a tick for the signal", lambda: _filled(desk) == ["AAPL"])
    assert "Pre-trade gate PASS" in (desk.data_dir / "log.jsonl").read_text()
    desk.wait("a second due tick", lambda: len(_ticks(desk)) >= 2)
    ticks = Sessions().ticks(FIRST_SESSION, 30)
    assert ticks[:2] == sorted(_ticks(desk) & set(ticks))[:2]


def test_the_dropped_file_is_archived_and_its_bad_row_lies_beside_its_reason(desk: Desk) -> None:
    inbox = desk.data_dir / "inbox"
    assert [path.name.partition("-")[2] for path in (inbox / "archive").iterdir()] == ["mine.csv"]
    (rejected,) = (inbox / "rejected").glob("*mine.csv")
    assert rejected.read_text() == "symbol,value\nNOPE,0.5\n"
    assert "'NOPE' is not among the traded symbols" in Path(f"{rejected}.reason.txt").read_text()


def test_a_kill_launched_from_the_ui_halts_the_book_and_time_stands(desk: Desk) -> None:
    launched = desk.graphql(
        _LAUNCH,
        params={
            "selector": {**REPOSITORY, "jobName": "kill"},
            "runConfigData": yaml.safe_dump(
                {"ops": {"kill_book": {"config": {"reason": "shown by a test", "author": "test"}}}}
            ),
        },
    )
    assert launched["launchRun"]["__typename"] == "LaunchRunSuccess", launched
    desk.wait("the kill", lambda: desk.runs("kill"))
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        assert in_force(journal, BOOK).cause == "KILL"
        assert [(act.reason, act.author) for act in journal.halts(BOOK)] == [("shown by a test", "test")]
    desk.wait("the tick that was on", lambda: not desk.runs("trading_tick", "STARTED"))
    stood_at = desk.now_ns()
    time.sleep(12)  # two rounds of the sensors
    assert desk.now_ns() == stood_at


def test_the_halt_reaches_people(desk: Desk, receiver: Receiver) -> None:
    desk.wait("the alert", lambda: f"HALTED: KILL [{BOOK}]" in receiver.titles(), 60)


def test_a_failed_run_reaches_people(desk: Desk, receiver: Receiver) -> None:
    launched = desk.graphql(
        _LAUNCH,
        params={"selector": {**REPOSITORY, "jobName": "end_of_day"}, "runConfigData": "{}"},
    )
    assert launched["launchRun"]["__typename"] == "LaunchRunSuccess", launched
    desk.wait("the alert", lambda: f"end_of_day failed [{BOOK}]" in receiver.titles(), 60)
    (message,) = [message for message in receiver.messages if "end_of_day failed" in message["title"]]
    assert "its end comes after the close" in message["message"]


def test_a_second_one_is_refused_while_the_ports_are_taken(desk: Desk, tmp_path: Path) -> None:
    second = start(tmp_path, ports=desk.ports)
    output, _ = second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    assert output == (
        f"trading-assets: the webserver: port {desk.ports[0]} is in use. End what listens there (another "
        "`make up`?), or choose another port: --port for the webserver, `embedded` in the configuration for "
        "the exchange.\n"
    )


def test_ctrl_c_ends_everything_within_seconds_and_leaves_the_stores_intact(desk: Desk) -> None:
    processes = desk.processes()
    assert len(processes) >= 6  # itself, the exchange, webserver and daemon with a code server each
    began = time.monotonic()
    desk.process.send_signal(signal.SIGINT)
    assert desk.process.wait(30) == 0
    assert time.monotonic() - began < 10
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]
    for port in desk.ports:
        socket.create_server(("127.0.0.1", port)).close()
    settings = config.load(desk.config_path)
    with Journal.open(Path(settings.data_dir) / "journal.sqlite") as journal:
        assert in_force(journal, BOOK).cause == "KILL"
        assert _filled(desk) == ["AAPL"]


def test_a_part_that_dies_takes_the_rest_with_it(tmp_path: Path) -> None:
    desk = start(tmp_path, ports=free_ports(3))
    while not desk.said().startswith("Ready."):
        assert desk.process.poll() is None, desk.logs()
    processes = desk.processes()
    (exchange,) = [process for process in processes if "trading_assets.exchange" in process.cmdline()]
    exchange.kill()
    output, _ = desk.process.communicate(timeout=30)
    assert desk.process.returncode == 1
    assert "the exchange ended" in output
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]
    with pytest.raises(ControlRefused):
        desk.now_ns()


def _ticks(desk: Desk) -> set[int]:
    """The times of the ticks that succeeded."""
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in desk.runs("trading_tick")]
    return {int(tag["trading_assets/tick_ns"]) for tag in tags}


def _filled(desk: Desk) -> list[str]:
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        return [order.intent.symbol for order in journal.orders(BOOK) if order.state == "FILLED"]
