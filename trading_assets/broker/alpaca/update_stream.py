"""Alpaca's stream of trade updates, as a hint that something happened to an order.

The client is alpaca-py's TradingStream in a thread of its own. An update says which order to look at
and nothing more: what happened is read by REST. alpaca-py loses the event whose handler raises, does
not send again what was missed between two connections, and waits for ever on a socket that is open and
mute; so the handler only passes on, a new connection is an event of its own, and the socket is pinged.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from queue import Queue
from types import TracebackType
from typing import Any, Self

from alpaca.common.enums import BaseURL
from alpaca.trading.stream import TradingStream

from trading_assets.broker.alpaca.origins import origins
from trading_assets.broker.alpaca.transport import is_loopback
from trading_assets.broker.port import Connected, OrderChanged, Update
from trading_assets.config import Settings, keys
from trading_assets.log import get_logger
from trading_assets.redaction import hide

log = get_logger(__name__)

PING_SECONDS = 10  # a socket that does not answer a ping within as long again is closed and opened anew
_SOCKET = {"ping_interval": PING_SECONDS, "ping_timeout": PING_SECONDS, "max_queue": 1024}
STOP_SECONDS = 10.0


class _Stream(TradingStream):
    """TradingStream that says when it has connected."""

    _loop: asyncio.AbstractEventLoop | None  # type: ignore[assignment] # declared as None there

    def __init__(self, updates: Queue[Update], **arguments: Any) -> None:
        super().__init__(raw_data=True, websocket_params=dict(_SOCKET), **arguments)
        self._updates = updates

    async def _start_ws(self) -> None:
        await super()._start_ws()  # type: ignore[no-untyped-call]
        self._updates.put(Connected())


class UpdateStream:
    """Puts what the stream says into `updates`, from the start of the `with` block to its end.

    Reconnects by itself, with alpaca-py's back-off. Raises InvalidInput for missing keys.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        key_id, secret = keys(settings, environ)
        if settings.venue != "embedded":
            hide(key_id, secret)
        self.updates: Queue[Update] = Queue()
        self._stream = _Stream(
            self.updates, api_key=key_id, secret_key=secret, url_override=stream_url(settings)
        )
        self._stream.subscribe_trade_updates(self._pass_on)
        self._thread = threading.Thread(target=self._stream.run, name="trade updates", daemon=True)

    async def _pass_on(self, message: Mapping[str, Any]) -> None:
        data = message.get("data") or {}
        order = data.get("order") or {}
        if order.get("id"):
            changed = OrderChanged(
                str(order["id"]), str(order.get("client_order_id", "")), str(data.get("event"))
            )
            self.updates.put(changed)
        else:
            log.warning("trade update without an order", update=str(message)[:300])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = self._stream._loop  # noqa: SLF001 - `stop` needs it and does not look
        if loop is not None and loop.is_running():
            self._stream.stop()
            # its reader looks for a stop every five seconds only, and at once when the socket closes
            asyncio.run_coroutine_threadsafe(self._stream.close(), loop)
        self._thread.join(STOP_SECONDS)


def stream_url(settings: Settings) -> str:
    """Where the trade updates of the configured venue and mode are."""
    if settings.venue != "embedded":
        live = settings.mode == "live"
        return str((BaseURL.TRADING_STREAM_LIVE if live else BaseURL.TRADING_STREAM_PAPER).value)
    trading = origins(settings).trading
    assert is_loopback(trading), "the embedded exchange is on this machine"
    return trading.replace("http", "ws", 1) + "/stream"
