"""The exchange over HTTP: one server, two loopback ports, and the time that passes meanwhile.

One event loop handles all requests, one after the other, and is the venue's single writer. `public_apis.py`
(the Alpaca API) and `control.py` answer them.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from trading_assets.config import KeyPair
from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar, stop_price_in_bar
from trading_assets.errors import TradingAssetsError
from trading_assets.exchange.connections import Disconnect, disconnecting
from trading_assets.exchange.faults.account import AccountFaults
from trading_assets.exchange.faults.http import FaultLayer
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.http.control import ControlApi
from trading_assets.exchange.http.guard import MOST_BODY_BYTES, PortGuard
from trading_assets.exchange.http.pace import ClockPace
from trading_assets.exchange.http.public_apis import ERRORS, AlpacaApi
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.exchange.streams.data import DataStream
from trading_assets.exchange.streams.trading import TradingStream
from trading_assets.exchange.venue import Venue
from trading_assets.patience import PatientProtocol, log_no_stranger

HOST = "127.0.0.1"


class PortInUse(TradingAssetsError):
    """Another process listens at the port."""


class Urls(NamedTuple):
    """Origins without a trailing slash."""

    url: str
    control_url: str


def serve(
    venue: Venue,
    *,
    token: str,
    keys: KeyPair,
    port: int = 0,
    control_port: int = 0,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    speed: float | None = None,
    ready: Callable[[Urls], None],
) -> None:
    """Serve both ports in this process until it is told to stop (SIGINT, SIGTERM).

    Port 0 takes a free one. `speed`: time runs from the start, at so many virtual seconds a second.
    `ready` is called once connections are taken. Raises PortInUse, and InvalidInput for an impossible speed.
    """
    prepare(venue)
    with (
        listening(port, "the Alpaca API") as public,
        listening(control_port, "the control plane") as private,
    ):
        apis = ExchangeApis(private)
        server = server_of(apis)
        pace = apis.show(venue, disconnecting(server), token, keys, requests_per_minute)
        if speed is not None:
            pace.run(speed)
        ready(urls(public, private))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve_in_time(server, pace, [public, private]))


def prepare(venue: Venue) -> None:
    """Compile and load what the first request needs before it comes."""
    fill_price_at_quote(1, math.nan, 1.0, 1.0)
    fill_price_in_bar(1, math.nan, 1.0, 1.0, 1.0)
    stop_price_in_bar(1, 1.0, 1.0, 1.0, 1.0)
    venue.sessions.is_open(venue.now_ns)


class ExchangeApis:
    """The ASGI application of both ports, for the venue that `show` named last."""

    def __init__(self, private: socket.socket) -> None:
        self._private_port = private.getsockname()[1]
        self._pace: ClockPace | None = None

    def show(
        self, venue: Venue, disconnect: Disconnect, token: str, keys: KeyPair, requests_per_minute: int
    ) -> ClockPace:
        """Serve this venue from now on; its time stands."""
        script = FaultScript()
        account = AccountFaults(venue, script)
        pace = ClockPace(venue, advance=account.advance)
        alpaca = AlpacaApi(
            venue,
            keys,
            requests_per_minute,
            failings=lambda app: FaultLayer(app, script, account, disconnect),
        )
        streams = Starlette(
            routes=[
                *TradingStream(venue, keys, script, disconnect).routes(),
                *DataStream(venue, keys, script, disconnect).routes(),
            ]
        )
        routes = ControlApi(venue, pace, script, token, alpaca.clients).routes()
        control = Starlette(routes=routes, exception_handlers=ERRORS)
        self._pace, self._alpaca, self._streams, self._control = pace, alpaca, streams, control
        return pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pace is None:
            raise RuntimeError("there is no venue to answer for")
        self._pace.catch_up()
        public: ASGIApp = self._streams if scope["type"] == "websocket" else self._alpaca
        app = self._control if scope["server"][1] == self._private_port else public
        await app(scope, receive, send)


def server_of(apis: ExchangeApis) -> uvicorn.Server:
    """The server that takes the connections of both ports."""
    log_no_stranger()
    return uvicorn.Server(
        uvicorn.Config(
            PortGuard(apis),
            http=PatientProtocol,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=MOST_BODY_BYTES,
            proxy_headers=False,  # nobody stands between a client and loopback
            timeout_keep_alive=3600,  # a client's idle connection is not closed under its next request
            timeout_graceful_shutdown=2,
        )
    )


def urls(public: socket.socket, private: socket.socket) -> Urls:
    """The URLs of both ports."""
    url, control_url = (f"http://{HOST}:{taken.getsockname()[1]}" for taken in (public, private))
    return Urls(url, control_url)


async def _serve_in_time(server: uvicorn.Server, pace: ClockPace, sockets: list[socket.socket]) -> None:
    """Serve while time goes on. Time that cannot go on, as past the calendar's end, ends the server."""

    def stop(_: asyncio.Task[None]) -> None:
        server.should_exit = True

    time = asyncio.create_task(pace.keep_up())
    time.add_done_callback(stop)
    try:
        await server.serve(sockets=sockets)
    finally:
        time.cancel()
        (failure,) = await asyncio.gather(time, return_exceptions=True)
    if isinstance(failure, Exception):
        raise failure


def listening(port: int, whose: str) -> socket.socket:
    """A listening socket on a loopback port; 0 takes a free port. Raises PortInUse."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise PortInUse(
            f"port {port} of {HOST}, wanted for {whose}: {error.strerror}. End what listens there (another "
            "exchange?), or choose another port"
        ) from error
