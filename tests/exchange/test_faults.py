"""The world's failings on request: each kind, at the call it was scripted for, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from time import monotonic, sleep
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from exchange_ground import MINUTE_NS
from served import Served, keeping

from trading_assets.exchange.control_client import ControlRefused
from trading_assets.exchange.process import ExchangeProcess
from trading_assets.exchange.times import utc_text

ORDER = {"symbol": "IBM", "side": "buy", "qty": "1", "type": "limit", "time_in_force": "day"}
RESTING = ORDER | {"limit_price": "1"}


@pytest.fixture
def served(exchange: ExchangeProcess) -> Iterator[Served]:
    with keeping(exchange) as served:
        yield served


def fails(served: Served, kind: str, **members: Any) -> None:
    served.keeper.script([{"kind": kind, **members}])


def resting(served: Served, symbol: str = "IBM") -> str:
    answer = served.call("POST", "/v2/orders", json=RESTING | {"symbol": symbol})
    assert answer.ok, answer.text
    return str(answer.json()["id"])


def reserved(served: Served) -> Decimal:
    """What open buys keep of the account's cash, USD."""
    account = served.get("/v2/account")
    return Decimal(account["cash"]) - Decimal(account["buying_power"])


def status(served: Served, order_id: str) -> str:
    return str(served.get(f"/v2/orders/{order_id}")["status"])


def orders(served: Served) -> list[dict[str, Any]]:
    result = served.get("/v2/orders", status="all")
    assert isinstance(result, list)
    return result


# The script


def test_a_fault_fires_at_its_nth_matching_call_and_so_many_times(served: Served) -> None:
    fails(served, "server_error", method="GET", path="/v2/(clock|account)", nth=2, times=2)
    codes = [
        served.call("GET", path).status_code
        for path in ("/v2/clock", "/v2/orders", "/v2/account", "/v2/clock", "/v2/account")
    ]
    assert codes == [200, 200, 500, 500, 200]
    assert served.call("POST", "/v2/clock").status_code == 405
    (line,) = served.keeper.faults()
    assert (line["kind"], line["nth"], line["calls_seen"], line["fired"]) == ("server_error", 2, 4, 2)


def test_times_null_is_for_ever_until_the_script_is_cleared(served: Served) -> None:
    fails(served, "rate_limited", times=None)
    assert {served.call("GET", "/v2/clock").status_code for _ in range(5)} == {429}
    served.keeper.script([])
    assert served.call("GET", "/v2/clock").status_code == 200
    assert served.keeper.faults() == []


def test_a_new_script_counts_anew(served: Served) -> None:
    for _ in range(2):
        fails(served, "server_error", nth=2)
        assert [served.call("GET", "/v2/clock").status_code for _ in range(3)] == [200, 500, 200]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({}, "unknown kind of fault None; one of delay, drop"),
        ({"kind": "storm"}, "unknown kind of fault 'storm'"),
        ({"kind": "delay"}, "delay needs seconds"),
        ({"kind": "drop", "seconds": 1}, "drop has no seconds"),
        ({"kind": "drop", "nth": 0}, "nth is not a whole number"),
        ({"kind": "drop", "times": 1.5}, "times is not a whole number"),
        ({"kind": "drop", "path": "("}, "not a regular expression"),
        ({"kind": "delay", "seconds": -1}, "seconds is not a number"),
        ({"kind": "zero_sided_quote", "symbol": "IBM", "side": "left"}, "neither bid nor ask"),
        ({"kind": "position_lag", "reads": 1, "path": "/v2/positions"}, "position_lag has no path"),
        ({"kind": "order_ended"}, "order_ended needs status"),
        ({"kind": "split_booked"}, "split_booked needs symbol"),
        ({"kind": "split_booked", "symbol": "IBM", "in_lieu": 1}, "in_lieu is neither true nor false"),
        (
            {"kind": "order_ended", "status": "filled"},
            "status 'filled' is none of rejected, expired, canceled",
        ),
    ],
)
def test_a_line_that_is_no_fault_is_refused_and_the_script_stays(
    served: Served, line: dict[str, Any], says: str
) -> None:
    fails(served, "drop", nth=1000)
    with pytest.raises(ControlRefused) as caught:
        served.keeper.script([{"kind": "html_502"}, line])
    assert says in str(caught.value)
    assert [line["kind"] for line in served.keeper.faults()] == ["drop"]


def test_faults_are_no_part_of_the_journal_and_the_control_plane_has_none(served: Served) -> None:
    before = served.keeper.journal()
    fails(served, "server_error", times=None)
    assert served.call("GET", "/v2/clock").status_code == 500
    assert served.keeper.journal() == before


