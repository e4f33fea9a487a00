"""The single-writer lease of a book: at most one living process may send its orders.

A lease ends when it is released, when its time runs out, or when the process that holds it dies. The engine
decides what to do under it.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, delete, insert, select, update

from trading_assets.errors import TradingAssetsError
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.store.database import Database, as_record, as_row, same
from trading_assets.store.schema import leases

LEASE_SECONDS = 120.0
"""Longer than a tick may take without renewing."""

PATIENCE_SECONDS = 30.0
"""How long a person's act and a protection wait for one another: either takes seconds."""

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a book, as granted. Machine times, UTC nanoseconds."""

    book: str
    holder: str  # what a person reads: "tick 2012-05-18T14:35Z"
    token: str  # unique to this grant
    host: str
    pid: int
    process_start: str  # "" where the system does not tell
    acquired_ns: int
    expires_ns: int


class LeaseHeld(TradingAssetsError):
    """A living process holds the book."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        super().__init__(lease)

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.lease.acquired_ns // 10**9, UTC).isoformat()
        return (
            f"the book {self.lease.book} is held by {self.lease.holder!r}, process {self.lease.pid} "
            f"on {self.lease.host}, since {since}; wait until it is done, or end that process"
        )


class LeaseLost(TradingAssetsError):
    """The lease ran out and another process took the book: nothing more may be sent under it."""

    def __init__(self, lease: Lease, now: Lease | None) -> None:
        self.lease = lease
        self.now = now
        super().__init__(lease, now)

    def __str__(self) -> str:
        by = f"{self.now.holder!r}, process {self.now.pid}" if self.now else "nobody"
        return (
            f"the lease of {self.lease.holder!r} on the book {self.lease.book} was lost and {by} holds "
            "it; stop, and let the next tick recover what was sent"
        )


class Leases(Database):
    """The journal's leases."""

    def acquire_lease(self, book: str, holder: str, ttl_seconds: float = LEASE_SECONDS) -> Lease:
        """Take the book for `ttl_seconds`. Raises LeaseHeld while a living process holds it, this
        one included."""
        now = system_now_ns()
        granted = Lease(
            book=book,
            holder=holder,
            token=secrets.token_hex(16),
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or "",
            acquired_ns=now,
            expires_ns=now + int(ttl_seconds * 1e9),
        )
        with self._writing() as connection:
            current = _stored(connection, book)
            if current is not None and _in_force(current, now):
                raise LeaseHeld(current)
            connection.execute(delete(leases).where(leases.c.book == book))
            connection.execute(insert(leases).values(as_row(granted)))
        return granted

    def renew_lease(self, lease: Lease, ttl_seconds: float = LEASE_SECONDS) -> Lease:
        """The same lease for `ttl_seconds` from now. Raises LeaseLost when it was taken over."""
        expires_ns = system_now_ns() + int(ttl_seconds * 1e9)
        with self._writing() as connection:
            renewed = connection.execute(
                update(leases).where(leases.c.token == lease.token).values(expires_ns=expires_ns)
            )
            if renewed.rowcount == 0:
                raise LeaseLost(lease, _stored(connection, lease.book))
        return replace(lease, expires_ns=expires_ns)

    def release_lease(self, lease: Lease) -> bool:
        """Release the book. False when another process had taken it over; then nothing changes."""
        with self._writing() as connection:
            return connection.execute(delete(leases).where(leases.c.token == lease.token)).rowcount > 0

    def lease_holder(self, book: str) -> Lease | None:
        """The lease in force."""
        with self._reading() as connection:
            current = _stored(connection, book)
        return current if current is not None and _in_force(current, system_now_ns()) else None

    @contextmanager
    def lease(self, book: str, holder: str, ttl_seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
        """Hold the book within a `with` block."""
        lease = self.acquire_lease(book, holder, ttl_seconds)
        try:
            yield lease
        finally:
            self.release_lease(lease)


def when_free(
    act: Callable[[], Done],
    waits: Callable[[Lease], None] = lambda lease: None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Done:
    """Run what takes a book's lease, once the present holder is done. Calls `waits` for each holder that it
    waits for. Raises LeaseHeld when the patience ends."""
    until_ns = monotonic_ns() + int(patience_seconds * 1e9)
    pause = threading.Event()
    while True:
        try:
            return act()
        except LeaseHeld as error:
            if monotonic_ns() >= until_ns:
                raise
            waits(error.lease)
            pause.wait(0.1)


def process_start(pid: int) -> str | None:
    """What distinguishes the process that has `pid` now from earlier ones: its start in clock ticks since
    boot on Linux, "" where the system does not tell, None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return _started_unknown(pid)
    # Field 22 of proc(5); the name in field 2 may hold spaces and parentheses, so count after it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _started_unknown(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""  # it lives and belongs to another user
    return ""


_LEASE = select(leases).where(*same(leases, "book"))


def _stored(connection: Connection, book: str) -> Lease | None:
    row = connection.execute(_LEASE, {"book": book}).one_or_none()
    return None if row is None else as_record(Lease, row)


def _in_force(lease: Lease, now_ns: int) -> bool:
    if now_ns >= lease.expires_ns:
        return False
    if lease.host != socket.gethostname():
        return True  # only its time can tell
    return process_start(lease.pid) == lease.process_start
