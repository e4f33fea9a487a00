"""The exchange in a process of its own, over real HTTP, with the unmodified alpaca-py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal as D
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import (
    CorporateActionsRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.models import NonTradeActivity, TradeActivity
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
)

from trading_assets.errors import InvalidInput
from trading_assets.exchange.credentials import KEY_ID, SECRET, control_token
from trading_assets.exchange.process import ExchangeDidNotStart, ExchangeProcess, start_process
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

pytestmark = pytest.mark.exchange

TOKEN = "a token for tests"
SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
DAY = date(2012, 10, 1)
OPEN_NS = Sessions().open_ns(DAY)
MINUTE_NS = 60_000_000_000
KEYS = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}


def control(exchange: ExchangeProcess, path: str, **members: Any) -> dict[str, Any]:
    answer = requests.post(
        exchange.control_url + path, json=members, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(exchange: ExchangeProcess, path: str, **query: Any) -> requests.Response:
    return requests.get(exchange.url + path, params=query, headers=KEYS, timeout=10)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with start_process(
        state_dir=tmp_path_factory.mktemp("exchange"),
        token=TOKEN,
        start_ns=OPEN_NS,
        requests_per_minute=10**6,
    ) as exchange:
        yield exchange
        assert exchange.is_running


@pytest.fixture
def exchange(shared: ExchangeProcess) -> ExchangeProcess:
    """The shared exchange with a fresh account of $100 000, in the middle of an open session."""
    control(shared, "/account/reset", cash="100000")
    control(shared, "/clock", step_ns=MINUTE_NS)
    clock = trading(shared).get_clock()
    if not clock.is_open or clock.next_close.timestamp() - clock.timestamp.timestamp() < 3600:
        opening = int(clock.next_open.timestamp()) * 1_000_000_000
        control(shared, "/clock", set_ns=opening + 30 * MINUTE_NS)
    return shared


def trading(exchange: ExchangeProcess, *, raw: bool = False, secret: str = SECRET) -> TradingClient:
    client = TradingClient(KEY_ID, secret, raw_data=raw, url_override=exchange.url)
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
    assert forbidden.isdisjoint(trading(exchange, raw=True).get_account())


def test_alpaca_py_buys_holds_and_sells(exchange: ExchangeProcess) -> None:
    client, ask = trading(exchange), ask_of(exchange, "IBM")
    sent = client.submit_order(
        limit_order("IBM", OrderSide.BUY, 10, round(ask + 0.05, 2), client_order_id="b")
    )
    assert (sent.status, sent.filled_qty) == (OrderStatus.PENDING_NEW, "0")
    order = client.get_order_by_id(sent.id)
    assert (order.status, order.filled_qty, float(order.filled_avg_price)) == (OrderStatus.FILLED, "10", ask)
    assert client.get_order_by_client_id("b").id == sent.id
    position = client.get_open_position("IBM")
    assert (position.qty, position.qty_available, float(position.avg_entry_price)) == ("10", "10", ask)
    account = client.get_account()
    assert D(account.cash) + D(position.market_value) == D(account.equity)
    assert D(account.cash) == 100_000 - 10 * D(str(ask))
    sold = client.submit_order(
        MarketOrderRequest(symbol="IBM", side=OrderSide.SELL, qty=2.5, time_in_force=TimeInForce.DAY)
    )
    assert client.get_order_by_id(sold.id).status == OrderStatus.FILLED
    assert [p.qty for p in client.get_all_positions()] == ["7.5"]


def test_alpaca_py_lists_and_cancels_orders(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    ids = [client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100 + k)).id for k in range(4)]
    client.submit_order(limit_order("MSFT", OrderSide.BUY, 1, 10))
    assert [o.id for o in client.get_orders(GetOrdersRequest(symbols=["AAPL"]))] == ids[::-1]
    client.cancel_order_by_id(ids[0])
    assert client.get_order_by_id(ids[0]).status == OrderStatus.CANCELED
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [o.id for o in closed] == [ids[0]]
    both = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=2, direction="asc"))
    assert [o.id for o in both] == ids[:2]
    page = trading(exchange, raw=True).get(
        "/orders", {"status": "all", "direction": "asc", "after_order_id": ids[1]}
    )
    assert [UUID(o["id"]) for o in page][:2] == ids[2:]
    assert {str(c.id): c.status for c in client.cancel_orders()}.keys() >= {str(i) for i in ids[1:]}
    assert client.get_orders() == []
    assert D(client.get_account().buying_power) == 100_000


def test_orders_are_selected_by_when_they_were_submitted(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    first = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100))
    control(exchange, "/clock", step_ns=MINUTE_NS)
    second = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 101))
    after = client.get_orders(GetOrdersRequest(after=first.submitted_at))
    until = client.get_orders(GetOrdersRequest(until=first.submitted_at))
    assert ([o.id for o in after], [o.id for o in until]) == ([second.id], [first.id])


def test_activities_of_every_type_are_paged_and_parse(exchange: ExchangeProcess) -> None:
    client, raw = trading(exchange), trading(exchange, raw=True)
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


def test_a_dividend_reaches_the_account_and_the_corporate_actions(
    tmp_path: Path,
) -> None:
    sessions, ex_date = Sessions(), date(2012, 11, 7)  # AAPL, $2.65
    start = sessions.open_ns(sessions.previous(ex_date)) + 60 * MINUTE_NS
    with start_process(state_dir=tmp_path, token=TOKEN, start_ns=start) as exchange:
        client = trading(exchange)
        client.submit_order(
            MarketOrderRequest(symbol="AAPL", side=OrderSide.BUY, qty=3, time_in_force=TimeInForce.DAY)
        )
        actions = CorporateActionsClient(KEY_ID, SECRET, url_override=exchange.url)
        wanted = CorporateActionsRequest(symbols=["AAPL"], start=date(2012, 1, 1), end=date(2013, 1, 1))
        before = actions.get_corporate_actions(wanted).data.get("cash_dividends", [])
        control(exchange, "/clock", set_ns=sessions.open_ns(ex_date))
        (paid,) = trading(exchange, raw=True).get("/account/activities/DIV")
        assert (paid["symbol"], paid["net_amount"], paid["date"]) == ("AAPL", "7.95", "2012-11-07")
        after = actions.get_corporate_actions(wanted).data["cash_dividends"]
        assert [a.ex_date for a in after[len(before) :]] == [ex_date]
        assert after[-1].rate == pytest.approx(2.65)
        raw = CorporateActionsClient(KEY_ID, SECRET, raw_data=True, url_override=exchange.url)
        assert len(raw.get_corporate_actions(wanted)["cash_dividends"]) == len(after)


def test_bars_are_the_tapes_raw_ones_paged_and_never_beyond_now(exchange: ExchangeProcess) -> None:
    tape, now_ns = BundledTape(7), now_of(exchange)
    now = datetime.fromtimestamp(now_ns / 1e9, tz=UTC)
    session = Sessions().session_at(now_ns)
    assert session is not None
    wanted = StockBarsRequest(
        symbol_or_symbols=SYMBOLS,
        timeframe=TimeFrame.Minute,
        start=datetime(session.year, session.month, session.day, tzinfo=UTC),
        end=datetime(2013, 3, 1, tzinfo=UTC),
        adjustment=Adjustment.RAW,
        feed=DataFeed.IEX,
    )
    found = data(exchange).get_stock_bars(wanted).data
    assert sorted(found) == SYMBOLS
    for symbol, bars in found.items():
        expected = tape.minutes(symbol, session).until(now_ns)
        assert [bar.close for bar in bars] == expected.close.tolist()
        assert [bar.volume for bar in bars] == expected.volume.tolist()
        assert [int(bar.timestamp.timestamp()) * 10**9 for bar in bars] == expected.start_ns.tolist()
        assert bars[-1].timestamp.timestamp() + 60 <= now.timestamp()

    query = {"symbols": "MSFT,IBM", "timeframe": "1Min", "start": str(session), "limit": 7}
    pages: list[tuple[str, str]] = []
    while True:
        page = get(exchange, "/v2/stocks/bars", **query).json()
        pages += [(symbol, bar["t"]) for symbol, bars in page["bars"].items() for bar in bars]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    count = len(found["IBM"])
    assert len(pages) == len(set(pages)) == 2 * count
    assert pages == sorted(pages)
    query = {"timeframe": "1Min", "start": str(session), "sort": "desc", "limit": 2}
    newest = get(exchange, "/v2/stocks/IBM/bars", **query).json()
    assert [bar["t"] for bar in newest["bars"]] == [t for s, t in pages if s == "IBM"][:-3:-1]


def test_daily_bars_are_stamped_at_midnight_in_new_york_and_todays_is_made_so_far(
    exchange: ExchangeProcess,
) -> None:
    tape, now_ns, sessions = BundledTape(7), now_of(exchange), Sessions()
    session = sessions.session_at(now_ns)
    assert session is not None
    previous = sessions.previous(session)
    query = {
        "timeframe": "1Day",
        "start": str(previous),
        "end": "2013-03-01",
        "adjustment": "raw",
        "feed": "iex",
    }
    yesterday, today = get(exchange, "/v2/stocks/IBM/bars", **query).json()["bars"]
    assert (yesterday["t"][:10], today["t"][:10]) == (str(previous), str(session))
    assert today["t"][10:] in ("T04:00:00Z", "T05:00:00Z")
    so_far = tape.minutes("IBM", session).until(now_ns)
    assert (today["o"], today["c"]) == (so_far.open[0], so_far.close[-1])
    assert (today["h"], today["l"]) == (so_far.high.max(), so_far.low.min())
    daily = tape.daily("IBM").until(now_ns)
    assert (yesterday["o"], yesterday["c"], yesterday["v"]) == (
        daily.open[-1],
        daily.close[-1],
        daily.volume[-1],
    )
    only = get(
        exchange, "/v2/stocks/IBM/bars", timeframe="1Day", start=str(previous), end=str(previous)
    ).json()
    assert only["bars"] == [yesterday]


def test_quotes_trades_and_snapshots_agree_with_each_other_and_with_now(exchange: ExchangeProcess) -> None:
    client, now_ns = data(exchange), now_of(exchange)
    quotes = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=SYMBOLS))
    trades = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=SYMBOLS))
    snapshots = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=SYMBOLS))
    assert sorted(quotes) == sorted(trades) == sorted(snapshots) == SYMBOLS
    for symbol in SYMBOLS:
        quote, trade, snapshot = quotes[symbol], trades[symbol], snapshots[symbol]
        assert quote.bid_price < trade.price < quote.ask_price
        assert quote.timestamp.timestamp() == now_ns / 1e9
        assert trade.timestamp.timestamp() <= now_ns / 1e9
        assert (snapshot.latest_quote, snapshot.latest_trade) == (quote, trade)
        assert snapshot.minute_bar.close == snapshot.daily_bar.close == trade.price
        assert snapshot.previous_daily_bar.timestamp < snapshot.daily_bar.timestamp
    raw = data(exchange, raw=True)
    assert set(raw.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="IBM"))["IBM"]) == {
        "latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"
    }  # fmt: skip
    assert get(exchange, "/v2/stocks/IBM/quotes/latest").json()["quote"]["ap"] == quotes["IBM"].ask_price
    assert get(exchange, "/v2/stocks/IBM/snapshot").json()["symbol"] == "IBM"
    assert get(exchange, "/v2/stocks/quotes/latest", symbols="IBM,NONE").json()["quotes"].keys() == {"IBM"}


def test_wrong_keys_are_refused_with_401_whatever_else_is_wrong(exchange: ExchangeProcess) -> None:
    with pytest.raises(APIError) as error:
        trading(exchange, secret="wrong").get_account()
    assert (error.value.status_code, error.value.code) == (401, 40110000)
    answer = requests.post(exchange.url + "/v2/orders", data=b"{", timeout=10)
    assert answer.status_code == 401
    for name in ("X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert answer.headers[name], name


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/v2/orders/7e8bd2ae-0e3a-4c5e-9c8b-3d0f4a3c0001", {}, 404, 40410000),
        ("/v2/orders:by_client_order_id", {"client_order_id": "never sent"}, 404, 40410000),
        ("/v2/orders:by_client_order_id", {}, 422, 40010001),
        ("/v2/positions/AAPL", {}, 404, 40410000),
        ("/v2/positions/NONE", {}, 404, 40410000),
        ("/v2/assets/NONE", {}, 404, 40410000),
        ("/v2/nothing", {}, 404, 40410000),
        ("/v2/orders", {"limit": "0"}, 422, 40010001),
        ("/v2/orders", {"limit": "501"}, 422, 40010001),
        ("/v2/orders", {"status": "sideways"}, 422, 40010001),
        ("/v2/orders", {"after": "yesterday"}, 422, 40010001),
        ("/v2/orders", {"after": "2012-13-45"}, 422, 40010001),
        ("/v2/account/activities", {"page_size": "101"}, 422, 40010001),
        ("/v2/account/activities", {"page_token": "nonsense"}, 422, 40010001),
        ("/v2/account/activities", {"activity_types": "FILL", "category": "trade_activity"}, 422, 42210000),
        ("/v2/calendar", {"start": "1066-10-14"}, 422, 40010001),
        ("/v2/stocks/bars", {"timeframe": "1Min"}, 400, 40010000),
        ("/v2/stocks/bars", {"timeframe": "7Min", "symbols": "IBM"}, 400, 40010000),
        ("/v2/stocks/bars", {"timeframe": "1Day", "symbols": "IBM", "adjustment": "all"}, 400, 40010000),
        ("/v2/stocks/bars", {"timeframe": "1Day", "symbols": "IBM", "page_token": "%%%"}, 400, 40010000),
        ("/v2/stocks/bars", {"timeframe": "1Day", "symbols": "IBM", "feed": "tape"}, 400, 40010000),
        (
            "/v2/stocks/bars",
            {"timeframe": "1Day", "symbols": "IBM", "start": "2012-02-01", "end": "2012-01-01"},
            400,
            40010000,
        ),
        ("/v2/stocks/quotes/latest", {}, 400, 40010000),
        ("/v2/stocks/NONE/quotes/latest", {}, 404, 40410000),
        ("/v1/corporate-actions", {"start": "soon"}, 400, 40010000),
    ],
)
def test_a_request_that_cannot_be_answered_says_so_with_status_and_code(
    exchange: ExchangeProcess, path: str, query: dict[str, str], status: int, code: int
) -> None:
    answer = get(exchange, path, **query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    assert answer.headers["X-Request-ID"]


def test_a_method_that_a_path_does_not_have_is_405_in_json(exchange: ExchangeProcess) -> None:
    answer = requests.patch(exchange.url + "/v2/account", headers=KEYS, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (405, 40510000)


def test_alpaca_py_sees_refused_orders_with_their_codes(exchange: ExchangeProcess) -> None:
    client = trading(exchange)
    client.submit_order(limit_order("IBM", OrderSide.BUY, 1, 50, client_order_id="taken"))
    cases = [
        (limit_order("IBM", OrderSide.BUY, 1, 50, client_order_id="taken"), 422, 40010001),
        (limit_order("IBM", OrderSide.BUY, 1, 50.001), 422, 42210000),
        (limit_order("IBM", OrderSide.BUY, 1_000_000, 50), 403, 40310000),
        (limit_order("IBM", OrderSide.SELL, 1, 500), 403, 40310000),
        (limit_order("NONE", OrderSide.BUY, 1, 50), 422, 40010001),
    ]
    for request, status, code in cases:
        with pytest.raises(APIError) as error:
            client.submit_order(request)
        assert (error.value.status_code, error.value.code) == (status, code)
    assert len(client.get_orders()) == 1


def test_beyond_the_rate_limit_all_is_429_until_a_minute_has_passed(tmp_path: Path) -> None:
    with start_process(state_dir=tmp_path, token=TOKEN, start_ns=OPEN_NS, requests_per_minute=3) as exchange:
        remaining = [get(exchange, "/v2/clock").headers["X-RateLimit-Remaining"] for _ in range(3)]
        assert remaining == ["2", "1", "0"]
        raw = requests.post(exchange.url + "/v2/orders", data=b"not an order", headers=KEYS, timeout=10)
        assert (raw.status_code, raw.json()["code"]) == (429, 42910000)
        assert int(raw.headers["X-RateLimit-Reset"]) <= OPEN_NS // 10**9 + 60
        assert get(exchange, "/v2/stocks/quotes/latest", symbols="IBM").status_code == 200
        assert requests.get(exchange.url + "/v2/clock", timeout=10).status_code == 401
        control(exchange, "/clock", step_ns=MINUTE_NS)
        assert get(exchange, "/v2/clock").status_code == 200


def test_the_control_plane_needs_its_token_and_is_on_its_own_port(exchange: ExchangeProcess) -> None:
    assert requests.post(exchange.control_url + "/clock", json={"step_ns": 1}, timeout=10).status_code == 401
    assert (
        requests.post(
            exchange.control_url + "/clock", json={"step_ns": 1}, headers=KEYS, timeout=10
        ).status_code
        == 401
    )
    headers = KEYS | {"Authorization": f"Bearer {TOKEN}"}
    assert (
        requests.post(exchange.url + "/clock", json={"step_ns": 1}, headers=headers, timeout=10).status_code
        == 404
    )
    assert requests.get(exchange.control_url + "/v2/account", headers=headers, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/clock", {}),
        ("/clock", {"set_ns": 1, "step_ns": 1}),
        ("/clock", {"set_ns": 1}),
        ("/clock", {"step_ns": "60"}),
        ("/clock", {"step_ns": 1.5}),
        ("/clock", {"step_ns": 10**40}),
        ("/account/reset", {"cash": -1}),
        ("/account/reset", {}),
        ("/transfer", {"amount": "0"}),
        ("/halt", {"symbol": "IBM"}),
        ("/quote", {"symbol": "IBM", "bid": 1}),
        ("/quote", {"symbol": "IBM", "spread_bps": -1}),
        ("/quote", {"bid": 1, "ask": 2}),
    ],
)
def test_the_control_plane_refuses_what_it_cannot_do(
    exchange: ExchangeProcess, path: str, members: dict[str, Any]
) -> None:
    answer = requests.post(
        exchange.control_url + path, json=members, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert (answer.status_code, answer.json()["code"]) == (422, 40010001)


def test_halts_and_quotes_by_hand_show_in_the_apis(exchange: ExchangeProcess) -> None:
    control(exchange, "/halt", symbol="IBM", halted=True)
    assert trading(exchange, raw=True).get_asset("IBM")["halted"] is True
    control(exchange, "/halt", symbol="IBM", halted=False)
    control(exchange, "/quote", symbol="IBM", bid="200", ask=0)
    quote = get(exchange, "/v2/stocks/quotes/latest", symbols="IBM").json()["quotes"]["IBM"]
    assert (quote["bp"], quote["bs"], quote["ap"], quote["as"]) == (200.0, 100, 0.0, 0)
    control(exchange, "/quote", symbol="IBM", spread_bps=100)
    quote = get(exchange, "/v2/stocks/quotes/latest", symbols="IBM").json()["quotes"]["IBM"]
    assert quote["ap"] / quote["bp"] == pytest.approx(1.01, abs=1e-3)
    control(exchange, "/quote", symbol="IBM")
    quote = get(exchange, "/v2/stocks/quotes/latest", symbols="IBM").json()["quotes"]["IBM"]
    assert quote["ap"] / quote["bp"] == pytest.approx(1.0002, abs=1e-4)


def test_what_was_answered_survives_sigkill(tmp_path: Path) -> None:
    first = start_process(state_dir=tmp_path, token=TOKEN, start_ns=OPEN_NS + 60 * MINUTE_NS, cash=D(50_000))
    client = trading(first)
    held = client.submit_order(
        MarketOrderRequest(symbol="IBM", side=OrderSide.BUY, qty=7, time_in_force=TimeInForce.DAY)
    )
    resting = client.submit_order(limit_order("AAPL", OrderSide.BUY, 1, 100, client_order_id="resting"))
    control(first, "/clock", step_ns=MINUTE_NS)
    raw = trading(first, raw=True)
    before = [raw.get_account(), raw.get_all_positions(), raw.get("/account/activities"), raw.get_clock()]
    first.kill()
    with start_process(state_dir=tmp_path, token=TOKEN) as second:
        raw = trading(second, raw=True)
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
        start_process(state_dir=state_dir, token=TOKEN)
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
        with start_process(state_dir=directory, token=TOKEN, start_ns=OPEN_NS) as exchange:
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
