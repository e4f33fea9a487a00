"""The process's one DuckDB instance, and the files that are attached to it for as long as they are used.

An instance of its own for each use of a file costs 10 ms, its catalogue of functions most of it; a file
attached to one that is there costs 2 ms. The file's lock is held while it is attached. Who may attach one,
and for how long, is `history`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import duckdb

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",  # nothing is fetched from anywhere
    "wal_autocheckpoint": "0KB",  # a commit goes into the file: no .wal that a copy could miss
}
_numbers = count()
_lock = threading.Lock()
_instance: duckdb.DuckDBPyConnection | None = None
_inherited: list[duckdb.DuckDBPyConnection | None] = []


class AttachedFile:
    """A file that is attached; its lock is ours until `detach`. Raises what DuckDB raises."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._instance = _present(path)
        self._name = f"file_{next(_numbers)}"
        quoted = str(path).replace("'", "''")
        mode = "READ_ONLY" if read_only else "READ_WRITE"
        with closing(self._instance.cursor()) as connection:
            connection.execute(f"ATTACH '{quoted}' AS {self._name} ({mode})")

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection to which this file's tables are known. Its settings are the whole process's."""
        connection = self._instance.cursor()
        connection.execute(f"USE {self._name}")
        return connection

    def detach(self) -> None:
        """Take in the log, and give the lock back. Every connection of it has been closed."""
        with suppress(duckdb.ConnectionException), closing(self._instance.cursor()) as connection:
            connection.execute(f"DETACH {self._name}")

    def abandon(self) -> None:
        """After an error that DuckDB calls fatal nothing more is done on this instance: the next use makes
        another."""
        global _instance
        with _lock:
            if _instance is self._instance:
                _instance = None
        self._instance.close()


@contextmanager
def one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What runs on one thread in the block: of many rows two take more processor time, and no less of the
    clock's."""
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute("RESET threads")


def _present(path: Path) -> duckdb.DuckDBPyConnection:
    """The instance. What does not fit into memory goes beside the first file that it is used for."""
    global _instance
    with _lock:
        if _instance is None:
            _instance = duckdb.connect(":memory:", config={**CONFIG, "temp_directory": f"{path}.tmp"})
        return _instance


def _after_fork() -> None:
    """In the child: the parent's instance has lost its threads. It is neither used nor ended here."""
    global _instance, _lock
    _inherited.append(_instance)
    _instance, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
