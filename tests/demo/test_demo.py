"""The demonstration as a new user runs it: one command, its exit status, what it says and leaves."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import files, version
from pathlib import Path

import duckdb
import psutil
import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 10  # a wide bound: it takes about one
pytestmark = pytest.mark.slow


@dataclass
class Played:
    home: Path
    status: int
    said: str
    commands: list[list[str]]  # command lines of the processes it started, as seen while it ran
    left: list[int]  # of these, the ones still alive afterwards


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("demo") / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APCA_")}
    with (home.parent / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_assets.cli", "demo", "--home", str(home)],
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        children: dict[int, list[str]] = {}
        deadline = time.monotonic() + MINUTES * 60
        while process.poll() is None and time.monotonic() < deadline:
            for child in psutil.Process(process.pid).children(recursive=True):
                try:
                    children[child.pid] = child.cmdline()
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.25)
        process.kill()
        process.wait()
        said.seek(0)
        left = [pid for pid in children if psutil.pid_exists(pid)]
        yield Played(home, process.returncode, said.read(), list(children.values()), left)


def test_it_succeeds_and_says_what_was_done(played: Played) -> None:
    assert played.status == 0, played.said
    assert "All of it held" in played.said
    assert "PRETRADE_GATE_REJECT: STALE_SIGNAL" in played.said
    assert "PRETRADE_GATE_REJECT: KILL_SWITCH_ACTIVE cause=KILL" in played.said
    assert "signal AAPL=0.15, 130 s old: PRETRADE_GATE_REJECT: STALE_SIGNAL" in played.said
    assert "the same, fresh: passed, accepted, filled 1 share(s), reconciled" in played.said
    assert "killed: the resting order is cancelled" in played.said


def test_the_exchange_is_a_process_of_its_own_and_ends_with_it(played: Played) -> None:
    assert any("trading_assets.exchange" in part for command in played.commands for part in command)
    assert not played.left


def test_every_request_to_the_exchange_came_from_alpaca_py(played: Played) -> None:
    (line,) = [line for line in played.said.splitlines() if line.startswith("requests to the exchange")]
    assert re.search(rf"\d+ by APCA-PY/{re.escape(version('alpaca-py'))} ", line)
    assert line.count(" by ") == 1


def test_the_installed_alpaca_py_is_the_published_one() -> None:
    recorded = files("alpaca-py") or []
    sources = [file for file in recorded if file.suffix == ".py"]
    assert sources
    for file in sources:
        assert file.hash is not None
        digest = hashlib.new(file.hash.mode, file.locate().read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value


def test_every_order_has_its_verdict_its_input_its_events_and_fills(played: Played) -> None:
    journal = sqlite3.connect(f"file:{played.home / 'journal.sqlite'}?mode=ro", uri=True)
    orders = journal.execute("SELECT client_order_id, state, filled_qty FROM orders").fetchall()
    assert len(orders) >= 10
    with duckdb.connect(str(played.home / "history.duckdb"), read_only=True) as history:
        for client_id, state, filled in orders:
            codes = history.execute(
                'SELECT count(*), count(measured), count("limit"), bool_or(failed) FROM verdicts '
                "WHERE client_order_id = ?",
                [client_id],
            ).fetchone()
            assert codes is not None
            assert codes[0] == 34
            assert not codes[3]
            events = journal.execute(
                "SELECT to_state FROM order_events WHERE client_order_id = ? ORDER BY sequence", [client_id]
            ).fetchall()
            assert [event for (event,) in events][:2] == ["INTENT", "SUBMITTING"]
            filled_rows = history.execute(
                "SELECT coalesce(sum(qty), 0) FROM fills WHERE client_order_id = ?", [client_id]
            ).fetchone()
            assert filled_rows == (float(filled),)
            if state == "FILLED":
                assert float(filled) > 0
    inputs = journal.execute(
        "SELECT count(*) FROM intents WHERE NOT EXISTS (SELECT 1 FROM tick_inputs, verdicts "
        "WHERE verdicts.verdict_id = intents.verdict_id AND tick_inputs.execution_id = verdicts.execution_id)"
    ).fetchone()
    assert inputs == (0,)
    journal.close()


def test_ledger_and_broker_agree_at_every_tick(played: Played) -> None:
    with duckdb.connect(str(played.home / "history.duckdb"), read_only=True) as history:
        apart = history.execute("SELECT * FROM positions WHERE abs(qty - broker_qty) > 1e-6").fetchall()
        assert not apart
        assert history.execute("SELECT count(*) FROM breaks").fetchone() == (0,)
        ticks = history.execute("SELECT count(DISTINCT tick_ns) FROM features").fetchone()
        assert ticks is not None
        assert ticks[0] == 4 + 2 * 12


def test_its_log_is_one_json_object_a_line_with_the_named_lines_and_no_line_twice(played: Played) -> None:
    lines = (played.home / "log.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    texts = [event["event"] for event in events]
    assert any(text.startswith("Pre-trade gate PASS symbol=AAPL") for text in texts)
    assert any(text.startswith("PRETRADE_GATE_REJECT: STALE_SIGNAL symbol=AAPL") for text in texts)
    assert {"order accepted", "order filled", "reconciled"} <= set(texts)
    assert len(lines) == len(set(lines))


def test_the_instance_it_leaves_has_a_run_for_every_tick(played: Played) -> None:
    runs = sqlite3.connect(f"file:{played.home / 'dagster_home/history/runs.db'}?mode=ro", uri=True)
    counted = dict(
        runs.execute("SELECT pipeline_name, count(*) FROM runs WHERE status = 'SUCCESS' GROUP BY 1")
    )
    runs.close()
    assert counted == {"train": 1, "trading_tick": 28, "reconcile": 3, "replay": 1}
