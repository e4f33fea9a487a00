"""An exchange process that ends, and one that begins."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import MarketOrderRequest, ReplaceOrderRequest, StopOrderRequest
from exchange_ground import (
    MINUTE_NS,
    OPEN_NS,
    SYMBOLS,
    TOKEN,
    ask_of,
    control,
    limit_order,
    raw_trading,
    trading,
)
from modelled_client import ModelledClient

from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import control_token
from trading_assets.exchange.opening import open_venue
from trading_assets.exchange.process import ExchangeDidNotStart, ExchangeProcess, start_process

pytestmark = pytest.mark.exchange


def test_what_was_answered_survives_sigkill(tmp_path: Path) -> None:
    first = start_process(
        public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=OPEN_NS + 60 * MINUTE_NS, cash=D(50_000)
    )
    client = trading(first)
    held = client.submit_order(
        MarketOrderRequest(symbol="IBM", side=OrderSide.BUY, qty=7, time_in_force=TimeInForce.DAY)
    )
    resting = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100, client_order_id="resting"))
    control(first, "/clock", step_ns=MINUTE_NS)
    raw = raw_trading(first)
    before = [raw.get_account(), raw.get_all_positions(), raw.get("/account/activities"), raw.get_clock()]
    first.kill()
    with start_process(public_keys=True, state_dir=tmp_path, token=TOKEN) as second:
        raw = raw_trading(second)
        after = [raw.get_account(), raw.get_all_positions(), raw.get("/account/activities"), raw.get_clock()]
        assert after == before
        client = trading(second)
        assert client.get_order_by_id(held.id).status == OrderStatus.FILLED
        assert [order.id for order in client.get_orders()] == [resting.id]
        with pytest.raises(APIError, match="must be unique"):
            client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100, client_order_id="resting"))
    assert not second.is_running


def start_or_error(state_dir: Path) -> str:
    with pytest.raises(ExchangeDidNotStart) as error:
        start_process(public_keys=True, state_dir=state_dir, token=TOKEN)
    return str(error.value)


def test_a_new_exchange_needs_a_time_and_its_control_plane_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--start-ns" in start_or_error(tmp_path)
    monkeypatch.delenv("TRADING_ASSETS_EXCHANGE_TOKEN", raising=False)
    with pytest.raises(InvalidInput, match="TRADING_ASSETS_EXCHANGE_TOKEN"):
        control_token()


def test_two_exchanges_with_the_same_inputs_write_the_same_journal(tmp_path: Path) -> None:
    def played(directory: Path) -> bytes:
        with start_process(public_keys=True, state_dir=directory, token=TOKEN, start_ns=OPEN_NS) as exchange:
            client = trading(exchange)
            for k, symbol in enumerate(SYMBOLS):
                control(exchange, "/clock", step_ns=7 * MINUTE_NS)
                ask = ask_of(exchange, symbol)
                client.submit_order(
                    limit_order(symbol, OrderSide.BUY, 1 + k, round(ask * (0.999 + k / 1000), 2))
                )
            control(exchange, "/clock", step_ns=24 * 60 * MINUTE_NS)
            return requests.get(
                exchange.control_url + "/journal", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
            ).content

    one, two = played(tmp_path / "one"), played(tmp_path / "two")
    assert one == two
    assert one.count(b"OrderFilled") >= 2


def market(symbol: str, qty: float) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, side=OrderSide.BUY, qty=qty, time_in_force=TimeInForce.DAY)


def stop(symbol: str, qty: float, price: float) -> StopOrderRequest:
    return StopOrderRequest(
        symbol=symbol, side=OrderSide.SELL, qty=qty, stop_price=price, time_in_force=TimeInForce.DAY
    )


Step = Callable[[ModelledClient, ExchangeProcess], object]
# each step goes on from what the exchange knows, and from nothing that this process remembers
SCRIPT: tuple[Step, ...] = (
    lambda client, _: client.submit_order(market("IBM", 60)),
    lambda client, _: client.submit_order(market("AAPL", 60)),
    lambda _, exchange: control(exchange, "/clock", step_ns=30 * MINUTE_NS),
    lambda client, _: client.submit_order(stop("IBM", 30, 900)),
    lambda client, _: client.submit_order(limit_order("MSFT", OrderSide.BUY, 7, 20, client_order_id="one")),
    lambda client, _: client.replace_order_by_id(
        client.get_order_by_client_id("one").id, ReplaceOrderRequest(limit_price=21, client_order_id="two")
    ),
    lambda _, exchange: control(exchange, "/transfer", amount="250"),
    lambda client, _: client.cancel_order_by_id(client.get_order_by_client_id("two").id),
    lambda _, exchange: control(exchange, "/clock", step_ns=24 * 60 * MINUTE_NS),
)


def test_a_process_that_is_killed_in_the_middle_of_a_script_loses_nothing_of_it(tmp_path: Path) -> None:
    def played(directory: Path, kills: set[int]) -> bytes:
        start_ns = OPEN_NS + 60 * MINUTE_NS
        open_venue(directory, start_ns=start_ns, fill_mode="participation", participation=D("0.001")).close()
        exchange = start_process(public_keys=True, state_dir=directory, token=TOKEN)
        for count, step in enumerate(SCRIPT):
            step(trading(exchange), exchange)
            if count in kills:
                exchange.kill()
                exchange = start_process(public_keys=True, state_dir=directory, token=TOKEN)
        with exchange:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            return requests.get(exchange.control_url + "/journal", headers=headers, timeout=10).content

    whole = played(tmp_path / "whole", set())
    assert whole == played(tmp_path / "killed", {2, 5})
    kinds = {line.split(b"\t")[1] for line in whole.splitlines()}
    assert {b"OrderElected", b"OrderReplaced", b"OrderFilled", b"OrderEnded", b"Transferred"} <= kinds
    assert b'"complete":false' in whole
