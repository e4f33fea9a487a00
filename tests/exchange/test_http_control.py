"""The control plane over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from exchange_ground import KEYS, TOKEN, control, get

from trading_assets.exchange.process import ExchangeProcess

pytestmark = pytest.mark.exchange


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
    assert get(exchange, "/v2/assets/IBM").json()["halted"] is True
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


def test_requests_are_counted_by_client_and_a_stranger_leaves_no_name(exchange: ExchangeProcess) -> None:
    url, ours, theirs = (
        exchange.url + "/v2/clock",
        {"User-Agent": "one of ours"},
        {"User-Agent": "y" * 60_000},
    )
    for headers in (KEYS | ours, KEYS | ours, theirs, KEYS | theirs | {"APCA-API-SECRET-KEY": "guessed"}):
        requests.get(url, headers=headers, timeout=10)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    counted = requests.get(exchange.control_url + "/clients", headers=bearer, timeout=10).json()["clients"]
    assert counted["one of ours"] == 2
    assert not [name for name in counted if name.startswith("yy")]
