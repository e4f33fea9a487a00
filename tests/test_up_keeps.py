"""`up` keeps its parts: what ends is started again at a growing pace, what hangs is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trading_assets import parts as desk_parts
from trading_assets import up
from trading_assets.config import Settings
from trading_assets.dagster_health import DagsterHealth
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.protection.sign_of_life import sign_file
from trading_assets.environment import DAEMON, LISTENER, WEBSERVER
from trading_assets.market.clock import monotonic_ns
from trading_assets.parts import LASTING_SECONDS, RESTART_SECONDS, Part, Parts
from trading_assets.store.journal import Journal
from trading_assets.store.leases import process_start
from trading_assets.up import _Guard

LASTS = [sys.executable, "-c", "import time; time.sleep(600)"]
ENDS = [sys.executable, "-c", "raise SystemExit(3)"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def parts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """Parts that are none of Dagster's: stand-ins in sessions of their own, which last."""
    parts = Parts(Path.cwd(), settings, dict(os.environ), 1, keep_roster=lambda running: None)
    started: list[Part] = []

    def start(name: str, command: list[str] = LASTS) -> Part:
        process = subprocess.Popen(command, start_new_session=True)
        started.append(Part(name, process, Path(settings.data_dir) / f"{name}.log", monotonic_ns()))
        return started[-1]

    monkeypatch.setattr(parts, "_started", start)
    monkeypatch.setattr(parts, "_open_instance", lambda: None)
    parts.all = [start(DAEMON), start(LISTENER)]
    yield parts
    for part in started:
        part.process.kill()
        part.process.wait()


def end(part: Part) -> None:
    part.process.kill()
    part.process.wait()


def tell_time(monkeypatch: pytest.MonkeyPatch, now_ns: Callable[[], int]) -> None:
    """The monotonic clock, to who keeps the parts and to who looks after them."""
    for module in (up, desk_parts):
        monkeypatch.setattr(module, "monotonic_ns", now_ns)


def test_a_part_that_ended_is_started_again_at_once_said_and_alerted(
    parts: Parts, settings: Settings
) -> None:
    output: list[str] = []
    before = parts.pid(DAEMON)
    end(parts.all[0])
    parts.keep(output.append)
    assert parts.pid(DAEMON) != before
    assert parts.all[0].process.poll() is None
    (line,) = output
    assert line.startswith("Dagster's daemon ended: exit status -9; started again now.")
    assert "The watchdog goes on protecting" in line
    with Journal.open(journal_file(settings)) as journal:
        (alert,) = journal.pending_alerts()
    assert (alert.title, alert.severity) == ("Dagster's daemon ended", "ERROR")


def test_where_the_watchdog_ended_nobody_says_that_it_protects(parts: Parts) -> None:
    output: list[str] = []
    end(parts.all[1])
    parts.keep(output.append)
    assert output[0].startswith("The listener with the watchdog ended")
    assert "nothing watches over Dagster" in output[0]


def test_a_part_that_ends_again_and_again_is_started_at_a_growing_pace(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic_ns()
    tell_time(monkeypatch, lambda: now)
    parts.all[0].started_ns = now
    waited = []
    for _ in range(6):
        end(parts.all[0])
        began = now
        before = parts.pid(DAEMON)
        while parts.pid(DAEMON) == before:
            parts.keep(lambda line: None)
            now += 10**9
        waited.append((now - began) / 1e9 - 1)
        parts.all[0].started_ns = now
    assert waited == [*RESTART_SECONDS, RESTART_SECONDS[-1], RESTART_SECONDS[-1]]
    now += int(LASTING_SECONDS * 1e9)
    end(parts.all[0])
    parts.keep(lambda line: None)
    assert parts.all[0].process.poll() is None


def test_a_journal_that_takes_no_alert_keeps_no_part_from_being_started(
    parts: Parts, settings: Settings
) -> None:
    journal_file(settings).write_bytes(b"no database at all" * 100)
    output: list[str] = []
    end(parts.all[0])
    parts.keep(output.append)
    assert parts.all[0].process.poll() is None
    assert "no alert of it is kept" in output[1]


def test_a_watchdog_that_hangs_is_ended_and_started_again(
    parts: Parts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    output: list[str] = []
    stop = threading.Event()
    stop.set()  # nobody asks a webserver
    guard = _Guard(parts, settings, DagsterHealth("http://127.0.0.1:9"), stop, output.append)
    hung = parts.pid(LISTENER)
    sign = sign_file(settings)
    sign.write_text(json.dumps({"host": os.uname().nodename, "pid": hung, "start": process_start(hung)}))
    now = monotonic_ns()
    tell_time(monkeypatch, lambda: now)
    for seconds, touched in ((0, False), (170, False), (5, True), (170, False), (15, False)):
        guard._looked_ns = 0
        now += seconds * 10**9
        guard._answered_ns = guard._beaten_ns = now
        if touched:
            os.utime(sign)
        assert output == []
        guard.look()
    assert output == [
        "The listener with the watchdog hangs: the watchdog has given no sign of life for 180 s; it is ended"
    ]
    parts.keep(output.append)
    assert parts.pid(LISTENER) != hung


def test_a_machine_that_slept_makes_no_watchdog_hang(parts: Parts, settings: Settings) -> None:
    """Its last sign is hours old by the machine's clock, and seconds by the process's."""
    output: list[str] = []
    stop = threading.Event()
    stop.set()
    guard = _Guard(parts, settings, DagsterHealth("http://127.0.0.1:9"), stop, output.append)
    pid = parts.pid(LISTENER)
    sign = sign_file(settings)
    sign.write_text(json.dumps({"host": os.uname().nodename, "pid": pid, "start": process_start(pid)}))
    guard._looked_ns = 0
    guard.look()
    os.utime(sign, (time.time() - 7_200, time.time() - 7_200))
    for _ in range(2):
        guard._looked_ns = 0
        guard.look()
    assert output == []


def test_a_daemon_without_a_heartbeat_for_five_minutes_is_ended(
    parts: Parts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    output: list[str] = []
    stop = threading.Event()
    stop.set()
    guard = _Guard(parts, settings, DagsterHealth("http://127.0.0.1:9"), stop, output.append)
    hung, began = parts.pid(DAEMON), monotonic_ns()
    for seconds in (299.0, 302.0):
        tell_time(monkeypatch, lambda s=seconds: began + int(s * 1e9))
        guard._answered_ns = began + int(seconds * 1e9)  # the webserver answers
        guard.look()
        guard._looked_ns = 0
        assert (len(output) == 1) == (seconds > 300)
    assert output == ["Dagster's daemon hangs: no heartbeat for 300 s; it is ended"]
    parts.keep(output.append)
    assert parts.pid(DAEMON) != hung


def test_a_webserver_that_hangs_takes_no_daemon_with_it(
    parts: Parts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats are seen in its answers alone: without them nothing is known of the daemon."""
    parts.all.append(parts._started(WEBSERVER))
    output: list[str] = []
    stop = threading.Event()
    stop.set()
    guard = _Guard(parts, settings, DagsterHealth("http://127.0.0.1:9"), stop, output.append)
    daemon, began = parts.pid(DAEMON), monotonic_ns()
    for seconds in (302.0, 308.0, 320.0):
        tell_time(monkeypatch, lambda s=seconds: began + int(s * 1e9))
        guard._signed_ns = began + int(seconds * 1e9)  # the watchdog gives its signs
        guard.look()
    assert output == ["Dagster's webserver hangs: no answer for 300 s; it is ended"]
    parts.keep(output.append)
    assert parts.pid(DAEMON) == daemon
