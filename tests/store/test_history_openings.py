"""How often the history's file is opened, by which threads and forks, and what a broken write leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest
from support.history_ground import another_process, holding, rows

from trading_assets.store import history as history_module
from trading_assets.store.duckdb_files import AttachedFile
from trading_assets.store.errors import CrossedFork
from trading_assets.store.history import History


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened."""
    paths: list[Path] = []

    class Counted(AttachedFile):
        def __init__(self, path: Path, *, read_only: bool) -> None:
            paths.append(path)
            super().__init__(path, read_only=read_only)

    monkeypatch.setattr(history_module, "AttachedFile", Counted)
    return paths


def test_readers_in_several_threads_share_one_opening_and_the_last_gives_the_file_back(
    history: History, opened: list[Path]
) -> None:
    history.append("models", [{"version": "v1"}])
    opened.clear()
    together = threading.Barrier(4)
    counted: list[int] = []

    def read() -> None:
        with history.reading() as connection:
            together.wait()
            counted.append(connection.execute("SELECT count(*) FROM models").fetchall()[0][0])
            together.wait()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [1] * 4
    assert opened == [history.path]
    with another_process(holding(history.path, "writing")):
        pass


def test_two_files_are_written_at_once(tmp_path: Path) -> None:
    histories = [History(tmp_path / name) for name in ("a.duckdb", "it's b.duckdb")]

    def write(history: History) -> None:
        for number in range(40):
            with history.held():
                history.append("models", [{"version": f"{history.path.name} {number}"}])

    threads = [threading.Thread(target=write, args=[history]) for history in histories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for history in histories:
        written = {row["version"] for row in rows(history, "models")}
        assert written == {f"{history.path.name} {number}" for number in range(40)}
        assert not history.path.with_name(f"{history.path.name}.wal").exists()


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (0, 2),
        (4096, 2),
        (1_000_000, 2),
        pytest.param(29_000_000, 302, id="committed, not taken into the file"),
    ],
)
def test_a_file_that_breaks_while_it_is_written_spoils_no_later_use(
    tmp_path: Path, room: int, kept: int
) -> None:
    """In a process of its own: a limit on what may be written cannot be told apart by file."""
    code = """
import resource, sys
from pathlib import Path
from trading_assets.store.errors import StoreUnusable
from trading_assets.store.history import History
history = History(Path(sys.argv[1]))
history.append("models", [{"version": "first"}])
size = history.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    history.append("models", [{"version": f"{number:0100000d}"} for number in range(300)])
except StoreUnusable:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
history.append("models", [{"version": "second"}])
versions = history.query("SELECT version FROM models")["version"].to_pylist()
print(len(versions), {"first", "second"} <= set(versions))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "history.duckdb", str(room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.splitlines() == ["refused", f"{kept} True"], shown.stderr


def test_a_first_use_opens_the_file_once(history: History, opened: list[Path]) -> None:
    history.append("models", [{"version": "v1"}])
    opened.clear()
    assert len(rows(History(history.path), "models")) == 1
    assert opened == [history.path]
    History(history.path).replace("models", {"version": "v1"}, [{}])
    assert opened == [history.path] * 2


def test_a_forked_child_opens_its_own_connection_unless_one_was_open(history: History) -> None:
    history.append("models", [{"version": "v1"}])

    def child_is_refused() -> bool:
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if len(rows(history, "models")) == 1 else 2)
            except CrossedFork:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 1)
        return code == 1

    assert not child_is_refused()
    with history.reading():
        assert child_is_refused()
    assert not child_is_refused()


def test_a_held_connection_serves_every_call_of_the_block_and_is_closed_after_it(
    history: History, opened: list[Path]
) -> None:
    history.query("SELECT 1")
    opened.clear()
    with history.held(), history.held():
        history.append("models", [{"version": "a"}])
        assert history.query("SELECT version FROM models").to_pylist() == [{"version": "a"}]
    assert len(opened) == 1
    assert history.query("SELECT version FROM models").to_pylist() == [{"version": "a"}]
    assert len(opened) == 2


def test_what_fails_within_a_held_block_is_taken_back_alone(tmp_path: Path) -> None:
    history = History(tmp_path / "history.duckdb")
    with history.held():
        history.append("models", [{"version": "a"}])
        with pytest.raises(duckdb.ConversionException), history.writing() as connection:
            connection.execute("INSERT INTO models (version) VALUES ('b'); SELECT CAST('x' AS INTEGER)")
        history.append("models", [{"version": "c"}])
    result = history.query("SELECT version FROM models ORDER BY version").to_pylist()
    assert [row["version"] for row in result] == ["a", "c"]


def test_while_it_is_held_another_process_waits_and_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "history.duckdb"
    script = (
        "import sys; from trading_assets.store.history import History, HistoryLocked\n"
        "try: History(sys.argv[1], retry_seconds=0.2).query('SELECT 1')\n"
        "except HistoryLocked as locked: sys.exit(locked.holder != int(sys.argv[2]))\n"
        "sys.exit('it was free')"
    )
    command = [sys.executable, "-c", script, str(path), str(os.getpid())]
    with History(path).held():
        assert subprocess.run(command).returncode == 0


def test_one_thread_of_a_transaction_is_given_back_after_its_commit(history: History) -> None:
    threads = "SELECT current_setting('threads') AS threads"
    before = history.query(threads)
    with history.writing(one_thread=True) as connection:
        assert connection.execute(threads).fetchall() == [(1,)]
    assert history.query(threads) == before
    with history.held(), history.writing(one_thread=True) as connection:
        assert connection.execute(threads).fetchall() == [(1,)]
    assert history.query(threads) == before
