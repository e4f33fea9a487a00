"""The history: rows in and out, and who may have the file open."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal
from math import isnan, nan
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from support.history_ground import another_process, holding, rows

from trading_assets.core.orders import State
from trading_assets.errors import InvalidInput
from trading_assets.store import history as history_module
from trading_assets.store.errors import SchemaTooNew
from trading_assets.store.history import History, HistoryLocked
from trading_assets.store.history_schema import VERSION

KEYS = {"book": "b", "session": date(2012, 5, 18), "tick_ns": 1}


def test_a_new_history_has_every_table_and_is_private(history: History) -> None:
    names = history.query("SELECT table_name AS name FROM duckdb_tables()")["name"].to_pylist()
    wanted = """bars bars_quarantine corporate_actions downloads feature_sets features signals codes
    gate_verdicts orders fills positions equity breaks checks models schema_version"""
    assert set(names) == set(wanted.split())
    assert history.path.stat().st_mode & 0o777 == 0o600
    assert history.path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in history.path.parent.iterdir()] == ["history.duckdb"]


def test_no_index_is_built(history: History) -> None:
    assert history.query("SELECT * FROM duckdb_indexes()").num_rows == 0


def test_replacing_again_changes_nothing(history: History) -> None:
    new = [{"symbol": "AAPL", "qty": 3.0}, {"symbol": "IBM", "qty": 1.5}]
    for _ in range(3):
        history.replace("positions", KEYS, new)
    assert [(r["symbol"], r["qty"], r["mark"], r["tick_ns"]) for r in rows(history, "positions")] == [
        ("AAPL", 3.0, None, 1),
        ("IBM", 1.5, None, 1),
    ]


def test_replacing_touches_the_rows_of_its_keys_only(history: History) -> None:
    for tick in (1, 2):
        history.replace("positions", {**KEYS, "tick_ns": tick}, [{"symbol": "AAPL", "qty": float(tick)}])
    history.replace("positions", {**KEYS, "tick_ns": 2}, [])
    assert [r["qty"] for r in rows(history, "positions")] == [1.0]


def test_a_key_that_is_null_replaces_the_rows_without_a_value(history: History) -> None:
    for _ in range(2):
        history.replace("positions", {"book": "b", "session": None}, [{"symbol": "AAPL"}])
    assert len(rows(history, "positions")) == 1


def test_rows_may_hold_what_the_journal_holds(history: History) -> None:
    history.replace(
        "orders",
        {"book": "b", "session": "2012-05-18"},
        [
            {
                "qty": Decimal("0.1"),
                "state": State.FILLED,
                "side": -1,
                "reducing": True,
                "session": "2012-05-18",
            }
        ],
    )
    history.replace("orders", {"book": "b", "session": "2012-05-18"}, [{"qty": Decimal("0.2")}])
    (stored,) = rows(history, "orders")
    assert (stored["session"], stored["qty"]) == (date(2012, 5, 18), 0.2)


def test_what_is_not_a_number_stays_apart_from_what_is_missing(history: History) -> None:
    history.append("equity", [{"equity": nan, "cash": None}])
    (stored,) = rows(history, "equity")
    assert isnan(stored["equity"])
    assert stored["cash"] is None


def test_feature_values_are_lists(history: History) -> None:
    history.append("feature_sets", [{"feature_set": "f1", "names": ["a", "b"]}])
    history.append("features", [{**KEYS, "symbol": "AAPL", "values": np.array([1.0, nan])}])
    assert rows(history, "feature_sets") == [{"feature_set": "f1", "names": ["a", "b"]}]
    assert repr(rows(history, "features")[0]["values"]) == "[1.0, nan]"


def test_arrow_tables_are_brought_to_the_columns_types(history: History) -> None:
    table = pa.table(
        {
            "tick_ns": pa.array([1, 1], pa.int32()),
            "session": ["2012-05-18", "2012-05-18"],
            "qty": pa.array([Decimal("1.5"), None]),
            "symbol": ["AAPL", "IBM"],
        }
    )
    history.replace("positions", KEYS, table)
    stored = rows(history, "positions")
    assert [(r["book"], r["session"], r["qty"]) for r in stored] == [
        ("b", date(2012, 5, 18), 1.5),
        ("b", date(2012, 5, 18), None),
    ]


@pytest.mark.parametrize("as_arrow", [False, True])
def test_an_unknown_column_is_refused_by_name(history: History, as_arrow: bool) -> None:
    unknown: Any = [{"symbol": "AAPL", "quantity": 3.0}]
    with pytest.raises(InvalidInput, match=r"table positions: no such column: quantity\. .*broker_qty"):
        history.append("positions", pa.Table.from_pylist(unknown) if as_arrow else unknown)
    assert rows(history, "positions") == []


def test_an_unknown_table_key_or_type_is_refused(history: History) -> None:
    with pytest.raises(InvalidInput, match=r"no table 'position'.*positions"):
        history.append("position", [{"qty": 1.0}])
    with pytest.raises(InvalidInput, match="no such column: tick"):
        history.replace("positions", {"tick": 1}, [])
    with pytest.raises(InvalidInput, match="column qty: a value that is no double"):
        history.append("positions", [{"qty": "many"}])
    with pytest.raises(InvalidInput, match="column symbol: a value that is no string"):
        history.append("positions", [{"symbol": 7}])
    with pytest.raises(InvalidInput, match="no keys"):
        history.replace("positions", {}, [])


def test_a_row_of_another_key_is_refused(history: History) -> None:
    with pytest.raises(InvalidInput, match="tick_ns is not the key's 1"):
        history.replace("positions", KEYS, [{"tick_ns": 1}, {"tick_ns": 2}])


def test_replacements_are_made_all_or_none(history: History) -> None:
    history.replace("positions", KEYS, [{"symbol": "AAPL", "qty": 1.0}])
    with pytest.raises(InvalidInput, match="no such column: unit"):
        history.replace_many(
            [("positions", KEYS, [{"symbol": "AAPL", "qty": 2.0}]), ("equity", KEYS, [{"unit": 1.0}])]
        )
    assert [r["qty"] for r in rows(history, "positions")] == [1.0]
    history.replace_many(
        [("positions", KEYS, [{"symbol": "AAPL", "qty": 2.0}]), ("equity", KEYS, [{"equity": 1.0}])]
    )
    assert [r["qty"] for r in rows(history, "positions")] == [2.0]
    assert [r["equity"] for r in rows(history, "equity")] == [1.0]


def test_an_error_drops_the_transaction_and_closes_the_connection(history: History) -> None:
    connections = []

    def insert_badly() -> None:
        with history.writing() as connection:
            connections.append(connection)
            connection.execute("INSERT INTO models (version) VALUES ('v1')")
            connection.execute("INSERT INTO models (trained_at_ns) VALUES ('yesterday')")

    with pytest.raises(duckdb.ConversionException):
        insert_badly()
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        connections[0].execute("SELECT 1")
    assert rows(history, "models") == []
    with pytest.raises(duckdb.CatalogException):
        history.query("SELECT * FROM nowhere")
    with another_process(holding(history.path, "writing")):
        pass  # could open it: nothing of ours is left open


def test_a_reader_cannot_write(history: History) -> None:
    with history.reading() as connection, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        connection.execute("INSERT INTO models (version) VALUES ('v1')")


def test_a_commit_leaves_no_log_that_a_copy_could_miss(history: History) -> None:
    with history.writing() as connection:
        connection.execute("INSERT INTO models (version) VALUES ('v1')")
        connection.execute("COMMIT")
        assert not history.path.with_name("history.duckdb.wal").exists()
        connection.execute("BEGIN")
    assert [r["version"] for r in rows(history, "models")] == ["v1"]


def test_another_process_with_the_file_open_is_named(history: History) -> None:
    history.append("models", [{"version": "v1"}])
    with another_process(holding(history.path, "reading")) as notebook:
        assert [r["version"] for r in rows(history, "models")] == ["v1"]  # readers share it
        with pytest.raises(HistoryLocked, match=f"held open by process {notebook.pid} ") as refusal:
            history.append("models", [{"version": "v2"}])
        assert refusal.value.holder == notebook.pid
    with (
        another_process(holding(history.path, "writing")) as writer,
        pytest.raises(HistoryLocked, match=f"process {writer.pid} "),
    ):
        rows(history, "models")
    history.append("models", [{"version": "v2"}])
    assert [r["version"] for r in rows(history, "models")] == ["v1", "v2"]


def test_a_writer_waits_for_a_short_reader_of_another_process(history: History) -> None:
    patient = History(history.path, retry_seconds=30.0)
    patient.append("models", [{"version": "v1"}])
    with another_process(holding(history.path, "reading")) as notebook:
        assert notebook.stdin is not None
        threading.Timer(0.3, notebook.stdin.close).start()
        patient.append("models", [{"version": "v2"}])
        assert notebook.wait(10) == 0
    assert len(rows(history, "models")) == 2


APPEND = """
import sys
from pathlib import Path
from trading_assets.store.history import History
print("open", flush=True)
sys.stdin.readline()
history = History(sys.argv[1], retry_seconds=60.0)
for n in range(10):
    history.replace("models", {"version": f"{sys.argv[2]}-{n}"}, [{"trained_at_ns": n}])
