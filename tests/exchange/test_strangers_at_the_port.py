"""Who is on this machine and is no client of the exchange: pages, slow and greedy clients, other users."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import websockets.sync.client
from exchange_ground import KEYS, OPEN_NS, TOKEN
from websockets.exceptions import InvalidStatus

from trading_assets.config import PUBLIC_KEYS, EmbeddedSettings, Settings, key_pair, keys, read_key_pair
from trading_assets.config.embedded_keys import KEYS_NAME
from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.http.guard import MOST_BODY_BYTES
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.patience import HEADERS_SECONDS, MOST_CONNECTIONS, MOST_HEADER_BYTES

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGES: list[dict[str, str]] = [
    {"Host": "attacker.example:8765"},  # its name leads to loopback: DNS rebinding
    {"Host": "127.0.0.1.attacker.example"},
    {"Host": "localhost@attacker.example"},
    {"Host": ""},
    {"Origin": "http://attacker.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


def _at(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _ask(method: str, url: str, headers: dict[str, str], **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=headers, timeout=10, **options)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_refused_with_the_keys_in_its_hand(exchange: ExchangeProcess, page: dict[str, str]) -> None:
    for url, known in ((f"{exchange.url}/v2/clock", KEYS), (f"{exchange.control_url}/clock", BEARER)):
        assert _ask("GET", url, known).status_code == 200
        assert _ask("GET", url, known | page).status_code == 403


@pytest.mark.parametrize("page", [page for page in PAGES if page != {"Host": ""}], ids=str)
@pytest.mark.parametrize("path", ["/stream", "/v2/iex"])
def test_a_page_opens_no_socket(exchange: ExchangeProcess, page: dict[str, str], path: str) -> None:
    url = exchange.url.replace("http://", "ws://") + path
    with websockets.sync.client.connect(url, proxy=None):
        pass
    if "Host" in page:
        head = f"GET {path} HTTP/1.1\r\nHost: {page['Host']}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        with socket.create_connection(_at(exchange.url), timeout=10) as raw:
            raw.sendall(head.encode())
            assert b" 403 " in raw.recv(4096).splitlines()[0]
        return
    with (
        pytest.raises(InvalidStatus, match="403"),
        websockets.sync.client.connect(url, proxy=None, additional_headers=page),
    ):
        pass


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_loopbacks_own_names_are_answered_at_any_port_of_a_tunnel(
    exchange: ExchangeProcess, name: str
) -> None:
    assert _ask("GET", f"{exchange.url}/v2/clock", KEYS | {"Host": f"{name}:9999"}).status_code == 200


def _chunks(length: int) -> Iterator[bytes]:
    while length > 0:
        yield b" " * min(length, 65_536)
        length -= 65_536


def test_a_body_has_at_most_a_megabyte_announced_or_in_chunks(exchange: ExchangeProcess) -> None:
    orders, clock = f"{exchange.url}/v2/orders", f"{exchange.control_url}/clock"
    for url, known in ((orders, KEYS), (clock, BEARER)):
        assert _ask("POST", url, known, data=b" " * MOST_BODY_BYTES).status_code == 422  # read, and no JSON
        assert _ask("POST", url, known, data=b" " * (MOST_BODY_BYTES + 1)).status_code == 413
        assert _ask("POST", url, known, data=_chunks(MOST_BODY_BYTES)).status_code == 422
        assert _ask("POST", url, known, data=_chunks(MOST_BODY_BYTES + 1)).status_code == 413
    assert _ask("GET", f"{exchange.url}/v2/clock", KEYS).status_code == 200


@contextmanager
def _answers_while(exchange: ExchangeProcess) -> Iterator[None]:
    """Within the block and after it an honest client is answered at once."""
    yield
    began = time.monotonic()
    assert _ask("GET", f"{exchange.url}/v2/clock", KEYS).status_code == 200
    assert time.monotonic() - began < 2


def _is_closed(connection: socket.socket) -> bool:
    """Whether it has an end, after what was still answered; a timeout where it has none."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.slow(seconds=20)
def test_slow_headers_a_slow_body_and_silence_hold_nobody_up_and_end(exchange: ExchangeProcess) -> None:
    head = "POST /v2/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
    with ExitStack() as held:
        silent, headers, body, second = (
            held.enter_context(socket.create_connection(_at(exchange.url), timeout=HEADERS_SECONDS + 5))
            for _ in range(4)
        )
        headers.sendall(head.encode())
        body.sendall(f"{head}\r\n{{".encode())
        second.sendall(f"{head.replace('POST /v2/orders', 'GET /v2/clock').replace('100', '0')}\r\n".encode())
        assert b"200 OK" in second.recv(4096)
        second.sendall(b"GET /v2/clo")  # what follows an answer is a request like the first
        with _answers_while(exchange):
            pass
        for _ in range(4):
            time.sleep(1)
            headers.sendall(b"X-More: 1\r\n")
            body.sendall(b" ")
        with _answers_while(exchange):
            assert _is_closed(silent)
            assert _is_closed(headers)
            assert _is_closed(second)
            assert b" 408 " in body.recv(4096).splitlines()[0]


