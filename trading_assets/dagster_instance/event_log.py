"""Dagster's SQLite event log with a pooled engine: the same files, tables and queries, fewer connections.

Dagster's own opens an engine and a connection for every event, which costs more than the event. Here each
shard (the index, and a file for each run) keeps one connection of the process, and what a run plans comes as
a batch (DAGSTER_EVENT_BATCH_SIZE), which is one transaction of each shard. No event is stored with a secret
in it (`dagster_instance.clean_events`). A planned check is stored without partitions, as its outcome is. A
new shard is made at once, where the stock storage reads every migration there is. A run that is deleted takes
its shard and what its checks found with it, which the stock storage leaves behind. Where this Dagster's
storage is no longer what this one is made of, the stock way of storing stands in, on the same files
(`dagster_instance.fallback`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from dagster import AssetKey
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.sql import get_alembic_config
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool, QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from trading_assets.dagster_instance.clean_events import to_be_stored

BUSY_TIMEOUT_SECONDS = 60
OPEN_SHARDS = 16  # runs whose connection is kept
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"  # by which Dagster hands events over as batches
BATCH_SIZE = "100"

_VERSION_TABLE = """CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""
# The newest outcome of a check is its state and stays, whatever becomes of its run.
_DELETE_CHECKS = text("""
DELETE FROM asset_check_executions AS old WHERE old.run_id = :run_id AND EXISTS (
    SELECT 1 FROM asset_check_executions AS newer
    WHERE newer.asset_key = old.asset_key AND newer.check_name = old.check_name AND newer.id > old.id
)
""")


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """One kept connection for each of the shards used last. Safe over a fork: a child starts without any.

    In WAL mode with synchronous=NORMAL a power failure may lose the newest events of the log, never
    its consistency; what protects money is the journal, which does not live here.
    """

    _obs: Any  # the observer of files, from the first watch on

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._owner = os.getpid()
        self._batch: tuple[ExitStack, dict[str, Connection]] | None = None  # while one is being stored
        self._supports_checks = False  # as far as is known
        self._lock = threading.RLock()  # a batch holds it over many connections; the stock one cannot
        # however this process was started: whoever opens the instance stores what it plans in one transaction
        os.environ.setdefault(BATCH_SIZE_VARIABLE, BATCH_SIZE)
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            if self._batch is None:
                with self._transaction(shard) as connection:
                    yield connection
                return
            until_the_end, connections = self._batch
            if shard not in connections:
                connections[shard] = until_the_end.enter_context(self._transaction(shard))
            yield connections[shard]

    @contextmanager
    def _transaction(self, shard: str) -> Iterator[Connection]:
        if shard not in self._initialized_dbs:
            if not self._has_its_tables(shard):
                # creating the tables takes several connections at once, so not the pooled engine's one
                engine = create_engine(self.conn_string_for_shard(shard), poolclass=NullPool)
                try:
                    _make_tables(engine)
                except DatabaseError:  # another process makes them at this moment: the stock way waits for it
                    self._initdb(engine)
            self._initialized_dbs.add(shard)
        with self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _has_its_tables(self, shard: str) -> bool:
        """Whether the shard bears a revision, which is stamped last. Such a one the stock storage leaves as
        it is, after it has read every migration there is."""
        path = Path(self.path_for_shard(shard))
        if not path.exists():
            return False
        with self._engine(shard).connect() as connection:
            named = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            stamped = "SELECT 1 FROM alembic_version"
            return all(connection.execute(text(query)).first() for query in (named, stamped))

    @property
    def supports_asset_checks(self) -> bool:
        """Looked up once: Dagster asks for every check, which takes it an engine each time."""
        self._supports_checks = self._supports_checks or bool(super().supports_asset_checks)
        return self._supports_checks

    def store_event(self, event: EventLogEntry) -> None:
        super().store_event(to_be_stored(_without_partitions(event)))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All of them or none. Dagster stores them one by one when this raises."""
        with self._lock, ExitStack() as until_the_end:
            self._batch = until_the_end, {}
            try:
                super().store_event_batch([to_be_stored(event) for event in events])
            finally:
                self._batch = None

    def delete_events(self, run_id: str) -> None:
        """The run's shard, its events in the index, and what its checks found that later runs found anew."""
        with self._lock:
            self._close(run_id)
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)
            self._initialized_dbs.discard(run_id)
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
            connection.execute(_DELETE_CHECKS, {"run_id": run_id})
        self.free_concurrency_slots_for_run(run_id)

    def _engine(self, shard: str) -> Engine:
        if self._owner != os.getpid():
            # The parent's connections must not even be closed here: SQLite would drop its locks.
            self._inherited = self._engines
            self._engines, self._owner = OrderedDict(), os.getpid()
        engine = self._engines.get(shard)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=0,
                connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _set_up)
            self._engines[shard] = engine
            self._close_the_oldest()
        self._engines.move_to_end(shard)
        return engine

    def _close_the_oldest(self) -> None:
        while len(self._engines) > OPEN_SHARDS:
            oldest = next(shard for shard in self._engines if shard != INDEX_SHARD_NAME)
            self._engines.pop(oldest).dispose()

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        handler = _ShardWatchdog(self, run_id, callback, cursor)
        watch = self._obs.schedule(handler, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (handler, watch)

    def wipe(self) -> None:
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        self._close_all()
        super().dispose()

    def _close(self, shard: str) -> None:
        if self._owner == os.getpid() and shard in self._engines:
            self._engines.pop(shard).dispose()

    def _close_all(self) -> None:
        if self._owner == os.getpid():
            with self._lock:
                while self._engines:
                    self._engines.popitem()[1].dispose()


class _ShardWatchdog(SqliteEventLogStorageWatchdog):
    """Follows a run by its shard's write-ahead file too: a kept connection leaves events there for long, and
    the stock watchdog, which looks at the shard alone, would let the run's page stand still."""

    def __init__(
        self, storage: SqliteEventLogStorage, run_id: str, callback: EventHandlerFn, cursor: str | None
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()


@cache
def last_migration() -> str:
    """The name of the newest migration that this Dagster has; reading them all takes 0.1 s."""
    head = ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__)).get_current_head()
    assert head is not None
    return head


