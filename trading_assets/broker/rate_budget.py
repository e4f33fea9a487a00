"""The broker's rate limit as its own answers state it, shared by all processes of a desk through a file.

Ticks, reconciliations and the command line use one account's allowance. Each looks here before it
asks: what is left belongs first to orders and cancels, so reads stop while a part of it remains. The
broker's 429 stays the last word; a file that cannot be used costs the foresight and no request.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from trading_assets.broker.port import RateLimited
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns

log = get_logger(__name__)

WINDOW_S = 60.0  # Alpaca counts by the minute
KEPT_FOR_WRITES = 0.1  # of the limit
SCOPES = ("trading", "data")  # Alpaca counts each API by itself

_ROW = struct.Struct("<qqqq")


class Allowance(NamedTuple):
    """One API's window as last seen."""

    limit: int  # requests a window
    remaining: int
    reset_epoch_s: int  # the broker's time at which the window ends
    over_ns: int  # this machine's monotonic time by which it has surely ended


class RateBudget:
    """The allowances in a file of fixed rows, each request's look and update under the file's lock.

    path: one file for each account; created, private to its user, when first needed
    """

    def __init__(self, path: Path, *, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._path = path
        self._now_ns = now_ns
        self._usable = True

    def take(self, scope: str, *, write: bool) -> None:
        """Count one request that is about to leave. Raises RateLimited, and nothing has left, when none
        is left in this window, or for a read only those that are kept for writes."""
        with self._row(scope) as row:
            seen = row.read()
            if seen is None or self._is_over(seen):
                return
            kept = 0 if write else int(seen.limit * KEPT_FOR_WRITES)
            if seen.remaining <= kept:
                raise RateLimited(float(seen.reset_epoch_s))
            row.write(seen._replace(remaining=seen.remaining - 1))

    def learn(self, scope: str, status: int, headers: Mapping[str, str]) -> None:
        """Take what an answer's X-RateLimit headers say; a 429 leaves nothing whatever they say."""
        try:
            limit, remaining, reset = (
                int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset")
            )
        except (KeyError, ValueError):
            return
        left = _seconds_left(reset, headers.get("Date"))
        if left is None:
            return
        over_ns = self._now_ns() + int(left * 1e9)
        with self._row(scope) as row:
            row.write(Allowance(limit, 0 if status == 429 else remaining, reset, over_ns))

    def _is_over(self, seen: Allowance) -> bool:
        """A window further away than one can be was noted before this machine was started again."""
        left_ns = seen.over_ns - self._now_ns()
        return not 0 < left_ns <= WINDOW_S * 1e9

    @contextmanager
    def _row(self, scope: str) -> Iterator[_Row]:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if self._usable:
                self._usable = False
                log.warning(
                    "rate limit not shared with other processes", where=str(self._path), why=str(error)
                )
            yield _Row(None, 0)
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield _Row(file, SCOPES.index(scope) * _ROW.size)
        finally:
            os.close(file)  # and the lock with it


class _Row(NamedTuple):
    """One scope's place in the locked file; without a file nothing is known."""

    file: int | None
    offset: int

    def read(self) -> Allowance | None:
        content = b"" if self.file is None else os.pread(self.file, _ROW.size, self.offset)
        if len(content) < _ROW.size or not any(content):
            return None
        return Allowance(*_ROW.unpack(content))

    def write(self, seen: Allowance) -> None:
        if self.file is None:
            return
        try:
            os.pwrite(self.file, _ROW.pack(*seen), self.offset)
        except OSError as error:  # a full disk stops no exit
            log.warning("rate limit not noted", why=str(error))


def _seconds_left(reset_epoch_s: int, date: str | None) -> float | None:
    """Until the window ends, by the broker's own two times. None where they do not fit together: then its
    time is virtual, as the embedded exchange's, and its minute may be over at any moment."""
    try:
        left = reset_epoch_s - parsedate_to_datetime(date).timestamp() if date else 0.0
    except ValueError:
        return None
    return left if 0 < left <= WINDOW_S else None
