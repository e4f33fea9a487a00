"""How the journal is opened, and what survives: crashes, contention, forks, newer and older schemas."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import journal_samples as samples
import pytest
from journal_samples import BOOK
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from trading_assets.core.orders import State
from trading_assets.errors import InvalidInput
from trading_assets.store import schema
from trading_assets.store.journal import CrossedFork, Journal, JournalBusy, SchemaTooNew

SAMPLES = str(Path(samples.__file__).parent)


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own running `code` with the sample records at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": SAMPLES},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_journal_is_private_to_its_user(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.set_mark(BOOK, "a", "1", 1)
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes == {"journal.sqlite": 0o600, "journal.sqlite-wal": 0o600, "journal.sqlite-shm": 0o600}


def test_a_journal_that_others_could_read_is_made_private_and_its_directory_is_left(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    Journal.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_every_connection_writes_ahead_and_waits_for_the_disk(journal: Journal) -> None:
    for connecting in (journal._reading, journal._writing):
        with connecting() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_a_url_opens_the_same_journal_as_its_path(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.sqlite") as journal:
        journal.set_mark(BOOK, "a", "1", 1)
    with Journal.open(f"sqlite:///{tmp_path}/j.sqlite") as journal:
        assert journal.mark(BOOK, "a") == "1"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///j.sqlite?mode=ro"])
def test_a_journal_without_a_file_of_its_own_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="file of its own"):
        Journal.open(url)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("my notes\n" * 1000)
    with pytest.raises(InvalidInput, match=r"journal\.sqlite: .*not a database"):
        Journal.open(path)
    assert path.read_text() == "my notes\n" * 1000


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(SchemaTooNew, match=f"version 99, this release knows up to {schema.VERSION}"):
        Journal.open(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version FROM schema_version").fetchall() == [(99,)]


def test_an_older_schema_is_migrated_once_with_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.set_mark(BOOK, "a", "1", 1)

    def add_author(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE marks ADD COLUMN author TEXT"))

    present = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", present + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {present: add_author})
    for _ in range(2):
        with Journal.open(path) as journal, journal._reading() as connection:
            assert schema.version_of(connection) == present + 1
            assert connection.execute(text("SELECT value, author FROM marks")).all() == [("1", None)]


def _shape(path: Path) -> set[tuple[str, str, tuple[str, ...]]]:
    """Every table and index with its columns."""
    with sqlite3.connect(path) as raw:
        rows = raw.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        pragma = {"table": "table_info", "index": "index_info"}
        return {
            (
                kind,
                name,
                tuple(
                    sorted(
                        row[1 if kind == "table" else 2]
                        for row in raw.execute(f"PRAGMA {pragma[kind]}({name})")
                    )
                ),
            )
            for kind, name in rows
        }


def test_a_journal_of_the_first_version_becomes_one_of_today_and_keeps_what_it_holds(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    with sqlite3.connect(old) as raw:
        raw.executescript((Path(__file__).with_name("samples") / "journal_1.sql").read_text())
    Journal.open(new).close()
    with Journal.open(old) as journal:
        assert [fill.cum_qty for fill in journal.fills(BOOK)] == [1, 2]
        assert {entry.adjustment_id: entry.reverses for entry in journal.adjustments(BOOK)} == {
            "div-1": "",
            "odd-1": "",
        }
        assert [act.cause for act in journal.latched(BOOK)] == ["FOREIGN_ORDER"]
        assert journal.order("ta-1").state == "INTENT"
        assert len(journal.evidence(BOOK).opening) == 2
    assert _shape(old) == _shape(new)


def test_a_migration_that_fails_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()

    def half(connection: Connection) -> None:
        connection.execute(text("DROP TABLE marks"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        patched.setattr(schema, "MIGRATIONS", {schema.VERSION - 1: half})
        with pytest.raises(RuntimeError, match="power cut"):
            Journal.open(path)
    with Journal.open(path) as journal:
        assert journal.mark(BOOK, "a") is None


def test_every_table_has_its_book() -> None:
    without = {table.name for table in schema.METADATA.tables.values() if "book" not in table.c}
    assert without == {"schema_version"}


WRITE_INTENTS = """
import sys
from itertools import count
import journal_samples as samples
from trading_assets.core.orders import State
from trading_assets.store.journal import Journal
journal = Journal.open(sys.argv[1])
for n in count():
    samples.add_intent(journal, f"ta-{n}")
    journal.move(f"ta-{n}", State.SUBMITTING, at_ns=samples.TICK_NS + 1)
    print(n, flush=True)
