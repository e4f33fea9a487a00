"""Requests as no client sends them, byte by byte: odd methods, targets, versions, headers, encodings, bodies
and upgrades; for fuzzing whatever listens at a port."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from hypothesis import strategies as st

SILENCE_SECONDS = 0.2  # after which a request counts as unanswered: it announced more than it has
UNANSWERED, CLOSED = 0, -1  # in place of a status

_ODD_METHODS = [
    *(b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND", b"PRI", b"QUERY"),
    *(b"get", b"G T", b"", b"GET\t", b"\x00", b"\xff", b"POST" * 50, b"M-SEARCH"),
]
METHODS = st.sampled_from([*[b"GET"] * 50, *[b"POST"] * 50, *_ODD_METHODS])
_ODD_VERSIONS = [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"", b"HTTP/1.1 x", b"\xff"]
VERSIONS = st.sampled_from([*[b"HTTP/1.1"] * 24, *_ODD_VERSIONS])
ODD_TARGETS = [
    *(b"*", b"", b"/", b"//", b"/%00", b"/\xff", b"/\xc3\xa4", b"/..%2f..%2fetc/passwd", b"/a b", b"/%"),
    *(b"http://evil.example/", b"http://127.0.0.1:1/graphql", b"evil.example:80", b"/\\evil.example"),
    *(b"/?" + b"a" * 20_000, b"/" + b"a" * 70_000, b"/%zz", b"/#", b"/\r\n", b"/;/"),
    *(b"/?token=guessed", b"/?token=%00&token="),
]
SOCKET = {
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version": b"13",
}
ODD_HEADERS: Mapping[bytes, list[bytes]] = {
    b"Origin": [b"http://evil.example", b"null", b"", b"http://127.0.0.1", b"\xff"],
    b"Sec-Fetch-Site": [b"cross-site", b"same-site", b"none", b"same-origin", b"x"],
    b"Cookie": [
        b"a=b",
        b"trading_assets=",
        b"=;=;;",
        b"x" * 9_000,
        b'a="\xff',
        b"trading_assets_3000=guessed",
    ],
    b"Authorization": [b"Bearer ", b"Bearer guessed", b"Basic Og==", b"Bearer \xff", b"bearer" * 2_000, b""],
    b"Content-Type": [
        b"application/json",
        b"text/plain",
        b"application/json;\xff",
        b"multipart/form-data",
        b"",
    ],
    b"Content-Length": [b"0", b"5", b"-1", b"99999999999999999999", b"0x10", b"5, 5", b"+5", b""],
    b"Transfer-Encoding": [b"chunked", b"gzip, chunked", b"identity", b"xchunked", b"chunked, chunked"],
    b"Content-Encoding": [b"gzip", b"br", b"x"],
    b"Connection": [b"keep-alive", b"close", b"Upgrade", b"Upgrade, HTTP2-Settings", b"Host"],
    b"Upgrade": [b"websocket", b"h2c", b"TLS/1.0", b""],
    b"HTTP2-Settings": [b"AAMAAABkAARAAAAAAAIAAAAA"],
    b"Sec-WebSocket-Key": [b"dGhlIHNhbXBsZSBub25jZQ==", b"short", b""],
    b"Sec-WebSocket-Version": [b"13", b"8", b"x"],
    b"Sec-WebSocket-Protocol": [b"graphql-ws", b"\xff", b"a" * 5_000],
    b"Sec-WebSocket-Extensions": [b"permessage-deflate; client_max_window_bits=99", b";;;"],
    b"Expect": [b"100-continue", b"200-ok"],
    b"Host": [
        b"evil.example",
        b"",
        b"127.0.0.1:1",
        b"[::1",
        b"localhost@evil.example",
        b"\xff",
        b"LOCALHOST",
    ],
    b"X-Forwarded-Host": [b"127.0.0.1"],
    b"X-Forwarded-For": [b"127.0.0.1"],
    b"X-HTTP-Method-Override": [b"POST"],
    b"Accept": [b"text/html", b"*/*", b"\xff"],
    b"Range": [b"bytes=0-", b"bytes=" + b"0-," * 2_000],
    b"A" * 300: [b"x"],
    b"Bad Name": [b"x"],
    b"Ends\x00": [b"x"],
    b"Folded": [b"a\r\n b", b"a\n\tb", b"a\r\nOrigin: http://evil.example"],
}
_ODD_BODIES = [
    *(b"", b"{}", b"[" * 50_000, b'{"query": "{ version }"}', b"\x1f\x8b\x08\x00", b"\xff\xfe{"),
    *(b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    b"GET / HTTP/1.1\r\n\r\n",
]
BODIES = st.one_of(st.sampled_from(_ODD_BODIES), st.binary(max_size=200))

Header = tuple[bytes, bytes]
OF_ANOTHER_PAGE: list[Header] = [
    (b"Origin", b"http://evil.example"),
    (b"Origin", b"null"),
    (b"Sec-Fetch-Site", b"cross-site"),
    (b"Host", b"evil.example"),  # a name that was made to lead here
]


def targets(known: list[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly addresses that there are."""
    usual = st.sampled_from([*known * (200 // len(known)), *ODD_TARGETS])
    return st.sampled_from(range(9)).flatmap(lambda one: usual if one else st.binary(max_size=40))


def odd_headers() -> st.SearchStrategy[list[Header]]:
    """Few or many; a body's own length beside them or not."""
    known = st.sampled_from(sorted(ODD_HEADERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(ODD_HEADERS[name]))
    )
    made_up = st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=40))
    few = st.lists(known, min_size=1, max_size=2)
    return st.one_of(
        st.just([]),
        few,
        few,
        st.lists(st.one_of(known, made_up), min_size=1, max_size=8),
    )


def upgrades() -> st.SearchStrategy[list[Header]]:
    """A websocket's own headers, whole or with some left out, or nothing."""
    whole = list(SOCKET.items())
    some = st.lists(st.sampled_from(whole), min_size=1, max_size=4)
    return st.one_of(st.just([]), st.just([]), st.just(whole), some)


def request(method: bytes, target: bytes, version: bytes, headers: list[Header], body: bytes) -> bytes:
    """Its bytes. A body has its length beside it where no header says one, as JSON."""
    names = {name for name, _ in headers}
    if body and not names & {b"Content-Length", b"Transfer-Encoding"}:
        headers = [*headers, (b"Content-Length", str(len(body)).encode())]
    if body and b"Content-Type" not in names:
        headers = [*headers, (b"Content-Type", b"application/json")]
    lines = [b" ".join([method, target, version]), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def status_of(port: int, sent: bytes) -> int:
    """What is answered to these bytes on 127.0.0.1: a status, `UNANSWERED` or `CLOSED`."""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_SECONDS) as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(4_096)
        except TimeoutError:
            return UNANSWERED
        except ConnectionError:
            return CLOSED
    if not answer:
        return CLOSED
    version, _, rest = answer.partition(b" ")
    assert version in (b"HTTP/1.1", b"HTTP/1.0"), answer[:100]
    return int(rest[:3])
