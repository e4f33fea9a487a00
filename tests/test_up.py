"""`make up` for real: exchange, webserver and daemon; the virtual clock trades, a kill from the UI holds."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.receiver import Receiver, listening
from support.running_desk import BOOK, REPOSITORY, RunningDesk, free_ports, start

from trading_assets import config
from trading_assets.engine.book.halts import in_force
from trading_assets.engine.operation.operator import person
from trading_assets.exchange.control_client import ControlRefused
from trading_assets.market.sessions import Sessions
from trading_assets.store.journal import Journal
from trading_assets.up import FIRST_SESSION

pytestmark = pytest.mark.slow

_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } } }"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningDesk]:
    """The tests below build on each other: one day begins, trades, is halted, and ends."""
    desk = start(tmp_path_factory.mktemp("up"), ports=free_ports(3), alert_urls=receiver.url)
    yield desk
    desk.end()


def test_it_says_its_addresses_once_everything_is_ready(desk: RunningDesk) -> None:
    assert f"exchange   http://127.0.0.1:{desk.ports[1]}" in desk.next_line()
    assert desk.next_line() == f"Dagster    {desk.link}\n"
    assert desk.next_line().startswith("Ready. Open the link once in your browser")
    assert "instance" in desk.graphql("{ instance { id } }")


def test_time_stands_until_a_person_arms_trading(desk: RunningDesk) -> None:
    before = desk.now_ns()
    desk.wait("the protecting reconciliation", lambda: desk.runs("reconcile"))
    assert desk.now_ns() == before
    assert not desk.runs("trading_tick")


def test_the_clock_prepares_the_session_and_trades_it_tick_by_tick(desk: RunningDesk) -> None:
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


def test_the_dropped_file_is_archived_and_its_bad_row_lies_beside_its_reason(
    desk: RunningDesk, receiver: Receiver
) -> None:
    inbox = desk.data_dir / "inbox"
    assert [path.name.partition("-")[2] for path in (inbox / "archive").iterdir()] == ["mine.csv"]
    (rejected,) = (inbox / "rejected").glob("*mine.csv")
    assert rejected.read_text() == "symbol,value\nNOPE,0.5\n"
    assert "'NOPE' is not among the traded symbols" in Path(f"{rejected}.reason.txt").read_text()
    desk.wait("the alert", lambda: f"Signals refused [{BOOK}]" in receiver.titles(), 60)


def test_a_kill_launched_from_the_ui_halts_the_book_and_time_stands(desk: RunningDesk) -> None:
    desk.launch("kill", {"ops": {"kill_book": {"config": {"reason": "shown by a test"}}}})
    desk.wait("the kill", lambda: desk.runs("kill"))
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        assert in_force(journal, BOOK).cause == "KILL"
        (act,) = journal.halts(BOOK)
        assert (act.reason, act.author) == ("shown by a test", f"web:{person()}")
    desk.wait("the tick that was on", lambda: not desk.runs("trading_tick", "STARTED"))
    stood_at = desk.now_ns()
    time.sleep(12)  # two rounds of the sensors
    assert desk.now_ns() == stood_at


def test_the_halt_reaches_people(desk: RunningDesk, receiver: Receiver) -> None:
    desk.wait("the alert", lambda: f"HALTED: KILL [{BOOK}]" in receiver.titles(), 60)


def test_a_failed_run_reaches_people(desk: RunningDesk, receiver: Receiver) -> None:
    desk.launch("end_of_day")
    desk.wait("the alert", lambda: f"end_of_day failed [{BOOK}]" in receiver.titles(), 60)
    (message,) = [message for message in receiver.messages if "end_of_day failed" in message["title"]]
    assert "its end comes after the close" in message["message"]


def test_a_second_one_is_refused_while_the_ports_are_taken(desk: RunningDesk, tmp_path: Path) -> None:
    second = start(tmp_path, ports=desk.ports)
    output, _ = second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    assert output == (
        f"trading-assets: the webserver: port {desk.ports[0]} is in use. End what listens there (another "
        "`make up`?), or choose another port: --port for the webserver, `embedded` in the configuration for "
        "the exchange.\n"
    )


def test_ctrl_c_ends_everything_within_seconds_and_leaves_the_stores_intact(desk: RunningDesk) -> None:
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
    while not desk.next_line().startswith("Ready."):
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


def _ticks(desk: RunningDesk) -> set[int]:
    """The times of the ticks that succeeded."""
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in desk.runs("trading_tick")]
    return {int(tag["trading_assets/tick_ns"]) for tag in tags}


def _filled(desk: RunningDesk) -> list[str]:
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        return [order.intent.symbol for order in journal.orders(BOOK) if order.state == "FILLED"]
