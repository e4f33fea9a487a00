"""Who may ask the exchange, and how much a request may cost before anything answers it.

Both ports stand behind it, HTTP and websockets. It refuses a page in a browser of this machine by its Origin,
and a Host that does not belong to loopback (DNS rebinding), and it bounds a body in bytes and in time.
`patience` bounds what a connection may cost before its first request.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_assets.exchange.refusals import ApiRefusal

MOST_BODY_BYTES = 1_000_000
BODY_SECONDS = 10.0  # for all of a body
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_OF_NO_PAGE = frozenset({"", "none"})  # Sec-Fetch-Site of a client that is no page, and of a typed address


class PortGuard:
    """An ASGI application in front of another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        refusal = _of_a_stranger(headers)
        if scope["type"] == "websocket":
            if refusal is None:
                return await self._app(scope, receive, send)
            await receive()  # the request to connect
            return await send({"type": "websocket.close", "code": 1008, "reason": ""})
        if refusal is None and _announced(headers) > MOST_BODY_BYTES:
            refusal = _too_large()
        if refusal is not None:
            return await _answer(refusal)(scope, receive, send)
        body = _BoundedBody(receive)
        await self._app(scope, body.receive, _closing_after(body, send))
        return None


class _BoundedBody:
    """A request's body as it comes in, with an end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0
        self._ends = False
        self._until: float | None = None
        self.refused = False

    async def receive(self) -> Message:
        """Raises ApiRefusal for a body that is too long, or that takes too long."""
        if self._ends:  # from here on it waits for the client to go away, as long as that takes
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.refused = True
            raise ApiRefusal(408, 40810000, "the request's body did not arrive in time") from None
        self._bytes += len(message.get("body", b""))
        self._ends = not message.get("more_body", False)
        if self._bytes > MOST_BODY_BYTES:
            self.refused = True
            raise _too_large()
        return message


def _of_a_stranger(headers: Headers) -> ApiRefusal | None:
    name, _, port = headers.get("host", "").lower().rpartition(":")
    host = name if name and port.isdigit() else headers.get("host", "").lower()
    if host not in LOOPBACK_NAMES or len(headers.getlist("host")) != 1:
        return ApiRefusal(403, 40310000, "this exchange answers to loopback's names only")
    if "origin" in headers or headers.get("sec-fetch-site", "").lower() not in _OF_NO_PAGE:
        return ApiRefusal(403, 40310000, "this exchange does not answer to pages")
    return None


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


def _too_large() -> ApiRefusal:
    return ApiRefusal(413, 41310000, f"the request's body is longer than {MOST_BODY_BYTES} bytes")


def _answer(refusal: ApiRefusal) -> ASGIApp:
    return JSONResponse(refusal.body, status_code=refusal.status, headers={"Connection": "close"})


def _closing_after(body: _BoundedBody, send: Send) -> Send:
    """Close the connection of a body that was not read to its end: the rest of it is no next request."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and body.refused:
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return sent
