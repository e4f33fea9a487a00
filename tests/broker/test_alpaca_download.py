"""A download through the real client from a server that answers as a test scripts it: pages, refused and
unreadable symbols, feeds, limits."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Reply, Request, ScriptedServer

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.port import RateLimited, Unreachable
from trading_assets.engine.market_data import download as downloading
from trading_assets.engine.market_data.download import Download, Wanted, download
from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.market.timestamps import utc_time
from trading_assets.store.bar_quarantine import quarantined
from trading_assets.store.history import History

FIRST, LAST = date(2024, 6, 3), date(2024, 7, 31)
DAYS = Sessions().between(FIRST, LAST)
BARS, ACTIONS = "/v2/stocks/bars", "/v1/corporate-actions"
NO_ACTIONS = Reply(200, {"corporate_actions": {}, "next_page_token": None})
RECENT_SIP = Reply(403, {"message": "subscription does not permit querying recent SIP data"})


def bar_of(day: date, **changed: Any) -> dict[str, Any]:
    at = f"{utc_time(new_york_midnight_ns(day)):%Y-%m-%dT%H:%M:%SZ}"
    return {"t": at, "o": 10.0, "h": 11.0, "l": 9.5, "c": 10.5, "v": 1200, "n": 9, "vw": 10.1} | changed


def page(bars: dict[str, Any], token: str | None = None) -> Reply:
    return Reply(200, {"bars": bars, "next_page_token": token})


def whole(request: Request) -> Reply:
    """All days of every symbol that is asked for."""
    return page({symbol: [*map(bar_of, DAYS)] for symbol in request.query["symbols"].split(",")})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES_S", (0.0,))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.duckdb")


@pytest.fixture
def actions(server: ScriptedServer) -> None:
    server.on("GET", ACTIONS, NO_ACTIONS)


def run(broker: AlpacaBroker, history: History, *symbols: str, **changed: Any) -> Download:
    wanted = Wanted(symbols, Interval.DAY, FIRST, LAST, **changed)
    return download(broker, history, wanted, venue="alpaca", configured_feed="iex")


def held(history: History) -> dict[str, int]:
    lines = history.query("SELECT symbol, count(*) AS bars FROM bars GROUP BY symbol ORDER BY symbol")
    return {line["symbol"]: line["bars"] for line in lines.to_pylist()}


pytestmark = pytest.mark.usefixtures("actions")


def test_it_asks_for_raw_prices_of_the_whole_market_and_follows_every_page(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    first, second = {"AAA": [*map(bar_of, DAYS[:20])]}, {"AAA": [*map(bar_of, DAYS[20:])]}
    server.on("GET", BARS, page(first, "next"), page(second))
    assert run(broker, history, "AAA").bars == len(DAYS)
    queries = [request.query for request in server.sent("GET", BARS)]
    assert [query.get("page_token") for query in queries] == [None, "next"]
    for query in queries:
        assert (query["feed"], query["adjustment"], query["limit"]) == ("sip", "raw", "10000")
    assert held(history) == {"AAA": len(DAYS)}


def test_a_page_that_leads_to_itself_does_not_go_on_for_ever(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    server.on("GET", BARS, page({"AAA": [bar_of(FIRST)]}, "again"))
    with pytest.raises(Unreachable, match="came twice"):
        run(broker, history, "AAA")
    assert held(history) == {}


def test_a_symbol_that_the_broker_does_not_know_costs_itself_and_is_asked_for_again(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    def unless_bad(request: Request, answer: Reply) -> Reply:
        query_symbols = request.query["symbols"].split(",")
        return Reply(400, {"message": "invalid symbol: B@D"}) if "B@D" in query_symbols else answer

    server.on("GET", BARS, lambda request: unless_bad(request, whole(request)))
    server.on("GET", ACTIONS, lambda request: unless_bad(request, NO_ACTIONS))
    done = run(broker, history, "AAA", "B@D", "CCC")
    assert held(history) == {"AAA": len(DAYS), "CCC": len(DAYS)}
    assert done.why_refused == {"B@D": "invalid symbol: B@D"}
    assert {str(one): names for one, names in done.classes.items()} == {
        "complete": ["AAA", "CCC"],
        "empty": [],
        "refused": ["B@D"],
    }
    server.requests.clear()
    run(broker, history, "AAA", "B@D", "CCC")
    assert {request.query["symbols"] for request in server.requests} == {"B@D"}


def test_bars_pass_the_checks_of_a_persons_file(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    rows = [bar_of(day) for day in DAYS]
    rows[3] = bar_of(DAYS[3], h=10.2)
    rows[7] = bar_of(DAYS[7], v=None)
    many = {f"S{n:02d}": [*map(bar_of, DAYS)] for n in range(8)}
    server.on("GET", BARS, page({"AAA": rows, **many}))
    done = run(broker, history, "AAA", *many)
    assert done.quarantined == 2
    assert held(history)["AAA"] == len(DAYS) - 2
    assert [(one["symbol"], one["session"], one["rule"], one["file"]) for one in quarantined(history)] == [
        ("AAA", DAYS[3], "ABOVE_HIGH", "alpaca:sip 1d"),
        ("AAA", DAYS[7], "EMPTY", "alpaca:sip 1d"),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        "no list",
        [{"o": 1.0}],
        [bar_of(day, h=1.0) for day in DAYS],
        [bar_of(DAYS[0], t="yesterday")],
        [7],
    ],
)
def test_a_symbol_whose_bars_cannot_be_used_costs_itself(
    server: ScriptedServer, broker: AlpacaBroker, history: History, rows: Any
) -> None:
    server.on("GET", BARS, page({"AAA": [*map(bar_of, DAYS)], "BBB": rows}))
    done = run(broker, history, "AAA", "BBB")
    assert held(history) == {"AAA": len(DAYS)}
    assert list(done.why_refused) == ["BBB"]


def test_where_the_account_does_not_have_the_whole_market_the_configured_feed_is_asked_and_kept(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    server.on("GET", BARS, lambda request: RECENT_SIP if request.query["feed"] == "sip" else whole(request))
    done = run(broker, history, "AAA")
    assert (done.feed, done.feed_refused) == ("iex", "subscription does not permit querying recent SIP data")
    rows = history.query("SELECT DISTINCT feed, source FROM bars").to_pylist()
    assert rows == [{"feed": "iex", "source": "alpaca:iex"}]
    with pytest.raises(InvalidInput, match="the account does not have the feed sip"):
        run(broker, history, "AAA", feed="sip")


def test_a_limit_and_a_fault_are_waited_for(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    limited = Reply(429, {"message": "too many requests."}, {"X-RateLimit-Reset": "1717421400"})
    server.on("GET", BARS, limited, Reply(500, "x"), limited, Reply(502, "<html>"), Reply(200, "{"), whole)
    assert run(broker, history, "AAA").bars == len(DAYS)
    assert len(server.sent("GET", BARS)) == 6


def test_what_lasts_ends_the_download_with_what_was_stored(
    server: ScriptedServer, broker: AlpacaBroker, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("GET", BARS, Reply(503, "down"))
    with pytest.raises(Unreachable):
        run(broker, history, "AAA")
    assert len(server.sent("GET", BARS)) == downloading.TRIES
    monkeypatch.setattr(downloading, "LONGEST_WAIT_S", 0.0)
    server.on("GET", BARS, Reply(429, {"message": "too many requests."}))
    with pytest.raises(RateLimited):
        run(broker, history, "AAA")
    server.on("GET", BARS, whole)
    server.requests.clear()
    assert run(broker, history, "AAA").bars == len(DAYS)
    assert not server.sent("GET", ACTIONS)  # they were stored before


def test_an_action_that_the_broker_no_longer_says_is_taken_back_unless_something_cannot_be_read(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    dividend = {"symbol": "AAA", "ex_date": "2024-06-10", "rate": 0.5}

    def say(*rows: dict[str, Any]) -> None:
        answer = {"corporate_actions": {"cash_dividends": [*rows]}, "next_page_token": None}
        server.on("GET", ACTIONS, Reply(200, answer))

    server.on("GET", BARS, whole)
    say(dividend)
    assert run(broker, history, "AAA").actions == 1
    say({**dividend, "rate": "much"})
    unread = run(broker, history, "AAA", again=True)
    assert (len(unread.unreadable_actions), unread.withdrawn) == (1, 0)
    say()
    assert run(broker, history, "AAA", again=True).withdrawn == 1


def test_three_thousand_symbols_fit_into_urls_and_few_requests(
    server: ScriptedServer, broker: AlpacaBroker, history: History
) -> None:
    def of_one_day(request: Request) -> Reply:
        return page({symbol: [bar_of(LAST)] for symbol in request.query["symbols"].split(",")})

    server.on("GET", BARS, of_one_day)
    many = [f"S{n:04d}" for n in range(3_000)]
    done = run(broker, history, *many)
    assert held(history) == dict.fromkeys(many, 1)
    assert max(len(request.query["symbols"].replace(",", "%2C")) for request in server.requests) < 8_000
    assert done.answers == len(server.requests) < 20
