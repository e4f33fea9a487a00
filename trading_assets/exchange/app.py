"""The exchange over HTTP: one server, two loopback ports. What the ports answer is in the API modules.

Here is what every answer shares: authentication, the rate limit, the headers, errors as JSON. All
requests run on one event loop, one after the other; that is the venue's single writer.
"""

from __future__ import annotations

import hmac
import math
import socket
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.exchange.control import ControlApi
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.data_api import DataApi
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.rate_limit import REQUESTS_PER_MINUTE, RateLimit
from trading_assets.exchange.refusals import Refusal, malformed, rate_limited, unauthorized
from trading_assets.exchange.trading_api import TradingApi
from trading_assets.exchange.venue import Venue
from trading_assets.market.clock import monotonic_ns

HOST = "127.0.0.1"
_DATA_PATHS = ("/v2/stocks/", "/v1/")


class PortInUse(TradingAssetsError):
    """Somebody else listens there."""


class Urls(NamedTuple):
    """Origins without a trailing slash."""

    url: str
    control_url: str


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(error.body, status_code=error.status)


async def _refuse_input(request: Request, error: Exception) -> Response:
    return await _refuse(request, malformed(str(error)))


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"code": error.status_code * 100_000 + 10_000, "message": f"{error.detail}: {request.url.path}"}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    """Starlette raises the error again after this answer, and the server logs it."""
    return JSONResponse({"code": 50010000, "message": "internal server error occurred"}, status_code=500)


_ERRORS = {Refusal: _refuse, InvalidInput: _refuse_input, HTTPException: _refuse_route, Exception: _fail}


class AlpacaFace:
    """What surrounds the two public APIs: 401, then 429, then the request; headers on every answer."""

    def __init__(self, venue: Venue, requests_per_minute: int = REQUESTS_PER_MINUTE) -> None:
        routes = [*TradingApi(venue).routes(), *DataApi(venue).routes()]
        self._app = Starlette(routes=routes, exception_handlers=_ERRORS)
        self._venue = venue
        self._trading, self._data = (
            RateLimit(requests_per_minute, exchange_ns=lambda: venue.now_ns, monotonic_ns=monotonic_ns)
            for _ in range(2)
        )
        self._requests = 0
        self.clients: Counter[str] = Counter()  # requests by User-Agent, since the start of this process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._data if scope["path"].startswith(_DATA_PATHS) else self._trading
        headers = Headers(scope=scope)
        authorized = _is_authorized(headers)
        self.clients[headers.get("user-agent", "")] += 1
        allowance = limit.take() if authorized else limit.look()
        self._requests += 1
        seed, events = self._venue.state.seed, self._venue.state.event_count
        request_id = seeded_uuid(seed, "request", events, self._requests)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["X-Request-ID"] = request_id
                added["X-RateLimit-Limit"] = str(allowance.limit)
                added["X-RateLimit-Remaining"] = str(allowance.remaining)
                added["X-RateLimit-Reset"] = str(allowance.reset_epoch_s)
            await send(message)

        app: ASGIApp = self._app
        if not authorized:
            app = _answer(unauthorized())
        elif not allowance.allowed:
            app = _answer(rate_limited())
        await app(scope, receive, send_with_headers)


def _answer(refusal: Refusal) -> ASGIApp:
    return JSONResponse(refusal.body, status_code=refusal.status)


def _is_authorized(headers: Headers) -> bool:
    key, secret = headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", "")
    return hmac.compare_digest(f"{key}\n{secret}".encode(), f"{KEY_ID}\n{SECRET}".encode())


def serve(
    venue: Venue,
    *,
    token: str,
    port: int = 0,
    control_port: int = 0,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    ready: Callable[[Urls], None],
) -> None:
    """Serve both ports in this process until it is told to stop (SIGINT, SIGTERM).

    Port 0 takes a free one. `ready` is called once connections are taken. Raises PortInUse.
    """
    # compiled, and the calendar loaded, before the first request and not during it
    fill_price_at_quote(1, math.nan, 1.0, 1.0)
    fill_price_in_bar(1, math.nan, 1.0, 1.0, 1.0)
    venue.sessions.is_open(venue.now_ns)

    face = AlpacaFace(venue, requests_per_minute)
    control = Starlette(routes=ControlApi(venue, token, face.clients).routes(), exception_handlers=_ERRORS)
    with (
        _listening(port, "the Alpaca API") as public,
        _listening(control_port, "the control plane") as private,
    ):
        private_port = private.getsockname()[1]

        async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
            app = control if scope["server"][1] == private_port else face
            await app(scope, receive, send)

        config = uvicorn.Config(
            by_port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=3600,  # a client's idle connection is not closed under its next request
            timeout_graceful_shutdown=2,
        )
        origins = (f"http://{HOST}:{listening.getsockname()[1]}" for listening in (public, private))
        ready(Urls(*origins))
        uvicorn.Server(config).run(sockets=[public, private])


def _listening(port: int, whose: str) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise PortInUse(
            f"port {port} of {HOST}, wanted for {whose}: {error.strerror}. End what listens there (another "
            "exchange?), or choose another port"
        ) from error
