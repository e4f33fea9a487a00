"""Requests as no browser sends them, to the web interface's port: none without the link, and none with a sign
of another page, comes to Dagster's app, and none is the guard's own failure.

FUZZ_EXAMPLES=5000 asks for longer; the counts are printed (`-s`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from support.fuzzing import fuzzed
from support.raw_requests import (
    BODIES,
    CLOSED,
    METHODS,
    OF_ANOTHER_PAGE,
    UNANSWERED,
    VERSIONS,
    Header,
    odd_headers,
    request,
    status_of,
    targets,
    upgrades,
)

from trading_assets import patience
from trading_assets.web import guard
from trading_assets.web.__main__ import server_of
from trading_assets.web.guard import WebGuard

FUZZED = fuzzed(400)
TOKEN = "token-of-the-test"
OURS = [
    *(b"/graphql", b"/graphql?query=mutation%7BsetNuxSeen%7D", b"/graphql/", b"/GraphQL", b"/%67raphql"),
    *(b"/report_asset_materialization/fills", b"/logs/a/b/out", b"/download_debug/1", b"/server_info"),
]
TARGETS = targets(OURS)
SIGNS: list[Header] = [*OF_ANOTHER_PAGE, (b"Sec-Fetch-Site", b"same-site")]
ANSWERS: Counter[tuple[str, int]] = Counter()


class App:
    """Stands where Dagster's app does, and counts what comes to it."""

    def __init__(self) -> None:
        self.request_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.request_count += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await PlainTextResponse("shown")(scope, receive, send)


class Victim:
    def __init__(self, port: int, app: App, failures: list[str]) -> None:
        self.port, self.app, self.failures = port, app, failures

    def ask(self, kind: str, sent: bytes) -> int:
        """Its status; a status of the server's own failure fails the test."""
        status = status_of(self.port, sent)
        ANSWERS[kind, status] += 1
        assert status < 500 or status == 501, sent
        assert self.failures == [], sent
        return status

    @property
    def host(self) -> Header:
        return b"Host", f"127.0.0.1:{self.port}".encode()


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    failures: list[str] = []
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setattr(patience, "HEADERS_SECONDS", 1.0)
        patch.setattr(guard, "BODY_SECONDS", 1.0)
        app, port = App(), listening.getsockname()[1]
        server = server_of(WebGuard(app, token=TOKEN, port=port, where="x"))

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, signal_number: failures.append(str(signal_number)))
            await server.serve(sockets=[listening])

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Victim(port, app, failures)
        server.force_exit = server.should_exit = True
        thread.join()
    for (kind, status), times in sorted(ANSWERS.items()):
        print(f"{kind} {status}: {times}")
    print(f"raw requests: {sum(ANSWERS.values())}")


def answers(victim: Victim) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        page = session.post(
            f"http://127.0.0.1:{victim.port}/graphql",
            json={"query": "{ version }"},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30,
        )
    return page.text == "shown"


REQUESTS = {
    "method": METHODS,
    "target": TARGETS,
    "version": VERSIONS,
    "headers": odd_headers(),
    "upgrade": upgrades(),
    "body": BODIES,
}


@pytest.mark.slow(seconds=20)
def test_without_the_link_nothing_comes_to_the_app(victim: Victim) -> None:
    before = victim.app.request_count

    @FUZZED
    @given(**REQUESTS, named=st.booleans())
    def ask(
        method: bytes, target: bytes, version: bytes, headers: list[Header], upgrade: list[Header],
        body: bytes, named: bool,
    ) -> None:  # fmt: skip
        alerts = [*([victim.host] if named else []), *upgrade, *headers]
        status = victim.ask("without the link", request(method, target, version, alerts, body))
        assert status in (400, 403, 404, 405, 426, CLOSED, UNANSWERED), (status, method, target, alerts)
        assert victim.app.request_count == before

    ask()
    assert answers(victim)


@pytest.mark.slow(seconds=20)
def test_with_the_link_and_a_sign_of_another_page_nothing_does_either(victim: Victim) -> None:
    before = victim.app.request_count
    logins = st.sampled_from(
        [
            (b"Authorization", b"Bearer " + TOKEN.encode()),
            (b"Cookie", f"trading_assets_{victim.port}={TOKEN}".encode()),
        ]
    )

    @FUZZED
    @given(**REQUESTS, login=logins, sign=st.sampled_from(SIGNS), first=st.booleans())
    def ask(
        method: bytes, target: bytes, version: bytes, headers: list[Header], upgrade: list[Header],
        body: bytes, login: Header, sign: Header, first: bool,
    ) -> None:  # fmt: skip
        alerts = [victim.host, login, *upgrade, *headers]
        alerts = [sign, *alerts] if first else [*alerts, sign]
        status = victim.ask("of another page", request(method, target, version, alerts, body))
        assert status in (400, 403, 404, 405, 426, CLOSED, UNANSWERED), (status, method, target, alerts)
        assert victim.app.request_count == before

    ask()
    assert answers(victim)


@pytest.mark.slow(seconds=20)
def test_with_the_link_nothing_is_the_guards_own_failure(victim: Victim) -> None:
    login = (b"Authorization", b"Bearer " + TOKEN.encode())
    before = victim.app.request_count

    @FUZZED
    @given(**REQUESTS)
    def ask(
        method: bytes, target: bytes, version: bytes, headers: list[Header], upgrade: list[Header],
        body: bytes,
    ) -> None:  # fmt: skip
        alerts = [victim.host, login, *upgrade, *headers]
        victim.ask("with the link", request(method, target, version, alerts, body))

    ask()
    reached = victim.app.request_count - before
    print(f"came to the app: {reached}")
    assert reached > FUZZED.max_examples // 20  # so what the other tests keep away would have come
    assert answers(victim)