"""


def test_what_was_written_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with python(WRITE_INTENTS, path) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        output = 19 + len(writer.stdout.read().splitlines())
    assert writer.returncode == -signal.SIGKILL
    with Journal.open(path) as journal:
        sent = [order for order in journal.orders(BOOK) if journal.was_sent(order.intent.client_order_id)]
        assert len(sent) >= output + 1
        assert [order.intent.client_order_id for order in sent] == [f"ta-{n}" for n in range(len(sent))]
        assert {order.state for order in sent} == {State.SUBMITTING}
        assert len(journal.verdicts(BOOK)) == len(journal.orders(BOOK))


DIE_HALF_WAY = """
import os, signal, sys
import journal_samples as samples
from sqlalchemy import event
from trading_assets.store.journal import Journal
journal = Journal.open(sys.argv[1])
def die(connection, cursor, statement, *rest):
    if statement.startswith("INSERT INTO order_events"):
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(journal._engine, "after_cursor_execute", die)
samples.add_intent(journal, "ta-1")
"""


def test_a_kill_before_the_commit_leaves_no_part_of_an_intent(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with python(DIE_HALF_WAY, path) as writer:
        assert writer.wait(30) == -signal.SIGKILL
    with Journal.open(path) as journal:
        assert journal.orders(BOOK) == []
        assert journal.verdicts(BOOK) == []
        samples.add_intent(journal, "ta-1")
        assert len(journal.events("ta-1")) == 1


RACE = """
import sys
import journal_samples as samples
from trading_assets.store.journal import Journal
print("ready", flush=True)
for n in range(20):
    input()
    with Journal.open(f"{sys.argv[1]}/{n}/journal.sqlite") as journal:
        print(journal.record_halt(samples.halt("latch", "KILL", 2)), flush=True)
"""


def test_of_processes_that_open_a_new_journal_and_latch_at_once_one_wins(tmp_path: Path) -> None:
    racers = [python(RACE, tmp_path) for _ in range(3)]
    streams = [(racer.stdin, racer.stdout) for racer in racers]
    try:
        assert [answers.readline() for _, answers in streams] == ["ready\n"] * 3
        for _ in range(20):
            for start, _ in streams:
                start.write("\n")
                start.flush()
            assert sorted(answers.readline() for _, answers in streams) == ["False\n", "False\n", "True\n"]
    finally:
        for racer in racers:
            racer.communicate(timeout=60)


def test_a_writer_that_waits_too_long_is_told_which_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as hanging, Journal.open(path, busy_seconds=0.1) as waiting:
        with hanging._writing():
            assert waiting.mark(BOOK, "a") is None  # a reader does not wait
            with pytest.raises(JournalBusy, match=r"journal\.sqlite"):
                waiting.set_mark(BOOK, "a", "1", 1)
        waiting.set_mark(BOOK, "a", "2", 2)
        assert hanging.mark(BOOK, "a") == "2"


def test_a_transaction_with_an_error_in_it_changes_nothing(journal: Journal) -> None:
    row = {"book": BOOK, "name": "a", "value": "1", "at_ns": 1}

    def insert_twice() -> None:
        with journal._writing() as connection:
            connection.execute(schema.marks.insert().values(row))
            connection.execute(schema.marks.insert().values(row))

    with pytest.raises(IntegrityError):
        insert_twice()
    with journal._reading() as connection:
        assert connection.execute(select(schema.marks)).all() == []


def test_a_forked_child_cannot_use_its_parents_journal(journal: Journal) -> None:
    journal.set_mark(BOOK, "a", "1", 1)
    child = os.fork()
    if child == 0:
        outcomes = []
        for use in (
            lambda: journal.mark(BOOK, "a"),
            lambda: journal.set_mark(BOOK, "a", "2", 2),
            journal.close,
        ):
            try:
                use()
            except CrossedFork:
                outcomes.append("refused")
        os._exit(0 if outcomes == ["refused"] * 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert journal.mark(BOOK, "a") == "1"
