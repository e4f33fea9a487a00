"""Questions about Dagster that the watchdog has asked again and again, each in a thread of its own: an answer
that is late delays no protection.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

REMEMBERED = 200  # occurrences


class Trouble(NamedTuple):
    """Something about Dagster that is not right."""

    subject: str  # stable: what the cool-down is of
    title: str
    body: str
    occurrence: str = ""  # told at once, and once; without one it is told when it is seen twice in a row
    not_loaded: bool = False  # the definitions do not load: no run begins, and `status` says so


Ask = Callable[[], Sequence[Trouble]]


class Asking:
    """Asks every few seconds, from `begin` on.

    at_once: what is found is true whatever Dagster has had the time for
    """

    def __init__(self, name: str, ask: Ask, seconds: float, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.lasting: tuple[Trouble, ...] = ()
        self.occurred: deque[Trouble] = deque(maxlen=REMEMBERED)
        self.not_loaded = ""  # why the definitions do not load, by the last answer
        self._name, self._ask, self._seconds = name, ask, seconds
        self._thread: threading.Thread | None = None

    def begin(self, stop: threading.Event) -> None:
        """Ask until `stop` is set. A fault ends the thread, and the next call starts another."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._keep_asking, args=(stop,), name=self._name, daemon=True
            )
            self._thread.start()

    def to_tell(self) -> Iterator[Trouble]:
        """What lasts, and each occurrence once."""
        yield from self.lasting
        while self.occurred:
            yield self.occurred.popleft()

    def _keep_asking(self, stop: threading.Event) -> None:
        before: set[str] = set()
        known: deque[str] = deque(maxlen=REMEMBERED)
        while not stop.is_set():
            troubles = self._ask()
            self.not_loaded = next((one.title for one in troubles if one.not_loaded), "")
            self.lasting = tuple(one for one in troubles if not one.occurrence and one.subject in before)
            before = {one.subject for one in troubles}
            for one in troubles:
                if one.occurrence and one.occurrence not in known:
                    known.append(one.occurrence)
                    self.occurred.append(one)
            stop.wait(self._seconds)
