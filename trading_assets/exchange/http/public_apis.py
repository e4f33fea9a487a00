"""What the two public APIs share: first 401, then 429, then faults, then the request; headers; errors.

`trading_api.py` and `data_api.py` answer requests; `app.py` serves them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trading_assets.config import KeyPair
from trading_assets.errors import InvalidInput
from trading_assets.exchange.http.data_api import DataApi
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE, RateLimit
from trading_assets.exchange.http.trading_api import TradingApi
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.refusals import ApiRefusal, malformed, rate_limited, unauthorized
from trading_assets.exchange.venue import Venue
from trading_assets.market.clock import monotonic_ns

_DATA_PATHS = ("/v2/stocks/", "/v1/")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiRefusal)
    ends = {"Connection": "close"} if error.status == 401 else None  # as for `AlpacaFace`'s strangers
    return JSONResponse(error.body, status_code=error.status, headers=ends)


async def _refuse_input(request: Request, error: Exception) -> Response:
    return await _refuse(request, malformed(str(error)))


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"code": error.status_code * 100_000 + 10_000, "message": f"{error.detail}: {request.url.path}"}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    """Starlette raises the error again after this answer, and the server logs it."""
    return JSONResponse({"code": 50010000, "message": "internal server error occurred"}, status_code=500)


ERRORS = {ApiRefusal: _refuse, InvalidInput: _refuse_input, HTTPException: _refuse_route, Exception: _fail}


class AlpacaApi:
    """Both public APIs as one ASGI application.

    failings: puts a layer of faults around the application that answers authorised requests; default: none
    """

    def __init__(
        self,
        venue: Venue,
        keys: KeyPair,
        requests_per_minute: int = REQUESTS_PER_MINUTE,
        failings: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ) -> None:
        routes = [*TradingApi(venue).routes(), *DataApi(venue).routes()]
        self._app = failings(Starlette(routes=routes, exception_handlers=ERRORS))
        self._venue = venue
        self._keys = keys
        self._trading, self._data = (
            RateLimit(
                requests_per_minute,
                exchange_ns=lambda: venue.now_ns,
                monotonic_ns=monotonic_ns,
                account=lambda: venue.state.account.number,
            )
            for _ in range(2)
        )
        self._requests = 0
        self.clients: Counter[str] = Counter()  # requests with the keys by User-Agent, since the start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._data if scope["path"].startswith(_DATA_PATHS) else self._trading
        headers = Headers(scope=scope)
        given = headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", "")
        authorized = self._keys.accepts(*given)
        if authorized:  # a stranger's names would fill the memory
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
                refused = message["status"] == 429
                added["X-RateLimit-Remaining"] = "0" if refused else str(allowance.remaining)
                added["X-RateLimit-Reset"] = str(allowance.reset_epoch_s)
            await send(message)

        app: ASGIApp = self._app
        if not authorized:
            app = _answer(
                unauthorized(), {"Connection": "close"}
            )  # nothing more of a stranger's is looked at
        elif not allowance.allowed:
            app = _answer(rate_limited())
        await app(scope, receive, send_with_headers)


def _answer(refusal: ApiRefusal, headers: Mapping[str, str] | None = None) -> ASGIApp:
    return JSONResponse(refusal.body, status_code=refusal.status, headers=headers)
