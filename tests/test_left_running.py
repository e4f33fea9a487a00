"""`make up` killed with SIGKILL: its parts end with it, and what is left all the same is named at the next
start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from support.running_desk import RunningDesk, free_ports, start

from trading_assets import roster
from trading_assets.config import Settings
from trading_assets.environment import DAEMON, LISTENER, WEBSERVER
from trading_assets.errors import InvalidInput
from trading_assets.parentage import STARTED_BY
from trading_assets.parts import ends_with

pytestmark = pytest.mark.slow

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel tells a child of it")
PART = """
import os, time
from trading_assets import process_setup
getattr(process_setup, "{begin}")()
print(os.getpid(), os.environ.get("TRADING_ASSETS_STARTED_BY"), flush=True)
time.sleep(600)
"""
STARTER = """
import os, subprocess, sys, time
environ = os.environ | ({{"TRADING_ASSETS_STARTED_BY": str(os.getpid())}} if {tied} else {{}})
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=environ, start_new_session=True)
time.sleep(600)
"""


def left_after_a_kill(begin: str, *, tied: bool) -> bool:
    """Whether a part that begins so still runs some time after the SIGKILL of what started it."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER.format(tied=tied), PART.format(begin=begin)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    pid, output = starter.stdout.readline().split()
    assert output == "None"  # what the part starts in its turn is not bound to this process
    starter.kill()
    starter.wait()
    part = psutil.Process(int(pid))
    _, alive = psutil.wait_procs([part], timeout=5 if tied else 1)
    for one in alive:
        one.kill()
    return bool(alive)


@on_linux
@pytest.mark.parametrize("begin", ["begin", "begin_hosted"])
def test_a_part_ends_with_what_started_it_and_would_not_by_itself(begin: str) -> None:
    assert left_after_a_kill(begin, tied=False)
    assert not left_after_a_kill(begin, tied=True)


@on_linux
def test_one_whose_starter_has_ended_already_does_not_begin() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    part = subprocess.run(
        [sys.executable, "-c", PART.format(begin="begin")],
        env=os.environ | {STARTED_BY: str(ended.pid)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert part.returncode == 1
    assert "has ended" in part.stderr


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process.pid
    process.kill()
    process.wait()


@on_linux
@pytest.mark.parametrize(
    ("venue", "tied"),
    [
        ("embedded", {"dagster-webserver", "dagster-daemon", "trading-assets"}),
        ("alpaca", {"dagster-webserver", "dagster-daemon"}),
    ],
)
def test_a_watchdog_outlives_its_starter_where_the_market_does(venue: str, tied: set[str]) -> None:
    settings = Settings(venue=venue)
    assert {name for name in (WEBSERVER, DAEMON, LISTENER) if ends_with(name, settings)} == tied


def killed(place: Path, part: str, sleeper: int, *, outlives: tuple[str, ...] = ()) -> Path:
    """A desk's data directory as a `make up` leaves it that is killed, while this part of it runs."""
    with roster.held(
        config_path=place / "config" / "execution.yaml",
        data_dir=place,
        dagster_home=place,
        since_ns=0,
        addresses={},
        outlives=outlives,
    ) as holder:
        holder.keep({part: sleeper})
        kept = json.loads((place / roster.ROSTER).read_text())
    del kept["parts"][roster.ITSELF]
    (place / roster.ROSTER).write_text(json.dumps(kept))
    return place


def test_what_a_killed_start_has_left_is_named_with_what_to_type(tmp_path: Path, sleeper: int) -> None:
    roster.refuse_left(tmp_path)
    killed(tmp_path, DAEMON, sleeper)
    with pytest.raises(InvalidInput) as refused:
        roster.refuse_left(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: an earlier `make up` was killed and has left dagster-daemon (process {sleeper}). End "
        f"what is left with `trading-assets down --config {tmp_path}/config/execution.yaml`, then start the "
        "desk again"
    )


def test_a_watchdog_that_was_left_is_said_to_protect(tmp_path: Path, sleeper: int) -> None:
    killed(tmp_path, LISTENER, sleeper, outlives=(LISTENER,))
    with pytest.raises(InvalidInput, match=r"protecting the book. End .* `trading-assets down --watchdog "):
        roster.refuse_left(tmp_path)


def test_what_has_ended_holds_no_start_up(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    killed(tmp_path, DAEMON, ended.pid)
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    roster.refuse_left(tmp_path)  # a zombie
    ended.wait()
    roster.refuse_left(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["x", 1]}', "[" * 100_000, "\0"])
def test_a_file_that_nobody_of_ours_wrote_holds_no_start_up(tmp_path: Path, text: str) -> None:
    (tmp_path / roster.ROSTER).write_text(text)
    roster.refuse_left(tmp_path)


def running(desk: RunningDesk) -> set[str]:
    """The names of what runs of it, by its roster."""
    kept = roster.read(desk.data_dir)
    assert kept is not None
    return set(kept.running())


def ends_without_a_heartbeat(process: psutil.Process) -> bool:
    """Whether it is a code server, which Dagster ends within a minute of its client's end."""
    line = process.cmdline()
    return "grpc" in line and "--heartbeat" in line


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@on_linux
@pytest.mark.slow(seconds=60)
def test_nothing_of_a_desk_outlives_its_kill_and_it_starts_again(tmp_path: Path) -> None:
    ports = free_ports(3)
    desk = start(tmp_path, ports=ports)
    while not desk.next_line().startswith("Ready."):
        assert desk.process.poll() is None, desk.logs()
    processes = desk.processes()
    by_itself = [process for process in processes if ends_without_a_heartbeat(process)]
    assert len(by_itself) == 2
    assert running(desk) == {roster.ITSELF, roster.EXCHANGE, WEBSERVER, DAEMON, LISTENER}
    desk.process.send_signal(signal.SIGKILL)
    desk.process.wait()
    until = time.monotonic() + 30
    while left := [process for process in processes if process not in by_itself and runs(process)]:
        assert time.monotonic() < until, [" ".join(process.cmdline()) for process in left]
        time.sleep(0.1)
    assert running(desk) == set()
    again, until = start(tmp_path, ports=ports), time.monotonic() + 120
    while not (line := again.next_line()).startswith("Ready."):
        assert again.process.poll() is None, line + again.logs()
        assert time.monotonic() < until
    assert again.process.stdout is not None
    again.process.stdout.close()  # from here on nobody reads what it says
    again.process.send_signal(signal.SIGHUP)
    assert again.process.wait(30) == 0
    kept = (desk.data_dir / "logs" / "up.log").read_text()
    assert kept.endswith("ended: no process is left, the ports are free\n")
    assert not (desk.data_dir / roster.ROSTER).exists()
