"""Delivery of alerts on a thread of its own, so that a slow address never holds up an evaluation."""

from __future__ import annotations

import threading
from collections.abc import Callable

from trading_assets.market.clock import monotonic_ns


class Courier:
    """One round of deliveries at a time. A round outlives the evaluation that began it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._round: _Round | None = None

    def deliver(self, work: Callable[[], str], *, wait_seconds: float) -> str:
        """What the round said that `work` is, or the one that is still on; a sentence where that takes longer
        than `wait_seconds`. Raises what the round raised."""
        with self._lock:
            if self._round is None:
                self._round = _Round(work)
            current = self._round
        current.thread.join(wait_seconds)
        if current.thread.is_alive():
            return f"alerts are being delivered since {current.age_seconds:.0f} s: an address takes its time"
        with self._lock:
            if self._round is current:
                self._round = None
        if current.failure is not None:
            raise current.failure
        return current.said


class _Round:
    def __init__(self, work: Callable[[], str]) -> None:
        self.said = ""
        self.failure: Exception | None = None
        self._work = work
        self._began_ns = monotonic_ns()
        self.thread = threading.Thread(target=self._do, name="alert-delivery", daemon=True)
        self.thread.start()

    @property
    def age_seconds(self) -> float:
        return (monotonic_ns() - self._began_ns) / 1e9

    def _do(self) -> None:
        try:
            self.said = self._work()
        except Exception as error:  # noqa: BLE001 - raised where the round is asked for
            self.failure = error
