"""How many requests a minute an account may send. The caller decides which requests share a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

REQUESTS_PER_MINUTE = 200  # Alpaca's, for each account and API
_MINUTE_NS = 60_000_000_000


class MinuteAllowance(NamedTuple):
    """What the X-RateLimit headers say; `allowed` False: answer 429."""

    allowed: bool
    limit: int
    remaining: int
    reset_epoch_s: int  # in the exchange's time


class RateLimit:
    """A window begins with its first request and ends a minute later.

    The minute passes on the exchange's clock or on the machine's monotonic clock, whichever is
    first: virtual time may stand still for long, and may also run through a day in a second. An account that
    replaces another has a limit of its own, as at Alpaca.

    account: the number of the present one
    """

    def __init__(
        self,
        per_minute: int,
        *,
        exchange_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        account: Callable[[], str],
    ) -> None:
        self._limit = per_minute
        self._account = account
        self._whose = account()
        self._exchange_ns = exchange_ns
        self._monotonic_ns = monotonic_ns
        self._began = (exchange_ns(), monotonic_ns())
        self._used = 0

    def take(self) -> MinuteAllowance:
        """Count one request."""
        self._roll()
        allowed = self._used < self._limit
        self._used += allowed
        return self._allowance(allowed)

    def look(self) -> MinuteAllowance:
        """The same answer as `take`, without counting a request."""
        self._roll()
        return self._allowance(self._used < self._limit)

    def _elapsed_ns(self) -> int:
        return max(self._exchange_ns() - self._began[0], self._monotonic_ns() - self._began[1])

    def _roll(self) -> None:
        if self._elapsed_ns() >= _MINUTE_NS or self._account() != self._whose:
            self._whose = self._account()
            self._began = (self._exchange_ns(), self._monotonic_ns())
            self._used = 0

    def _allowance(self, allowed: bool) -> MinuteAllowance:
        reset_ns = self._exchange_ns() + _MINUTE_NS - self._elapsed_ns()
        return MinuteAllowance(allowed, self._limit, self._limit - self._used, -(-reset_ns // 1_000_000_000))
