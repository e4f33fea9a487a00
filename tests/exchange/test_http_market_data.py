"""Market data over HTTP with alpaca-py."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.models import BarSet
from alpaca.data.models.corporate_actions import CashDividend, CorporateActionsSet
from alpaca.data.requests import (
    CorporateActionsRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from exchange_ground import MINUTE_NS, SYMBOLS, TOKEN, control, data, get, now_of, raw_trading, trading
from modelled_client import one, several

from trading_assets.exchange.credentials import KEY_ID, SECRET
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

pytestmark = pytest.mark.exchange


def dividends(client: CorporateActionsClient, wanted: CorporateActionsRequest) -> list[CashDividend]:
    actions = one(client.get_corporate_actions(wanted), CorporateActionsSet)
    return several(actions.data.get("cash_dividends", []), CashDividend)


def test_a_dividend_reaches_the_account_and_the_corporate_actions(tmp_path: Path) -> None:
    sessions, ex_date = Sessions(), date(2012, 11, 7)  # AAPL, $2.65
    start = sessions.open_ns(sessions.previous(ex_date)) + 60 * MINUTE_NS
    with start_process(public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=start) as exchange:
        client = trading(exchange)
        client.submit_order(
            MarketOrderRequest(symbol="AAPL", side=OrderSide.BUY, qty=3, time_in_force=TimeInForce.DAY)
        )
        actions = CorporateActionsClient(KEY_ID, SECRET, url_override=exchange.url)
        wanted = CorporateActionsRequest(symbols=["AAPL"], start=date(2012, 1, 1), end=date(2013, 1, 1))
        before = dividends(actions, wanted)
        control(exchange, "/clock", set_ns=sessions.open_ns(ex_date))
        (paid,) = raw_trading(exchange).get("/account/activities/DIV")
        assert (paid["symbol"], paid["net_amount"], paid["date"]) == ("AAPL", "7.95", "2012-11-07")
        after = dividends(actions, wanted)
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
    result = one(data(exchange).get_stock_bars(wanted), BarSet).data
    assert sorted(result) == SYMBOLS
    for symbol, bars in result.items():
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
    count = len(result["IBM"])
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
        minute, today, before = snapshot.minute_bar, snapshot.daily_bar, snapshot.previous_daily_bar
        assert minute is not None
        assert today is not None
        assert before is not None
        assert minute.close == today.close == trade.price
        assert before.timestamp < today.timestamp
    raw = data(exchange, raw=True)
    assert set(raw.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="IBM"))["IBM"]) == {
        "latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar"
    }  # fmt: skip
    assert get(exchange, "/v2/stocks/IBM/quotes/latest").json()["quote"]["ap"] == quotes["IBM"].ask_price
    assert get(exchange, "/v2/stocks/IBM/snapshot").json()["symbol"] == "IBM"
    assert get(exchange, "/v2/stocks/quotes/latest", symbols="IBM,NONE").json()["quotes"].keys() == {"IBM"}