"""


def test_processes_that_create_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.duckdb"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
    for writer in writers:
        writer.communicate("\n", timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0]
    stored = {(r["version"], r["trained_at_ns"]) for r in rows(History(path), "models")}
    assert stored == {(f"{name}-{n}", n) for name in "ab" for n in range(10)}


def test_threads_may_read_together_and_write_one_after_the_other(history: History) -> None:
    patient = History(history.path, retry_seconds=30.0)
    with patient.reading() as one, patient.reading() as other:
        assert one.execute("SELECT 1").fetchone() == other.execute("SELECT 1").fetchone() == (1,)
    threads = [
        threading.Thread(target=patient.append, args=("models", [{"version": str(n)}])) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(patient, "models")) == 8


def test_a_writer_within_a_reader_is_refused_and_not_hung(history: History) -> None:
    with history.reading(), pytest.raises(HistoryLocked, match=rf"this process \({os.getpid()}\) itself"):
        history.append("models", [{"version": "v1"}])
    history.append("models", [{"version": "v1"}])


def test_a_writer_killed_before_its_commit_leaves_the_history_as_it_was(history: History) -> None:
    history.append("models", [{"version": "v1"}])
    code = f"""
import os, signal
from trading_assets.store.history import History
with History({str(history.path)!r}).writing() as connection:
    connection.execute("DELETE FROM models")
    print("open", flush=True)
    input()
