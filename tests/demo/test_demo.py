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
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import files, version
from math import isfinite, isnan
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import duckdb
import numpy as np
import psutil
import pytest
import requests
from support.running_desk import free_ports

from trading_assets import config
from trading_assets.core.codes import CODE_COUNT, Code
from trading_assets.core.gate import evaluate
from trading_assets.core.limits import Limits
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    Order,
    Position,
    Quote,
    Session,
    Signal,
)
from trading_assets.defs.desk import assets as assets_desk
from trading_assets.engine.book.place import known_book
from trading_assets.engine.decision.decide import as_compiled, decide
from trading_assets.engine.decision.inputs import DecisionInput
from trading_assets.store.journal import Journal
from trading_assets.store.records import VerdictRecord
from trading_assets.web.link import link_of, token_of

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 180  # on two cores of its own; it takes about 40, and more where the core is compiled first
HUNG_SECONDS = 900
pytestmark = pytest.mark.slow(seconds=90)

TICKS_AS_SHOWN = """{ runsOrError(filter: {pipelineName: "trading_tick"}) { ... on Runs { results {
  status tags { key value } assetMaterializations { assetKey { path } } } } } }"""


@dataclass
class Played:
    home: Path
    status: int
    printed: str
    commands: list[list[str]]  # command lines of the processes it started, as seen while it ran
    left: list[int]  # of these, the ones still alive afterwards
    crowding: float  # how often the machine's cores were wanted while it ran, at least once


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home = tmp_path_factory.mktemp("demo") / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APCA_")}
    with (home.parent / "said.txt").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_assets.cli", "demo", "--home", str(home)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        children: dict[int, list[str]] = {}
        loads: list[float] = []
        deadline = time.monotonic() + HUNG_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    children[child.pid] = child.cmdline() or children.get(child.pid, [])  # none as it ends
            loads.append(os.getloadavg()[0])
            time.sleep(0.25)
        process.kill()
        process.wait()
        output.seek(0)
        left = [pid for pid in children if psutil.pid_exists(pid)]
        crowding = max(1.0, mean(loads) / (os.cpu_count() or 1))
        yield Played(home, process.returncode, output.read(), list(children.values()), left, crowding)


@pytest.fixture(scope="module")
def verdicts(played: Played) -> list[VerdictRecord]:
    """The journal's, of the orders sent and of the refused ones."""
    with Journal.open(played.home / "journal.sqlite") as journal:
        book = known_book(config.load(played.home / "config" / "model.yaml"), journal)
        assert book is not None
        result = journal.verdicts(book)
        assert len(result) > len(journal.orders(book)) >= 10
        return result


def test_it_succeeds_and_says_what_was_done(played: Played) -> None:
    assert played.status == 0, played.printed
    assert "All of it held" in played.printed
    assert "PRETRADE_GATE_REJECT: STALE_SIGNAL" in played.printed
    assert "PRETRADE_GATE_REJECT: KILL_SWITCH_ACTIVE cause=KILL" in played.printed
    assert "signal AAPL=0.15, 130 s old: PRETRADE_GATE_REJECT: STALE_SIGNAL" in played.printed
    assert "the same, fresh: passed, accepted, filled 1 share(s), reconciled" in played.printed
    assert "killed: the resting order is cancelled" in played.printed


def test_it_fills_ten_orders_of_the_model_s_and_takes_three_minutes_at_most(played: Played) -> None:
    filled = re.search(r"^orders of the model filled +(\d+) ", played.printed, re.MULTILINE)
    assert filled is not None
    assert int(filled[1]) >= 10
    took = re.search(r"^All of it held; (\d+) s\.$", played.printed, re.MULTILINE)
    assert took is not None
    assert int(took[1]) <= MOST_SECONDS * played.crowding


def test_the_exchange_is_a_process_of_its_own_and_ends_with_it(played: Played) -> None:
    assert any("trading_assets.exchange" in part for command in played.commands for part in command)
    assert not played.left


def test_every_request_to_the_exchange_came_from_alpaca_py(played: Played) -> None:
    (line,) = [line for line in played.printed.splitlines() if line.startswith("requests to the exchange")]
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


