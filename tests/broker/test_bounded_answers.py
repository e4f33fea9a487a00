"""A server that answers too slowly, too much or too deeply costs the call, and nothing else."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from alpaca_payloads import ACCOUNT, ORDER
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import Reply, Request, ScriptedServer, Step, Trickle, TrickleHead

from trading_assets.broker import bounded_answer
from trading_assets.broker.alpaca import adapter, pages
from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.bounded_answer import MOST_DEPTH, AnswerOutOfBounds, check_depth
from trading_assets.broker.port import OutcomeUnknown, Rejected, Unreachable

GZIP = {"Content-Encoding": "gzip"}
NESTED = "[" * 100_000 + "]" * 100_000


def bomb(layers: int = 1) -> bytes:
    """A few kilobytes that unpack to more than an answer may have, each layer times a thousand."""
    content = b" " * (bounded_answer.MOST_BYTES + 1)
    for _ in range(layers):
        content = gzip.compress(content)
    return content


@pytest.mark.parametrize("step", [TrickleHead(0.05), Trickle(json.dumps(ACCOUNT) * 4, 0.05)])
def test_a_drip_of_headers_or_body_ends_at_the_deadline_of_the_whole_call(
    server: ScriptedServer, broker: AlpacaBroker, step: Step
) -> None:
    server.on("GET", "/v2/account", step)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        broker.account()
    assert 0.5 < time.monotonic() - began < 1.5


def test_a_write_whose_answer_drips_has_an_unknown_outcome(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on("DELETE", "/v2/orders/one", TrickleHead(0.05))
    with pytest.raises(OutcomeUnknown):
        broker.cancel("one")


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_is_no_answer(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    monkeypatch.setattr(bounded_answer, "MOST_BYTES", 2_000_000)
    encoding = {"Content-Encoding": ", ".join(["gzip"] * layers)}
    server.on("GET", "/v2/account", Reply(200, bomb(layers), encoding))
    with pytest.raises(Unreachable, match=r"longer than|not asked for"):
        broker.account()


def test_an_answer_without_compression_has_the_same_bound(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(ACCOUNT)
    server.on("GET", "/v2/account", Reply(200, text))
    monkeypatch.setattr(bounded_answer, "MOST_BYTES", len(text))
    assert broker.account().account_number == "PA0001"
    monkeypatch.setattr(bounded_answer, "MOST_BYTES", len(text) - 1)
    with pytest.raises(Unreachable, match="longer than"):
        broker.account()


def test_an_honest_gzip_answer_is_read(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account", Reply(200, gzip.compress(json.dumps(ACCOUNT).encode()), GZIP))
    assert broker.account().account_number == "PA0001"
    assert server.requests[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "body", [b"no gzip at all", gzip.compress(json.dumps(ACCOUNT).encode())[:-12], zlib.compress(b"{}")]
)
def test_a_broken_gzip_answer_is_no_answer(server: ScriptedServer, broker: AlpacaBroker, body: bytes) -> None:
    server.on("GET", "/v2/account", Reply(200, body, GZIP))
    with pytest.raises(Unreachable):
        broker.account()


@pytest.mark.parametrize("status", [200, 403])
def test_json_deeper_than_python_reads_is_no_usable_answer(
    server: ScriptedServer, broker: AlpacaBroker, status: int
) -> None:
    server.on("GET", "/v2/positions", Reply(status, NESTED))
    with pytest.raises(Unreachable if status == 200 else Rejected):
        broker.positions()


def test_a_recursion_error_alone_is_no_usable_answer(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the depth allowed is more than what the stack has left."""
    monkeypatch.setattr("trading_assets.broker.alpaca.transport.check_depth", lambda body: None)
    server.on("GET", "/v2/positions", Reply(200, NESTED))
    server.on("DELETE", "/v2/orders", Reply(207, NESTED))
    with pytest.raises(Unreachable, match="RecursionError"):
        broker.positions()
    with pytest.raises(OutcomeUnknown, match="RecursionError"):
        broker.cancel_all()


@pytest.mark.parametrize("left", ["[", '{"a":'])
def test_the_depth_is_bounded_where_it_says(left: str) -> None:
    right = "]" if left == "[" else "}"
    for depth in (MOST_DEPTH - 1, MOST_DEPTH):
        check_depth((left * depth + "1" + right * depth).encode())
    with pytest.raises(AnswerOutOfBounds):
        check_depth((left * (MOST_DEPTH + 1) + "1" + right * (MOST_DEPTH + 1)).encode())


_json = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\aé\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}"\\a'), inner),
    max_leaves=20,
)


@settings(max_examples=25)
@given(value=_json, around=st.integers(0, MOST_DEPTH * 2))
def test_brackets_in_strings_are_no_depth(value: Any, around: int) -> None:
    for _ in range(around):
        value = [value]
    body = json.dumps([value, "[" * 200], ensure_ascii=False).encode()
    if _depth([value]) <= MOST_DEPTH:
        check_depth(body)
    else:
        with pytest.raises(AnswerOutOfBounds):
            check_depth(body)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def test_pages_without_end_come_to_an_end(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 5)
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 1)
    numbers = iter(range(1_000_000))

    def another_page(request: Request) -> Reply:
        return Reply(200, {"bars": {}, "next_page_token": f"token-{next(numbers)}"})

    def another_order(request: Request) -> Reply:
        number = next(numbers)
        return Reply(200, [{**ORDER, "id": f"id-{number}", "client_order_id": f"c{number}"}])

    server.on("GET", "/v2/stocks/bars", another_page)
    server.on("GET", "/v2/orders", another_order)
    with pytest.raises(Unreachable, match="no end after 5 pages"):
        broker.bars(["AAPL"], "1m", 0, 10**18)
    with pytest.raises(Unreachable, match="no end after 5 pages"):
        broker.open_orders()
    assert len(server.sent("GET", "/v2/stocks/bars")) == len(server.sent("GET", "/v2/orders")) == 5