"""
    with another_process(code) as writer:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(10)
    assert [r["version"] for r in rows(history, "models")] == ["v1"]


def test_a_snapshot_is_a_private_read_only_copy_replaced_at_once(history: History, tmp_path: Path) -> None:
    target = tmp_path / "snapshot.duckdb"
    history.append("models", [{"version": "v1"}])
    history.snapshot(target)
    with duckdb.connect(str(target), read_only=True) as notebook:
        history.append("models", [{"version": "v2"}])  # the notebook holds nobody up
        history.snapshot(target)
        assert notebook.execute("SELECT version FROM models").fetchall() == [("v1",)]
    assert target.stat().st_mode & 0o777 == 0o400
    assert [r["version"] for r in rows(History(target), "models")] == ["v1", "v2"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["desk", "snapshot.duckdb"]


def test_a_snapshot_holds_what_a_killed_writer_had_committed_to_its_log(
    history: History, tmp_path: Path
) -> None:
    history.query("SELECT 1")
    code = f"""
import duckdb, sys
connection = duckdb.connect({str(history.path)!r})
connection.execute("INSERT INTO models (version) VALUES ('v1')")
print("open", flush=True)
input()
"""
    with another_process(code) as writer:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(10)
    assert history.path.with_name("history.duckdb.wal").exists()
    history.snapshot(tmp_path / "snapshot.duckdb")
    assert [r["version"] for r in rows(History(tmp_path / "snapshot.duckdb"), "models")] == ["v1"]


def test_no_other_process_writes_while_a_snapshot_is_copied(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile
    refused: list[int] = []

    def copy_while_another_tries(source: Path, target: Path) -> None:
        code = f"import duckdb; duckdb.connect({str(source)!r})"
        refused.append(
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        )
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy_while_another_tries)
    history.snapshot(tmp_path / "snapshot.duckdb")
    assert refused == [1]


def test_a_row_of_an_unknown_column_leaves_what_was_there(history: History) -> None:
    history.append("models", [{"version": "v1"}])
    with pytest.raises(InvalidInput, match="author"):
        history.replace("models", {"version": "v1"}, [{"author": "pat"}])
    assert [row["version"] for row in rows(history, "models")] == ["v1"]


def test_a_newer_schema_is_refused(history: History) -> None:
    history.query("SELECT 1")
    with duckdb.connect(str(history.path)) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(SchemaTooNew, match=f"version 99, this release knows up to {VERSION}"):
        History(history.path).query("SELECT 1")


def test_an_older_schema_is_migrated_with_what_it_holds(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.append("models", [{"version": "v1"}])
    monkeypatch.setattr(history_module, "VERSION", VERSION + 1)
    monkeypatch.setattr(history_module, "MIGRATIONS", {VERSION: "ALTER TABLE models ADD COLUMN author TEXT"})
    for _ in range(2):
        migrated = History(history.path)
        assert migrated.query("SELECT version, author FROM models").to_pylist() == [
            {"version": "v1", "author": None}
        ]
    migrated.append("models", [{"version": "v2", "author": "pat"}])


def test_a_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as raw:
        raw.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(InvalidInput, match=r"mine\.duckdb: .*no history of ours"):
        History(tmp_path / "mine.duckdb").query("SELECT 1")
    (tmp_path / "text.duckdb").write_text("my notes\n" * 1000)
    with pytest.raises(InvalidInput, match=r"text\.duckdb: .*not a valid DuckDB"):
        History(tmp_path / "text.duckdb").query("SELECT 1")


def test_an_interrupt_in_a_statement_is_the_person_s_and_leaves_nothing(history: History) -> None:
    """DuckDB tells it as an error of its own."""

    def interrupted() -> None:
        with history.writing() as connection:
            connection.execute("INSERT INTO models (version) VALUES ('a')")
            raise RuntimeError("Query interrupted")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert history.query("SELECT count(*) AS n FROM models").to_pylist() == [{"n": 0}]
