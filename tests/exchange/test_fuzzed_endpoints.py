"""Hostile requests to every endpoint of both ports and to every stream: none is the server's own failure.

The endpoints are those that the applications themselves list, so that a new one is asked too.
FUZZ_EXAMPLES=500 asks for longer; the counts are printed (`-s`).
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests
import websockets.sync.client
from exchange_ground import KEYS, OPEN_NS, TOKEN, victim_at
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzzed
from tapes import venue
from websockets.exceptions import ConnectionClosed

from trading_assets.config import PUBLIC_KEYS
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.http.control import ControlApi
from trading_assets.exchange.http.data_api import DataApi
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.http.trading_api import TradingApi
from trading_assets.exchange.process import ExchangeProcess

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FUZZED = fuzzed(20)
ANSWERS: Counter[tuple[str, int]] = Counter()


def _endpoints() -> list[tuple[str, str, str]]:
    """(port, method, path) of each."""
    shown = venue()
    script = FaultScript()
    control = ControlApi(shown, ClockPace(shown), script, TOKEN, {}).routes()
    ports = {"api": [*TradingApi(shown).routes(), *DataApi(shown).routes()], "control": control}
    result = [
        (port, method, route.path)
        for port, routes in ports.items()
        for route in routes
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]
    return sorted(result, key=lambda one: (one[0], one[2], one[1]))


HOSTILE_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "\x00", "\ud800", "\x1b[2J", "=1+1", "<script>", "' OR 1=1 --", "../../etc/passwd", "%00", "%s%n",
            "NaN", "Infinity", "-0", "1e400", "1e-400", "9" * 500, "0x10", "1_000", "١", "a" * 9_000,
            "2012-10-01", "2012-10-01T14:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "2012-02-30",
            "1Min", "1Day", "9999999Min", "AAPL", "AAPL,IBM", "," * 100, "true", "null", "[]",
        ]
    ),
)  # fmt: skip
PLAUSIBLE = st.sampled_from(
    [
        "AAPL",
        "IBM",
        "buy",
        "sell",
        "limit",
        "market",
        "stop",
        "day",
        "gtc",
        "1",
        "100",
        "1000.5",
        "iex",
        "FEE",
        "DIV",
    ]
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 10**400, 2**63, 2**63 - 1, 1e308, -0.0, 0.1, 10, OPEN_NS]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | HOSTILE_TEXT | PLAUSIBLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HOSTILE_TEXT, inner, max_size=4),
    max_leaves=8,
)
NAMES = {
    "api": [
        "symbol", "symbols", "qty", "notional", "side", "type", "time_in_force", "limit_price", "stop_price",
        "client_order_id", "order_class", "extended_hours", "legs", "take_profit", "trail", "position_intent",
        "start", "end", "after", "until", "limit", "page_token", "page_size", "direction", "status", "nested",
        "timeframe", "feed", "adjustment", "sort", "types", "date", "period", "percentage", "cancel_orders",
        "fractional_trading", "no_shorting", "activity_types", "asset_class", "intraday_reporting",
    ],
    "control": [
        "set_ns", "step_ns", "speed", "cash", "amount", "kind", "symbol", "qty", "description", "activity_id",
        "price", "qty_change", "halted", "bid", "ask", "spread_bps", "faults",
    ],
}  # fmt: skip
FAULT = st.dictionaries(
    st.sampled_from(["kind", "calls", "path", "method", "first", "count", "seconds", "symbol", "status"]),
    JSON,
)


def _members(port: str) -> st.SearchStrategy[dict[str, Any]]:
    values = st.one_of(PLAUSIBLE, NUMBERS, JSON)
    named = st.dictionaries(st.sampled_from(NAMES[port]), values, max_size=8)
    return (
        named
        if port == "api"
        else st.one_of(named, st.fixed_dictionaries({"faults": st.lists(FAULT, max_size=3)}))
    )


def _bodies(port: str) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.one_of(_members(port), JSON).map(lambda value: json.dumps(value).encode()),
        st.binary(max_size=200),
        st.sampled_from(
            [b"", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"qty": 1e999999999}', b'{"qty": NaN}']
        ),
    )


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """An exchange of its own, that nothing else is asked of."""
    with victim_at(tmp_path_factory.mktemp("fuzzed")) as exchange:
        yield exchange
    counts = Counter[str]()
    for (port, status), times in sorted(ANSWERS.items()):
        counts[port] += times
        print(f"{port} {status}: {times}")
    print(f"hostile requests: {sum(ANSWERS.values())} ({dict(counts)})")


def _ask(
    exchange: ExchangeProcess, port: str, method: str, target: str, headers: dict[str, str], body: bytes
) -> int:
    at = urlsplit(exchange.url if port == "api" else exchange.control_url)
    assert at.hostname is not None
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    try:
        connection.request(method, target, body=body or None, headers=headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    ANSWERS[port, answer.status] += 1
    return answer.status


@pytest.mark.parametrize(("port", "method", "path"), _endpoints())
def test_no_hostile_request_is_a_failure_of_the_servers(
    victim: ExchangeProcess, port: str, method: str, path: str
) -> None:
    known = KEYS if port == "api" else BEARER
    asked_before = requests.get(f"{victim.url}/v2/clock", headers=KEYS, timeout=60)
    assert asked_before.status_code == 200

    @FUZZED
    @given(
        parts=st.lists(st.one_of(HOSTILE_TEXT, PLAUSIBLE), min_size=2, max_size=2),
        query=st.dictionaries(st.sampled_from(NAMES["api"]), st.one_of(HOSTILE_TEXT, PLAUSIBLE), max_size=5),
        body=_bodies(port),
        keys=st.sampled_from([known, known, known, known, {}, dict.fromkeys(known, "wrong")]),
    )
    def ask(parts: list[str], query: dict[str, str], body: bytes, keys: dict[str, str]) -> None:
        target, part = path, quote(parts[0].encode(errors="surrogatepass"), safe="") or "x"
        for name in ("symbol", "order_id", "type"):
            target = target.replace(f"{{{name}}}", part)
        encoded = urlencode({name: value.encode(errors="surrogatepass") for name, value in query.items()})
        status = _ask(victim, port, method, f"{target}?{encoded}", keys, body if method != "GET" else b"")
        assert status < 500, (status, target, encoded, body)
        if keys is not known:
            assert status in (401, 403, 413)
        if path == "/faults":  # a script that was taken makes failures on purpose
            script = json.dumps({"faults": []}).encode()
            assert _ask(victim, "control", "POST", "/faults", BEARER, script) == 200
        if path == "/clock":
            assert _ask(victim, "control", "POST", "/clock", BEARER, b'{"speed": null}') == 200

    ask()


@pytest.mark.parametrize("path", ["/stream", "/v2/iex", "/v2/sip"])
def test_no_hostile_message_on_a_stream_is_a_failure_of_the_servers(
    victim: ExchangeProcess, path: str
) -> None:
    url = victim.url.replace("http://", "ws://") + path
    auth = json.dumps({"action": "auth", "key": PUBLIC_KEYS.key_id, "secret": PUBLIC_KEYS.secret})
    names = st.sampled_from(
        ["action", "data", "key", "secret", "trades", "quotes", "bars", "statuses", "streams"]
    )
    words = st.sampled_from(["auth", "authenticate", "listen", "subscribe", "unsubscribe"])
    messages = st.one_of(
        st.dictionaries(names, st.one_of(words, JSON), max_size=5).map(json.dumps),
        st.text(max_size=100).filter(lambda text: text.isascii()),
        st.binary(max_size=100),
        st.sampled_from(["[" * 100_000, '{"action":' * 10_000]),
    )

    @FUZZED
    @given(st.lists(messages, min_size=1, max_size=5), st.booleans())
    def speak(spoken: list[str | bytes], authorized: bool) -> None:
        try:
            with websockets.sync.client.connect(url, proxy=None) as stream:
                for message in [auth, *spoken] if authorized else spoken:
                    stream.send(message)
                    ANSWERS["stream", 0] += 1
                stream.ping().wait(10)
        except ConnectionClosed as closed:
            ended = closed.rcvd
        else:
            ended = None
        assert ended is None or ended.code != 1011, ended  # the server's own failure
        assert requests.get(f"{victim.url}/v2/clock", headers=KEYS, timeout=60).status_code == 200

    speak()


def test_the_fuzzer_has_every_endpoint_of_the_documents_before_it() -> None:
    endpoints = _endpoints()
    assert ("api", "POST", "/v2/orders") in endpoints
    assert ("control", "POST", "/clock") in endpoints
    assert len({port for port, _, _ in endpoints}) == 2
    assert len(endpoints) >= 44