def test_headers_without_end_are_cut_off(exchange: ExchangeProcess) -> None:
    with socket.create_connection(_at(exchange.url), timeout=5) as greedy, _answers_while(exchange):
        greedy.sendall(b"GET /v2/clock HTTP/1.1\r\nHost: localhost\r\n")
        more = b"X-More: " + b"x" * (MOST_HEADER_BYTES // 8) + b"\r\n"
        with pytest.raises(ConnectionError):
            greedy.sendall(more * 10_000)


def test_more_idle_connections_than_there_is_room_for_keep_nobody_out(exchange: ExchangeProcess) -> None:
    with ExitStack() as held, _answers_while(exchange):
        idle = [
            held.enter_context(socket.create_connection(_at(exchange.url), timeout=5))
            for _ in range(MOST_CONNECTIONS + 50)
        ]
        with _answers_while(exchange):
            pass
        assert _is_closed(idle[0])  # the one that had been idle longest made room


@pytest.mark.parametrize("port", ["api", "control"])
def test_what_a_stranger_asks_at_once_is_answered_once_and_the_rest_not_looked_at(
    exchange: ExchangeProcess, port: str
) -> None:
    url = exchange.url if port == "api" else exchange.control_url
    head = f"GET {'/v2/clock' if port == 'api' else '/clock'} HTTP/1.1\r\nHost: localhost\r\n"
    with ExitStack() as held, _answers_while(exchange):
        crowd = [held.enter_context(socket.create_connection(_at(url), timeout=10)) for _ in range(100)]
        for one in crowd:
            one.sendall(f"{head}\r\n".encode() * 1_000)
        with _answers_while(exchange):
            pass
        assert all(map(_is_closed, crowd))
        alone = held.enter_context(socket.create_connection(_at(url), timeout=10))
        alone.sendall(f"{head}\r\n".encode())
        assert b" 401 " in alone.recv(4096).splitlines()[0]
        assert _is_closed(alone)


HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_more_sockets_without_a_key_than_there_are_connections_keep_nobody_out(
    exchange: ExchangeProcess,
) -> None:
    """Each is taken, and has ten seconds for its key: without a bound of their own they have every place."""
    with requests.Session() as kept, ExitStack() as held:
        kept.trust_env = False
        clock = f"{exchange.url}/v2/clock"
        assert kept.get(clock, headers=KEYS, timeout=10).status_code == 200
        sockets = []
        for number in range(MOST_CONNECTIONS + 50):
            one = held.enter_context(socket.create_connection(_at(exchange.url), timeout=5))
            one.sendall(HANDSHAKE.format("/stream" if number % 2 else "/v2/iex").encode())
            assert b" 101 " in one.recv(4096).splitlines()[0]
            sockets.append(one)
        with _answers_while(exchange):
            assert kept.get(clock, headers=KEYS, timeout=10).status_code == 200
        assert _is_closed(sockets[0])
        assert _is_closed(sockets[1])
        url = exchange.url.replace("http://", "ws://") + "/stream"
        with websockets.sync.client.connect(url, proxy=None) as ours:  # the oldest stranger makes room
            ours.send(json.dumps({"action": "auth", "key": KEY_ID, "secret": SECRET}))
            assert b'"authorized"' in ours.recv(timeout=10)


@pytest.mark.exchange
def test_each_state_directory_has_a_key_pair_of_its_own_that_its_clients_find(tmp_path: Path) -> None:
    with start_process(state_dir=tmp_path / "exchange", token=TOKEN, start_ns=OPEN_NS) as exchange:
        file = tmp_path / "exchange" / KEYS_NAME
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        settings = Settings(data_dir=tmp_path, embedded=EmbeddedSettings(url=exchange.url))
        mine = keys(settings, {})
        own = {"APCA-API-KEY-ID": mine[0], "APCA-API-SECRET-KEY": mine[1]}
        assert mine != PUBLIC_KEYS
        assert _ask("GET", f"{exchange.url}/v2/clock", own).status_code == 200
        assert _ask("GET", f"{exchange.url}/v2/clock", KEYS).status_code == 401  # the public ones
        with websockets.sync.client.connect(
            exchange.url.replace("http://", "ws://") + "/stream", proxy=None
        ) as stream:
            public = {"action": "auth", "key": PUBLIC_KEYS.key_id, "secret": PUBLIC_KEYS.secret}
            stream.send(json.dumps(public))
            assert json.loads(stream.recv())["data"]["status"] == "unauthorized"
            stream.send(json.dumps({"action": "auth", "key": mine[0], "secret": mine[1]}))
            assert json.loads(stream.recv())["data"]["status"] == "authorized"


def test_a_key_pair_stays_until_the_public_one_is_asked_for(tmp_path: Path) -> None:
    first = key_pair(tmp_path)
    assert key_pair(tmp_path) == first
    assert key_pair(tmp_path / "other") != first
    assert key_pair(tmp_path, public=True) == PUBLIC_KEYS == read_key_pair(tmp_path / KEYS_NAME)
    assert key_pair(tmp_path) not in (first, PUBLIC_KEYS)  # the public one is nobody's own


@pytest.mark.parametrize("harm", ["others", "link", "text", "fifo"])
def test_a_key_file_that_is_not_ours_alone_is_refused(tmp_path: Path, harm: str) -> None:
    key_pair(tmp_path)
    file = tmp_path / KEYS_NAME
    match harm:
        case "others":
            file.chmod(0o644)
        case "link":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
        case "text":
            file.write_text("[" * 3000)
        case "fifo":
            file.unlink()
            os.mkfifo(file, 0o600)
    with pytest.raises(InvalidInput, match=KEYS_NAME):
        key_pair(tmp_path)
    with pytest.raises(InvalidInput, match="start the exchange again"):
        keys(Settings(embedded=EmbeddedSettings(keys_file=file)), {})
