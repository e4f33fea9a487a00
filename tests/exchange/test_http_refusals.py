"""Requests that are refused, whatever they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from alpaca.common.exceptions import APIError
from exchange_ground import KEYS, MINUTE_NS, OPEN_NS, TOKEN, control, get, trading

from trading_assets.exchange.process import ExchangeProcess, start_process

pytestmark = pytest.mark.exchange


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


def test_beyond_the_rate_limit_all_is_429_until_a_minute_has_passed(tmp_path: Path) -> None:
    with start_process(
        public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=OPEN_NS, requests_per_minute=3
    ) as exchange:
        remaining = [get(exchange, "/v2/clock").headers["X-RateLimit-Remaining"] for _ in range(3)]
        assert remaining == ["2", "1", "0"]
        raw = requests.post(exchange.url + "/v2/orders", data=b"not an order", headers=KEYS, timeout=10)
        assert (raw.status_code, raw.json()["code"]) == (429, 42910000)
        assert int(raw.headers["X-RateLimit-Reset"]) <= OPEN_NS // 10**9 + 60
        assert get(exchange, "/v2/stocks/quotes/latest", symbols="IBM").status_code == 200
        assert requests.get(exchange.url + "/v2/clock", timeout=10).status_code == 401
        control(exchange, "/clock", step_ns=MINUTE_NS)
        assert get(exchange, "/v2/clock").status_code == 200


def test_an_account_that_replaces_another_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with start_process(
        public_keys=True, state_dir=tmp_path, token=TOKEN, start_ns=OPEN_NS, requests_per_minute=2
    ) as exchange:
        assert [get(exchange, "/v2/clock").status_code for _ in range(3)] == [200, 200, 429]
        control(exchange, "/account/reset", cash="100000")
        assert [get(exchange, "/v2/clock").status_code for _ in range(3)] == [200, 200, 429]
