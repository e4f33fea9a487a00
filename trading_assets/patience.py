"""What a connection of an HTTP server of ours may cost: time and bytes of its headers, its place, and the
time that its client takes to read an answer.

uvicorn waits for a request's headers and for a reader without end, and lets a connection that said nothing
stay. How long and how large a request's body may be, the guard in front of each application says.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADERS_SECONDS = 10.0  # from the connection, or from a next request's first byte
MOST_HEADER_BYTES = 64 * 1024
READ_SECONDS = 20.0  # for a client to take the next READ_BYTES of an answer that waits for it
READ_BYTES = 64 * 1024
MOST_CONNECTIONS = 256  # of HTTP: then the one that has been idle longest makes room


class Crowded(Exception):
    """A connection asks again before it has its answer. The parser is told so, and reads no more of it."""


# Of each socket that is refused with a reason, and of each request that is none. Neither says of whom.
_OF_STRANGERS = frozenset(
    {"ASGI callable returned without completing handshake.", "Invalid HTTP request received."}
)


def log_no_stranger() -> None:
    """Whoever reaches a port could fill uvicorn's log, a line for each connection: it has none of these."""
    logging.getLogger("uvicorn.error").addFilter(_is_of_no_stranger)


def _is_of_no_stranger(record: logging.LogRecord) -> bool:
    return record.msg not in _OF_STRANGERS


class PatientProtocol(HttpToolsProtocol):
    """An HTTP connection that is closed where its client does not get on: with its request, or with reading
    the answer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self.idle_since = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        cycle = cast(RequestResponseCycle | None, self.cycle)  # uvicorn's annotation leaves the None out
        return cycle is None or cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        others = [one for one in self.connections if isinstance(one, PatientProtocol)]  # and no websocket
        super().connection_made(transport)
        self._await_headers()
        if len(others) >= MOST_CONNECTIONS:
            idle = [one for one in others if one.is_idle]
            leaving = min(idle, key=lambda one: one.idle_since, default=self)
            leaving.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_headers()
        self._have_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.idle_since = self.loop.time()
        if self._late is None and self.is_idle:
            self._await_headers()
        if self._late is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._late is not None and self._header_bytes > MOST_HEADER_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Raises Crowded for a request that comes before the answer to the last: no client of ours sends so,
        and one packet of a stranger's would hold a thousand to be read."""
        if not self.is_idle:
            self.transport.abort()
            raise Crowded
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._have_headers()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        self._have_read()
        super().resume_writing()

    def _await_reading(self) -> None:
        self._have_read()
        waiting = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(READ_SECONDS, self._look_at_reading, waiting)

    def _look_at_reading(self, waiting: int) -> None:
        if waiting - self.transport.get_write_buffer_size() < READ_BYTES:
            self._give_up()
        else:
            self._await_reading()

    def _have_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _await_headers(self) -> None:
        self._header_bytes = 0
        self._late = self.loop.call_later(HEADERS_SECONDS, self._give_up)

    def _have_headers(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._have_headers()
        self._have_read()
        self.transport.abort()
