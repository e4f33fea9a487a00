"""A loopback proxy between a desk and the real exchange, which changes what the exchange answers: for what
Alpaca's accounts hold and the exchange does not, such as orders of several legs made by hand.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

_NOT_PASSED_ON = ("host", "content-length", "accept-encoding", "connection")


class Answer(NamedTuple):
    """body: as JSON."""

    status: int
    body: Any


class BrokerRequest(NamedTuple):
    path: str
    query: dict[str, str]


Change = Callable[[BrokerRequest, Answer], Answer]


class Between:
    """change: what becomes of the exchange's answer to a GET; asked: every GET so far."""

    def __init__(self, exchange_url: str) -> None:
        self.change: Change = lambda _, answer: answer
        self.seen_requests: list[BrokerRequest] = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                request = urllib.request.Request(
                    exchange_url + self.path,
                    method=self.command,
                    data=self.rfile.read(length) if length else None,
                    headers={k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON},
                )
                try:
                    with urllib.request.urlopen(request) as answer:
                        status, content, headers = answer.status, answer.read(), answer.headers
                except urllib.error.HTTPError as error:
                    status, content, headers = error.code, error.read(), error.headers
                if self.command == "GET":
                    parts = urlsplit(self.path)
                    requests = BrokerRequest(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
                    between.seen_requests.append(requests)
                    status, body = between.change(requests, Answer(status, json.loads(content)))
                    content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower().startswith("x-ratelimit"):
                        self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do_PATCH = _pass_on

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Between]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
