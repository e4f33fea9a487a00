"""`python -m trading_assets.web`: what it is given, and what it says where it cannot begin."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from interface import ROOT

from trading_assets.web import __main__ as web
from trading_assets.web.link import link_of, made_link


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The process's umask and directory, which the command sets or starts from."""
    before = os.umask(0o077)
    os.umask(before)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    yield
    os.umask(before)


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["web", *arguments])
    with pytest.raises(SystemExit) as ended:
        web.main()
    return ended.value.code


@pytest.mark.parametrize(("home", "why"), [("", "it is not set"), ("/none/such", "no directory /none/such")])
def test_without_an_instance_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, home: str, why: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    message = str(refusal(monkeypatch))
    assert why in message
    assert "Set it to the instance's directory" in message


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--port", "0"], "expected 1 to 65535, got '0'"),
        (["--port", "web"], "expected 1 to 65535, got 'web'"),
        (["--origin", "desk.example.org"], "expected an origin such as https://desk.example.org"),
        (["--origin", "https://desk.example.org/path"], "expected an origin"),
        (["--origin", "null"], "expected an origin"),
        (["--workspace", "none.yaml"], "there is no none.yaml here; run it from the project's root"),
        (["--host", "0.0.0.0"], "unrecognized arguments"),
    ],
)
def test_what_it_cannot_use_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert refusal(monkeypatch, *arguments) == 2
    assert why in capsys.readouterr().err


def test_outside_the_project_it_says_where_to_run_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(monkeypatch) == 2
    assert "run it from the project's root" in capsys.readouterr().err


def test_a_port_of_somebody_else_gets_no_link_and_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who clicked it would hand the token to whoever listens there."""
    kept = made_link(tmp_path, 3000)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} is in use" in str(refusal(monkeypatch, "--port", str(port)))
    assert link_of(tmp_path) == kept
    assert "token" not in capsys.readouterr().out