def _make_tables(engine: Engine) -> None:
    """What the stock storage's `_initdb` leaves in a new shard, in one transaction."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL").close()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        SqlEventLogStorageMetadata.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(_VERSION_TABLE)
        connection.execute(text("INSERT INTO alembic_version VALUES (:name)"), {"name": last_migration()})
        connection.commit()


def _without_partitions(event: EventLogEntry) -> EventLogEntry:
    """A planned check as its outcome will be; any other event as it is.

    Dagster plans a check for the run's partitions and stores their whole definition with it, three times and
    27 KB each with the closed days of a quarter century. The outcome of a check that has no partitions of its
    own names none, so it would not find what was planned, which then stays planned for ever.
    """
    dagster_event = event.dagster_event
    planned = dagster_event.event_specific_data if dagster_event is not None else None
    if dagster_event is None or not isinstance(planned, AssetCheckEvaluationPlanned):
        return event
    plain = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=dagster_event._replace(event_specific_data=plain))


def _set_up(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL").close()


def try_out(place: Path) -> None:
    """Store, read and delete a run's events in an empty directory. Raises where this Dagster's storage is no
    longer what this one is made of."""
    storage = PooledSqliteEventLogStorage(str(place))
    run_id, asset = "try-out", AssetKey("try_out")
    planned = AssetCheckEvaluationPlanned(asset_key=asset, check_name="try_out")
    kinds = (
        (DagsterEventType.ENGINE_EVENT, EngineEventData()),
        (DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned),
    )
    events = [
        EventLogEntry(  # type: ignore[no-untyped-call]
            error_info=None,
            level=logging.INFO,
            user_message="",
            run_id=run_id,
            timestamp=0.0,
            dagster_event=DagsterEvent(kind.value, run_id, event_specific_data=data),
        )
        for kind, data in kinds
    ]
    try:
        storage.store_event(events[0])
        storage.store_event_batch(events)
        _ShardWatchdog(storage, run_id, lambda *_: None, None)
        stored = len(storage.get_logs_for_run(run_id))
        if stored != 3 or not storage.supports_asset_checks:
            raise RuntimeError(f"{stored} of 3 events were stored, or checks are not")
        storage.delete_events(run_id)
        if storage.get_logs_for_run(run_id) or not storage.path_for_shard(INDEX_SHARD_NAME):
            raise RuntimeError("a deleted run's events are still there")
    finally:
        storage.dispose()
