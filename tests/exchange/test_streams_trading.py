"""The trading stream with the unmodified alpaca-py, its protocol word for word, and its failings."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from queue import Empty, Queue
from typing import Any

import msgpack
import pytest
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from modelled_client import stated
from served import Served, keeping
from tapes import submit, venue
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from trading_assets.config import PUBLIC_KEYS
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.faults.script import FaultScript
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.exchange.streams.trading import TradingStream as TradingStreamFace
from trading_assets.exchange.venue import Venue

PATIENCE_SECONDS = 10.0
_NUMBERS = count()


class Listener:
    """alpaca-py's stream in a thread of its own."""

    def __init__(self, served: Served) -> None:
        self._updates: Queue[TradeUpdate] = Queue()
        self._stream = TradingStream(KEY_ID, SECRET, url_override=served.socket_url + "/stream")
        self._stream._reconnect_min_backoff = 0.05
        self._stream.subscribe_trade_updates(self._hear)
        self._thread = threading.Thread(target=self._stream.run)
        self._thread.start()

    async def _hear(self, update: TradeUpdate) -> None:
        self._updates.put(update)

    def next(self) -> TradeUpdate:
        return self._updates.get(timeout=PATIENCE_SECONDS)

    def until(self, client_order_id: str) -> list[TradeUpdate]:
        """What comes up to the end of that order: the mark that nothing before it is still on its way."""
        heard = []
        while True:
            update = self.next()
            heard.append(update)
            if update.order.client_order_id == client_order_id and update.event in ("fill", "canceled"):
                return heard

    def none_for(self, seconds: float) -> bool:
        try:
            self._updates.get(timeout=seconds)
        except Empty:
            return True
        return False

    def close(self) -> None:
        self._stream.stop()
        if self._stream._ws is not None:  # it would look at its stop queue after five seconds only
            asyncio.run_coroutine_threadsafe(self._stream.close(), self._stream._loop).result(5)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def listening(served: Served) -> Iterator[Listener]:
    """A listener that has been heard to listen: it has had an update."""
    listener = Listener(served)
    try:
        while not listener._stream._running:
            assert listener._thread.is_alive()
        _await_ready(served, listener)
        yield listener
    finally:
        listener.close()


def _await_ready(served: Served, listener: Listener) -> None:
    """Send and cancel orders until the listener hears one to its end."""
    for _ in range(100):
        name = f"ready-{next(_NUMBERS)}"
        _cancelled(served, name)
        if not listener.none_for(0.2):
            listener.until(name)
            return
    raise AssertionError("the stream tells nothing")


def _cancelled(served: Served, name: str) -> str:
    """An order that is sent and cancelled; its updates mark a place in the stream."""
    body = {
        "symbol": "MSFT",
        "side": "buy",
        "qty": "1",
        "type": "limit",
        "limit_price": "1",
        "time_in_force": "day",
        "client_order_id": name,
    }
    order_id = str(served.call("POST", "/v2/orders", json=body).json()["id"])
    assert served.call("DELETE", f"/v2/orders/{order_id}").status_code == 204
    return order_id


def words(updates: list[TradeUpdate]) -> list[str]:
    return [str(getattr(update.event, "value", update.event)) for update in updates]


@pytest.fixture
def served(exchange: ExchangeProcess) -> Iterator[Served]:
    with keeping(exchange) as served:
        yield served


# With alpaca-py


def test_alpaca_py_hears_an_orders_life_in_order_with_its_state_at_each_step(served: Served) -> None:
    with listening(served) as listener:
        sent = served.order("IBM", qty=10)
        heard = [listener.next() for _ in range(3)]
        assert words(heard) == ["pending_new", "new", "fill"]
        assert [u.order.status.value for u in heard] == ["pending_new", "new", "filled"]
        assert {u.order.id for u in heard} == {sent.id}
        fill = heard[-1]
        bought = served.client().get_order_by_id(sent.id)
        assert (fill.qty, fill.price, fill.position_qty) == (10, stated(bought.filled_avg_price), 10)
        assert fill.timestamp == bought.filled_at
        assert (heard[0].qty, heard[0].price, heard[0].position_qty) == (None, None, None)
        served.order("IBM", "sell", qty=4, price=1.0)
        assert [listener.next().position_qty for _ in range(3)] == [None, None, 6]
        assert len({u.execution_id for u in heard}) == 3