def test_every_order_has_its_verdict_its_events_and_fills(played: Played) -> None:
    journal = sqlite3.connect(f"file:{played.home / 'journal.sqlite'}?mode=ro", uri=True)
    orders = journal.execute("SELECT client_order_id, state, filled_qty FROM orders").fetchall()
    assert len(orders) >= 10
    with duckdb.connect(str(played.home / "history.duckdb"), read_only=True) as history:
        for client_id, state, filled in orders:
            codes = history.execute(
                "SELECT count(*), bool_or(failed) FROM verdicts WHERE client_order_id = ?", [client_id]
            ).fetchone()
            assert codes == (CODE_COUNT, False)
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
    journal.close()


def test_every_verdict_has_each_code_once_with_what_was_measured_and_its_limit(
    played: Played, verdicts: list[VerdictRecord]
) -> None:
    with duckdb.connect(str(played.home / "history.duckdb"), read_only=True) as history:
        rows = history.execute(
            "SELECT client_order_id || ':' || execution_id, code, measured, \"limit\", failed FROM verdicts"
        ).fetchall()
    result = {(verdict, code): (measured, limit, failed) for verdict, code, measured, limit, failed in rows}
    assert len(result) == len(rows) == len(verdicts) * CODE_COUNT
    for verdict in verdicts:
        for code in Code:
            measured, limit, failed = result[verdict.verdict_id, code.name]
            assert isfinite(measured)
            # only where no opposite order of ours is open is there no limit: NaN, as everywhere
            assert isfinite(limit) or (code is Code.SELF_TRADE and isnan(limit))
            assert (measured, failed) == (verdict.measured[code], bool(verdict.failed >> code & 1))
            assert limit == verdict.limits[code] or isnan(verdict.limits[code])


def test_the_input_of_every_verdict_is_kept_and_gives_it_again(
    played: Played, verdicts: list[VerdictRecord]
) -> None:
    words = (Order, Signal, Account, Position, Quote, Session, Activity, Halt)
    for verdict in verdicts:
        given = verdict.gate_input
        measured, limit = np.empty(CODE_COUNT), np.empty(CODE_COUNT)
        failed = evaluate(
            *(word(**given[word.__name__.lower()]) for word in words),
            as_compiled(Limits(**given["limits"])),
            given["now_ns"],
            measured,
            limit,
        )
        assert int(failed) == verdict.failed
        np.testing.assert_array_equal(measured, verdict.measured)
        np.testing.assert_array_equal(limit, verdict.limits)


def test_the_snapshots_that_were_kept_give_every_verdict_again(
    played: Played, verdicts: list[VerdictRecord]
) -> None:
    with Journal.open(played.home / "journal.sqlite") as journal:
        stored = journal.tick_inputs(verdicts[0].book)
    derived = [
        verdict for record in stored for verdict in decide(DecisionInput.from_json(record.payload)).verdicts
    ]
    assert sorted((verdict.verdict_id, verdict.failed) for verdict in derived) == sorted(
        (verdict.verdict_id, verdict.failed) for verdict in verdicts
    )


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


class Interface(NamedTuple):
    url: str
    home: Path  # the instance's


@pytest.fixture(scope="module")
def page(played: Played) -> Iterator[Interface]:
    """The address of Dagster's interface on what the demonstration left, started as it says at its end."""
    (port,) = free_ports(1)
    (line,) = [line for line in played.printed.splitlines() if "trading_assets.web" in line]
    setting, program, *arguments = line.split()
    name, _, dagster_home = setting.partition("=")
    assert (name, program) == ("DAGSTER_HOME", ".venv/bin/python")
    with (played.home.parent / "webserver.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments, "--port", str(port)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {name: dagster_home},
        )
    yield Interface(f"http://127.0.0.1:{port}", Path(dagster_home))
    process.terminate()
    process.wait(30)


def interface_answer(page: Interface, query: str) -> Any:
    """The interface's answer, as soon as it gives one."""
    until = time.monotonic() + 90
    while (link := link_of(page.home)) is None:  # it takes its port first
        assert time.monotonic() < until
        time.sleep(0.1)
    while True:
        try:
            answer = requests.post(
                f"{page.url}/graphql",
                json={"query": query},
                headers={"Authorization": f"Bearer {token_of(link)}"},
                timeout=60,
            ).json()
        except requests.ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.5)
            continue
        assert "errors" not in answer, answer
        return answer["data"]


def test_the_interface_opens_on_it_and_shows_each_tick_with_its_six_assets(page: Interface) -> None:
    runs = interface_answer(page, TICKS_AS_SHOWN)["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["SUCCESS"] * 28
    chain = [list(asset.key.path) for asset in assets_desk.CHAIN]
    for run in runs:
        assert [event["assetKey"]["path"] for event in run["assetMaterializations"]] == chain
