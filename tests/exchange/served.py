"""The shared exchange process with its keeper and its clients, for tests of its failings and its streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import LimitOrderRequest
from exchange_ground import KEYS, MINUTE_NS, TOKEN
from modelled_client import ModelledClient

from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.process import ExchangeProcess


class Served(NamedTuple):
    process: ExchangeProcess
    keeper: ControlClient
    rest: requests.Session

    @property
    def socket_url(self) -> str:
        return self.process.url.replace("http://", "ws://")

    def call(self, method: str, path: str, *, timeout: float = 10, **options: Any) -> requests.Response:
        return self.rest.request(method, self.process.url + path, timeout=timeout, **options)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that is expected to succeed."""
        answer = self.call("GET", path, params=query)
        assert answer.ok, answer.text
        return answer.json()

    def step(self, minutes: float = 1) -> None:
        self.keeper.move_to(self.keeper.now_ns() + int(minutes * MINUTE_NS))

    def client(self) -> ModelledClient:
        client = ModelledClient(KEY_ID, SECRET, url_override=self.process.url)
        client._session.trust_env = False
        client._retry = 0
        return client

    def order(self, symbol: str = "IBM", side: str = "buy", qty: float = 1, price: float = 1000.0) -> Order:
        """Submit a DAY limit order with alpaca-py; at its default price a buy fills at once."""
        return self.client().submit_order(
            LimitOrderRequest(
                symbol=symbol,
                side=OrderSide(side),
                qty=qty,
                limit_price=price,
                time_in_force=TimeInForce.DAY,
            )
        )


@contextmanager
def keeping(process: ExchangeProcess) -> Iterator[Served]:
    """The process with clients of its own, without faults before and after."""
    with requests.Session() as rest:
        rest.trust_env = False
        rest.headers.update(KEYS)
        keeper = ControlClient(process.control_url, TOKEN)
        keeper.script([])
        yield Served(process, keeper, rest)
        keeper.script([])
        keeper.close()