def test_alpaca_py_hears_what_a_move_of_the_clock_does_to_many_orders(served: Served) -> None:
    with listening(served) as listener:
        ask = served.get("/v2/stocks/AAPL/quotes/latest")["quote"]["ap"]
        for qty in (1, 2):
            served.order("AAPL", qty=qty, price=round(ask - 0.02, 2))
        served.order("MSFT", price=1.0)
        assert words([listener.next() for _ in range(6)]) == ["pending_new", "new"] * 3
        served.keeper.quote("AAPL", ask - 1, ask - 0.5)
        served.keeper.tape_quote("AAPL")
        fills = [listener.next() for _ in range(2)]
        assert [(u.event, u.qty, u.position_qty) for u in fills] == [("fill", 1, 1), ("fill", 2, 3)]
        close = served.client().get_clock().next_close
        served.keeper.move_to(int(close.timestamp()) * 10**9)
        (expired,) = [listener.next()]
        assert (expired.event, expired.order.symbol, expired.timestamp) == ("expired", "MSFT", close)
        waiting = served.order("IBM", qty=1)
        assert listener.next().event == "accepted"
        served.keeper.move_to(int(served.client().get_clock().next_open.timestamp()) * 10**9)
        opened = [listener.next(), listener.next()]
        assert (words(opened), opened[0].order.id) == (["new", "fill"], waiting.id)


def test_after_a_closed_socket_alpaca_py_comes_back_and_what_it_missed_is_not_told_again(
    served: Served,
) -> None:
    with listening(served) as listener:
        served.keeper.script([{"kind": "socket_closed", "nth": 2}])
        served.order("IBM")  # pending_new is told, new closes the socket, the fill is lost
        assert listener.next().event == "pending_new"
        _await_ready(served, listener)
        served.order("AAPL")
        assert {listener.next().order.symbol for _ in range(3)} == {"AAPL"}


def test_a_mute_socket_stays_open_and_mute(served: Served) -> None:
    with listening(served) as listener:
        served.keeper.script([{"kind": "socket_mute"}])
        _cancelled(served, "unheard-1")
        served.keeper.script([])
        _cancelled(served, "unheard-2")
        assert listener.none_for(0.5)
        assert listener._stream._running
        assert listener._stream._ws.open
        with listening(served) as another:  # a socket that comes later is not mute
            _cancelled(served, "heard")
            assert words(another.until("heard")) == ["pending_new", "new", "canceled"]


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("update_missing", ["pending_new", "canceled"]),
        ("update_duplicate", ["pending_new", "new", "new", "canceled"]),
        ("update_reordered", ["pending_new", "canceled", "new"]),
    ],
)
def test_the_second_update_goes_missing_comes_twice_or_late(
    served: Served, kind: str, heard: list[str]
) -> None:
    with listening(served) as listener:
        served.keeper.script([{"kind": kind, "nth": 2}])
        _cancelled(served, kind)
        mark = f"{kind}-mark"
        _cancelled(served, mark)
        updates = [u for u in listener.until(mark) if u.order.client_order_id == kind]
        assert words(updates) == heard
        assert served.keeper.faults()[0]["fired"] == 1


# Word for word


@contextmanager
def socket(served: Served, **headers: str) -> Iterator[ClientConnection]:
    url = served.socket_url + "/stream"
    with connect(url, additional_headers=headers, proxy=None, open_timeout=10) as opened:
        yield opened


def ask(opened: ClientConnection, message: object) -> Any:
    opened.send(json.dumps(message))
    answer = opened.recv(timeout=10)
    assert isinstance(answer, bytes)  # binary frames, as the paper venue sends them
    return json.loads(answer)


