"""What the streams share: connections that never make the exchange wait, and faults of their messages.

`trading.py` and `data.py` have the messages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
from starlette.websockets import WebSocket, WebSocketDisconnect

from trading_assets.exchange.connections import Disconnect
from trading_assets.exchange.faults.script import UPDATES, FaultKind, FaultScript
from trading_assets.exchange.times import parse_ns

MOST_UNREAD = 8_000_000  # bytes that a client may leave unread, besides what its socket holds
MOST_UNREAD_OF_A_STRANGER = 64_000  # of one that has not said who it is
GRACE_SECONDS = 2.0  # for a client that does not read to take its dismissal
MOST_STRANGERS = 64  # sockets of a stream whose client has not said who it is: then the oldest makes room
POLICY, RESTART = 1008, 1012  # codes of a close: by a rule, and as of a server that goes away


class Connection:
    """One client's socket. It speaks msgpack where its Content-Type says so, else JSON.

    binary:    JSON in binary frames
    dismissal: the last message to a client that is too slow
    """

    def __init__(self, websocket: WebSocket, disconnect: Disconnect, *, binary: bool, dismissal: Any) -> None:
        self._websocket = websocket
        self._disconnect = disconnect
        self._binary = binary
        self._dismissal = dismissal
        self._packed = websocket.headers.get("content-type") == "application/msgpack"
        self._waiting: asyncio.Queue[str | bytes | _Close] = asyncio.Queue()
        self._unread = 0  # bytes in `_waiting`
        self._is_closing = False
        self.is_authorized = False
        self.is_mute = False

    def post(self, members: Any) -> None:
        """Send when the client reads; never wait. A client that leaves too much unread is dismissed."""
        if self.is_mute or self._is_closing:
            return
        message = self._encoded(members)
        if self._unread + len(message) > (MOST_UNREAD if self.is_authorized else MOST_UNREAD_OF_A_STRANGER):
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self.close(self._dismissal)
        else:
            self._wait(message)

    def _wait(self, message: str | bytes) -> None:
        self._unread += len(message)
        self._waiting.put_nowait(message)

    def close(self, last: Any = None, code: int = POLICY) -> None:
        """Send what waits and a last message, then close; by force where the client does not read."""
        if self._is_closing:
            return
        if last is not None:
            self._wait(self._encoded(last))
        self._is_closing = True
        self._waiting.put_nowait(_Close(code))
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.cut)

    def cut(self) -> None:
        """Close by force, with nothing more sent."""
        self._disconnect(self._websocket.scope, True)

    async def converse(self, hear: Callable[[Any], None]) -> None:
        """Until it is closed: send what is posted, and `hear` each message (None: one that is unreadable)."""
        tasks = [asyncio.create_task(self._read(hear)), asyncio.create_task(self._write())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    async def _read(self, hear: Callable[[Any], None]) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            hear(self._decoded(message))

    def _decoded(self, message: Mapping[str, Any]) -> Any:
        data = message.get("bytes") or (message.get("text") or "").encode()
        try:
            return msgpack.unpackb(data) if self._packed else json.loads(data)
        except (ValueError, msgpack.UnpackException, RecursionError):
            return None

    def _encoded(self, members: Any) -> str | bytes:
        if self._packed:
            return bytes(msgpack.packb(_stamped(members)))
        text = json.dumps(members, separators=(",", ":"))
        return text.encode() if self._binary else text

    async def _write(self) -> None:
        while True:
            message = await self._waiting.get()
            if isinstance(message, _Close):
                return await self._websocket.close(message.code)
            self._unread -= len(message)
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(message)


class Strangers:
    """The sockets whose client has not said who it is. Anybody on this machine can open one, and it takes the
    place of a connection that the desk may need: there are few at a time."""

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}  # in the order in which they came

    def come(self, connection: Connection) -> None:
        self._waiting = {one: None for one in self._waiting if not one.is_authorized}
        if connection.is_authorized:
            return
        if len(self._waiting) >= MOST_STRANGERS:
            oldest = next(iter(self._waiting))
            self.go(oldest)
            oldest.cut()
        self._waiting[connection] = None

    def go(self, connection: Connection) -> None:
        """It has ended."""
        self._waiting.pop(connection, None)


@dataclass(frozen=True, slots=True)
class _Close:
    code: int


def _stamped(members: Any) -> Any:
    """The messages with their times `t` as msgpack's timestamps."""
    if isinstance(members, list):
        return [_stamped(member) for member in members]
    if "t" in members:
        return members | {"t": msgpack.Timestamp.from_unix_nano(parse_ns(members["t"]))}
    return members


class Stream:
    """The connections of one path, and what the fault script does to the messages sent to them."""

    def __init__(self, path: str, script: FaultScript) -> None:
        self._path = path
        self._script = script
        self._held: list[Callable[[], None]] = []
        self.connections: dict[Connection, None] = {}  # in the order in which they came
        script.at_end(self._send_held)

    def send(self, deliver: Callable[[], None]) -> None:
        """Deliver one message to its recipients, once unless a fault says otherwise."""
        kinds = {fault.kind for fault in self._script.call(UPDATES, path=self._path)}
        if FaultKind.SOCKET_CLOSED in kinds:
            for connection in self.connections:
                connection.close(code=RESTART)
        if FaultKind.SOCKET_MUTE in kinds:
            for connection in self.connections:
                connection.is_mute = True
        if FaultKind.UPDATE_REORDERED in kinds:
            self._held.append(deliver)
        elif FaultKind.UPDATE_MISSING not in kinds:
            deliver()
            if FaultKind.UPDATE_DUPLICATE in kinds:
                deliver()
            self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for deliver in held:
            deliver()
