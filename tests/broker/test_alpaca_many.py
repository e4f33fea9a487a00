"""Many symbols and long lists: in how few requests they are read, and in how many looks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from alpaca_payloads import FILL, ORDER, SNAPSHOT, bar
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Reply, Request, ScriptedServer

from trading_assets.broker.alpaca import adapter, pages
from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.alpaca.pages import in_urls
from trading_assets.broker.port import MoreActivities, MoreOrders, RateLimited
from trading_assets.broker.purpose import Purpose, asking_for
from trading_assets.broker.rate_budget import SHARES, RateBudget
from trading_assets.market.clock import system_now_ns

SECOND = 1_000_000_000
T0 = 1_341_322_500 * SECOND  # 2012-07-03T13:35:00Z
URL_LIMIT = 8_000  # what common servers and proxies take
SYMBOLS = [f"S{n:03d}" for n in range(500)]


def path_of(request: Request) -> int:
    """The length of the symbols as they were on the wire."""
    return len(request.query["symbols"].replace(",", "%2C"))


def test_quotes_of_500_symbols_are_one_request_and_of_3000_fit_into_urls(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on(
        "GET",
        "/v2/stocks/snapshots",
        lambda request: Reply(200, dict.fromkeys(request.query["symbols"].split(","), SNAPSHOT)),
    )
    assert list(broker.quotes(SYMBOLS)) == SYMBOLS
    assert len(server.requests) == 1
    many = [f"S{n:04d}" for n in range(3_000)]
    quotes = broker.quotes(many)
    assert list(quotes) == many
    assert all(quote.bid is not None for quote in quotes.values())
    assert max(path_of(request) for request in server.requests) < URL_LIMIT
    assert len(server.requests) < 10


def test_bars_and_corporate_actions_of_3000_symbols_fit_into_urls_and_lose_none(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    many = [f"S{n:04d}" for n in range(3_000)]

    def bars(request: Request) -> Reply:
        rows = {symbol: [bar("2012-07-03T13:35:00Z")] for symbol in request.query["symbols"].split(",")}
        return Reply(200, {"bars": rows, "next_page_token": None})

    def actions(request: Request) -> Reply:
        rows = [
            {"symbol": symbol, "ex_date": "2012-07-03", "rate": 1.0}
            for symbol in request.query["symbols"].split(",")
        ]
        return Reply(200, {"corporate_actions": {"cash_dividends": rows}, "next_page_token": None})

    server.on("GET", "/v2/stocks/bars", bars)
    server.on("GET", "/v1/corporate-actions", actions)
    assert [one.symbol for one in broker.bars(many, "1m", T0, T0 + SECOND)] == many
    result = broker.corporate_actions(many[::-1], date(2012, 7, 3), date(2012, 7, 3))
    assert [one.symbol for one in result] == many
    assert max(path_of(request) for request in server.requests) < URL_LIMIT


@given(st.lists(st.text("ABCXYZ./ü", min_size=1, max_size=30), max_size=400))
def test_parts_hold_every_symbol_once_in_order_and_are_no_longer_than_allowed(symbols: list[str]) -> None:
    parts = list(in_urls(symbols))
    assert [symbol for part in parts for symbol in part] == symbols
    assert all(sum(len(symbol) for symbol in part) <= pages.SYMBOLS_LENGTH for part in parts)
    assert all(parts)


def asset_row(symbol: str, **members: Any) -> dict[str, Any]:
    return {"symbol": symbol, "status": "active", "tradable": True, "fractionable": True, **members}


def test_all_assets_are_one_request_and_a_row_that_cannot_be_read_costs_no_other(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    rows: list[Any] = [asset_row(symbol) for symbol in SYMBOLS]
    rows[7] = asset_row("S007", tradable=None)
    rows[8] = {"class": "us_equity"}
    rows[9] = asset_row("S009", tradable=False)
    server.on("GET", "/v2/assets", Reply(200, rows))
    result = {one.symbol: one for one in broker.assets()}
    assert server.requests[0].query == {"status": "active", "asset_class": "us_equity"}
    assert len(server.requests) == 1
    assert result.keys() == {symbol for symbol in SYMBOLS if symbol not in ("S007", "S008")}
    assert [symbol for symbol, one in result.items() if not one.tradable] == ["S009"]


def fills(count: int) -> list[dict[str, Any]]:
    """Ascending, ten a second."""
    stamps = (
        f"2012-07-03T{13 + n // 36_000:02d}:{n // 600 % 60:02d}:{n // 10 % 60:02d}Z" for n in range(count)
    )
    return [{**FILL, "id": f"{n:08d}", "transaction_time": stamp} for n, stamp in enumerate(stamps)]


def history(rows: list[dict[str, Any]], headers: dict[str, str] | None = None) -> Any:
    """GET /account/activities as Alpaca pages it."""
    place = {row["id"]: number for number, row in enumerate(rows)}

    def answer(request: Request) -> Reply:
        begin = place[request.query["page_token"]] + 1 if "page_token" in request.query else 0
        return Reply(200, rows[begin : begin + int(request.query["page_size"])], headers or {})

    return answer


def test_a_long_history_of_activities_is_read_in_looks_that_go_on_where_the_last_one_ended(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    rows = fills(2_530)
    server.on("GET", "/v2/account/activities", history(rows))
    read: list[str] = []
    after: str | None = None
    looks = 0
    while True:
        looks += 1
        try:
            read += [one.id for one in broker.activities(T0 - 2_100 * SECOND, after_id=after)]
            break
        except MoreActivities as more:
            read += [one.id for one in more.read]
            after = more.after_id
        assert len(server.requests) == looks * pages.PAGES_A_LOOK
    assert read == [row["id"] for row in rows]
    assert looks == 3


@pytest.fixture
def spent(server: ScriptedServer, tmp_path: Path) -> Iterator[tuple[AlpacaBroker, dict[str, str]]]:
    """A broker whose minute has exactly what history must leave, one page's worth above it; and the headers
    that say so."""
    left = int(200 * SHARES[Purpose.HISTORY].leaves) + 2
    headers = {
        "X-RateLimit-Limit": "200",
        "X-RateLimit-Remaining": str(left + pages.PAGES_OF_ITS_CALLER),
        "X-RateLimit-Reset": str(system_now_ns() // SECOND + 50),
    }
    at = Origins(server.url, server.url)
    with_budget = AlpacaBroker(at, "key-id", "secret", budget=RateBudget(tmp_path / "rate_limit"))
    yield with_budget, headers
    with_budget.close()


def test_the_further_pages_of_a_history_leave_what_is_for_others(
    server: ScriptedServer, spent: tuple[AlpacaBroker, dict[str, str]]
) -> None:
    broker, headers = spent
    rows = fills(2_000)
    server.on("GET", "/v2/account/activities", history(rows, headers))
    with pytest.raises(MoreActivities) as more:
        broker.activities(T0 - 2_100 * SECOND)
    sent_before = len(server.requests)
    assert pages.PAGES_OF_ITS_CALLER < sent_before < pages.PAGES_A_LOOK
    assert len(more.value.read) == sent_before * 100
    server.on("GET", "/v2/positions", Reply(200, []))
    broker.positions()  # a tick's read still leaves


def test_without_even_its_callers_pages_a_history_is_unread(
    server: ScriptedServer, spent: tuple[AlpacaBroker, dict[str, str]]
) -> None:
    broker, headers = spent
    rows = fills(2_000)
    none_left = headers | {"X-RateLimit-Remaining": "0"}
    server.on("GET", "/v2/account/activities", history(rows, none_left))
    with pytest.raises(RateLimited):
        broker.activities(T0 - 2_100 * SECOND)


def test_a_long_list_of_orders_says_how_far_a_look_came(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 50)
    rows = [
        {**ORDER, "id": f"o{n}", "client_order_id": f"c{n}", "submitted_at": row["transaction_time"]}
        for n, row in enumerate(fills(1_200))
    ]

    def answer(request: Request) -> Reply:
        after = request.query.get("after", "")[:19]
        later = [row for row in rows if row["submitted_at"][:19] > after[:19]]
        return Reply(200, later[: int(request.query["limit"])])

    server.on("GET", "/v2/orders", answer)
    with pytest.raises(MoreOrders) as more:
        broker.orders_since(T0 - 2_100 * SECOND)
    read = list(more.value.read)
    assert len(server.requests) == pages.PAGES_A_LOOK
    assert [one.id for one in read] == [f"o{n}" for n in range(len(read))]
    assert more.value.through_ns == read[-1].submitted_ns
    server.requests.clear()
    assert len(broker.open_orders()) == len(rows)  # every one of these is needed


@pytest.mark.slow(seconds=8)
def test_50000_activities_are_read_at_200_requests_a_minute_beside_a_protection_that_never_waits(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """500 pages: more than two minutes' worth. A look a minute, and a protection's ten reads after it."""
    rows, minute, left = fills(50_000), 0, 200
    place = {row["id"]: number for number, row in enumerate(rows)}
    began = 1_341_322_500

    def counted(body: Any) -> Reply:
        """As Alpaca counts: a window a minute."""
        nonlocal left
        refused, left = left == 0, max(left - 1, 0)
        stated = {
            "Date": formatdate(began + 60 * minute, usegmt=True),
            "X-RateLimit-Limit": "200",
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(began + 60 * (minute + 1)),
        }
        if refused:
            return Reply(429, {"code": 42910000, "message": "rate limit exceeded"}, stated)
        return Reply(200, body, stated)

    def page(request: Request) -> Reply:
        begin = place[request.query["page_token"]] + 1 if "page_token" in request.query else 0
        return counted(rows[begin : begin + 100])

    server.on("GET", "/v2/account/activities", page)
    server.on("GET", "/v2/positions", lambda _: counted([]))
    budget = RateBudget(tmp_path / "rate_limit", now_ns=lambda: (1_000 + 60 * minute) * SECOND)
    broker = AlpacaBroker(Origins(server.url, server.url), "key-id", "secret", budget=budget)
    read: list[str] = []
    after: str | None = None
    try:
        while True:
            server.requests.clear()
            try:
                read += [one.id for one in broker.activities(T0 - 2_100 * SECOND, after_id=after)]
                after = None
            except MoreActivities as more:
                read += [one.id for one in more.read]
                after = more.after_id
            assert len(server.sent("GET", "/v2/account/activities")) <= pages.PAGES_A_LOOK
            with asking_for(Purpose.PROTECT):
                for _ in range(10):
                    broker.positions()
            if after is None:
                break
            minute, left = minute + 1, 200
    finally:
        broker.close()
    assert read == [row["id"] for row in rows]
    assert minute == len(rows) // (100 * pages.PAGES_A_LOOK)
