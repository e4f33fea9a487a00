"""The history: what is analysed, in one DuckDB file. Nothing that protects money waits for it.

This module has the connections and transactions; `history_schema` has the tables, and `history_rows` the
rules for a row. DuckDB locks its file against every other process, readers included, and refuses read-only
beside read-write in one process. So connections are short, and a process has either many readers or one
writer of a file at a time. A process that comes too late waits for a few seconds, and then gets an error that
names the holder of the file.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from trading_assets.core.codes import CODE_COUNT
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.market.clock import monotonic_ns
from trading_assets.store.duckdb_files import CONFIG, AttachedFile
from trading_assets.store.duckdb_files import one_thread as only_one_thread
from trading_assets.store.errors import CrossedFork, SchemaTooNew, StoreUnusable
from trading_assets.store.history_rows import Rows, as_table, converter, place, refuse_unknown
from trading_assets.store.history_schema import ADD_CODES, MIGRATIONS, VERSION, create

_RETRY_PAUSE_SECONDS = 0.05
_TABLES = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
_HOLDER = re.compile(r"\(PID (\d+)\)")


class HistoryLocked(TradingAssetsError):
    """Another process kept the file open for longer than we wait."""

    def __init__(self, path: Path, holder: int | None, seconds: float) -> None:
        self.path = path
        self.holder = holder  # process id; None: not known
        self.seconds = seconds
        super().__init__(path, holder, seconds)

    def __str__(self) -> str:
        holder = "another process" if self.holder is None else f"process {self.holder}"
        if self.holder == os.getpid():
            holder = f"this process ({self.holder}) itself"
        return (
            f"{self.path} is held open by {holder} and was not free within {self.seconds:g} s. "
            "Close that connection; notebooks read a snapshot (History.snapshot) instead."
        )


class History:
    """One history file, created on first use, private to its user. Holds no connection between calls.

    retry_seconds: how long to wait for a connection before HistoryLocked
    """

    def __init__(self, path: str | Path, *, retry_seconds: float = 5.0) -> None:
        self.path = Path(path)
        self.retry_seconds = retry_seconds
        self._is_known = False  # to have this release's schema
        self._schemas: dict[str, pa.Schema] = {}
        self._held = threading.local()

    @contextmanager
    def held(self, *, read_only: bool = False) -> Iterator[None]:
        """Use one connection for everything that this thread does here in the block; opening one takes 3 ms.

        For steps that wait for nobody meanwhile: every other process waits for them, or, with `read_only`,
        those that write. What is written is committed as without it, transaction by transaction. Raises
        HistoryLocked.
        """
        if self._holding is not None:
            yield
            return
        with self._connection(read_only=read_only) as connection:
            if not read_only:
                # the commits of the block go into the log, and at its end together into the file
                connection.execute("SET wal_autocheckpoint = '1GB'")
            self._held.connection = connection
            try:
                yield
            finally:
                del self._held.connection
                if not read_only:
                    connection.execute(f"SET wal_autocheckpoint = '{CONFIG['wal_autocheckpoint']}'")

    @property
    def _holding(self) -> duckdb.DuckDBPyConnection | None:
        return getattr(self._held, "connection", None)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection, closed at the end, also on error."""
        if self._holding is not None:
            yield self._holding
            return
        with self._connection(read_only=True) as connection:
            yield connection

    @contextmanager
    def writing(self, *, one_thread: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in one transaction: committed at the end, dropped and closed on error.

        one_thread: all of it, its commit too; for many rows, see `duckdb_files.one_thread`
        """
        threads = only_one_thread if one_thread else nullcontext
        if self._holding is not None:
            with self._typed(), threads(self._holding), _transaction(self._holding):
                yield self._holding
            return
        with (
            self._connection(read_only=False) as connection,
            threads(connection),
            _transaction(connection),
        ):
            yield connection

    def query(self, sql: str, params: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """The result of one SELECT."""
        with self.reading() as connection:
            return connection.execute(sql, params).to_arrow_table()

    def replace(self, table: str, keys: Mapping[str, object], rows: Rows) -> None:
        """Put `rows` in place of the rows whose columns equal `keys`, in one transaction.

        Columns that a row does not have take the key's value, else NULL. Raises InvalidInput for an
        unknown table or column, a value of the wrong type, no keys, or a row with another key: it
        would not be replaced the next time.
        """
        self.replace_many([(table, keys, rows)])

    def replace_many(self, replacements: Sequence[tuple[str, Mapping[str, object], Rows]]) -> None:
        """Several `replace` of (table, keys, rows) in one transaction: all of them or none."""
        with self.writing() as connection:
            for table, keys, rows in replacements:
                schema = self._schema(connection, table)
                if not keys:
                    raise InvalidInput(
                        "no keys",
                        where=place(table),
                        remedy="Say which rows the new ones take the place of.",
                    )
                refuse_unknown(table, schema, keys)
                typed = {name: converter(schema.field(name).type)(value) for name, value in keys.items()}
                incoming = as_table(table, schema, typed, rows)
                # zone maps know equality only
                where = " AND ".join(
                    f"{_quoted(name)} {'IS NOT DISTINCT FROM' if value is None else '='} ?"
                    for name, value in typed.items()
                )
                connection.execute(f"DELETE FROM {_quoted(table)} WHERE {where}", list(typed.values()))
                _insert(connection, table, incoming)

    def append(self, table: str, rows: Rows) -> None:
        """Add rows in one transaction. Columns that a row does not have are NULL. Raises InvalidInput."""
        with self.writing() as connection:
            _insert(connection, table, as_table(table, self._schema(connection, table), {}, rows))

    def snapshot(self, to_path: str | Path) -> None:
        """Put a private, read-only copy of everything committed at `to_path`, replaced atomically."""
        target = Path(to_path)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        copy = Path(name)
        log = self.path.with_name(f"{self.path.name}.wal")
        try:
            while True:
                # Takes in the log that a writer left behind when it was killed.
                with self._connection(read_only=False) as connection:
                    connection.execute("CHECKPOINT")
                # The read-only connection keeps writers out while the file is copied. No other reader
                # of this process may be there: closing the copied file drops the process's locks on it.
                with self._connection(read_only=True, alone=True):
                    if not log.exists():
                        shutil.copyfile(self.path, copy)
                        break
            os.fsync(descriptor)
            copy.chmod(0o400)
            copy.replace(target)
        finally:
            os.close(descriptor)
            copy.unlink(missing_ok=True)

    @contextmanager
    def _connection(self, *, read_only: bool, alone: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """To the file with the schema of this release, made or migrated when it is first opened."""
        if not self.path.exists():
            self._is_known = False
            self._create()
        if not self._is_known:
            with self._opened(read_only=read_only, alone=alone) as connection:
                self._is_known = self._version(connection) == VERSION and _has_codes(connection)
                if self._is_known:
                    yield connection
                    return
            self._migrate()
            self._is_known = True
        with self._opened(read_only=read_only, alone=alone) as connection:
            yield connection

    @contextmanager
    def _opened(self, *, read_only: bool, alone: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        deadline_ns = monotonic_ns() + int(self.retry_seconds * 1e9)
        turn = _turn_at(self.path.resolve())
        if not turn.take(shared=read_only and not alone, seconds=self.retry_seconds):
            raise HistoryLocked(self.path, os.getpid(), self.retry_seconds)
        try:
            with (
                self._typed(),
                turn.file(lambda: self._attach(read_only, deadline_ns)) as file,
                closing(file.connection()) as connection,
            ):
                yield connection
        finally:
            turn.give_back()

    def _attach(self, read_only: bool, deadline_ns: int) -> AttachedFile:
        while True:
            try:
                return AttachedFile(self.path, read_only=read_only)
            except duckdb.IOException as error:
                if "not a valid DuckDB database" in str(error):
                    raise self._refused(str(error)) from error
                if "Could not set lock on file" not in str(error):
                    raise
                if monotonic_ns() >= deadline_ns:
                    holder = _HOLDER.search(str(error))
                    pid = int(holder.group(1)) if holder else None
                    raise HistoryLocked(self.path, pid, self.retry_seconds) from error
            time.sleep(_RETRY_PAUSE_SECONDS)

    def _create(self) -> None:
        # Made complete in a private place, then linked: nobody sees half a schema, and of two
        # processes that create it one wins.
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".history-") as private:
            made = Path(private) / self.path.name
            with self._typed(), closing(duckdb.connect(made, config=CONFIG)) as connection:
                create(connection)
            made.chmod(0o600)
            with suppress(FileExistsError):
                os.link(made, self.path)

    def _migrate(self) -> None:
        with self._opened(read_only=False) as connection:
            connection.execute("BEGIN")
            for version in range(self._version(connection), VERSION):
                connection.execute(MIGRATIONS[version])
            connection.execute(ADD_CODES)
            connection.execute("UPDATE schema_version SET version = ?", [VERSION])
            connection.execute("COMMIT")

    def _version(self, connection: duckdb.DuckDBPyConnection) -> int:
        try:
            ((version,),) = connection.execute("SELECT version FROM schema_version").fetchall()
        except duckdb.CatalogException as error:
            raise self._refused("a DuckDB file that is no history of ours") from error
        if version > VERSION:
            raise SchemaTooNew(str(self.path), int(version), VERSION)
        return int(version)

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """A full disk under our own name. A commit that outgrows it only in its checkpoint is kept."""
        try:
            yield
        except duckdb.TransactionException as error:
            if "Failed to commit" not in str(error):
                raise
            raise StoreUnusable(str(self.path), str(error)) from error
        except (duckdb.IOException, duckdb.FatalException) as error:
            raise StoreUnusable(str(self.path), str(error)) from error

    def _refused(self, what: str) -> InvalidInput:
        return InvalidInput(
            what, where=str(self.path), remedy="Configure another path, or move the file away."
        )

    def _schema(self, connection: duckdb.DuckDBPyConnection, table: str) -> pa.Schema:
        if table not in self._schemas:
            tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
            if table not in tables:
                raise InvalidInput(
                    f"there is no table {table!r}",
                    where=str(self.path),
                    remedy=f"The tables are {', '.join(sorted(tables))}.",
                )
            empty = connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT 0").to_arrow_table()
            self._schemas[table] = empty.schema
        return self._schemas[table]


def _has_codes(connection: duckdb.DuckDBPyConnection) -> bool:
    ((count,),) = connection.execute("SELECT count(*) FROM codes").fetchall()
    return int(count) >= CODE_COUNT


class _Turn:
    """The connections of this process to one file: any number of readers, or one that is alone."""

    def __init__(self) -> None:
        self._attaching = threading.Lock()
        self._file: AttachedFile | None = None
        self._users = 0
        self._is_broken = False
        self._changed = threading.Condition()
        self._readers = 0
        self._alone = False

    @property
    def taken(self) -> bool:
        return self._alone or self._readers > 0

    def take(self, *, shared: bool, seconds: float) -> bool:
        """Take it. False when it did not become free in time."""
        with self._changed:
            free = self._changed.wait_for(
                lambda: not self._alone and (shared or self._readers == 0), timeout=seconds
            )
            if free and shared:
                self._readers += 1
            elif free:
                self._alone = True
            return free

    @contextmanager
    def file(self, attach: Callable[[], AttachedFile]) -> Iterator[AttachedFile]:
        """The file while readers need it: the first of them attaches it, the last detaches it."""
        with self._attaching:
            file = self._file = self._file or attach()
            self._users += 1
        try:
            yield file
        except (duckdb.FatalException, duckdb.InternalException):
            self._is_broken = True
            raise
        finally:
            with self._attaching:
                self._users -= 1
                if not self._users:
                    end = file.abandon if self._is_broken else file.detach
                    self._file, self._is_broken = None, False
                    end()

    def give_back(self) -> None:
        with self._changed:
            if self._alone:
                self._alone = False
            else:
                self._readers -= 1
            self._changed.notify_all()


_turns: dict[Path, _Turn] = {}
_crossed: set[Path] = set()
_registry = threading.Lock()


def _turn_at(path: Path) -> _Turn:
    if path in _crossed:
        raise CrossedFork(str(path))
    with _registry:
        return _turns.setdefault(path, _Turn())


def _after_fork() -> None:
    """In the child: the parent's threads are gone with their turns; what they had open is unusable."""
    global _registry
    _registry = threading.Lock()
    _crossed.update(path for path, turn in _turns.items() if turn.taken)
    _turns.clear()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        with suppress(duckdb.TransactionException):  # none is left where the commit itself failed
            connection.execute("ROLLBACK")
        if type(error) is RuntimeError and str(error) == "Query interrupted":
            raise KeyboardInterrupt from error  # what Ctrl-C in a statement is to DuckDB
        raise


def _insert(connection: duckdb.DuckDBPyConnection, table: str, incoming: pa.Table) -> None:
    if incoming.num_rows:
        connection.register("incoming", incoming)
        connection.execute(f"INSERT INTO {_quoted(table)} BY NAME SELECT * FROM incoming")
        connection.unregister("incoming")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
