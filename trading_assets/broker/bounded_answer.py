"""What an answer may cost: time for the whole call, bytes after decompression, depth of its JSON.

Whoever answers for the broker decides what it sends and how fast. What goes over a bound here is no usable
answer; what that means for a read or a write is `broker.alpaca.transport`. No endpoint and no payload here.
"""

from __future__ import annotations

import http.client
import io
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import requests
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from trading_assets.market.clock import monotonic_ns

MOST_BYTES = 64 * 1024 * 1024  # after decompression; Alpaca's longest list, of all assets, takes 16 MB
MOST_DEPTH = 64  # Alpaca's deepest answer has 6
ENCODINGS = "gzip"  # what is asked for: another encoding is no usable answer
_CHUNK = 64 * 1024

_deadline_ns: ContextVar[int | None] = ContextVar("deadline_ns", default=None)


class AnswerOutOfBounds(requests.RequestException):
    """An answer that is too long or too deep, or in an encoding that nobody asked for."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Everything that is read from a bounded connection in this block, in this thread, ends in that time."""
    token = _deadline_ns.set(monotonic_ns() + int(seconds * 1e9))
    try:
        yield
    finally:
        _deadline_ns.reset(token)


def bound(manager: PoolManager) -> None:
    """Let the manager's connections keep to the deadline in force, from the status line on."""
    manager.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedTlsPool}


def body_of(response: requests.Response) -> bytes:
    """The whole body, decompressed. Raises AnswerOutOfBounds, and requests.Timeout at the deadline."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", ENCODINGS):
        raise AnswerOutOfBounds(f"the answer is encoded as {encoding[:40]!r}, which was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == ENCODINGS else None
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        body += chunk if inflate is None else inflate.decompress(chunk, MOST_BYTES + 1 - len(body))
        if len(body) > MOST_BYTES:
            raise AnswerOutOfBounds(f"the answer is longer than {MOST_BYTES} bytes")
    if inflate is not None and body and not inflate.eof:
        raise AnswerOutOfBounds("the compressed answer has no end")
    return bytes(body)


def check_depth(body: bytes) -> None:
    """Raises AnswerOutOfBounds for JSON with more than MOST_DEPTH lists and objects inside each other.

    Strings are taken out first. Then the innermost pairs go, a level at each round.
    """
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, delete=_NOT_BRACKETS)
    for _ in range(MOST_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    raise AnswerOutOfBounds(f"the answer is no JSON of at most {MOST_DEPTH} levels")


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class _DeadlineReader(io.RawIOBase):
    """A socket's bytes until the deadline: before each read the socket's timeout is what is left of it."""

    def __init__(self, sock: socket.socket, deadline_ns: int) -> None:
        self._sock = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._read_s = sock.gettimeout()
        self._deadline_ns = deadline_ns

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = (self._deadline_ns - monotonic_ns()) / 1e9
        if left_s <= 0:
            raise TimeoutError("no complete answer in time")
        self._sock.settimeout(left_s if self._read_s is None else min(left_s, self._read_s))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._bytes.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """Status line, headers and body, read within the deadline that was in force when it was asked for."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        deadline_ns = _deadline_ns.get()
        if deadline_ns is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_DeadlineReader(sock, deadline_ns))


class _BoundedConnection(HTTPConnection):
    response_class = _Answer


class _BoundedTlsConnection(HTTPSConnection):
    response_class = _Answer


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTlsConnection
