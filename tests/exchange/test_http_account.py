"""The account over HTTP with alpaca-py: what it is, its activities."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import NonTradeActivity, TradeActivity
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetCalendarRequest,
    GetPortfolioHistoryRequest,
    MarketOrderRequest,
)
from exchange_ground import MINUTE_NS, SYMBOLS, control, limit_order, now_of, raw_trading, trading
from modelled_client import stated

from trading_assets.exchange.process import ExchangeProcess

pytestmark = pytest.mark.exchange


def test_alpaca_py_reads_account_clock_calendar_and_assets(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    account = client.get_account()
    assert (account.status, account.cash, account.equity, account.multiplier) == (
        "ACTIVE",
        "100000",
        "100000",
        "1",
    )
    clock = client.get_clock()
    assert clock.is_open
    assert clock.timestamp < clock.next_close < clock.next_open
    days = client.get_calendar(GetCalendarRequest(start=date(2012, 7, 2), end=date(2012, 7, 6)))
    assert [(day.date.day, day.close.hour) for day in days] == [(2, 16), (3, 13), (5, 16), (6, 16)]
    assets = client.get_all_assets(GetAssetsRequest())
    assert [asset.symbol for asset in assets] == SYMBOLS
    apple = client.get_asset("AAPL")
    assert apple.tradable
    assert client.get_asset(str(apple.id)) == apple
    forbidden = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert forbidden.isdisjoint(raw_trading(exchange).get_account())


def test_activities_of_every_type_are_paged_and_parse(exchange: ExchangeProcess) -> None:
    client, raw = trading(exchange), raw_trading(exchange)
    for _ in range(5):
        client.submit_order(
            MarketOrderRequest(symbol="MSFT", side=OrderSide.BUY, qty=1, time_in_force=TimeInForce.DAY)
        )
    control(exchange, "/transfer", amount="1000")
    control(exchange, "/transfer", amount="-250.50")
    everything = raw.get("/account/activities", {"direction": "asc"})
    assert [a["activity_type"] for a in everything] == ["FILL"] * 5 + ["CSD", "CSW"]
    assert [a["net_amount"] for a in everything[5:]] == ["1000", "-250.5"]
    paged: list[Any] = []
    query: dict[str, Any] = {"direction": "asc", "page_size": 3}
    while page := raw.get("/account/activities", query):
        assert len(page) <= 3
        paged += page
        query["page_token"] = page[-1]["id"]
    assert paged == everything
    assert raw.get("/account/activities", {}) == everything[::-1]
    assert raw.get("/account/activities", {"page_token": everything[2]["id"]}) == everything[1::-1]
    assert raw.get("/account/activities/FILL", {"direction": "asc"}) == everything[:5]
    assert raw.get("/account/activities", {"activity_types": "CSD,CSW"}) == everything[:4:-1]
    assert raw.get("/account/activities", {"order_id": everything[3]["order_id"]}) == [everything[3]]
    assert raw.get("/account/activities", {"category": "non_trade_activity"}) == everything[:4:-1]
    assert raw.get("/account/activities", {"after": everything[0]["transaction_time"]}) == []
    fills = [TradeActivity(**a) for a in everything[:5]]
    assert all((f.qty, f.cum_qty, f.leaves_qty, f.type) == (1, 1, 0, "fill") for f in fills)
    assert NonTradeActivity(**everything[5]).net_amount == 1000
    new_york = datetime.fromtimestamp(now_of(exchange) / 1e9, tz=UTC).astimezone(
        client.get_clock().timestamp.tzinfo
    )
    assert all(a["id"].startswith(f"{new_york:%Y%m%d%H%M%S}") for a in everything)


def test_alpaca_py_reads_and_changes_the_configuration(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    configuration = client.get_account_configurations()
    assert (configuration.suspend_trade, configuration.fractional_trading) == (False, True)
    configuration.suspend_trade = True
    assert client.set_account_configurations(configuration).suspend_trade
    assert client.get_account().trade_suspended_by_user
    with pytest.raises(APIError, match="new orders are rejected by user request") as error:
        client.submit_order(limit_order("IBM", OrderSide.BUY, 1, 50))
    assert (error.value.status_code, error.value.code) == (403, 40310000)
    raw = raw_trading(exchange)
    assert {"dtbp_check", "pdt_check"}.isdisjoint(raw.get_account_configurations())
    with pytest.raises(APIError) as error:
        raw.patch("/account/configurations", {"trade_confirm_email": "sometimes"})
    assert (error.value.status_code, error.value.code) == (422, 40010001)


def test_alpaca_py_reads_the_portfolio_history(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    client.submit_order(
        MarketOrderRequest(symbol="IBM", side=OrderSide.BUY, qty=100, time_in_force=TimeInForce.DAY)
    )
    control(exchange, "/clock", step_ns=20 * MINUTE_NS)
    result = client.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="1Min"))
    assert (
        len(result.timestamp) == len(result.equity) == len(result.profit_loss) == len(result.profit_loss_pct)
    )
    assert len(result.timestamp) >= 20
    assert result.equity[-1] == pytest.approx(stated(client.get_account().equity), abs=0.01)
    assert result.profit_loss[-1] == pytest.approx(result.equity[-1] - 100_000, abs=0.02)
    assert result.timestamp[-1] < client.get_clock().timestamp.timestamp()
    assert result.base_value == 100_000
    assert client.get_portfolio_history().timeframe == "1D"