def test_the_handshake_is_alpacas(served: Served) -> None:
    with socket(served) as opened:
        listen = {"action": "listen", "data": {"streams": ["trade_updates", "weather"]}}
        refused = {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
        assert ask(opened, listen) == refused
        wrong = {"action": "authenticate", "data": {"key_id": KEY_ID, "secret_key": "wrong"}}
        refused["data"]["action"] = "authenticate"
        assert ask(opened, wrong) == refused
        assert ask(opened, {"action": "auth", "key": KEY_ID, "secret": SECRET}) == {
            "stream": "authorization",
            "data": {"status": "authorized", "action": "authenticate"},
        }
        assert ask(opened, listen) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        _cancelled(served, "heard by a raw socket")
        updates = [json.loads(opened.recv(timeout=10)) for _ in range(3)]
        assert [u["data"]["event"] for u in updates] == ["pending_new", "new", "canceled"]
        assert {u["stream"] for u in updates} == {"trade_updates"}
        nothing = {"action": "listen", "data": {"streams": []}}
        assert ask(opened, nothing)["data"] == {"streams": []}
        _cancelled(served, "unheard by a raw socket")
        assert ask(opened, nothing)["stream"] == "listening"


@pytest.mark.parametrize(
    "message", ["{", "[]", "null", '{"action": "dance"}', '{"action": 3}', '{"data": "listen"}', "\ud7ff"]
)
def test_what_cannot_be_read_is_answered_and_the_socket_stays(served: Served, message: str) -> None:
    with socket(served) as opened:
        opened.send(message)
        assert json.loads(opened.recv(timeout=10))["data"]["code"] == 400
        assert ask(opened, {"action": "listen", "data": 7})["data"]["status"] == "unauthorized"


def test_a_client_that_asks_for_msgpack_gets_it(served: Served) -> None:
    with socket(served, **{"Content-Type": "application/msgpack"}) as opened:
        opened.send(msgpack.packb({"action": "auth", "key": KEY_ID, "secret": SECRET}))
        answer = msgpack.unpackb(opened.recv(timeout=10))
        assert answer["data"]["status"] == "authorized"


def test_a_client_that_goes_without_a_word_troubles_nobody(served: Served) -> None:
    with socket(served) as opened:
        assert ask(opened, {"action": "auth", "key": KEY_ID, "secret": SECRET})["stream"] == "authorization"
        assert ask(opened, {"action": "listen", "data": {"streams": ["trade_updates"]}})
        opened.socket.close()
    with listening(served) as listener:
        _cancelled(served, "after it")
        assert words(listener.until("after it")) == ["pending_new", "new", "canceled"]


class Ear:
    """What a stream would send to one client."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def post(self, members: object) -> None:
        self.heard.append(json.dumps(members).encode())

    def updates(self) -> list[Any]:
        return [json.loads(heard) for heard in self.heard]

    def words(self) -> list[str]:
        return [update["data"]["event"] for update in self.updates()]


def overhearing(exchange: Venue) -> Ear:
    ear = Ear()
    stream = TradingStreamFace(exchange, PUBLIC_KEYS, FaultScript(), lambda scope, reset: None)
    stream._listeners[ear] = None  # type: ignore[index]
    return ear


def test_the_same_orders_give_the_same_stream_byte_for_byte() -> None:
    ears = []
    for _ in range(2):
        exchange = venue()
        ears.append(overhearing(exchange))
        submit(exchange, qty="3")
        exchange.cancel(submit(exchange, limit_price="1").id)
        submit(exchange, limit_price="1")
        exchange.move_clock(exchange.now_ns + 86_400 * 10**9)
    assert ears[0].heard == ears[1].heard
    accepted = ["pending_new", "new"]
    assert ears[0].words() == [*accepted, "fill", *accepted, "canceled", *accepted, "expired"]


def test_partial_fills_replacements_and_busts_are_told_with_the_order_as_it_was_then() -> None:
    exchange = venue(fill_mode="participation", participation=Decimal("0.1"))
    ear = overhearing(exchange)
    order = submit(exchange, qty="150", limit_price="200")
    exchange.move_clock(exchange.now_ns + 60 * 10**9)
    updates = [update["data"] for update in ear.updates()][2:]
    assert [(u["event"], u["qty"], u["position_qty"]) for u in updates] == [
        ("partial_fill", "100", "100"),
        ("fill", "50", "150"),
    ]
    assert [u["order"]["filled_qty"] for u in updates] == ["100", "150"]
    assert {u["order"]["id"] for u in updates} == {order.id}
    ear.heard.clear()
    resting = submit(exchange, limit_price="1")
    exchange.replace(resting.id, b'{"limit_price": "2"}')
    exchange.bust(exchange.state.account.activities[0].id)
    events = [(u["data"]["event"], u["data"]["order"]["limit_price"]) for u in ear.updates()]
    new = [("pending_new", "2"), ("new", "2")]
    assert events == [("pending_new", "1"), ("new", "1"), ("replaced", "1"), *new, ("trade_bust", "200")]
    assert ear.updates()[-1]["data"]["position_qty"] == "50"


def test_an_unknown_socket_is_refused_and_the_control_plane_has_none(served: Served) -> None:
    control = served.process.control_url.replace("http://", "ws://")
    for url in (served.socket_url + "/streams", control + "/stream"):
        with pytest.raises(InvalidStatus, match="HTTP 403"), connect(url, proxy=None):
            pass


def test_a_scripted_close_says_that_the_server_restarts(served: Served) -> None:
    with socket(served) as opened:
        served.keeper.script([{"kind": "socket_closed"}])
        _cancelled(served, "closing")
        with pytest.raises(ConnectionClosed) as caught:
            opened.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
