"""Faults on the way of a request and its answer: one layer around the Alpaca API.

Several faults of one request strike in this order: delays; what the broker does to the account (orders that
end, splits that are booked); a failure before the request is carried out; a failure instead of its answer;
damage to the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_assets.exchange.connections import Disconnect
from trading_assets.exchange.faults.account import AccountFaults
from trading_assets.exchange.faults.rows import with_strange_row
from trading_assets.exchange.faults.script import REQUESTS, ExchangeFault, FaultKind, FaultScript
from trading_assets.exchange.orders import Status
from trading_assets.exchange.refusals import rate_limited

NEVER_SEEN = "never_seen_before"  # the word in place of a known one
_BAD_GATEWAY = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>502 Bad Gateway</body>\n</html>\n"


@dataclass(slots=True)
class _Answer:
    status: int = 0
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """An ASGI send."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def response(self) -> Response:
        response = Response(self.body, self.status)
        kept = [pair for pair in self.headers or () if pair[0] != b"content-length"]
        response.raw_headers = kept + [h for h in response.raw_headers if h[0] == b"content-length"]
        return response


class FaultLayer:
    """An ASGI application around another one."""

    def __init__(
        self, app: ASGIApp, script: FaultScript, account: AccountFaults, disconnect: Disconnect
    ) -> None:
        self._app = app
        self._script = script
        self._account = account
        self._disconnect = disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        faults = self._script.call(REQUESTS, method=method, path=path)
        answer = await self._answered(scope, receive, faults)
        await answer(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive, faults: list[ExchangeFault]) -> ASGIApp:
        """What answers the request, which has been carried out by then if it is to be at all."""
        body = await Request(scope, receive).body() if faults else b""
        for fault in faults:
            if fault.kind is FaultKind.DELAY:
                await asyncio.sleep(fault.seconds or 0.0)
        for fault in faults:
            if fault.kind is FaultKind.ORDER_ENDED:
                self._account.end_orders(Status(fault.status), fault.symbol)
            elif fault.kind is FaultKind.SPLIT_BOOKED:
                self._account.book_split(fault)
        for fault in faults:
            if (failing := self._before(fault)) is not None:
                return failing
        method, path = scope["method"], scope["path"]
        app: ASGIApp = self._account.answer(method, path) or self._app
        if not faults and not self._account.alters(method, path):
            return app
        answer = _Answer()
        await app(scope, _again(body) if faults else receive, answer.take)
        for fault in faults:
            if (failing := self._after(fault)) is not None:
                return failing
        self._spoil(answer, method, path, faults)
        return answer.response()

    def _before(self, fault: ExchangeFault) -> ASGIApp | None:
        """What fails before the request is carried out."""
        match fault.kind:
            case FaultKind.DROP:
                return self._closing(reset=False)
            case FaultKind.HTML_502:
                return HTMLResponse(_BAD_GATEWAY, 502)
            case FaultKind.RATE_LIMITED:
                refusal = rate_limited()
                return JSONResponse(refusal.body, refusal.status)
            case FaultKind.SERVER_ERROR:
                return JSONResponse({"code": 50010000, "message": "internal server error occurred"}, 500)
            case _:
                return None

    def _after(self, fault: ExchangeFault) -> ASGIApp | None:
        """What fails in place of the answer."""
        match fault.kind:
            case FaultKind.RESET_AFTER_COMMIT:
                return self._closing(reset=True)
            case FaultKind.HANG_AFTER_COMMIT:
                return self._closing(reset=False, after_seconds=fault.seconds)
            case FaultKind.HTML_502_AFTER_COMMIT:
                return HTMLResponse(_BAD_GATEWAY, 502)
            case FaultKind.GATEWAY_TIMEOUT_AFTER_COMMIT:
                return JSONResponse({"code": 50410000, "message": "request timed out"}, 504)
            case _:
                return None

    def _closing(self, *, reset: bool, after_seconds: float | None = None) -> ASGIApp:
        """Closes the connection without an answer, at once or after a silence."""

        async def close(scope: Scope, receive: Receive, send: Send) -> None:
            if after_seconds is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_left(receive), after_seconds)
            self._disconnect(scope, reset)
            await _left(receive)

        return close

    def _spoil(self, answer: _Answer, method: str, path: str, faults: list[ExchangeFault]) -> None:
        if not answer.body or answer.status >= 400:
            return
        members = json.loads(answer.body)
        if self._account.alters(method, path):
            members = self._account.altered(path, members)
        for fault in faults:
            members = _spoiled(members, fault)
            if fault.kind is FaultKind.STRANGE_ROW:
                members = with_strange_row(path, members)
        answer.body = bytes(JSONResponse(members).body)
        if any(fault.kind is FaultKind.TRUNCATED_JSON for fault in faults):
            answer.body = answer.body[: len(answer.body) // 2]


def _again(body: bytes) -> Receive:
    """A receive that gives the body which was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _left(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _spoiled(members: Any, fault: ExchangeFault) -> Any:
    match fault.kind:
        case FaultKind.UNKNOWN_ENUM:
            return _replaced(members, fault.field, {fault.field: NEVER_SEEN})
        case FaultKind.MISSING_FIELD:
            return _replaced(members, fault.field, {})
        case FaultKind.ZERO_SIDED_QUOTE:
            price, size = ("bp", "bs") if fault.side == "bid" else ("ap", "as")
            for quote in _quotes(members, fault.symbol):
                quote |= {price: 0, size: 0}
        case FaultKind.MISSING_BAR:
            _take_out_last_bar(members, fault.symbol)
        case FaultKind.SPLIT_UNLISTED:
            for kind in ("forward_splits", "reverse_splits"):
                listed = members["corporate_actions"].get(kind, [])
                listed[:] = [action for action in listed if action["symbol"] != fault.symbol]
        case _:
            pass
    return members


def _replaced(members: Any, name: str, by: dict[str, Any]) -> Any:
    """A copy in which every member `name`, at any depth, is replaced."""
    if isinstance(members, list):
        return [_replaced(member, name, by) for member in members]
    if not isinstance(members, dict):
        return members
    copy: dict[str, Any] = {}
    for key, value in members.items():
        copy |= by if key == name else {key: _replaced(value, name, by)}
    return copy


def _quotes(members: dict[str, Any], symbol: str | None) -> Iterator[dict[str, Any]]:
    """The symbol's quotes in an answer with quotes or snapshots, of one symbol or of many."""
    own = members if members.get("symbol") == symbol else members.get(symbol or "", {})
    for quote in (members.get("quotes", {}).get(symbol), own.get("quote"), own.get("latestQuote")):
        if quote is not None:
            yield quote


def _take_out_last_bar(members: dict[str, Any], symbol: str | None) -> None:
    """From an answer with bars or latest bars, of one symbol or of many."""
    if members.get("symbol") == symbol:
        members.pop("bar", None)
        bars = members.get("bars")
    else:
        bars = members.get("bars", {}).get(symbol)
        if isinstance(bars, dict):
            del members["bars"][symbol]
    if isinstance(bars, list) and bars:
        bars.remove(max(bars, key=lambda bar: str(bar["t"])))
