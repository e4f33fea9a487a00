"""The broker's rate limit as its own answers state it, shared by all processes of a desk through a file.

Ticks, reconciliations, the listener and the command line use one account's allowance. Each looks here before
it asks. What is left of a minute belongs first to protection, then to orders, then to a tick's reads; what
only looks on has a share that it cannot pass. The broker's 429 stays the last word; a file that cannot be
used costs the foresight and no request.
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
from trading_assets.broker.purpose import Purpose
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns

log = get_logger(__name__)

WINDOW_S = 60.0  # Alpaca counts by the minute
WINDOW_NS = int(WINDOW_S * 1e9)
SCOPES = ("trading", "data")  # Alpaca counts each API by itself


class RequestShare(NamedTuple):
    """Fractions of the limit."""

    leaves: float  # to more important requests: none of this purpose leaves while no more than this is left
    most: float  # that requests of this purpose take in a minute


SHARES = {
    Purpose.PROTECT: RequestShare(leaves=0.0, most=1.0),
    Purpose.ORDER: RequestShare(leaves=0.15, most=1.0),
    Purpose.TICK: RequestShare(leaves=0.25, most=1.0),
    Purpose.FOLLOW: RequestShare(leaves=0.35, most=0.3),
    Purpose.LOOK: RequestShare(leaves=0.5, most=0.2),
    Purpose.HISTORY: RequestShare(leaves=0.55, most=0.3),
}

_HEADER = b"requests by purpose, 2\n".ljust(32)  # what does not begin with it was left by another version
_ROW = struct.Struct("<" + "q" * (6 + len(Purpose)))


class Allowance(NamedTuple):
    """One API's minute, as the broker last stated it and as it was used since."""

    limit: int  # requests a window
    remaining: int
    reset_epoch_s: int  # the broker's time at which the window ends
    over_ns: int  # this machine's monotonic time by which it has surely ended
    assumed: int  # 1: begun here after the one before was over; `reset_epoch_s` is still that one's
    used_until_ns: int  # this machine's monotonic time at which `used` begins anew
    used: tuple[int, ...]  # requests that left in this minute, by purpose

    def now(self, now_ns: int) -> Allowance:
        """The same at a later time: a window that is over is followed by a whole one. One further away than
        can be was noted before this machine was started again."""
        here = self
        if not 0 < self.over_ns - now_ns <= WINDOW_NS:
            here = here._replace(remaining=self.limit, over_ns=now_ns + WINDOW_NS, assumed=1)
        if not 0 < self.used_until_ns - now_ns <= WINDOW_NS:
            here = here._replace(used=(0,) * len(Purpose), used_until_ns=now_ns + WINDOW_NS)
        return here

    def after(self, purpose: Purpose) -> Allowance | None:
        """With one request more; None: it may not leave."""
        share = SHARES[purpose]
        if self.remaining <= int(self.limit * share.leaves):
            return None
        if self.used[purpose] >= max(int(self.limit * share.most), 1):
            return None
        used = tuple(count + (of == purpose) for of, count in enumerate(self.used))
        return self._replace(remaining=self.remaining - 1, used=used)

    def corrected(self, limit: int, remaining: int, reset_epoch_s: int, over_ns: int) -> Allowance:
        """With what an answer says. Answers come in any order: what has left since is still counted, and
        what is said of a window that is over counts for nothing."""
        if reset_epoch_s < self.reset_epoch_s or (self.assumed and reset_epoch_s == self.reset_epoch_s):
            return self
        if reset_epoch_s == self.reset_epoch_s or self.assumed:
            remaining = min(remaining, self.remaining)
        if reset_epoch_s == self.reset_epoch_s:  # an answer that was long on its way knows the end less well
            over_ns = min(over_ns, self.over_ns)
        return self._replace(
            limit=limit, remaining=remaining, reset_epoch_s=reset_epoch_s, over_ns=over_ns, assumed=0
        )


class RateBudget:
    """The allowances in a file of fixed rows, each request's look and update under the file's lock.

    path: one file for each account; created, private to its user, when first needed
    """

    def __init__(self, path: Path, *, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._path = path
        self._now_ns = now_ns
        self._usable = True

    def take(self, scope: str, purpose: Purpose) -> None:
        """Count one request that is about to leave. Raises RateLimited, and nothing has left, when the
        window has none left for this purpose, or the purpose has had its share of this minute."""
        with self._row(scope) as row:
            seen = row.read()
            if seen is None:
                return
            after = seen.now(self._now_ns()).after(purpose)
            if after is None:
                raise RateLimited(float(seen.reset_epoch_s))
            row.write(after)

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
        now_ns = self._now_ns()
        remaining = 0 if status == 429 else remaining
        over_ns = now_ns + int(left * 1e9)
        with self._row(scope) as row:
            seen = row.read()
            if seen is None:
                nothing = (0,) * len(Purpose)
                row.write(Allowance(limit, remaining, reset, over_ns, 0, now_ns + WINDOW_NS, nothing))
            else:
                row.write(seen.now(now_ns).corrected(limit, remaining, reset, over_ns))

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
            yield _Row(file, len(_HEADER) + SCOPES.index(scope) * _ROW.size)
        finally:
            os.close(file)  # and the lock with it


class _Row(NamedTuple):
    """One scope's place in the locked file. Without a file, or in another version's, nothing is known."""

    file: int | None
    offset: int

    def read(self) -> Allowance | None:
        if self.file is None or os.pread(self.file, len(_HEADER), 0) != _HEADER:
            return None
        content = os.pread(self.file, _ROW.size, self.offset)
        if len(content) < _ROW.size or not any(content):
            return None
        limit, remaining, reset, over_ns, assumed, used_until_ns, *used = _ROW.unpack(content)
        return Allowance(limit, remaining, reset, over_ns, assumed, used_until_ns, tuple(used))

    def write(self, seen: Allowance) -> None:
        if self.file is None:
            return
        *window, used = seen
        try:
            if os.pread(self.file, len(_HEADER), 0) != _HEADER:
                os.ftruncate(self.file, 0)
                os.pwrite(self.file, _HEADER, 0)
            os.pwrite(self.file, _ROW.pack(*window, *used), self.offset)
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
