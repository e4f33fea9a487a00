"""The event journal in SQLite, one transaction for each request. All SQL of the exchange.

Events are appended. Only a move of the clock replaces another one right before it: while time runs there are
five a second, with nothing between them. The file belongs to one process at a time; its lock ends with the
process, however that ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from trading_assets.errors import TradingAssetsError
from trading_assets.exchange.events import ClockMoved, Event, decode, encode

FILE_NAME = "exchange.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    payload  TEXT NOT NULL
) STRICT;
"""
_FORGET_LAST_MOVE = "DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events) AND kind = ?"


class StateInUse(TradingAssetsError):
    """Another process has this state directory."""


class EventStore:
    """`directory` None keeps the events in memory only. Every other store survives its process."""

    def __init__(self, directory: Path | None) -> None:
        if directory is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
        else:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory / FILE_NAME
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise StateInUse(
                f"{directory}: {error}: stop the exchange that uses this state directory, or name another one"
            ) from error

    def append(self, events: Sequence[Event]) -> None:
        """Store the events durably, all or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if isinstance(events[0], ClockMoved):
                self._connection.execute(_FORGET_LAST_MOVE, (encode(events[0])[0],))
            self._connection.executemany(
                "INSERT INTO events (kind, payload) VALUES (?, ?)", [encode(e) for e in events]
            )
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def events(self) -> Iterator[Event]:
        """Every event, first to last."""
        for kind, payload in self._connection.execute("SELECT kind, payload FROM events ORDER BY sequence"):
            yield decode(kind, payload)

    def journal_bytes(self) -> bytes:
        """The whole journal, one line for each event: sequence, kind, payload. Equal inputs give equal
        bytes."""
        rows = self._connection.execute("SELECT sequence, kind, payload FROM events ORDER BY sequence")
        return b"".join(f"{sequence}\t{kind}\t{payload}\n".encode() for sequence, kind, payload in rows)

    def close(self) -> None:
        self._connection.close()
