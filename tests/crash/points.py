"""Where a desk's process can die: around every commit and every request, counted as they come.

For a forked process that lives for one run: what is patched here stays patched until it ends.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import Connection

from trading_assets.broker.alpaca.transport import BoundedAdapter
from trading_assets.store.database import Database
from trading_assets.store.history import History

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_ASSET = re.compile(r"(?<=/assets/)[A-Z.]+")


class Point(NamedTuple):
    """The `nth` time (from 1) that a run comes to a kind of point: `before:move#3`."""

    kind: str  # before: and after: a journal's or history's commit; request: and answer: of the broker
    nth: int

    def __str__(self) -> str:
        return f"{self.kind}#{self.nth}"

    @staticmethod
    def read(text: str) -> Point:
        kind, _, nth = text.rpartition("#")
        return Point(kind, int(nth))


class Track:
    """The points that a run comes to, up to the one at which it kills its own process (or stops it)."""

    def __init__(self, end_at: Point | None = None, *, with_signal: signal.Signals = signal.SIGKILL) -> None:
        self._end_at = end_at
        self._signal = with_signal
        self._counts: Counter[str] = Counter()
        self.reached: list[Point] = []

    def at(self, kind: str) -> None:
        self._counts[kind] += 1
        point = Point(kind, self._counts[kind])
        self.reached.append(point)
        if point == self._end_at:
            os.kill(os.getpid(), self._signal)

    def lay(self) -> None:
        """Put a point before and after every commit of journal and history, and around every request."""
        journal_writing, history_writing, send = Database._writing, History.writing, BoundedAdapter.send

        @contextmanager
        def writing(journal: Database) -> Iterator[Connection]:
            method = sys._getframe(2).f_code.co_name  # whose `with` block this is
            with journal_writing(journal) as connection:
                yield connection
                self.at(f"before:{method}")
            self.at(f"after:{method}")

        @contextmanager
        def writing_history(history: History) -> Iterator[Any]:
            with history_writing(history) as connection:
                yield connection
                self.at("before:history")
            self.at("after:history")

        def sending(
            adapter: BoundedAdapter, request: requests.PreparedRequest, *args: Any, **named: Any
        ) -> requests.Response:
            name = request_name(str(request.method), str(request.url))
            self.at(f"request:{name}")
            answer = send(adapter, request, *args, **named)
            self.at(f"answer:{name}")
            return answer

        Database._writing = writing
        History.writing = writing_history
        BoundedAdapter.send = sending


def request_name(method: str, url: str) -> str:
    """Method and path with ids and symbols taken out, e.g. `DELETE/v2/orders/{id}`."""
    parts = urlsplit(url)
    status = parse_qs(parts.query).get("status")
    path = _ASSET.sub("{symbol}", _ID.sub("{id}", parts.path))
    return f"{method}{path}" + (f"?status={status[0]}" if status else "")
