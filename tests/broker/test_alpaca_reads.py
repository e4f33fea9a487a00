"""Reads: what each question asks of the wire, all of its pages, and failures that never look like "none"."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from alpaca_payloads import ACCOUNT, CLOCK, DIVIDEND, FILL, ORDER, POSITION, SNAPSHOT, bar
from scripted_server import CutOff, Hang, Reply, Request, Reset, ScriptedServer, Step, Trickle

from trading_assets.broker.alpaca import adapter
from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.port import (
    AssetState,
    BrokerError,
    CorporateActionState,
    NotFound,
    PositionState,
    RateLimited,
    Rejected,
    SpinOffState,
    Unauthorized,
    Unreachable,
    unread_of,
)

SECOND = 1_000_000_000
T0 = 1_341_322_500 * SECOND  # 2012-07-03T13:35:00Z


def test_account_clock_and_positions_are_read_exactly(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT))
    server.on("GET", "/v2/clock", Reply(200, CLOCK))
    server.on("GET", "/v2/positions", Reply(200, [POSITION]))
    account = broker.account()
    assert (account.account_number, account.equity, account.settled_cash, account.trading_blocked) == (
        "PA0001",
        Decimal("103820.56"),
        Decimal("23140.2"),
        False,
    )
    clock = broker.clock()
    assert clock.now_ns == T0 + 123_456_789
    assert clock.next_close_ns == T0 + (3 * 60 + 25) * 60 * SECOND
    assert list(broker.positions()) == [
        PositionState(
            "AAPL",
            qty=Decimal(5),
            avg_entry_price=Decimal("594.11"),
            available=Decimal(4),
            market_value=Decimal("2975.5"),
            current_price=Decimal("595.1"),
            last_close=Decimal("590.25"),
        )
    ]


@pytest.mark.parametrize(
    "again", [POSITION, {**POSITION, "qty": "1"}, {key: POSITION[key] for key in POSITION if key != "qty"}]
)
def test_of_two_rows_of_one_symbol_neither_is_its_position_and_the_others_stand(
    server: ScriptedServer, broker: AlpacaBroker, again: dict[str, Any]
) -> None:
    other = {**POSITION, "symbol": "IBM"}
    server.on("GET", "/v2/positions", Reply(200, [POSITION, other, again]))
    result = broker.positions()
    assert [position.symbol for position in result] == ["IBM"]
    symbols = {(row.symbol, row.holds_entries) for row in unread_of(result)}
    assert symbols == {(POSITION["symbol"], True)}
    assert any(POSITION["symbol"] in row.why for row in unread_of(result))


def test_the_calendar_gives_opens_and_closes_in_utc_within_the_days_asked(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    days = [
        {"date": "2012-07-02", "open": "09:30", "close": "16:00"},
        {"date": "2012-07-03", "open": "09:30", "close": "13:00", "session_open": "0400"},
    ]
    server.on("GET", "/v2/calendar", Reply(200, days))
    hours = broker.calendar(date(2012, 7, 3), date(2012, 7, 4))
    assert hours == {date(2012, 7, 3): (T0 - 300 * SECOND, T0 + 12_300 * SECOND)}
    assert server.requests[0].query == {"start": "2012-07-03", "end": "2012-07-04"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, AssetState("BRK.B", tradable=True, fractionable=True, halted=False)),
        ({"halted": True}, AssetState("BRK.B", tradable=True, fractionable=True, halted=True)),
        ({"status": "inactive"}, AssetState("BRK.B", tradable=False, fractionable=True, halted=False)),
        ({"fractionable": None}, AssetState("BRK.B", tradable=True, fractionable=False, halted=False)),
    ],
)
def test_an_asset_is_tradable_only_while_it_is_active(
    server: ScriptedServer, broker: AlpacaBroker, change: dict[str, Any], expected: AssetState
) -> None:
    row = {"symbol": "BRK.B", "status": "active", "tradable": True, "fractionable": True, **change}
    server.on("GET", "/v2/assets/BRK.B", Reply(200, row))
    assert broker.asset("BRK.B") == expected


def test_quotes_come_from_snapshots_and_a_symbol_without_one_has_none(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    server.on("GET", "/v2/stocks/snapshots", Reply(200, {"AAPL": SNAPSHOT, "FB": None}))
    quotes = broker.quotes(["AAPL", "FB", "IBM"])
    assert server.requests[0].query == {"symbols": "AAPL,FB,IBM", "feed": "iex"}
    aapl = quotes["AAPL"]
    assert (aapl.bid, aapl.ask, aapl.last_trade) == (Decimal("594.1"), Decimal("594.12"), Decimal("594.11"))
    assert (aapl.quote_ns, aapl.previous_close) == (T0, Decimal("592.52"))
    for symbol in ("FB", "IBM"):
        empty = quotes[symbol]
        assert (empty.bid, empty.ask, empty.quote_ns, empty.last_trade, empty.previous_close) == (None,) * 5
    assert broker.quotes([]) == {}


def test_an_order_is_found_by_either_id(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", f"/v2/orders/{ORDER['id']}", Reply(200, ORDER))
    server.on("GET", "/v2/orders:by_client_order_id", Reply(200, ORDER))
    assert broker.order(ORDER["id"]) == broker.order_by_client_id("ta-0001")
    assert server.requests[1].query == {"client_order_id": "ta-0001"}


def test_only_the_brokers_own_not_found_means_that_an_order_does_not_exist(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    path = "/v2/orders:by_client_order_id"
    server.on("GET", path, Reply(404, {"code": 40410000, "message": "order not found for ta-1"}))
    assert broker.order_by_client_id("ta-1") is None
    for other in (Reply(404, "<html>not here</html>"), Reply(404, {"message": "no route"}), Reply(502, "")):
        server.on("GET", path, other)
        with pytest.raises(Unreachable):
            broker.order_by_client_id("ta-1")


def numbered(n: int, at: str = "2012-07-03T13:35:00Z") -> dict[str, Any]:
    return {**ORDER, "id": f"o{n:04d}", "client_order_id": f"c{n:04d}", "submitted_at": at}


def order_book(orders: list[dict[str, Any]]) -> Callable[[Request], Reply]:
    """GET /orders as Alpaca does it: `after` exclusive, ascending, at most `limit`."""

    def answer(request: Request) -> Reply:
        assert request.query["direction"] == "asc"
        after = request.query.get("after", "")
        later = [one for one in orders if one["submitted_at"].rstrip("Z").ljust(29, "0") > after.rstrip("Z")]
        return Reply(200, later[: int(request.query["limit"])])

    return answer


def test_orders_since_include_the_moment_itself_and_go_through_every_page(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 4)
    stamps = [f"2012-07-03T13:35:0{n // 3}.000000000Z" for n in range(11)]  # three orders a second
    orders = [numbered(n, stamp) for n, stamp in enumerate(stamps)]
    server.on("GET", "/v2/orders", order_book(orders))
    assert [one.id for one in broker.orders_since(T0)] == [one["id"] for one in orders]
    assert [one.id for one in broker.orders_since(T0 + SECOND)] == [one["id"] for one in orders[3:]]
    assert {one.query["status"] for one in server.requests} == {"all"}


def test_open_orders_go_through_every_page(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 2)
    orders = [numbered(n, f"2012-07-03T13:35:0{n}.000000000Z") for n in range(5)]
    server.on("GET", "/v2/orders", order_book(orders))
    assert len(broker.open_orders()) == 5
    assert server.requests[0].query == {"status": "open", "limit": "2", "direction": "asc", "nested": "false"}


def test_more_orders_in_one_moment_than_a_page_holds_is_no_complete_answer(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 2)
    server.on("GET", "/v2/orders", order_book([numbered(n) for n in range(5)]))
    with pytest.raises(Unreachable, match="more than 2 orders"):
        broker.open_orders()


def test_activities_of_every_type_are_read_through_all_pages(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ACTIVITIES_PAGE", 2)
    fills = [{**FILL, "id": f"20120703{n}", "transaction_time": f"2012-07-03T13:35:0{n}Z"} for n in range(4)]
    listed = [*fills, DIVIDEND, {"activity_type": "NEWKIND", "id": "20120901", "date": "2012-09-01"}]

    def answer(request: Request) -> Reply:
        ids = [one["id"] for one in listed]
        begin = ids.index(request.query["page_token"]) + 1 if "page_token" in request.query else 0
        return Reply(200, listed[begin : begin + 2])

    server.on("GET", "/v2/account/activities", answer)
    result = broker.activities(T0)
    assert [one.id for one in result] == [one["id"] for one in listed]
    assert [one.type.name for one in result[-2:]] == ["DIV", "NEWKIND"]
    assert (result[4].net_amount, result[4].side) == (Decimal("13.25"), None)
    query = server.requests[0].query
    assert query == {"after": "2012-07-03T13:34:59.999999999Z", "direction": "asc", "page_size": "2"}
    assert "activity_types" not in query


def test_a_page_token_that_leads_nowhere_ends(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ACTIVITIES_PAGE", 1)
    server.on("GET", "/v2/account/activities", Reply(200, [FILL]))
    with pytest.raises(Unreachable, match="same page again"):
        broker.activities(T0)
    server.on("GET", "/v2/stocks/bars", Reply(200, {"bars": {}, "next_page_token": "t"}))
    with pytest.raises(Unreachable, match="came twice"):
        broker.bars(["AAPL"], "1m", T0, T0 + SECOND)
    assert len(server.requests) == 4


def test_bars_are_raw_of_the_chosen_feed_half_open_and_from_all_pages(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    pages = {
        None: {"bars": {"MSFT": [bar("2012-07-03T13:35:00Z")], "AAPL": [bar("2012-07-03T13:36:00Z")]}},
        "p2": {"bars": {"AAPL": [bar("2012-07-03T13:35:00Z", 10.5), bar("2012-07-03T13:37:00Z")]}},
        "p3": {"bars": None},
    }
    following = {None: "p2", "p2": "p3", "p3": None}

    def answer(request: Request) -> Reply:
        token = request.query.get("page_token")
        return Reply(200, {**pages[token], "next_page_token": following[token]})

    server.on("GET", "/v2/stocks/bars", answer)
    bars = broker.bars(["AAPL", "MSFT"], "1m", T0, T0 + 120 * SECOND)
    assert [(one.symbol, (one.start_ns - T0) // SECOND, one.close) for one in bars] == [
        ("AAPL", 0, 10.5),
        ("AAPL", 60, 10.0),
        ("MSFT", 0, 10.0),
    ]
    assert server.requests[0].query == {
        "symbols": "AAPL,MSFT",
        "timeframe": "1Min",
        "start": "2012-07-03T13:35:00.000000000Z",
        "end": "2012-07-03T13:36:59.999999999Z",
        "adjustment": "raw",
        "feed": "iex",
        "sort": "asc",
        "limit": "10000",
    }
    assert [one.query.get("page_token") for one in server.requests] == [None, "p2", "p3"]
    assert all(one.query["adjustment"] == "raw" for one in server.requests)


def test_an_empty_range_asks_nothing(server: ScriptedServer, broker: AlpacaBroker) -> None:
    assert broker.bars([], "1d", T0, T0 + SECOND) == []
    assert broker.bars(["AAPL"], "1d", T0, T0) == []
    assert broker.corporate_actions([], date(2012, 1, 1), date(2012, 1, 2)) == []
    assert server.requests == []


def test_corporate_actions_are_selected_by_ex_date_although_the_broker_selects_by_process_date(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    pages = [
        {
            "cash_dividends": [
                {"symbol": "AAPL", "ex_date": "2012-08-09", "rate": 2.65, "process_date": "2012-08-16"}
            ]
        },
        {
            "cash_dividends": [{"symbol": "AAPL", "ex_date": "2012-11-07", "rate": 2.65}],
            "forward_splits": [{"symbol": "IBM", "ex_date": "2012-08-09", "new_rate": 2, "old_rate": 1}],
            "name_changes": [{"old_symbol": "X"}],
        },
    ]
    server.on(
        "GET",
        "/v1/corporate-actions",
        Reply(200, {"corporate_actions": pages[0], "next_page_token": "p2"}),
        Reply(200, {"corporate_actions": pages[1], "next_page_token": None}),
    )
    actions = broker.corporate_actions(["AAPL", "IBM"], date(2012, 8, 1), date(2012, 8, 10))
    assert tuple(actions) == (
        CorporateActionState("AAPL", date(2012, 8, 9), 1.0, 2.65),
        CorporateActionState("IBM", date(2012, 8, 9), 2.0, 0.0),
    )
    assert actions.unreadable == ()
    query = server.requests[0].query
    assert query["start"] < "2012-08-01"
    assert query["end"] > "2012-08-16"
    assert server.requests[1].query["page_token"] == "p2"


def test_an_announcement_that_cannot_be_read_costs_itself_and_says_whose_it_is(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    groups: dict[str, object] = {
        "cash_dividends": [
            {"symbol": "IBM", "ex_date": "2012-08-08", "rate": 0.85, "currency": "CAD"},
            {"symbol": "AAPL", "ex_date": "2012-08-09", "rate": 2.65},
            "no object",
        ],
        "ticker_swaps": [{"symbol": "MSFT"}, {"symbol": "GE"}],
        "forward_splits": {"symbol": "AAPL"},
    }
    server.on(
        "GET", "/v1/corporate-actions", Reply(200, {"corporate_actions": groups, "next_page_token": None})
    )
    actions = broker.corporate_actions(["AAPL", "IBM", "MSFT"], date(2012, 8, 1), date(2012, 8, 10))
    assert tuple(actions) == (CorporateActionState("AAPL", date(2012, 8, 9), 1.0, 2.65),)
    assert [one.symbol for one in actions.unreadable] == ["IBM", "", "MSFT", "AAPL"]  # nobody asked for GE


def test_a_spin_off_is_the_parents_although_its_row_is_found_by_the_new_symbol_too(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    row = {
        "source_symbol": "AAPL",
        "source_rate": 4,
        "new_symbol": "NEW",
        "new_rate": 1,
        "ex_date": "2012-08-09",
    }
    answer = {"corporate_actions": {"spin_offs": [row]}, "next_page_token": None}
    server.on("GET", "/v1/corporate-actions", Reply(200, answer), Reply(200, answer))
    (action,) = broker.corporate_actions(["AAPL"], date(2012, 8, 1), date(2012, 8, 10))
    assert action.spin_offs == (SpinOffState("NEW", 0.25),)
    assert broker.corporate_actions(["NEW"], date(2012, 8, 1), date(2012, 8, 10)) == []


READS: dict[str, tuple[str, Callable[[AlpacaBroker], object]]] = {
    "account": ("/v2/account", lambda b: b.account()),
    "clock": ("/v2/clock", lambda b: b.clock()),
    "calendar": ("/v2/calendar", lambda b: b.calendar(date(2012, 7, 3), date(2012, 7, 3))),
    "asset": ("/v2/assets/AAPL", lambda b: b.asset("AAPL")),
    "quotes": ("/v2/stocks/snapshots", lambda b: b.quotes(["AAPL"])),
    "positions": ("/v2/positions", lambda b: b.positions()),
    "open_orders": ("/v2/orders", lambda b: b.open_orders()),
    "orders_since": ("/v2/orders", lambda b: b.orders_since(T0)),
    "order": ("/v2/orders/o1", lambda b: b.order("o1")),
    "order_by_client_id": ("/v2/orders:by_client_order_id", lambda b: b.order_by_client_id("c1")),
    "activities": ("/v2/account/activities", lambda b: b.activities(T0)),
    "bars": ("/v2/stocks/bars", lambda b: b.bars(["AAPL"], "1d", T0, T0 + SECOND)),
    "corporate_actions": (
        "/v1/corporate-actions",
        lambda b: b.corporate_actions(["AAPL"], date(2012, 7, 3), date(2012, 7, 3)),
    ),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Reply(401, {"code": 40110000, "message": "request is not authorized"}), Unauthorized),
        (Reply(403, {"code": 40310000, "message": "subscription does not permit this"}), Rejected),
        (Reply(429, {"message": "too many requests"}), RateLimited),
        (Reply(500, {"code": 1, "message": "oops"}), Unreachable),
        (Reply(502, "<html></html>"), Unreachable),
        (Reply(504, None), Unreachable),
        (Reply(302, None, {"Location": "/login"}), Unreachable),
        (Reply(200, "<html></html>"), Unreachable),
        (Reply(200, None), Unreachable),
        (Reply(200, "null"), Unreachable),
        (Reply(200, '"text"'), Unreachable),
        (Reply(200, "[3]"), Unreachable),
        (CutOff({"a": "long enough to be cut"}), Unreachable),
        (Reset(), Unreachable),
    ],
    ids=lambda value: (
        value.__name__ if isinstance(value, type) else str(getattr(value, "status", value))[:12]
    ),
)
def test_a_failed_read_raises_and_is_asked_once(
    server: ScriptedServer, broker: AlpacaBroker, name: str, step: Step, error: type[BrokerError]
) -> None:
    path, read = READS[name]
    server.on("GET", path, step)
    with pytest.raises(BrokerError) as caught:
        read(broker)
    assert type(caught.value) is error
    assert len(server.requests) == 1


@pytest.mark.parametrize("step", [Hang(), Trickle(json.dumps(ACCOUNT), pause_s=0.05)])
def test_a_read_ends_in_finite_time(server: ScriptedServer, broker: AlpacaBroker, step: Step) -> None:
    server.on("GET", "/v2/account", step)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        broker.account()
    assert time.monotonic() - began < 2


def test_an_unknown_symbol_is_not_found(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/assets/NOPE", Reply(404, {"code": 40410000, "message": "asset not found for NOPE"}))
    with pytest.raises(NotFound):
        broker.asset("NOPE")


def test_one_bad_order_costs_its_row_and_no_other(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/orders", Reply(200, [numbered(1), {**numbered(2), "id": None}, numbered(3)]))
    orders = broker.open_orders()
    assert [one.client_order_id for one in orders] == ["c0001", "c0003"]
    (unread,) = unread_of(orders)
    assert unread.subject == "c0002"
    assert "no `id` in" in unread.why


def test_a_page_with_bad_rows_is_a_whole_page(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ORDERS_PAGE", 3)
    orders = [numbered(n, f"2012-07-03T13:35:0{n}.000000000Z") for n in range(8)]
    orders[1] = {**orders[1], "side": ""}
    server.on("GET", "/v2/orders", order_book(orders))
    result = broker.orders_since(T0)
    assert [one.client_order_id for one in result] == [f"c{n:04}" for n in (0, 2, 3, 4, 5, 6, 7)]
    assert [row.subject for row in unread_of(result)] == [orders[1]["id"]]


def test_one_bad_activity_costs_its_row_and_no_other(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ACTIVITIES_PAGE", 2)
    listed = [{**FILL, "id": f"20120703{n}"} for n in range(4)]
    listed[1] = {**listed[1], "qty": "many"}

    def answer(request: Request) -> Reply:
        ids = [one["id"] for one in listed]
        begin = ids.index(request.query["page_token"]) + 1 if "page_token" in request.query else 0
        return Reply(200, listed[begin : begin + 2])

    server.on("GET", "/v2/account/activities", answer)
    result = broker.activities(T0)
    assert sorted(one.id for one in result) == ["201207030", "201207032", "201207033"]
    assert {row.subject for row in unread_of(result)} == {"201207031"}


def test_one_bad_corporate_action_costs_its_row_and_tells_only_of_the_days_asked(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    rows = [
        {"symbol": "AAPL", "ex_date": "2012-07-03", "rate": 2.65},
        {"symbol": "IBM", "ex_date": "2012-07-03", "rate": 0.85, "currency": "CAD"},
        {"symbol": "GE", "ex_date": "2012-07-20", "rate": 0.17, "currency": "EUR"},
        {"symbol": "MSFT", "ex_date": None, "rate": 0.2},
    ]
    server.on("GET", "/v1/corporate-actions", Reply(200, {"corporate_actions": {"cash_dividends": rows}}))
    day = date(2012, 7, 3)
    actions = broker.corporate_actions(["AAPL", "GE", "IBM", "MSFT"], day, day)
    assert [one.symbol for one in actions] == ["AAPL"]
    assert {row.symbol for row in unread_of(actions)} == {"IBM", "MSFT"}


def refusing(bad: set[str], *, status: int = 400, named: bool) -> Callable[[Request], Reply]:
    """Snapshots that are refused as a whole for one symbol that the feed does not have."""

    def answer(request: Request) -> Reply:
        asked_for = request.query["symbols"].split(",")
        refused = [symbol for symbol in asked_for if symbol in bad]
        if refused:
            return Reply(status, {"message": f"invalid symbol: {refused[0]}." if named else "bad request"})
        return Reply(200, dict.fromkeys(asked_for, SNAPSHOT))

    return answer


@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("bad", [{"S00"}, {"S17"}, {"S39"}, {"S03", "S04"}, {"S01", "S20", "S38"}])
def test_one_refused_symbol_costs_no_other_its_quote(
    server: ScriptedServer, broker: AlpacaBroker, bad: set[str], named: bool, status: int
) -> None:
    symbols = [f"S{n:02}" for n in range(40)]
    server.on("GET", "/v2/stocks/snapshots", refusing(bad, status=status, named=named))
    result = broker.quotes(symbols)
    assert list(result) == [symbol for symbol in symbols if symbol not in bad]
    assert {row.symbol for row in unread_of(result)} == bad
    assert len(server.requests) <= (1 + 2 * len(bad) if named else adapter.MAX_QUOTE_REQUESTS)


def test_a_list_in_which_every_symbol_is_refused_fails_after_a_bounded_number_of_requests(
    server: ScriptedServer, broker: AlpacaBroker
) -> None:
    symbols = [f"S{n:03}" for n in range(500)]
    server.on("GET", "/v2/stocks/snapshots", refusing(set(symbols), named=False))
    with pytest.raises(Rejected):
        broker.quotes(symbols)
    assert len(server.requests) == adapter.MAX_QUOTE_REQUESTS


def test_a_refused_symbol_is_not_asked_for_again(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/stocks/snapshots", refusing({"CVR"}, named=True))
    for more in (3, 1):
        before = len(server.requests)
        result = broker.quotes(["AAPL", "CVR", "IBM"])
        assert list(result) == ["AAPL", "IBM"]
        assert [row.symbol for row in unread_of(result)] == ["CVR"]
        assert len(server.requests) - before == more


def test_a_quote_that_cannot_be_read_costs_no_other(server: ScriptedServer, broker: AlpacaBroker) -> None:
    bad = {**SNAPSHOT, "latestTrade": {"t": "noon", "p": 1}}
    server.on("GET", "/v2/stocks/snapshots", Reply(200, {"AAPL": bad, "IBM": SNAPSHOT}))
    result = broker.quotes(["AAPL", "IBM"])
    assert list(result) == ["IBM"]
    assert [row.symbol for row in unread_of(result)] == ["AAPL"]


def test_a_proxy_of_the_environment_is_not_used_on_loopback(
    server: ScriptedServer, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.on("GET", "/v2/clock", Reply(200, CLOCK))
    assert broker.clock().is_open
