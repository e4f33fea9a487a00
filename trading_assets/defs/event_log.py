"""Dagster's SQLite event log with a pooled engine: the same files, tables and queries, fewer connections.

Dagster's own opens an engine and a connection for every event, which costs more than the event. Here
each shard (the index, and a file for each run) keeps one connection of the process. Taking the entry
out of dagster.yaml goes back to the stock storage, on the same files.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

BUSY_TIMEOUT_SECONDS = 60
OPEN_SHARDS = 16  # runs whose connection is kept


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """One kept connection for each of the shards used last. Safe over a fork: a child starts without any.

    In WAL mode with synchronous=NORMAL a power failure may lose the newest events of the log, never
    its consistency; what protects money is the journal, which does not live here.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._owner = os.getpid()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledSqliteEventLogStorage:
        # where the stock storage puts its files
        return cls(str(Path(config_value["dagster_home"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._initialized_dbs:
                # creating the tables takes several connections at once, so not the pooled engine's one
                self._initdb(create_engine(self.conn_string_for_shard(shard), poolclass=NullPool))
                self._initialized_dbs.add(shard)
            with self._engine(shard).connect() as connection, connection.begin():
                yield connection

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

    def wipe(self) -> None:
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        self._close_all()
        super().dispose()

    def _close_all(self) -> None:
        if self._owner == os.getpid():
            with self._db_lock:
                while self._engines:
                    self._engines.popitem()[1].dispose()


def _set_up(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL").close()
