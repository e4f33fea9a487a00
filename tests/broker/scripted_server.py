"""A loopback HTTP server that answers what a test scripts, badly where the test wants it badly.

Steps are queued by method and path; each request takes the next step of its queue, and the last step
of a queue stays. What came in is kept, bodies as the bytes that were on the wire.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A complete answer. `body` is text or bytes as they are, or a value that is sent as JSON; None is
    empty."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class CutOff:
    """Announces the whole body and closes after half of it."""

    body: Any


@dataclass(frozen=True)
class Trickle:
    """Sends the body byte by byte, with a pause before each."""

    body: str
    pause_s: float


@dataclass(frozen=True)
class TrickleHead:
    """Sends headers without end, byte by byte, with a pause before each."""

    pause_s: float


class Reset:
    """Drops the connection with a TCP reset instead of an answer."""


class Hang:
    """Takes the request and never answers while the server lives."""


Step = Reply | CutOff | Trickle | TrickleHead | Reset | Hang | Callable[[Request], Reply]


class ScriptedServer:
    """Runs in a thread of its own between `with` and its end."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._steps: dict[tuple[str, str], list[Step]] = {}
        self._over = threading.Event()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms for its head's acknowledgement

            def handle_any(self) -> None:
                script._answer(self)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = handle_any

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Nothing: the test reads `requests`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *steps: Step) -> None:
        """Answer the requests for `path` with `steps`, in turn."""
        self._steps[method, path] = list(steps)

    def sent(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if (one.method, one.path) == (method, path)]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            method=handler.command,
            path=parts.path,
            query={name: values[0] for name, values in parse_qs(parts.query).items()},
            headers=dict(handler.headers.items()),
            body=handler.rfile.read(int(handler.headers.get("Content-Length", 0))),
        )
        self.requests.append(request)
        queue = self._steps.get((request.method, request.path), [])
        step = Reply(500, "nothing scripted") if not queue else queue.pop(0) if len(queue) > 1 else queue[0]
        self._perform(step(request) if callable(step) else step, handler)

    def _perform(self, step: Any, handler: BaseHTTPRequestHandler) -> None:
        match step:
            case Reply():
                content = step.bytes()
                _head(handler, step.status, len(content), step.headers)
                handler.wfile.write(content)
            case CutOff():
                content = json.dumps(step.body).encode()
                _head(handler, 200, len(content), {})
                handler.wfile.write(content[: len(content) // 2])
                handler.close_connection = True
            case Trickle():
                content = step.body.encode()
                _head(handler, 200, len(content), {})
                for position in range(len(content)):
                    if self._over.is_set():
                        break
                    time.sleep(step.pause_s)
                    try:
                        handler.wfile.write(content[position : position + 1])
                    except ConnectionError:  # the client gave up, as it should
                        break
                handler.close_connection = True
            case TrickleHead():
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not self._over.wait(step.pause_s):
                    try:
                        handler.wfile.write(b"X")
                    except ConnectionError:
                        break
                handler.close_connection = True
            case Reset():
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
                handler.close_connection = True
            case Hang():
                self._over.wait(30)
                handler.close_connection = True


def _head(handler: BaseHTTPRequestHandler, status: int, length: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    if status != 204:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
