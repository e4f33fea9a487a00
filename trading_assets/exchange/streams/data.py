"""The data stream, `/v2/{feed}`: bars, quotes and trades of the tape as the exchange's clock passes them.

Welcome, auth (by header or message), subscribe; msgpack by the client's Content-Type, else JSON. At the open
and at the end of each minute every symbol has one trade (the price then) and one quote; minute bars come as
they end, with the session's bar so far. Nothing comes from beyond the exchange's now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from trading_assets.config import KeyPair
from trading_assets.exchange import events as ev
from trading_assets.exchange import payloads
from trading_assets.exchange.amounts import price_of
from trading_assets.exchange.connections import Disconnect
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.quotes import quote_of
from trading_assets.exchange.recorder import Recorded
from trading_assets.exchange.refusals import not_found
from trading_assets.exchange.streams.connections import Connection, Strangers, Stream
from trading_assets.exchange.tape_view import Bar, Print
from trading_assets.exchange.times import utc_text
from trading_assets.exchange.venue import Venue

FEEDS = ("iex", "sip", "delayed_sip")
NOT_SUBSCRIBED = ("boats", "overnight", "otc")  # feeds that Alpaca has and this account does not
CHANNELS = {
    "trades": "t",
    "quotes": "q",
    "bars": "b",
    "updatedBars": "u",
    "dailyBars": "d",
    "statuses": "s",
    "lulds": "l",
    "corrections": "c",
    "cancelErrors": "x",
}
AUTH_SECONDS = 10.0
MOST_SYMBOLS = 30  # of trades, and of quotes
MESSAGES_A_FRAME = 500

Json = payloads.Json


def _error(code: int, message: str) -> list[Json]:
    return [{"T": "error", "code": code, "msg": message}]


_CONNECTED = [{"T": "success", "msg": "connected"}]
_AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
_INVALID = _error(400, "invalid syntax")
_NOT_AUTHENTICATED = _error(401, "not authenticated")
_AUTH_FAILED = _error(402, "auth failed")
_ALREADY = _error(403, "already authenticated")
_AUTH_TIMEOUT = _error(404, "auth timeout")
_TOO_MANY_SYMBOLS = _error(405, "symbol limit exceeded")
_TOO_MANY_CONNECTIONS = _error(406, "connection limit exceeded")
_SLOW = _error(407, "slow client")
_INSUFFICIENT = _error(409, "insufficient subscription")


class _Subscriptions:
    """The symbols of each channel, in the order in which they were asked for; "*" is every symbol."""

    def __init__(self) -> None:
        self._symbols: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}

    def wants(self, channel: str, symbol: str) -> bool:
        return symbol in self._symbols[channel] or "*" in self._symbols[channel]

    def change(self, wanted: Mapping[str, list[str]], *, add: bool) -> bool:
        """Add or remove symbols. False, with nothing changed, when they would be too many."""
        changed = {
            channel: {
                symbol: None
                for symbol in [*present, *wanted.get(channel, [])]
                if add or symbol not in wanted.get(channel, [])
            }
            for channel, present in self._symbols.items()
        }
        if any(len(changed[channel].keys() - {"*"}) > MOST_SYMBOLS for channel in ("trades", "quotes")):
            return False
        self._symbols = changed | {name: dict(changed["trades"]) for name in ("corrections", "cancelErrors")}
        return True

    def message(self) -> list[Json]:
        """The full present set."""
        return [{"T": "subscription"} | {name: list(symbols) for name, symbols in self._symbols.items()}]


class DataStream:
    """All feeds show the same tape. An account may have one connection to each, as most of Alpaca's have."""

    def __init__(self, venue: Venue, keys: KeyPair, script: FaultScript, disconnect: Disconnect) -> None:
        self._venue = venue
        self._keys = keys
        self._disconnect = disconnect
        self._feeds = {feed: Stream(f"/v2/{feed}", script) for feed in FEEDS}
        self._subscribed: dict[Connection, _Subscriptions] = {}
        self._strangers = Strangers()
        self._streamed_ns = venue.now_ns
        venue.subscribe(self._stream)

    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute("/v2/{feed}", self.connect)]

    async def connect(self, websocket: WebSocket) -> None:
        feed = websocket.path_params["feed"]
        if feed not in FEEDS + NOT_SUBSCRIBED:
            refusal = not_found(f"there is no feed {feed}")
            return await websocket.send_denial_response(JSONResponse(refusal.body, refusal.status))
        await websocket.accept()
        connection = Connection(websocket, self._disconnect, binary=False, dismissal=_SLOW)
        connection.post(_CONNECTED)
        headers = websocket.headers
        if "apca-api-key-id" in headers:
            self._authorize(connection, feed, headers["apca-api-key-id"], headers.get("apca-api-secret-key"))
        self._strangers.come(connection)
        timeout = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._time_out, connection)
        try:
            await connection.converse(lambda members: self._hear(connection, feed, members))
        finally:
            timeout.cancel()
            self._strangers.go(connection)
            self._subscribed.pop(connection, None)
            if feed in FEEDS:
                self._feeds[feed].connections.pop(connection, None)

    def _time_out(self, connection: Connection) -> None:
        if not connection.is_authorized:
            connection.close(_AUTH_TIMEOUT)

    # What a client says

    def _hear(self, connection: Connection, feed: str, members: Any) -> None:
        action = members.get("action") if isinstance(members, Mapping) else None
        if action == "auth":
            self._authorize(connection, feed, members.get("key"), members.get("secret"))
        elif action not in ("subscribe", "unsubscribe"):
            connection.post(_INVALID)
        elif connection not in self._subscribed:
            connection.post(_NOT_AUTHENTICATED)
        else:
            self._change(connection, members, add=action == "subscribe")

    def _authorize(self, connection: Connection, feed: str, key: object, secret: object) -> None:
        if connection.is_authorized:
            connection.post(_ALREADY)
        elif not self._keys.accepts(key, secret):
            connection.post(_AUTH_FAILED)
        elif feed in NOT_SUBSCRIBED:
            connection.close(_INSUFFICIENT)
        elif self._feeds[feed].connections:
            connection.close(_TOO_MANY_CONNECTIONS)
        else:
            connection.is_authorized = True
            self._feeds[feed].connections[connection] = None
            self._subscribed[connection] = _Subscriptions()
            connection.post(_AUTHENTICATED)

    def _change(self, connection: Connection, members: Mapping[str, Any], *, add: bool) -> None:
        wanted = {name: value for name, value in members.items() if name != "action"}
        if not all(name in CHANNELS and _are_symbols(value) for name, value in wanted.items()):
            connection.post(_INVALID)
        elif self._subscribed[connection].change(wanted, add=add):
            connection.post(self._subscribed[connection].message())
        else:
            connection.post(_TOO_MANY_SYMBOLS)

    # What the tape says

    def _stream(self, stored: Sequence[Recorded]) -> None:
        from_ns, self._streamed_ns = self._streamed_ns, self._venue.now_ns
        if not self._subscribed:
            return
        frame: list[Json] = []
        for message in self._passed(from_ns, self._streamed_ns):
            frame.append(message)
            if len(frame) == MESSAGES_A_FRAME:
                self._send(frame)
                frame = []
        frame += self._by_hand(stored)
        if frame:
            self._send(frame)

    def _send(self, frame: list[Json]) -> None:
        for stream in self._feeds.values():
            if stream.connections:
                stream.send(partial(self._deliver, stream, frame))

    def _deliver(self, stream: Stream, frame: list[Json]) -> None:
        """To each connection what it has subscribed to."""
        for connection in stream.connections:
            wants = self._subscribed[connection].wants
            if own := [message for message in frame if wants(_CHANNEL_OF[message["T"]], message["S"])]:
                connection.post(own)

    def _wanted(self, channel: str, symbol: str) -> bool:
        return any(subscribed.wants(channel, symbol) for subscribed in self._subscribed.values())

    def _passed(self, from_ns: int, to_ns: int) -> Iterator[Json]:
        """What the tape shows in (from, to], in order of time and then of symbol."""
        view, day = self._venue.view, self._venue.sessions.new_york_date
        channels = ("trades", "quotes", "bars", "dailyBars")
        for session in self._venue.sessions.between(day(from_ns), day(to_ns)):
            symbols = [s for s in view.listed(to_ns) if any(self._wanted(channel, s) for channel in channels)]
            marks: list[tuple[int, str, float, Bar | None]] = []
            for symbol in symbols:
                bars = view.minutes(symbol, session)
                if len(bars.start_ns):
                    marks.append((int(bars.start_ns[0]), symbol, float(bars.open[0]), None))
                derived = view.is_derived(symbol, session)
                rows = (
                    Bar(*(value.item() for value in row))._replace(derived=derived)
                    for row in zip(*bars, strict=True)
                )
                marks += [(bar.end_ns, symbol, bar.close, bar) for bar in rows]
            marks.sort(key=lambda mark: mark[:2])
            for at_ns, symbol, price, bar in marks:
                if from_ns < at_ns <= to_ns:
                    yield from self._mark(symbol, at_ns, price, bar)

    def _mark(self, symbol: str, at_ns: int, price: float, bar: Bar | None) -> Iterator[Json]:
        """One instant of one symbol: its price, its quote, and the bar that ended."""
        is_halted = self._venue.state.halted_since.get(symbol, at_ns + 1) <= at_ns
        if self._wanted("trades", symbol) and not is_halted:
            yield _message("trades", symbol, payloads.trade_json(Print(price_of(price), at_ns)))
        if self._wanted("quotes", symbol) and not is_halted:
            yield self._quote(symbol, at_ns)
        if bar is not None and self._wanted("bars", symbol):
            yield _message("bars", symbol, payloads.bar_json(bar))
        if bar is not None and self._wanted("dailyBars", symbol):
            session = self._venue.sessions.new_york_date(at_ns)
            if (so_far := self._venue.view.daily_bar(symbol, session, at_ns)) is not None:
                yield _message("dailyBars", symbol, payloads.bar_json(so_far))

    def _by_hand(self, stored: Iterable[Recorded]) -> Iterator[Json]:
        """What the control plane did: halts, resumptions and quotes by hand."""
        for recorded in stored:
            match recorded.event:
                case ev.SymbolHalted(at_ns, symbol):
                    yield _status(
                        symbol, at_ns, "H", "Trading Halt", "T12", "Trading Halted; For information"
                    )
                case ev.SymbolResumed(at_ns, symbol):
                    yield _status(symbol, at_ns, "T", "Trading Resumption", "T3", "Resumption")
                    yield self._quote(symbol, at_ns)
                case ev.QuoteOverridden(at_ns, symbol):
                    yield self._quote(symbol, at_ns)
                case _:
                    pass

    def _quote(self, symbol: str, at_ns: int) -> Json:
        venue = self._venue
        quote = quote_of(symbol, venue.state, venue.view, venue.settings.spread_bps, at_ns)
        return _message("quotes", symbol, payloads.quote_json(quote))


_CHANNEL_OF = {letter: channel for channel, letter in CHANNELS.items()}


def _message(channel: str, symbol: str, members: Json) -> Json:
    return {"T": CHANNELS[channel], "S": symbol} | members


def _status(symbol: str, at_ns: int, code: str, message: str, reason: str, why: str) -> Json:
    members = {"sc": code, "sm": message, "rc": reason, "rm": why, "t": utc_text(at_ns), "z": "C"}
    return _message("statuses", symbol, members)


def _are_symbols(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(symbol, str) for symbol in value)
