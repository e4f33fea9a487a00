"""What a person reads where a server gives no answer: who was asked and what happened, with no pool, object,
path or number of retries of the HTTP libraries."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from alpaca_payloads import ACCOUNT
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ProxyError
from scripted_server import Hang, Reply, Reset, ScriptedServer, Step, Trickle

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.alpaca.transport import BoundedAdapter, Timeouts
from trading_assets.broker.plain_session import PlainSession
from trading_assets.broker.port import BrokerError, NewOrder, OutcomeUnknown
from trading_assets.core.words import Side
from trading_assets.dagster_health import DagsterHealth, NoAnswer
from trading_assets.exchange.control_client import ControlClient, ControlRefused
from trading_assets.no_answer import plain_words

NEW = NewOrder("ta-0001", "AAPL", Side.BUY, Decimal("3"), Decimal("594.12"))
QUICK = Timeouts(connect_s=0.5, read_s=0.3, answer_s=0.6)
LIBRARIES = ("Pool(", "Max retries", "Caused by", "Errno", " object at ", "urllib3")


def broker_at(url: str) -> AlpacaBroker:
    return AlpacaBroker(Origins(url, url), "key-id", "secret", timeouts=QUICK)


def words_of(broker: AlpacaBroker) -> str:
    with pytest.raises(BrokerError) as failed:
        broker.account()
    return in_plain_words(str(failed.value))


def in_plain_words(text: str) -> str:
    assert not [word for word in LIBRARIES if word in text], text
    return text


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_nothing_listens_there(nobody: str) -> None:
    with closing(broker_at(nobody)) as broker:
        assert words_of(broker) == f"account: nothing listens at {nobody}"
        with pytest.raises(OutcomeUnknown, match=f"nothing listens at {nobody}$"):
            broker.submit(NEW)


@pytest.mark.parametrize(
    ("step", "happened"),
    [
        (Hang(), "no complete answer of {} in time"),
        (Trickle('"' + "x" * 200, pause_s=0.05), "no complete answer of the server in time"),
        (Reset(), "{} has broken off the connection"),
    ],
    ids=["hangs", "drips", "resets"],
)
def test_it_does_not_come_to_an_end(
    server: ScriptedServer, broker: AlpacaBroker, step: Step, happened: str
) -> None:
    server.on("GET", "/v2/account", step)
    assert words_of(broker) == f"account: {happened.format(server.url)}"


def test_a_body_that_ends_early_is_said_to(server: ScriptedServer, broker: AlpacaBroker) -> None:
    server.on("GET", "/v2/account", Reply(200, ACCOUNT, {"Content-Length": "100000"}))
    words_of(broker)


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with PlainSession() as session:
        session.mount("http://", BoundedAdapter(QUICK))
        session.trust_env = False
        with pytest.raises(RequestsConnectionError) as failed:
            session.get("http://no-such-host.invalid/v2/account")
    assert plain_words(failed.value) == "this machine cannot resolve the name of http://no-such-host.invalid"


@pytest.fixture
def plain_text() -> Iterator[str]:
    """A server that speaks no TLS, at an https address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_no_trusted_connection(plain_text: str) -> None:
    with closing(broker_at(plain_text)) as broker:
        words = words_of(broker)
    assert words.startswith(f"account: no trusted connection to {plain_text}: [SSL")


def test_a_proxy_is_named_as_what_fails_and_its_password_is_not(nobody: str) -> None:
    proxy = {"http": nobody.replace("//", "//me:planted-password@")}
    with PlainSession() as session:
        session.mount("http://", BoundedAdapter(QUICK))
        with pytest.raises(ProxyError) as failed:
            session.get("http://api.example/v2/account", proxies=proxy)
    words = plain_words(failed.value)
    assert words.startswith("the proxy on the way to http://api.example does not let through: ")
    assert "planted-password" not in words


def test_other_servers_of_the_desk_are_told_in_the_same_words(nobody: str) -> None:
    with closing(ControlClient(nobody, "token")) as control, pytest.raises(ControlRefused) as refused:
        control.now_ns()
    assert str(refused.value) == f"the exchange's control plane does not answer: nothing listens at {nobody}"
    with closing(DagsterHealth(nobody)) as health, pytest.raises(NoAnswer) as unanswered:
        health.ask()
    assert in_plain_words(str(unanswered.value)).endswith(f"nothing listens at {nobody}")
