"""What the tests of the exchange over HTTP stand on: its clients, its control plane, its times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import requests
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest
from modelled_client import ModelledClient

from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.sessions import Sessions

TOKEN = "a-token-for-tests"
SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
DAY = date(2012, 10, 1)
OPEN_NS = Sessions().open_ns(DAY)
MINUTE_NS = 60_000_000_000
KEYS = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}


@contextmanager
def victim_at(state_dir: Path) -> Iterator[ExchangeProcess]:
    """An exchange of its own to be attacked, which outlives that."""
    with start_process(
        public_keys=True,
        state_dir=state_dir,
        token=TOKEN,
        start_ns=OPEN_NS,
        requests_per_minute=10_000_000,
    ) as exchange:
        yield exchange
        assert exchange.is_running


def control(exchange: ExchangeProcess, path: str, **members: Any) -> dict[str, Any]:
    answer = requests.post(
        exchange.control_url + path, json=members, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    answered: dict[str, Any] = answer.json()
    return answered


def get(exchange: ExchangeProcess, path: str, **query: Any) -> requests.Response:
    return requests.get(exchange.url + path, params=query, headers=KEYS, timeout=10)


def trading(exchange: ExchangeProcess, *, secret: str = SECRET) -> ModelledClient:
    client = ModelledClient(KEY_ID, secret, url_override=exchange.url)
    client._session.trust_env = False
    client._retry = 0
    return client


def raw_trading(exchange: ExchangeProcess) -> TradingClient:
    """A client that answers with the JSON as it is."""
    client = TradingClient(KEY_ID, SECRET, raw_data=True, url_override=exchange.url)
    client._session.trust_env = False
    client._retry = 0
    return client


def data(exchange: ExchangeProcess, *, raw: bool = False) -> StockHistoricalDataClient:
    client = StockHistoricalDataClient(KEY_ID, SECRET, raw_data=raw, url_override=exchange.url)
    client._session.trust_env = False
    return client


def limit_order(symbol: str, side: OrderSide, qty: float, price: float, **members: Any) -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol=symbol, side=side, qty=qty, limit_price=price, time_in_force=TimeInForce.DAY, **members
    )


def now_of(exchange: ExchangeProcess) -> int:
    return int(
        requests.get(
            exchange.control_url + "/clock", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        ).json()["now_ns"]
    )


def ask_of(exchange: ExchangeProcess, symbol: str) -> float:
    quotes = data(exchange).get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbol))
    return float(quotes[symbol].ask_price)
