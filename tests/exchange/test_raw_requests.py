"""Requests as no client sends them, to both ports of the exchange: without keys or token nothing is answered,
with a sign of a page nothing either, and none is the server's own failure.

FUZZ_EXAMPLES=3000 asks for longer; the counts are printed (`-s`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from exchange_ground import KEYS, TOKEN, victim_at
from hypothesis import given
from hypothesis import strategies as st
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

from trading_assets.exchange.process import ExchangeProcess

FUZZED = fuzzed(150)
KNOWN: dict[str, list[Header]] = {
    "api": [(name.encode(), value.encode()) for name, value in KEYS.items()],
    "control": [(b"Authorization", f"Bearer {TOKEN}".encode())],
}
TARGETS = {
    "api": [b"/v2/clock", b"/v2/account", b"/v2/orders", b"/v2/positions", b"/stream", b"/v2/iex"],
    "control": [b"/clock", b"/journal", b"/clients", b"/halt", b"/quote", b"/stream"],
}
REFUSED = (400, 401, 403, 404, 405, 408, 413, 422, 426, CLOSED, UNANSWERED)
ANSWERS: Counter[tuple[str, str, int]] = Counter()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with victim_at(tmp_path_factory.mktemp("raw")) as exchange:
        yield exchange
    for (port, kind, status), times in sorted(ANSWERS.items()):
        print(f"{port} {kind} {status}: {times}")
    print(f"raw requests: {sum(ANSWERS.values())}")


@pytest.mark.exchange
@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("port", ["api", "control"])
@pytest.mark.parametrize("kind", ["without keys", "of a page", "with keys"])
def test_a_raw_request_gets_what_it_may(victim: ExchangeProcess, port: str, kind: str) -> None:
    number = urlsplit(victim.url if port == "api" else victim.control_url).port
    assert number is not None

    @FUZZED
    @given(
        method=METHODS, target=targets(TARGETS[port]), version=VERSIONS, headers=odd_headers(),
        upgrade=upgrades(), body=BODIES, sign=st.sampled_from(OF_ANOTHER_PAGE),
    )  # fmt: skip
    def ask(
        method: bytes, target: bytes, version: bytes, headers: list[Header], upgrade: list[Header],
        body: bytes, sign: Header,
    ) -> None:  # fmt: skip
        all_headers = [(b"Host", f"127.0.0.1:{number}".encode()), *upgrade, *headers]
        all_headers = all_headers if kind == "without keys" else [*all_headers, *KNOWN[port]]
        all_headers = [*all_headers, sign] if kind == "of a page" else all_headers
        status = status_of(number, request(method, target, version, all_headers, body))
        ANSWERS[port, kind, status] += 1
        assert status < 500 or status == 501, (status, target, all_headers)
        opens_a_stream = kind == "without keys" and status == 101  # which then asks for the keys
        if kind != "with keys" and not opens_a_stream:
            assert status in REFUSED, (status, method, target, all_headers)

    ask()
    assert requests.get(f"{victim.url}/v2/clock", headers=KEYS, timeout=60).status_code == 200
