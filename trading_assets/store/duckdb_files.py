"""DuckDB instances in memory, and the files that are attached to them for as long as they are used.

A new instance for each use of a file costs 10 ms, mostly for its catalogue of functions; attaching a file to
an idle instance costs 2 ms. An instance serves one file at a time, because a detached file stays open while a
query of another file runs on the same instance. The process holds the file's lock while it is attached.
`history` decides who may attach one, and for how long.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import duckdb

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",  # nothing is fetched from anywhere
    "wal_autocheckpoint": "0KB",  # a commit goes into the file: no .wal that a copy could miss
}
_numbers = count()
_lock = threading.Lock()
_idle: list[duckdb.DuckDBPyConnection] = []  # one at most
_inherited: list[list[duckdb.DuckDBPyConnection]] = []


class AttachedFile:
    """An attached file; this process holds its lock until `detach`. Raises what DuckDB raises."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._instance = _taken(path)
        self._name = f"file_{next(_numbers)}"
        quoted = str(path).replace("'", "''")
        mode = "READ_ONLY" if read_only else "READ_WRITE"
        try:
            with closing(self._instance.cursor()) as connection:
                connection.execute(f"ATTACH '{quoted}' AS {self._name} ({mode})")
        except duckdb.IOException:
            _give_back(self._instance)  # the file is held, or no file of DuckDB's: the instance is as it was
            raise

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection that knows this file's tables. Its settings apply to the whole process."""
        connection = self._instance.cursor()
        connection.execute(f"USE {self._name}")
        return connection

    def detach(self) -> None:
        """Write the log into the file, and release the lock. Close every connection of it before."""
        with closing(self._instance.cursor()) as connection:
            connection.execute(f"DETACH {self._name}")
        _give_back(self._instance)

    def abandon(self) -> None:
        """Call it instead of `detach` after an error that DuckDB calls fatal: the instance ends too."""
        self._instance.close()


@contextmanager
def one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run the block on one thread: with many rows, two threads take more processor time and are no faster."""
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute("RESET threads")


def _taken(path: Path) -> duckdb.DuckDBPyConnection:
    """The idle instance, or another. What does not fit into memory goes beside the first of its files."""
    with _lock:
        if _idle:
            return _idle.pop()
    return duckdb.connect(":memory:", config={**CONFIG, "temp_directory": f"{path}.tmp"})


def _give_back(instance: duckdb.DuckDBPyConnection) -> None:
    with _lock:
        if not _idle:
            _idle.append(instance)
            return
    instance.close()


def _after_fork() -> None:
    """In the child: the parent's instance has lost its threads. It is neither used nor ended here."""
    global _idle, _lock
    _inherited.append(_idle)
    _idle, _lock = [], threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
