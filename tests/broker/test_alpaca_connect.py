"""Connecting: the right host with the right keys, and no order to an account that nobody pinned."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca_payloads import ACCOUNT, ORDER
from scripted_server import Reply, ScriptedServer

from trading_assets import redaction
from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins, origins
from trading_assets.broker.connection import connect
from trading_assets.broker.port import NewOrder, WriteRefused
from trading_assets.config import Settings
from trading_assets.config.settings import EmbeddedSettings
from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput

NEW = NewOrder("ta-0001", "AAPL", Side.BUY, Decimal("3"), Decimal("594.12"))
REAL = {"APCA_API_KEY_ID": "PKREAL", "APCA_API_SECRET_KEY": "real-secret"}
PAPER, LIVE, DATA = (
    "https://paper-api.alpaca.markets",
    "https://api.alpaca.markets",
    "https://data.alpaca.markets",
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files of a desk go to the test's own directory, and its keys are forgotten."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    yield
    redaction.forget()


def embedded(server: ScriptedServer, account_number: str | None = None) -> Settings:
    return Settings(embedded=EmbeddedSettings(url=server.url), account_number=account_number)


def test_venue_and_mode_name_the_hosts() -> None:
    assert origins(Settings(venue="alpaca")) == Origins(PAPER, DATA)
    assert origins(Settings(venue="alpaca", mode="live", account_number="1")) == Origins(LIVE, DATA)
    assert origins(Settings()) == Origins("http://127.0.0.1:8765", "http://127.0.0.1:8765")


def test_the_embedded_exchange_gets_the_public_keys_and_never_the_real_ones(server: ScriptedServer) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT))
    connected = connect(embedded(server), REAL)
    connected.account()
    connected.close()
    headers = server.requests[0].headers
    assert (headers["APCA-API-KEY-ID"], headers["APCA-API-SECRET-KEY"]) == ("EMBEDDED-PAPER", "loopback-only")
    assert "real" not in str(server.requests)


def test_alpaca_without_keys_is_refused_by_the_names_of_the_variables() -> None:
    with pytest.raises(InvalidInput, match="APCA_API_KEY_ID and APCA_API_SECRET_KEY not set"):
        connect(Settings(venue="alpaca"), {})


def test_the_real_keys_are_hidden_from_the_log_once_they_are_used() -> None:
    connect(Settings(venue="alpaca"), REAL).close()
    assert redaction.clean("PKREAL and real-secret") == "[redacted] and [redacted]"


def test_an_unpinned_account_needs_no_request_to_connect(server: ScriptedServer) -> None:
    connect(embedded(server), {}).close()
    assert server.requests == []


def test_the_pinned_account_may_trade(server: ScriptedServer) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT))
    server.on("POST", "/v2/orders", Reply(200, ORDER))
    connected = connect(embedded(server, "PA0001"), {})
    assert connected.submit(NEW).client_order_id == "ta-0001"
    connected.close()


def test_another_account_than_the_pinned_one_is_refused(server: ScriptedServer) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT))
    with pytest.raises(InvalidInput, match="open account PA0001, not the pinned PA0002"):
        connect(embedded(server, "PA0002"), {})


def test_while_the_pinned_account_cannot_be_confirmed_nothing_is_sent(server: ScriptedServer) -> None:
    server.on("GET", "/v2/account", Reply(502, ""), Reply(200, ACCOUNT))
    server.on("POST", "/v2/orders", Reply(200, ORDER))
    connected = connect(embedded(server, "PA0001"), {})
    with pytest.raises(WriteRefused, match="not been confirmed"):
        connected.submit(NEW)
    with pytest.raises(WriteRefused, match="not been confirmed"):
        connected.cancel("o1")
    assert server.sent("POST", "/v2/orders") == []
    connected.account()
    connected.submit(NEW)
    assert len(server.sent("POST", "/v2/orders")) == 1
    connected.close()


def test_keys_that_have_opened_the_pinned_account_send_orders_while_it_cannot_be_read(
    server: ScriptedServer,
) -> None:
    down, settings = Reply(502, ""), embedded(server, "PA0001")
    server.on("GET", "/v2/account", Reply(200, ACCOUNT), down, down, Reply(401, {"message": "unauthorized."}))
    server.on("POST", "/v2/orders", Reply(200, ORDER))
    connect(settings, {}).close()
    again = connect(settings, {})
    again.submit(NEW)
    assert len(server.sent("POST", "/v2/orders")) == 1
    again.close()
    (kept,) = Path(settings.data_dir).glob("account_opened-*")
    assert kept.stat().st_mode & 0o077 == 0
    assert "PA0001" not in kept.read_text()
    for other in (settings.model_copy(update={"account_number": "PA0002"}), settings):  # down, then refused
        refused = connect(other, {})
        with pytest.raises(WriteRefused):
            refused.submit(NEW)
        refused.close()


def test_an_account_that_changes_under_the_connection_stops_its_orders(server: ScriptedServer) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT), Reply(200, {**ACCOUNT, "account_number": "PA9"}))
    connected = connect(embedded(server, "PA0001"), {})
    with pytest.raises(InvalidInput, match="PA9"):
        connected.account()
    with pytest.raises(WriteRefused):
        connected.submit(NEW)
    connected.close()


def test_connecting_live_with_the_keys_of_another_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def another(_client: object, path: str, *_: object) -> dict[str, object]:
        requests.append(path)
        return ACCOUNT

    monkeypatch.setattr("alpaca.common.rest.RESTClient.get", another)
    settings = Settings(mode="live", venue="alpaca", account_number="123456789")
    with pytest.raises(InvalidInput, match="not the pinned 123456789"):
        connect(settings, REAL)
    assert requests == ["/account"]


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        (PAPER, "live"),
        ("http://127.0.0.1:8765", "live"),
        (LIVE, "paper"),
        ("https://api.alpaca.markets.example.com", "live"),
        ("https://paper-api.alpaca.markets@example.com", "paper"),
    ],
)
def test_a_trading_host_that_does_not_fit_the_mode_is_refused(url: str, mode: str) -> None:
    with pytest.raises(InvalidInput, match=f"{mode} orders do not go to"):
        AlpacaBroker(Origins(url, DATA), "key-id", "secret", mode=mode, account_number="1")  # type: ignore[arg-type] # parametrised


def test_live_without_a_pinned_account_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be pinned"):
        AlpacaBroker(Origins(LIVE, DATA), "key-id", "secret", mode="live")
