"""Whoever reaches the web interface's port without its link: many, slow, silent and greedy. The person at the
desk is answered meanwhile, and none of them stays."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
import uvicorn
from interface import PORT, Interface
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from trading_assets import patience
from trading_assets.patience import MOST_CONNECTIONS, MOST_HEADER_BYTES
from trading_assets.web import guard
from trading_assets.web.__main__ import server_of
from trading_assets.web.guard import WebGuard

pytestmark = pytest.mark.slow

ANSWERED = 2.0  # seconds for the person's page while others are at it
SOON = 1.0  # in place of the real times, which a test need not wait for
ANSWER = b"x" * 20_000_000  # more than two sockets keep


class Served:
    """The guard over an application with one large answer, at a port of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def connect(self, text: str = "", timeout: float = 10) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        connection.sendall(text.encode())
        return connection

    def head(self, method: str = "GET", *, login: bool = False, more: str = "") -> str:
        bearer = f"Authorization: Bearer {self.token}\r\n" if login else ""
        return f"{method} /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{bearer}{more}"

    def page(self) -> str:
        return self.head(login=True, more="Accept: text/html\r\n\r\n")

    def ask(self) -> requests.Response:
        """As the person's program does."""
        with requests.Session() as session:
            session.trust_env = False
            return session.post(
                f"http://127.0.0.1:{self.port}/graphql",
                json={"query": "{ version }"},
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=30,
            )

    @contextmanager
    def answers_while(self) -> Iterator[None]:
        yield
        began = time.monotonic()
        assert self.ask().text == "answered"
        assert time.monotonic() - began < ANSWERED


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a question; the page is large."""
    answer = b"answered" if scope["method"] == "POST" else ANSWER
    await PlainTextResponse(answer)(scope, receive, send)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(patience, "HEADERS_SECONDS", SOON)
    monkeypatch.setattr(patience, "READ_SECONDS", SOON)
    monkeypatch.setattr(guard, "BODY_SECONDS", SOON)
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as listening:
        port, token = listening.getsockname()[1], "token-of-the-test"
        server = server_of(WebGuard(application, token=token, port=port, where="x"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Served(port, token)
        server.force_exit = server.should_exit = True
        thread.join()


def received(connection: socket.socket) -> int:
    """Bytes until its end, by whichever side and however; a timeout where it has none."""
    got = 0
    try:
        while part := connection.recv(1 << 20):
            got += len(part)
    except ConnectionError:
        pass
    return got


def is_closed(connection: socket.socket) -> bool:
    return received(connection) >= 0


def test_more_connections_than_there_is_room_for_keep_nobody_out(served: Served) -> None:
    with ExitStack() as held:
        idle = [held.enter_context(served.connect()) for _ in range(MOST_CONNECTIONS + 50)]
        with served.answers_while():
            pass
        assert is_closed(idle[0])


def test_the_stock_server_keeps_them_all() -> None:
    """What the tests of this module refuse is real: uvicorn by itself waits for headers without end."""
    config = uvicorn.Config(application, log_level="warning", lifespan="off")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        with socket.create_connection(listening.getsockname(), timeout=3 * SOON) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises(TimeoutError):
                slow.recv(1)
        server.force_exit = server.should_exit = True
        thread.join()


def test_slow_headers_and_silence_end(served: Served) -> None:
    with served.connect() as silent, served.connect(served.head()) as slow, served.answers_while():
        for _ in range(3):
            slow.sendall(b"X-More: 1\r\n")
            time.sleep(SOON / 5)
        assert is_closed(silent)
        assert is_closed(slow)


def test_headers_without_end_are_cut_off(served: Served) -> None:
    with served.connect(served.head()) as greedy, served.answers_while():
        more = b"X-More: " + b"x" * (MOST_HEADER_BYTES // 8) + b"\r\n"
        with pytest.raises(ConnectionError):
            greedy.sendall(more * 10_000)


def test_content_that_does_not_arrive_is_not_waited_for_even_with_the_link(served: Served) -> None:
    json = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with served.connect(served.head("POST", login=True, more=json)) as slow, served.answers_while():
        time.sleep(SOON / 2)
        slow.sendall(b" ")
        assert b" 408 " in slow.recv(4_096).splitlines()[0]


def test_without_the_link_content_is_not_even_read(served: Served) -> None:
    json = "Content-Type: application/json\r\nContent-Length: 4000000\r\n\r\n{"
    with served.connect(served.head("POST", more=json)) as slow, served.answers_while():
        assert b" 403 " in slow.recv(4_096).splitlines()[0]
        assert is_closed(slow)


def test_of_what_a_stranger_asks_at_once_the_rest_is_not_even_looked_at(served: Served) -> None:
    """A packet holds more than a thousand requests, each of which costs more to refuse than to send."""
    many = served.head(more="\r\n") * 1_000
    with ExitStack() as held, served.answers_while():
        crowd = [held.enter_context(served.connect(many)) for _ in range(100)]
        with served.answers_while():
            pass
        for one in crowd:
            assert received(one) < 2_000  # one answer, or none


def test_with_the_link_too_a_request_waits_for_the_answer_before_it(served: Served) -> None:
    with served.connect(served.page() * 2) as hasty, served.answers_while():
        assert received(hasty) < len(ANSWER)
    with served.connect(served.head(login=True, more="\r\n")) as patient:
        assert b" 405 " in patient.recv(4_096).splitlines()[0]


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    "sent",
    [
        UPGRADE,
        "\r\n",
        "no header\r\n\r\n",
    ],
    ids=["sockets", "requests", "no requests"],
)
def test_a_crowd_without_the_link_has_no_place_and_fills_no_log(
    served: Served, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    of_uvicorn = logging.getLogger("uvicorn")  # which keeps its records to itself
    with ExitStack() as held, served.answers_while():
        of_uvicorn.addHandler(caplog.handler)
        held.callback(of_uvicorn.removeHandler, caplog.handler)
        crowd = [held.enter_context(served.connect(served.head(more=sent))) for _ in range(MOST_CONNECTIONS)]
        with served.answers_while():
            pass
        for one in crowd:
            assert is_closed(one)
    assert len(caplog.records) <= 2, [record.getMessage() for record in caplog.records[:5]]


def test_who_does_not_read_the_answer_is_left(served: Served) -> None:
    with served.connect(served.page()) as deaf, served.answers_while():
        time.sleep(2 * SOON)
        assert received(deaf) < len(ANSWER)


def test_a_crowd_that_does_not_read_keeps_nobody_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose answer is not taken is not idle, so none of them would make room."""
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 5)
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(served.connect(served.page()))
        time.sleep(2 * SOON)
        with served.answers_while():
            pass


def test_the_person_who_reads_slowly_has_the_whole_page(served: Served) -> None:
    with served.connect(served.page(), timeout=30) as slow:
        got, until = 0, time.monotonic() + 3 * SOON
        while time.monotonic() < until:
            part = slow.recv(50_000)
            assert part, got
            got += len(part)
            time.sleep(0.02)
        assert got < len(ANSWER) // 2  # what is left is longer in coming than a deaf client may be
        while got < len(ANSWER):
            part = slow.recv(1 << 20)
            assert part, got
            got += len(part)


def test_the_real_server_is_built_so(web: Interface) -> None:
    assert server_of(WebGuard(web.stock, token=web.token, port=PORT, where="x")).config.http is (
        patience.PatientProtocol
    )