def test_an_unauthorised_request_is_no_call(served: Served) -> None:
    fails(served, "server_error")
    assert requests.get(served.process.url + "/v2/clock", timeout=10).status_code == 401
    assert served.call("GET", "/v2/clock").status_code == 500


# Failings of requests


def test_a_dropped_request_has_done_nothing(served: Served) -> None:
    fails(served, "drop", method="POST", path="/v2/orders")
    with pytest.raises(requests.ConnectionError):
        served.call("POST", "/v2/orders", json=RESTING)
    assert orders(served) == []


def test_a_reset_comes_after_the_order_was_taken(served: Served) -> None:
    fails(served, "reset_after_commit", method="POST")
    with pytest.raises(requests.ConnectionError, match=r"reset by peer|ConnectionReset"):
        served.call("POST", "/v2/orders", json=RESTING)
    assert [order["status"] for order in orders(served)] == ["new"]


def test_a_hanging_request_has_taken_the_order_and_hinders_no_other(served: Served) -> None:
    fails(served, "hang_after_commit", method="POST", seconds=30)
    began = monotonic()
    with pytest.raises(requests.ReadTimeout):
        served.call("POST", "/v2/orders", json=RESTING, timeout=0.3)
    assert [order["status"] for order in orders(served)] == ["new"]
    fails(served, "hang_after_commit", method="POST", seconds=0.2)
    with pytest.raises(requests.ConnectionError):
        served.call("POST", "/v2/orders", json=RESTING)
    assert len(orders(served)) == 2
    assert monotonic() - began < 10


def test_a_delayed_order_is_taken_late_also_when_its_client_is_gone(served: Served) -> None:
    fails(served, "delay", method="POST", seconds=0.6)
    with pytest.raises(requests.ReadTimeout):
        served.call("POST", "/v2/orders", json=RESTING, timeout=0.2)
    assert orders(served) == []
    deadline = monotonic() + 10
    while not orders(served):
        assert monotonic() < deadline
        sleep(0.1)
    assert [order["status"] for order in orders(served)] == ["new"]


@pytest.mark.parametrize(
    ("kind", "code", "is_json", "taken"),
    [
        ("gateway_timeout_after_commit", 504, True, 1),
        ("html_502", 502, False, 0),
        ("html_502_after_commit", 502, False, 1),
        ("rate_limited", 429, True, 0),
        ("server_error", 500, True, 0),
    ],
)
def test_a_failed_answer_says_nothing_of_whether_the_order_was_taken(
    served: Served, kind: str, code: int, is_json: bool, taken: int
) -> None:
    fails(served, kind, method="POST")
    with pytest.raises(APIError) as caught:
        served.order(price=1.0)
    answer = served.keeper.faults()[0]
    assert (caught.value.status_code, answer["fired"]) == (code, 1)
    if is_json:
        assert caught.value.code // 100_000 == code
    else:
        with pytest.raises(ValueError, match="Expecting value"):
            _ = caught.value.code
    assert len(orders(served)) == taken


