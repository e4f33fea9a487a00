"""Delivery of alerts in a thread of its own, so that a mail server that takes its time delays nothing else.

It is asked and answers at once. What it is given past the outbox it keeps until an address has taken it; the
outbox keeps itself. A delivery that hangs keeps later ones waiting, and nobody who asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping

from trading_assets.engine import alerts
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.store.journal import Journal

log = get_logger(__name__)

AGAIN_SECONDS = 30.0  # between two attempts at what no address took
MOST_KEPT = 50  # alerts past the outbox; then the oldest is dropped, as it is in the log
END_SECONDS = 5.0


class Courier:
    """Starts its thread when there is something to deliver; `close` gives it a moment to finish.

    open_journal: opens the journal whose outbox is delivered
    """

    def __init__(self, environ: Mapping[str, str], open_journal: Callable[[], Journal]) -> None:
        self._environ = environ
        self._open_journal = open_journal
        self._unsent: deque[tuple[str, str, str]] = deque(maxlen=MOST_KEPT)
        self._outbox = False
        self._asked, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def deliver_outbox(self) -> None:
        """Have what waits in the outbox delivered."""
        self._outbox = True
        self._begin()

    def send(self, title: str, body: str, severity: str = "ERROR") -> None:
        """Have an alert sent past the outbox, for when the journal cannot keep it."""
        log.error("alert past the outbox", title=title, body=body)
        self._unsent.append((title, body, severity))
        self._begin()

    def close(self, seconds: float = END_SECONDS) -> None:
        """End the thread, after what it has begun; it is waited for so long at most."""
        self._closed.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self) -> None:
        self._asked.set()
        if self._thread is None or not self._thread.is_alive():  # never begun, or ended by a fault of apprise
            self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self._asked.wait(AGAIN_SECONDS if self._unsent else None)
            self._asked.clear()
            try:
                to = alerts.channels(self._environ)
                self._send_unsent(to)
                if self._outbox:
                    self._outbox = False
                    with self._open_journal() as journal:
                        alerts.deliver(journal, to)
            except TradingAssetsError as error:
                log.error("alerts not delivered", why=str(error))
            if self._closed.is_set():
                return

    def _send_unsent(self, to: tuple[alerts.Channel, ...]) -> None:
        while self._unsent:
            alerts.send_at_once(to, *self._unsent[0])
            self._unsent.popleft()
