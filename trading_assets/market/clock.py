"""Where time comes from: the venue's clock, a clock moved by hand, and the machine's two clocks.

Only this module reads the machine's wall clock. `market.sessions` knows what a time means (session, tick,
open or closed). All times are UTC nanoseconds since the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from trading_assets.errors import TradingAssetsError


class ClockUnread(TradingAssetsError):
    """The venue's clock has never been read, so there is no "now"."""


class Clock(Protocol):
    """Anything that knows what time it is."""

    def now_ns(self) -> int: ...


def monotonic_ns() -> int:
    """Nanoseconds that only grow; for durations, never for times of day."""
    return time.monotonic_ns()


def system_now_ns() -> int:
    """The machine's wall clock. For alerts, file names and measuring skew; decisions use the venue's
    clock."""
    return time.time_ns()


class ManualClock:
    """A clock that stands until it is moved: tests, replay and the embedded exchange's virtual time."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, ns: int) -> None:
        """Move forward by `ns` ≥ 0. Raises ValueError for a negative step."""
        if ns < 0:
            raise ValueError(f"a clock advances by 0 or more nanoseconds, not {ns}; use set() to go back")
        self._now_ns += ns

    def set(self, now_ns: int) -> None:
        """Stand at `now_ns`, earlier or later than before."""
        self._now_ns = now_ns


class VenueClock:
    """The broker's clock as "now"; the monotonic clock carries it on between readings.

    read:   asks the venue; returns its time in ns, raises a TradingAssetsError when it cannot
    stands: the venue's time stands between readings (the embedded exchange in lockstep), so that
            "now" is the last reading itself

    A reading is taken as of the middle of its round trip, so that it is wrong by at most half of it.
    A failed `sync` keeps the last offset: `synced` is then False and `failure` says why.
    """

    def __init__(self, read: Callable[[], int], *, stands: bool) -> None:
        self._read = read
        self.stands = stands
        self._reading: tuple[int, int] | None = None  # the venue's ns, and our monotonic ns at that moment
        self.failure: TradingAssetsError | None = None

    @property
    def synced(self) -> bool:
        """Whether the last `sync` succeeded. False before the first."""
        return self._reading is not None and self.failure is None

    def sync(self, read: Callable[[], int] | None = None) -> bool:
        """Read the venue's clock; returns `synced`. Only a TradingAssetsError of the reading is kept.

        read: asks the venue this time, for a caller that needs more of the answer than the time
        """
        asked_ns = monotonic_ns()
        try:
            reading_ns = (read or self._read)()
        except TradingAssetsError as failure:
            self.failure = failure
            return False
        self._reading = (reading_ns, (asked_ns + monotonic_ns()) // 2)
        self.failure = None
        return True

    def known_ns(self) -> int | None:
        """The venue's time without a reading; None when it has never been read."""
        return None if self._reading is None else self.now_ns()

    def now_ns(self) -> int:
        """The venue's time; reads it first when it has never been read.

        Raises ClockUnread when no reading has ever succeeded.
        """
        if self._reading is None:
            self.sync()
        if self._reading is None:
            raise ClockUnread(
                f"the venue's clock has not been read yet ({self.failure}); check that the venue is reachable"
            )
        reading_ns, at_ns = self._reading
        return reading_ns if self.stands else reading_ns + monotonic_ns() - at_ns