def test_every_failed_answer_has_the_headers_of_the_others(served: Served) -> None:
    fails(served, "rate_limited")
    refused = served.call("GET", "/v2/clock")
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
    fails(served, "html_502")
    failed = served.call("GET", "/v2/clock")
    assert failed.headers["Content-Type"].startswith("text/html")
    for name in ("X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert name in failed.headers


def test_a_truncated_answer_is_no_json_and_the_order_is_there(served: Served) -> None:
    fails(served, "truncated_json", method="POST")
    answer = served.call("POST", "/v2/orders", json=RESTING)
    assert (answer.status_code, answer.text[0]) == (200, "{")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert len(orders(served)) == 1


def test_an_unknown_word_and_a_missing_field_stand_in_every_element(served: Served) -> None:
    for symbol in ("IBM", "AAPL"):
        resting(served, symbol)
    fails(served, "unknown_enum", field="status", path="/v2/orders")
    assert {order["status"] for order in orders(served)} == {"never_seen_before"}
    fails(served, "missing_field", field="filled_qty", path="/v2/orders")
    spoiled, whole = orders(served), orders(served)
    assert [set(whole[row]) - set(spoiled[row]) for row in range(2)] == [{"filled_qty"}] * 2
    fails(served, "missing_field", field="status")
    assert "status" not in served.get(f"/v2/orders/{whole[0]['id']}")


def test_alpaca_py_loses_a_whole_list_to_one_unknown_word(served: Served) -> None:
    resting(served)
    fails(served, "unknown_enum", field="status", method="GET")
    with pytest.raises(ValueError, match="never_seen_before"):
        served.client().get_orders()
    assert len(served.client().get_orders()) == 1


def test_two_faults_of_one_request_both_happen(served: Served) -> None:
    served.keeper.script(
        [{"kind": "delay", "seconds": 0.2}, {"kind": "html_502"}, {"kind": "delay", "seconds": 0.2}]
    )
    began = monotonic()
    assert served.call("GET", "/v2/clock").status_code == 502
    assert monotonic() - began >= 0.4


# Market data


@pytest.mark.parametrize(
    ("side", "zeros", "kept"), [("bid", ("bp", "bs"), "ap"), ("ask", ("ap", "as"), "bp")]
)
def test_a_zero_sided_quote_is_the_named_symbols_alone(
    served: Served, side: str, zeros: tuple[str, str], kept: str
) -> None:
    fails(served, "zero_sided_quote", symbol="IBM", side=side, times=None)
    many = served.get("/v2/stocks/quotes/latest", symbols="IBM,AAPL")["quotes"]
    shapes = [
        many["IBM"],
        served.get("/v2/stocks/IBM/quotes/latest")["quote"],
        served.get("/v2/stocks/snapshots", symbols="IBM,AAPL")["IBM"]["latestQuote"],
        served.get("/v2/stocks/IBM/snapshot")["latestQuote"],
    ]
    for quote in shapes:
        assert [quote[name] for name in zeros] == [0, 0]
        assert quote[kept] > 0
    assert many["AAPL"]["bp"] > 0 < many["AAPL"]["ap"]
    assert served.get("/v2/stocks/AAPL/quotes/latest")["quote"]["bp"] > 0


def test_a_missing_bar_is_the_symbols_last_of_an_answer_and_comes_later(served: Served) -> None:
    query = {"symbols": "IBM,AAPL", "timeframe": "1Min"}
    whole = served.get("/v2/stocks/bars", **query)["bars"]
    fails(served, "missing_bar", symbol="IBM", times=3)
    without = served.get("/v2/stocks/bars", **query)["bars"]
    assert (without["IBM"], without["AAPL"]) == (whole["IBM"][:-1], whole["AAPL"])
    newest_first = served.get("/v2/stocks/IBM/bars", timeframe="1Min", sort="desc")["bars"]
    assert newest_first == whole["IBM"][-2::-1]
    latest = served.get("/v2/stocks/bars/latest", symbols="IBM,AAPL")["bars"]
    assert set(latest) == {"AAPL"}
    assert served.get("/v2/stocks/bars", **query)["bars"] == whole


# Cancels


def test_a_stuck_cancel_is_pending_for_so_many_calls_and_then_done(served: Served) -> None:
    order_id = resting(served)
    fails(served, "stuck_pending_cancel", calls=3)
    assert served.call("DELETE", f"/v2/orders/{order_id}").status_code == 204
    assert status(served, order_id) == "pending_cancel"
    assert [order["status"] for order in served.get("/v2/orders")] == ["pending_cancel"]
    again = served.call("DELETE", f"/v2/orders/{order_id}")
    assert (again.status_code, again.json()["code"]) == (422, 42210000)
    assert status(served, order_id) == "canceled"


def test_a_stuck_cancel_may_still_fill(served: Served) -> None:
    order_id = resting(served)
    fails(served, "stuck_pending_cancel")
    served.call("DELETE", f"/v2/orders/{order_id}")
    served.keeper.quote("IBM", 0.5, 0.9)
    assert status(served, order_id) == "filled"
    served.keeper.tape_quote("IBM")
    served.keeper.script([])
    assert status(served, order_id) == "filled"


def test_a_stuck_cancel_is_done_at_its_time_within_a_longer_move_of_the_clock(served: Served) -> None:
    order_id = resting(served)
    fails(served, "stuck_pending_cancel", seconds=90)
    served.call("DELETE", f"/v2/orders/{order_id}")
    at_ns = served.keeper.now_ns()
    served.keeper.move_to(at_ns + MINUTE_NS)
    assert status(served, order_id) == "pending_cancel"
    served.keeper.move_to(at_ns + 10 * MINUTE_NS)
    order = served.get(f"/v2/orders/{order_id}")
    assert (order["status"], order["canceled_at"]) == ("canceled", utc_text(at_ns + 90 * 10**9))


def test_clearing_the_script_carries_stuck_cancels_out(served: Served) -> None:
    order_id = resting(served)
    fails(served, "stuck_pending_cancel")
    served.call("DELETE", f"/v2/orders/{order_id}")
    served.keeper.script([])
    assert status(served, order_id) == "canceled"


def test_an_ignored_cancel_leaves_the_order_as_it_was(served: Served) -> None:
    order_id = resting(served)
    fails(served, "ignored_cancel", method="DELETE", path="/v2/orders/.+")
    assert served.call("DELETE", f"/v2/orders/{order_id}").status_code == 204
    assert status(served, order_id) == "new"
    assert served.call("DELETE", f"/v2/orders/{order_id}").status_code == 204
    assert status(served, order_id) == "canceled"


def test_cancelling_all_spares_the_symbol_of_the_fault(served: Served) -> None:
    kept, other = resting(served, "IBM"), resting(served, "AAPL")
    fails(served, "ignored_cancel", symbol="IBM")
    answer = served.call("DELETE", "/v2/orders")
    assert (answer.status_code, {row["id"] for row in answer.json()}) == (207, {kept, other})
    assert (status(served, kept), status(served, other)) == ("new", "canceled")


def test_cancelling_what_is_not_open_is_refused_as_ever(served: Served) -> None:
    filled = str(served.order().id)
    fails(served, "ignored_cancel", times=None)
    assert served.call("DELETE", f"/v2/orders/{filled}").status_code == 422
    assert served.call("DELETE", f"/v2/orders/{filled[::-1]}").status_code == 404


# Positions and activities


def test_positions_lag_behind_the_fill_for_so_many_reads(served: Served) -> None:
    served.order(qty=2)
    fails(served, "position_lag", reads=3)
    assert [p["qty"] for p in served.get("/v2/positions")] == ["2"]  # no fill yet, so nothing lags
    served.order(qty=3)
    assert [p["qty"] for p in served.get("/v2/positions")] == ["2"]
    assert served.get("/v2/positions/IBM")["qty"] == "2"
    assert [p.qty for p in served.client().get_all_positions()] == ["2"]
    assert [p["qty"] for p in served.get("/v2/positions")] == ["5"]


def test_a_lagging_position_that_is_new_is_not_there_yet(served: Served) -> None:
    fails(served, "position_lag", reads=2)
    served.order()
    assert served.get("/v2/positions") == []
    assert served.call("GET", "/v2/positions/IBM").status_code == 404
    assert served.get("/v2/positions/IBM")["qty"] == "1"


def test_a_fills_activity_is_missing_for_so_many_reads(served: Served) -> None:
    first = str(served.order(qty=1).id)
    fails(served, "missing_fill_activity", nth=2, reads=2)
    second, third = (str(served.order(qty=qty).id) for qty in (2, 3))
    seen = [
        [row["order_id"] for row in served.get("/v2/account/activities/FILL", direction="asc")]
        for _ in range(3)
    ]
    assert seen == [[first, second], [first, second], [first, second, third]]


# What the broker and the account's owner do by themselves


@pytest.mark.parametrize("word", ["rejected", "expired", "canceled"])
def test_the_broker_ends_an_order_before_a_request_that_had_nothing_to_do_with_it(
    served: Served, word: str
) -> None:
    ended, other = resting(served, "IBM"), resting(served, "MSFT")
    fails(served, "order_ended", status=word, symbol="IBM", path="/v2/clock")
    served.get("/v2/clock")
    assert (status(served, ended), status(served, other)) == (word, "new")
    assert reserved(served) > 0
    fails(served, "order_ended", status=word, path="/v2/clock")
    served.get("/v2/clock")
    assert status(served, other) == word
    assert reserved(served) == 0


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v2/orders", {"symbol": "", "side": "", "order_class": "mleg"}),
        ("/v2/positions", {"asset_class": "us_option"}),
        ("/v2/account/activities", {"activity_type": "ZZNEW"}),
    ],
)
def test_a_list_has_a_row_more_that_no_equity_desk_made(
    served: Served, path: str, shown: dict[str, str]
) -> None:
    before = served.get(path)
    fails(served, "strange_row")
    *rows, strange = served.get(path)
    assert rows == before
    assert shown.items() <= strange.items()
    assert served.get(path) == before


def test_corporate_actions_hold_a_dividend_in_another_currency(served: Served) -> None:
    fails(served, "strange_row")
    result = served.get("/v1/corporate-actions?symbols=IBM&start=2012-08-01&end=2012-08-02")
    assert result["corporate_actions"]["cash_dividends"][-1]["currency"] == "CAD"
