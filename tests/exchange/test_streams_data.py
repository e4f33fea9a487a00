"""The data stream with the unmodified alpaca-py, its protocol word for word, and slow clients."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty, Queue
from time import monotonic, sleep
from typing import Any

import msgpack
import pytest
from alpaca.data.live import StockDataStream
from alpaca.data.models import Bar, Quote, Trade
from exchange_ground import MINUTE_NS
from served import Served, keeping
from tapes import venue
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from trading_assets.config import PUBLIC_KEYS
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.exchange.streams import connections, data
from trading_assets.exchange.streams.connections import Connection
from trading_assets.exchange.times import parse_ns

AUTH = {"action": "auth", "key": KEY_ID, "secret": SECRET}


@pytest.fixture
def served(exchange: ExchangeProcess) -> Iterator[Served]:
    with keeping(exchange) as served:
        yield served


@contextmanager
def socket(served: Served, feed: str = "iex", **headers: str) -> Iterator[ClientConnection]:
    with connect(f"{served.socket_url}/v2/{feed}", additional_headers=headers, proxy=None) as opened:
        yield opened


def hear(opened: ClientConnection) -> Any:
    message = opened.recv(timeout=10)
    assert isinstance(message, str)
    return json.loads(message)


def ask(opened: ClientConnection, message: object) -> Any:
    opened.send(json.dumps(message))
    return hear(opened)


def error(code: int, message: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


@contextmanager
def authenticated(served: Served, **channels: list[str]) -> Iterator[ClientConnection]:
    with socket(served) as opened:
        assert hear(opened) == [{"T": "success", "msg": "connected"}]
        assert ask(opened, AUTH) == [{"T": "success", "msg": "authenticated"}]
        assert ask(opened, {"action": "subscribe", **channels})[0]["T"] == "subscription"
        yield opened


# With alpaca-py


def test_alpaca_py_hears_bars_quotes_and_trades_as_the_clock_moves(served: Served) -> None:
    heard: Queue[Any] = Queue()

    async def keep(item: Any) -> None:
        heard.put(item)

    stream = StockDataStream(KEY_ID, SECRET, url_override=served.socket_url + "/v2/iex")
    stream.subscribe_bars(keep, "IBM", "AAPL")
    stream.subscribe_quotes(keep, "IBM")
    stream.subscribe_trades(keep, "*")
    thread = threading.Thread(target=stream.run)
    thread.start()
    try:
        while not stream._running:
            assert thread.is_alive()
        items: list[Any] = []
        while not items:  # its subscription may be read after the first step
            served.step(1)
            with suppress(Empty):
                items = [heard.get(timeout=2)]
                items += [heard.get(timeout=10) for _ in range(7)]
    finally:
        stream.stop()
        if stream._ws is not None:
            asyncio.run_coroutine_threadsafe(stream.close(), stream._loop).result(5)
        thread.join(10)
    assert not thread.is_alive()
    bars = {item.symbol: item for item in items if isinstance(item, Bar)}
    quotes = [item for item in items if isinstance(item, Quote)]
    trades = {item.symbol: item for item in items if isinstance(item, Trade)}
    assert (set(bars), set(trades)) == ({"IBM", "AAPL"}, {"AAPL", "FB", "GOOG", "IBM", "MSFT"})
    latest = served.get("/v2/stocks/IBM/bars/latest")["bar"]
    assert (bars["IBM"].close, bars["IBM"].timestamp) == (latest["c"], _moment(latest["t"]))
    quoted = served.get("/v2/stocks/IBM/quotes/latest")["quote"]
    assert [(q.bid_price, q.ask_price) for q in quotes] == [(quoted["bp"], quoted["ap"])]
    assert trades["IBM"].price == latest["c"]


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(parse_ns(text) / 10**9, UTC)


# What is told


def test_a_longer_move_tells_every_minute_in_order_and_nothing_beyond_now(served: Served) -> None:
    with authenticated(served, bars=["IBM", "AAPL"], dailyBars=["IBM"]) as opened:
        before_ns = served.keeper.now_ns()
        served.step(7)
        now_ns = served.keeper.now_ns()
        messages = hear(opened)
    bars = [m for m in messages if m["T"] == "b"]
    ends = [parse_ns(bar["t"]) + MINUTE_NS for bar in bars]
    assert len(bars) == 14
    assert ends == sorted(ends)
    assert before_ns < ends[0]
    assert ends[-1] <= now_ns
    rest = served.get("/v2/stocks/bars", symbols="IBM,AAPL", timeframe="1Min")["bars"]
    for symbol in ("IBM", "AAPL"):
        minutes = [
            {k: v for k, v in bar.items() if k not in ("T", "S")} for bar in bars if bar["S"] == symbol
        ]
        assert minutes == rest[symbol][-7:]
    daily = [m for m in messages if m["T"] == "d"]
    assert len(daily) == 7
    assert daily[-1]["c"] == served.get("/v2/stocks/IBM/snapshot")["dailyBar"]["c"]


def test_a_days_first_price_is_told_at_the_open_before_any_bar(served: Served) -> None:
    open_ns = int(served.client().get_clock().next_open.timestamp()) * 10**9
    served.keeper.move_to(open_ns - 1)
    with authenticated(served, bars=["IBM"], trades=["IBM"]) as opened:
        served.keeper.move_to(open_ns)
        (first,) = hear(opened)
    assert (first["T"], parse_ns(first["t"])) == ("t", open_ns)
    assert first["p"] == served.get("/v2/stocks/IBM/trades/latest")["trade"]["p"]


def test_a_message_of_the_data_stream_goes_missing_by_its_path(served: Served) -> None:
    with authenticated(served, bars=["IBM"]) as opened:
        served.keeper.script([{"kind": "update_missing", "path": "/v2/iex"}])
        served.step(1)
        served.step(1)
        (bar,) = hear(opened)
    assert bar["t"] == served.get("/v2/stocks/IBM/bars/latest")["bar"]["t"]


def test_halts_and_quotes_by_hand_are_told_at_once(served: Served) -> None:
    with authenticated(served, statuses=["*"], quotes=["IBM"], trades=["IBM"], bars=["IBM"]) as opened:
        served.keeper.halt("IBM")
        (halted,) = hear(opened)
        assert (halted["T"], halted["S"], halted["sc"]) == ("s", "IBM", "H")
        served.step(1)
        assert [m["T"] for m in hear(opened)] == ["b"]  # no quote and no trade while it is halted
        served.keeper.halt("IBM", halted=False)
        assert [m["T"] for m in hear(opened)] == ["s", "q"]
        served.keeper.quote("IBM", 1.0, 0)
        (quote,) = hear(opened)
        assert (quote["bp"], quote["ap"], quote["as"]) == (1.0, 0, 0)
        served.keeper.tape_quote("IBM")
        assert hear(opened)[0]["ap"] > 1


# Word for word


def test_subscriptions_are_echoed_in_full_and_taken_back(served: Served) -> None:
    with socket(served) as opened:
        hear(opened)
        ask(opened, AUTH)
        empty = {
            "T": "subscription",
            "trades": [],
            "quotes": [],
            "bars": [],
            "updatedBars": [],
            "dailyBars": [],
            "statuses": [],
            "lulds": [],
            "corrections": [],
            "cancelErrors": [],
        }
        first = ask(opened, {"action": "subscribe", "bars": ["IBM"], "quotes": ["*"]})
        assert first == [empty | {"bars": ["IBM"], "quotes": ["*"]}]
        second = ask(opened, {"action": "subscribe", "bars": ["AAPL", "IBM"], "trades": ["FB"]})
        followed = {"trades": ["FB"], "corrections": ["FB"], "cancelErrors": ["FB"]}
        assert second == [empty | {"bars": ["IBM", "AAPL"], "quotes": ["*"]} | followed]
        third = ask(opened, {"action": "unsubscribe", "bars": ["IBM"], "quotes": ["*"], "trades": ["FB"]})
        assert third == [empty | {"bars": ["AAPL"]}]
        served.step(1)
        assert [(m["T"], m["S"]) for m in hear(opened)] == [("b", "AAPL")]


def test_each_mistake_has_its_code(served: Served) -> None:
    with socket(served) as opened:
        hear(opened)
        assert ask(opened, {"action": "subscribe", "bars": ["IBM"]}) == error(401, "not authenticated")
        assert ask(opened, AUTH | {"secret": "wrong"}) == error(402, "auth failed")
        opened.send("{")
        assert hear(opened) == error(400, "invalid syntax")
        ask(opened, AUTH)
        assert ask(opened, AUTH) == error(403, "already authenticated")
        assert ask(opened, {"action": "subscribe", "candles": ["IBM"]}) == error(400, "invalid syntax")
        assert ask(opened, {"action": "subscribe", "bars": "IBM"}) == error(400, "invalid syntax")
        many = [f"S{number}" for number in range(31)]
        assert ask(opened, {"action": "subscribe", "quotes": many}) == error(405, "symbol limit exceeded")
        assert ask(opened, {"action": "subscribe", "quotes": many[:30]})[0]["quotes"] == many[:30]
        with socket(served) as second:
            hear(second)
            assert ask(second, AUTH) == error(406, "connection limit exceeded")
            assert _close_code(second) == 1008
    with socket(served, "otc") as opened:
        hear(opened)
        assert ask(opened, AUTH) == error(409, "insufficient subscription")
        assert _close_code(opened) == 1008
    with pytest.raises(InvalidStatus, match="HTTP 404"), socket(served, "weather"):
        pass


def _close_code(opened: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        opened.recv(timeout=10)
    assert caught.value.rcvd is not None
    return int(caught.value.rcvd.code)


def test_the_key_pair_may_come_as_headers_and_msgpack_by_the_content_type(served: Served) -> None:
    headers = {
        "APCA-API-KEY-ID": KEY_ID,
        "APCA-API-SECRET-KEY": SECRET,
        "Content-Type": "application/msgpack",
    }
    with socket(served, "sip", **headers) as opened:
        welcome = [msgpack.unpackb(opened.recv(timeout=10))[0]["msg"] for _ in range(2)]
        assert welcome == ["connected", "authenticated"]
        opened.send(msgpack.packb({"action": "subscribe", "bars": ["IBM"]}))
        assert msgpack.unpackb(opened.recv(timeout=10))[0]["bars"] == ["IBM"]
        served.step(1)
        (bar,) = msgpack.unpackb(opened.recv(timeout=10))
        assert isinstance(bar["t"], msgpack.Timestamp)
        latest = served.get("/v2/stocks/IBM/bars/latest")["bar"]
        assert (bar["t"].to_unix_nano(), bar["c"]) == (parse_ns(latest["t"]), latest["c"])


def test_who_does_not_authenticate_in_time_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "AUTH_SECONDS", 0.05)
    stream = data.DataStream(venue(), PUBLIC_KEYS, FaultScript(), lambda scope, reset: None)
    client = Client(path_params={"feed": "iex"})
    asyncio.run(asyncio.wait_for(stream.connect(client), 5))  # type: ignore[arg-type]
    assert [json.loads(text)[0].get("code") for text in client.sent] == [None, 404]
    assert client.closed == 1008


# Clients that do not keep up


class Client:
    """A websocket as its server sees it, whose client reads only while `reads` is set."""

    def __init__(self, path_params: dict[str, str] | None = None) -> None:
        self.path_params = path_params or {}
        self.headers: dict[str, str] = {}
        self.scope = {"client": ("127.0.0.1", 1)}
        self.sent: list[str] = []
        self.closed: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()

    async def accept(self) -> None:
        pass

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.sent.append(text)

    async def close(self, code: int) -> None:
        await self.reads.wait()
        self.closed = code


@pytest.mark.parametrize("authorized", [True, False], ids=["a client", "a stranger"])
def test_a_client_that_leaves_too_much_unread_is_told_so_and_closed(
    monkeypatch: pytest.MonkeyPatch, authorized: bool
) -> None:
    assert connections.MOST_UNREAD_OF_A_STRANGER < connections.MOST_UNREAD / 100
    monkeypatch.setattr(connections, "MOST_UNREAD" if authorized else "MOST_UNREAD_OF_A_STRANGER", 100)

    async def talk(unread: int) -> Client:
        client = Client()
        client.reads.clear()
        connection = Connection(client, lambda scope, reset: None, binary=False, dismissal="slow")  # type: ignore[arg-type]
        connection.is_authorized = authorized
        talking = asyncio.create_task(connection.converse(lambda members: None))
        for _ in range(unread):
            connection.post("8 bytes")  # with its quotes 9
        client.reads.set()
        await asyncio.sleep(0)
        if unread <= 11:
            while len(client.sent) < unread:
                await asyncio.sleep(0)
            client.gone.set()
        await asyncio.wait_for(talking, 5)
        return client

    kept = asyncio.run(talk(11))
    assert (kept.sent, kept.closed) == (['"8 bytes"'] * 11, None)
    dismissed = asyncio.run(talk(12))
    assert (dismissed.sent, dismissed.closed) == (['"slow"'], 1008)


def test_a_client_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "GRACE_SECONDS", 0.05)
    cuts = []

    async def talk() -> None:
        client = Client()
        client.reads.clear()

        def cut(scope: Any, reset: bool) -> None:
            cuts.append((scope["client"], reset))
            client.gone.set()

        connection = Connection(client, cut, binary=False, dismissal="slow")  # type: ignore[arg-type]
        connection.is_authorized = True
        talking = asyncio.create_task(connection.converse(lambda members: None))
        connection.post("x" * connections.MOST_UNREAD)
        connection.post("never")
        await asyncio.wait_for(talking, 5)

    asyncio.run(talk())
    assert cuts == [(("127.0.0.1", 1), True)]


@pytest.mark.slow
def test_a_dead_subscriber_is_reset_and_the_exchange_never_waits(served: Served) -> None:
    """More than its socket and its share of memory hold: it is cut off, and requests are answered as ever."""
    dead = sockets.create_connection(("127.0.0.1", int(served.process.url.rsplit(":", 1)[1])))
    dead.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    url = f"{served.socket_url}/v2/delayed_sip"
    with connect(url, sock=dead, proxy=None, max_queue=1, close_timeout=0.1) as opened:
        hear(opened)
        ask(opened, AUTH)
        ask(opened, {"action": "subscribe", "trades": ["*"], "quotes": ["*"], "bars": ["*"]})
        deadline = monotonic() + 30
        sessions = 0
        while opened.state is State.OPEN and not dead.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR):
            assert monotonic() < deadline
            clock = served.client().get_clock()
            if (sessions := sessions + 1) <= 25:
                served.keeper.move_to(int(clock.next_close.timestamp()) * 10**9)
            else:
                sleep(0.2)  # an account has 200 requests a minute
