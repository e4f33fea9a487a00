"""Delivery of alerts in a thread of its own, so that a mail server that takes its time delays nothing else.

It is asked and answers at once, or within the time that it is given. What it is given past the outbox it
keeps until an address has taken it; the outbox keeps itself. A delivery that hangs keeps later ones waiting,
and nobody who asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from trading_assets.engine.book import alerts
from trading_assets.engine.book.alerts import Delivery
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns
from trading_assets.store.journal import Journal

log = get_logger(__name__)

AGAIN_SECONDS = 30.0  # between two attempts at what no address took
MOST_KEPT = 50  # alerts past the outbox; then the oldest is dropped, as it is in the log
END_SECONDS = 5.0


class Courier:
    """Starts its thread when there is something to deliver; `close` gives it a moment to finish.

    open_journal: opens the journal whose outbox is delivered, as a context manager
    """

    def __init__(
        self, environ: Mapping[str, str], open_journal: Callable[[], AbstractContextManager[Journal]]
    ) -> None:
        self._environ = environ
        self._open_journal = open_journal
        self._unsent: deque[tuple[str, str, str]] = deque(maxlen=MOST_KEPT)
        self._outbox = False
        self._began_ns: int | None = None  # monotonic: the round of the outbox that is on
        self._rounds = 0  # of the outbox, that ended
        self._last: Delivery | Exception | None = None  # what came of the last of them
        self._ended = threading.Condition()  # of all four above
        self._wanted, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def deliver_outbox(self) -> None:
        """Have what waits in the outbox delivered."""
        with self._ended:
            self._outbox = True
        self._begin()

    def delivered(self, wait_seconds: float) -> Delivery | float:
        """Have what waits in the outbox delivered, and what came of it; where that, or the round before it,
        takes longer than `wait_seconds`, the seconds that it has taken so far. Raises what the round did."""
        with self._ended:
            before = self._rounds
        asked_ns = monotonic_ns()
        self.deliver_outbox()
        with self._ended:
            if not self._ended.wait_for(lambda: self._rounds > before, wait_seconds):
                began_ns = asked_ns if self._began_ns is None else self._began_ns
                return (monotonic_ns() - began_ns) / 1e9
            last = self._last
        if isinstance(last, Exception):
            raise last
        assert last is not None  # a round has ended
        return last

    def send(self, title: str, body: str, severity: str = "ERROR") -> None:
        """Have an alert sent past the outbox, for when the journal cannot keep it."""
        log.error("alert past the outbox", title=title, body=body)
        self._unsent.append((title, body, severity))
        self._begin()

    def close(self, seconds: float = END_SECONDS) -> None:
        """End the thread, after what it has begun; it is waited for so long at most."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self) -> None:
        self._wanted.set()
        with self._ended:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._wanted.wait(AGAIN_SECONDS if self._unsent else None)
            self._wanted.clear()
            try:
                self._send_unsent()
            except Exception as error:  # noqa: BLE001 - an address's, or apprise's: logged, and tried again
                log.error("alerts not delivered", why=str(error))
            self._deliver_outbox()
            if self._closed.is_set():
                return

    def _deliver_outbox(self) -> None:
        with self._ended:
            if not self._outbox:
                return
            self._outbox, self._began_ns = False, monotonic_ns()
        came: Delivery | Exception
        try:
            to = alerts.channels(self._environ)
            with self._open_journal() as journal:
                came = alerts.deliver(journal, to)
        except Exception as error:  # noqa: BLE001 - logged, and raised where somebody waits for it
            log.error("alerts not delivered", why=str(error))
            came = error
        with self._ended:
            self._last, self._began_ns = came, None
            self._rounds += 1
            self._ended.notify_all()

    def _send_unsent(self) -> None:
        to = alerts.channels(self._environ) if self._unsent else ()
        if not to:
            self._unsent.clear()  # nobody to tell: the log has it
        while self._unsent:
            alerts.send_at_once(to, *self._unsent[0])
            self._unsent.popleft()
