"""The trading stream, `/stream`: what happens to the account's orders, as Alpaca's paper venue tells it.

JSON in binary frames (msgpack by the client's Content-Type): authenticate → authorization, listen →
listening, then `trade_updates`. Nothing is sent again after a reconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from trading_assets.config import KeyPair
from trading_assets.exchange import events as ev
from trading_assets.exchange import payloads
from trading_assets.exchange.account import VenueExecution
from trading_assets.exchange.amounts import text
from trading_assets.exchange.connections import Disconnect
from trading_assets.exchange.faults.script import TRADING_STREAM, FaultScript
from trading_assets.exchange.ids import seeded_uuid
from trading_assets.exchange.orders import Status, VenueOrder
from trading_assets.exchange.recorder import Recorded
from trading_assets.exchange.streams.connections import Connection, Strangers, Stream
from trading_assets.exchange.times import utc_text
from trading_assets.exchange.venue import Venue

UPDATES = "trade_updates"
AUTH_SECONDS = 10.0  # for a client to say who it is
_SLOW = {"stream": "error", "data": {"code": 407, "error": "slow client"}}
_UNREADABLE = {"stream": "error", "data": {"code": 400, "error": "invalid syntax"}}


class TradingStream:
    def __init__(self, venue: Venue, keys: KeyPair, script: FaultScript, disconnect: Disconnect) -> None:
        self._venue = venue
        self._keys = keys
        self._disconnect = disconnect
        self._stream = Stream(TRADING_STREAM, script)
        self._listeners: dict[Connection, None] = {}
        self._strangers = Strangers()
        venue.subscribe(self._tell)

    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute(TRADING_STREAM, self.connect)]

    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        connection = Connection(websocket, self._disconnect, binary=True, dismissal=_SLOW)
        self._stream.connections[connection] = None
        self._strangers.come(connection)
        timeout = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._time_out, connection)
        try:
            await connection.converse(lambda members: self._hear(connection, members))
        finally:
            timeout.cancel()
            self._strangers.go(connection)
            del self._stream.connections[connection]
            self._listeners.pop(connection, None)

    def _time_out(self, connection: Connection) -> None:
        if not connection.is_authorized:
            connection.close(_authorization("unauthorized", "authenticate"))

    def _hear(self, connection: Connection, members: Any) -> None:
        action = members.get("action") if isinstance(members, Mapping) else None
        data = members.get("data") if action else None
        data = data if isinstance(data, Mapping) else {}
        match action:
            case "authenticate":
                self._authorize(connection, data.get("key_id"), data.get("secret_key"))
            case "auth":
                self._authorize(connection, members.get("key"), members.get("secret"))
            case "listen" if not connection.is_authorized:
                connection.post(_authorization("unauthorized", "listen"))
            case "listen":
                wanted = data.get("streams")
                self._listen(connection, isinstance(wanted, list) and UPDATES in wanted)
            case _:
                connection.post(_UNREADABLE)

    def _authorize(self, connection: Connection, key: object, secret: object) -> None:
        connection.is_authorized = connection.is_authorized or self._keys.accepts(key, secret)
        status = "authorized" if connection.is_authorized else "unauthorized"
        connection.post(_authorization(status, "authenticate"))

    def _listen(self, connection: Connection, to_updates: bool) -> None:
        """The streams named are all that the client listens to from now on; unknown ones are left out."""
        if to_updates:
            self._listeners[connection] = None
        else:
            self._listeners.pop(connection, None)
        connection.post({"stream": "listening", "data": {"streams": [UPDATES] if to_updates else []}})

    def _tell(self, stored: Sequence[Recorded]) -> None:
        first = self._venue.state.event_count - len(stored) + 1
        for sequence, recorded in enumerate(stored, first):
            for word, order in _words(recorded):
                update = self._update(word, order, recorded, sequence)
                self._stream.send(partial(self._deliver, update))

    def _deliver(self, update: payloads.Json) -> None:
        for listener in self._listeners:
            listener.post(update)

    def _update(self, word: str, order: VenueOrder, recorded: Recorded, sequence: int) -> payloads.Json:
        event = recorded.event
        data = {
            "event": word,
            "execution_id": seeded_uuid(self._venue.state.seed, "execution", sequence, word),
            "timestamp": utc_text(event.at_ns),
            "order": payloads.order_json(order),
        }
        if isinstance(event, ev.OrderFilled):
            data["price"], data["qty"] = text(event.price), text(event.qty)
        if isinstance(event, ev.OrderFilled | ev.FillBusted | ev.FillCorrected):
            data["position_qty"] = text(recorded.position_qty)
        return {"stream": UPDATES, "data": data}


def _words(recorded: Recorded) -> Iterator[tuple[str, VenueOrder]]:
    """What an event is called on the stream, with the order as it was then. Nothing for most events."""
    order = recorded.order
    if order is None:
        return
    match recorded.event:
        case ev.OrderAccepted(working=False):
            yield "accepted", order
        case ev.OrderAccepted():
            yield "pending_new", replace(order, status=Status.PENDING_NEW)
            yield "new", order
        case ev.OrderWorking():
            yield "new", order
        case ev.OrderFilled():
            yield "fill" if order.status is Status.FILLED else "partial_fill", order
        case ev.OrderEnded() | ev.OrderReplaced():
            yield order.status.value, order
        case ev.FillBusted():
            yield VenueExecution.BUST.value, order
        case ev.FillCorrected():
            yield VenueExecution.CORRECTION.value, order
        case _:
            pass


def _authorization(status: str, action: str) -> payloads.Json:
    return {"stream": "authorization", "data": {"status": status, "action": action}}
