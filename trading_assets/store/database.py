"""The journal's database: how it is opened, what a transaction is, and how records become rows.

The parts of the journal that inherit from `Database` say which table stores what. SQLite runs in WAL mode
with synchronous=FULL: what a write transaction stored survives a crash of the process and of the machine.
Writes begin with BEGIN IMMEDIATE, so that what a transaction reads cannot change before it writes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, bindparam, create_engine, event, insert
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.util import LRUCache

from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.market.clock import monotonic_ns
from trading_assets.store import schema
from trading_assets.store.errors import CrossedFork, StoreUnusable

BUSY_TIMEOUT_SECONDS = 10.0
MOST_IDLE = 5  # connections that wait for the next transaction
_UNUSABLE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)

R = TypeVar("R")


class _OneDialect(SQLiteDialect_pysqlite):
    """Equal to every other one, as a part of the key of what is compiled: what one engine has compiled, the
    next ones of the process take. Sensors open a journal at each evaluation, and compiling its statements
    takes longer than executing them."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


registry.register("sqlite.desk", __name__, _OneDialect.__name__)
_COMPILED: LRUCache[Any, Any] = LRUCache(1_000)


class JournalBusy(TradingAssetsError):
    """Another process kept the journal's write lock for longer than the busy timeout."""

    def __init__(self, where: str, seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.where, self.seconds = where, seconds
        super().__init__(where)

    def __str__(self) -> str:
        return (
            f"{self.where} stayed locked by another process for {self.seconds:.0f} s. "
            "Find who has it open (fuser, lsof) and end a transaction that hangs."
        )


class Database:
    """One open journal database. Threads may share it; a forked child may not."""

    def __init__(self, engine: Engine, where: str, busy_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self._engine = engine
        self._busy_seconds = busy_seconds
        self._idle: deque[Connection] = deque()
        self._where = where
        self._pid = os.getpid()

    @classmethod
    def open(cls, url_or_path: str | Path, *, busy_seconds: float = BUSY_TIMEOUT_SECONDS) -> Self:
        """Open the journal at a path (SQLite) or a database URL; create or migrate its schema.

        busy_seconds: how long each transaction waits for another process to let go of the file

        A new file has mode 0600, as has its directory 0700 when that is new too. Raises
        SchemaTooNew, JournalBusy, StoreUnusable, or InvalidInput for a database that cannot keep a journal.
        """
        url = _url(url_or_path)
        where = url.render_as_string(hide_password=True)
        if url.get_backend_name() == "sqlite":
            _make_private(url, where)
            of_ours = url.set(drivername="sqlite+desk")
            engine = create_engine(
                of_ours,
                connect_args={"timeout": busy_seconds},
                execution_options={"compiled_cache": _COMPILED},
            )
            event.listen(engine, "connect", partial(_set_up_sqlite, busy_seconds=busy_seconds))
        else:
            engine = create_engine(url, isolation_level="SERIALIZABLE")
        database = cls(engine, where, busy_seconds)
        try:
            with database._reading() as connection:
                current = schema.version_of(connection) == schema.VERSION
            if not current:
                with database._writing() as connection:
                    schema.migrate(connection, where)
        except BaseException:
            database._close_idle()
            engine.dispose()
            raise
        return database

    def close(self) -> None:
        """Close every connection. Use after it opens new ones."""
        self._refuse_after_fork()
        self._close_idle()
        self._engine.dispose()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One consistent view."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One durable transaction, alone among the writers. Raises JournalBusy and StoreUnusable."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        self._refuse_after_fork()
        try:
            with self._connection() as connection, connection.begin():
                if self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql(begin)
                yield connection
        except DatabaseError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the low byte: the primary code
            if code == sqlite3.SQLITE_BUSY:
                raise JournalBusy(self._where, self._busy_seconds) from error
            if code == sqlite3.SQLITE_NOTADB:
                raise InvalidInput(
                    str(error.orig),
                    where=self._where,
                    remedy="Configure another path, or move the file away.",
                ) from error
            if code in _UNUSABLE:
                raise StoreUnusable(self._where, str(error.orig)) from error
            raise

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """One that no other thread has, kept for the next transaction unless this one fails: taking one from
        the engine's pool and giving it back costs more than a read."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._pid:
            raise CrossedFork(self._where)


def as_row(record: Any) -> dict[str, Any]:
    """A record's fields by column name."""
    names = _names(type(record))  # type: ignore[arg-type]
    return {name: getattr(record, name) for name in names}


def as_record(kind: type[R], row: Row[Any], **others: Any) -> R:
    """The record of `kind` in a row, without the columns that the record does not have."""
    values = row._mapping  # noqa: SLF001 (its documented name)
    names = _names(kind)  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in names if name not in others}, **others)


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def same(table: Table, *names: str) -> list[ColumnElement[bool]]:
    """`column == :column` for each name: the conditions of a statement that is built once and executed with
    values by these names. Building a statement costs as much as executing it."""
    return [table.c[name] == bindparam(name) for name in names]


def given(**values: object) -> dict[str, Any]:
    """The values that are not None, for statements that filter only by what the caller gave."""
    return {name: value for name, value in values.items() if value is not None}


def insert_all(connection: Connection, table: Table, records: Iterable[Any]) -> None:
    """Insert records whose fields are the table's columns."""
    rows = [as_row(record) for record in records]
    if rows:
        connection.execute(insert(table), rows)


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, str) and "://" in url_or_path:
        return make_url(url_or_path)
    return URL.create("sqlite", database=str(url_or_path))


def _make_private(url: URL, where: str) -> None:
    if url.database in (None, "", ":memory:") or url.query:
        raise InvalidInput(
            "a journal needs a file of its own",
            where=where,
            remedy="Give a path, or a sqlite:/// URL with a file and no options.",
        )
    path = Path(str(url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives -wal and -shm the mode of the database file. A file that exists is never opened
    # here: closing any descriptor of it would drop the locks that this process holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _set_up_sqlite(connection: sqlite3.Connection, _: object, *, busy_seconds: float) -> None:
    connection.isolation_level = None  # the driver leaves BEGIN to `Database._transaction`
    mode = _write_ahead(connection, busy_seconds)
    if mode != "wal":
        raise InvalidInput(
            f"SQLite stays in {mode!r} mode where WAL is needed",
            where="the journal's file system",
            remedy="Put the journal on a local disk; WAL does not work over a network share.",
        )
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: sqlite3.Connection, busy_seconds: float) -> str:
    # SQLite does not apply its busy timeout to this switch, which a new file needs once.
    deadline_ns = monotonic_ns() + int(busy_seconds * 1e9)
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic_ns() >= deadline_ns:
                raise
        time.sleep(0.01)
