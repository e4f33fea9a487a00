"""A replay's file in the writing: what was committed is there, nothing else, and no error is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from trading_assets.engine.replay.checkpoint import stored
from trading_assets.engine.replay.file_writer import MOST_STEPS, FileWriter
from trading_assets.store.history import History


def checks(*names: str) -> dict[str, list[pa.Table]]:
    return {"checks": [pa.table({"book": ["replay:a"], "check": [name]}) for name in names]}


def written(path: Path) -> list[str]:
    rows = History(path).query('SELECT "check" FROM checks ORDER BY 1')
    return [str(name) for name in rows["check"].to_pylist()]


def state(path: Path) -> list[str]:
    return [str(text) for text in History(path).query("SELECT state FROM replay_state")["state"].to_pylist()]


def test_rows_and_state_of_every_commit_are_there(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with FileWriter(History(path)) as writer:
        writer.insert(checks("one", "two"))
        writer.commit("first")
        writer.insert(checks("three"))
        writer.insert(checks("four"))
        writer.commit("second")
    assert written(path) == ["four", "one", "three", "two"]
    assert state(path) == ["second"]


def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with FileWriter(History(path)) as writer:
        writer.insert(checks("one"))
        writer.commit("first")
        writer.insert(checks("two"))
    assert (written(path), state(path)) == (["one"], ["first"])

    def interrupted() -> None:
        with FileWriter(History(path)) as writer:
            writer.insert(checks("two"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (written(path), state(path)) == (["one"], ["first"])


def test_a_commit_without_rows_keeps_its_state(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with FileWriter(History(path)) as writer:
        writer.commit("alone")
    assert (written(path), state(path)) == ([], ["alone"])
    assert stored(tmp_path / "none.duckdb") is None


def test_a_failed_insert_is_told_and_nothing_after_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    taken = []

    def write() -> None:
        with FileWriter(History(path)) as writer:
            writer.insert(checks("one"))
            writer.commit("first")
            writer.insert(checks("two"))
            writer.insert({"checks": [pa.table({"nowhere": [1]})]})
            for number in range(10):
                taken.append(number)
                writer.insert(checks(str(number)))
                writer.commit("second")

    with pytest.raises(duckdb.BinderException, match="nowhere"):
        write()
    assert (written(path), state(path)) == (["one"], ["first"])
    assert len(taken) < 10  # by a step that came later, not at the end only


def test_few_steps_are_taken_in_before_they_are_done(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    taken: list[int] = []

    def write() -> None:
        with FileWriter(History(path, retry_seconds=60.0)) as writer:
            for number in range(2 * MOST_STEPS):
                writer.insert(checks(str(number)))
                taken.append(number)
            writer.commit("all")

    History(path).query("SELECT 1")
    writing = threading.Thread(target=write)
    with History(path).reading():  # the file is not to be had
        writing.start()
        writing.join(timeout=1.0)
        assert len(taken) == MOST_STEPS
    writing.join(timeout=60.0)
    assert (len(written(path)), state(path)) == (2 * MOST_STEPS, ["all"])


def test_a_failed_last_step_is_told_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with pytest.raises(duckdb.CatalogException, match="nothing"), FileWriter(History(path)) as writer:
        writer.insert({"nothing": [pa.table({"a": [1]})]})
    assert written(path) == []


def test_its_thread_ends_with_it_and_the_file_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with FileWriter(History(path)) as writer:
        writer.insert(checks("one"))
        writer.commit("first")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("replay-file")] == []
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM checks").fetchall() == [(1,)]
