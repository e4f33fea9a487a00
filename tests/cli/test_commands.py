"""What every command shares: help, the status of a wrong line, the configuration in use; and the exchange."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tomllib
from contextlib import suppress
from datetime import date
from pathlib import Path

import duckdb
import pytest
import requests
from support.command import COMMAND, Done, command
from support.receiver import listening
from support.trading_floor import trading_floor

from trading_assets.config import key_pair
from trading_assets.market.sessions import Sessions

COMMANDS = {
    "init", "demo", "up", "exchange", "replay", "tick", "signal", "status", "orders", "positions",
    "kill", "flatten", "rearm", "close-order", "adopt", "adjust", "arm", "disarm", "alert-test",
    "import-bars", "rebuild", "verify", "config",
}  # fmt: skip


@pytest.mark.slow(seconds=3)
def test_the_help_names_every_command_and_the_exit_status() -> None:
    ended = command("--help")
    assert ended.status == 0
    assert "Exit status: 0 done and nothing wrong; 1 it failed or found something wrong" in ended.out
    assert [name for name in COMMANDS if f" {name} " not in ended.out] == []


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    ended = command("--version")
    assert (ended.status, ended.out.strip()) == (0, f"trading-assets {project['version']}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(COMMANDS - {"init", "demo", "up", "config", "arm", "disarm", "alert-test"})
)
def test_every_command_that_prints_data_offers_json_and_a_configuration(name: str) -> None:
    ended = command(name, "--help")
    assert ended.status == 0
    assert "--json" in ended.out
    assert "--config" in ended.out
    assert "TRADING_ASSETS_CONFIG" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        (),
        ("nothing",),
        ("tick", "--nothing"),
        ("kill",),
        ("rearm", "--reason", ""),
        ("verify", "today"),
        ("close-order", "ta-1"),
        ("close-order", "--reason", "x"),
        ("close-order", "ta-1", "--reason", " "),
    ],
)
def test_a_wrong_line_ends_with_2_and_says_why(line: tuple[str, ...]) -> None:
    ended = command(*line)
    assert ended.status == 2
    assert "Usage" in ended.err + ended.out


def test_the_option_goes_before_the_environment_and_that_before_the_project_s_file(tmp_path: Path) -> None:
    for name, minutes in (("option", 7), ("environment", 8), ("execution", 9)):
        path = tmp_path / "config" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"tick_minutes: {minutes}\n")

    def minutes_of(*arguments: object, config: Path | None = None) -> int:
        ended = command("config", "check", "--json", *arguments, config=config, cwd=tmp_path)
        return int(ended.json["settings"]["tick_minutes"])

    environment = tmp_path / "config" / "environment.yaml"
    assert minutes_of("--config", tmp_path / "config" / "option.yaml", config=environment) == 7
    assert minutes_of(config=environment) == 8
    assert minutes_of() == 9


@pytest.mark.slow
def test_a_replay_of_signals_leaves_its_figures_its_file_and_its_page(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    signals = tmp_path / "signals.csv"
    signals.write_text("symbol,value,session\nAAPL,0.9,2012-09-11\nAAPL,-0.9,2012-09-13\n")
    span = ("--from", "2012-09-10", "--to", "2012-09-14")
    ended = command("replay", *span, "--signals", signals, "--json", config=config)
    assert ended.status == 0, ended.err
    result = ended.json
    assert result["sessions"] == 5
    assert result["verdict_codes"] == {"PASS": 2}
    assert result["failing_sessions"] == {"limits": [], "losses": [], "drift": []}
    assert all(Path(result[kind]).exists() for kind in ("history", "page"))
    message = command("replay", *span, config=config).failed_with_one_message()
    assert "neither --signals nor a model" in message
    message = command(
        "replay", *span, "--signals", signals, "--limit", "max_position=1", config=config
    ).failed_with_one_message()
    assert "there is no such limit" in message
    assert command("replay", *span, "--signals", signals, "--limit", "x", config=config).status == 2


@pytest.mark.slow
def test_what_takes_long_says_on_a_terminal_how_far_it_is(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    signals = tmp_path / "signals.csv"
    signals.write_text("symbol,value,session\nAAPL,0.9,2012-09-11\n")
    terminal, inside = os.openpty()
    arguments = ("--from", "2012-09-10", "--to", "2012-09-14", "--signals", str(signals))
    process = subprocess.Popen(
        [*COMMAND, "replay", *arguments],
        env=os.environ | {"TRADING_ASSETS_CONFIG": str(config), "TERM": "xterm", "COLUMNS": "200"},
        stdout=subprocess.DEVNULL,
        stderr=inside,
    )
    os.close(inside)
    shown = b""
    with suppress(OSError):  # Linux's way to say that nobody has the terminal any more
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert process.wait(60) == 0, shown
    drawn = r"replay 2012-09-10 to 2012-09-14 .*━.* 5 of 5 sessions, [\d,]+ rows/s, 0 s left"
    assert re.search(drawn, shown.decode()), shown


@pytest.mark.slow
def test_what_takes_long_says_it_in_lines_where_no_terminal_is(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    signals = tmp_path / "signals.csv"
    signals.write_text("symbol,value,session\nAAPL,0.9,2012-09-11\n")
    ended = command(
        "replay", "--from", "2012-06-01", "--to", "2012-09-14", "--signals", signals, "--json", config=config
    )
    assert ended.json["sessions"] == 74
    line = r"^replay 2012-06-01 to 2012-09-14: (\d+) of 74 sessions, .* rows/s, .* s left$"
    matches = re.findall(line, ended.err, re.M)
    assert 2 <= len(matches) <= 10
    assert matches[-1] == "74"


@pytest.mark.slow
def test_a_replay_s_fills_costs_and_continuation_are_what_the_command_line_says(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    signals = tmp_path / "signals.csv"
    signals.write_text("symbol,value,session\nAAPL,0.9,2012-09-11\nAAPL,-0.9,2012-09-13\n")
    given = ("--signals", signals, "--json", "--name")

    def replay(first: str, last: str, *options: object) -> Done:
        return command("replay", "--from", first, "--to", last, *given, *options, config=config)

    free = replay("2012-09-10", "2012-09-14", "free").json["closing_equity"]
    costs = ("--usd-per-share", "0.5", "--cost-bps", "10")
    dear = replay("2012-09-10", "2012-09-14", "dear", *costs).json["closing_equity"]
    shares, notional = _filled(tmp_path / "var" / "replays" / "dear.duckdb")
    assert shares > 0
    assert free - dear == pytest.approx(0.5 * shares + 10e-4 * notional, abs=0.01)

    assert replay("2012-09-10", "2012-09-12", "parts", *costs).status == 0
    message = replay("2012-09-14", "2012-09-14", "parts", *costs, "--continues").failed_with_one_message()
    assert "it ended on 2012-09-12, not on 2012-09-13" in message
    whole = replay("2012-09-13", "2012-09-14", "parts", *costs, "--continues").json
    assert (whole["sessions"], whole["closing_equity"]) == (5, dear)

    message = replay("2012-09-10", "2012-09-14", "x", "--fill-mode", "next_open").failed_with_one_message()
    assert "'next_open' on daily ticks" in message
    minutes = ("--interval", "30", "--fill-mode", "next_open")
    assert replay("2012-09-11", "2012-09-11", "next", *minutes).json["verdict_codes"] == {"PASS": 1}


def _filled(history: Path) -> tuple[float, float]:
    """Shares and USD that traded."""
    with duckdb.connect(str(history), read_only=True) as connection:
        fills = connection.execute("SELECT sum(qty), sum(qty * price) FROM fills").fetchone()
    assert fills is not None
    return fills[0], fills[1]


@pytest.mark.slow
def test_a_test_alert_goes_to_every_address_and_a_deaf_one_is_found() -> None:
    message = command("alert-test").failed_with_one_message()
    assert "TRADING_ASSETS_ALERT_URLS" in message
    with listening() as receiver:
        addresses = {"TRADING_ASSETS_ALERT_URLS": receiver.url}
        taken = command("alert-test", "--json", environ=addresses)
        assert taken.status == 0, taken.err
        assert list(taken.json.values()) == [True]
        assert receiver.titles() == ["trading_assets: test alert"]
        receiver.status = 503
        deaf = command("alert-test", "--json", environ=addresses)
    assert deaf.status == 1
    assert list(deaf.json.values()) == [False]


@pytest.mark.slow
def test_a_paper_book_is_disarmed_and_armed_again_with_a_reason(tmp_path: Path) -> None:
    with trading_floor(tmp_path, date(2012, 9, 11)) as floor:
        assert "is not armed" in command("disarm", config=floor.config_path).out
        assert command("arm", "--reason", " ", config=floor.config_path).status == 2
        assert "trading is disarmed" in command("status", config=floor.config_path).out
        armed = command("arm", "--reason", "looked at", config=floor.config_path)
        assert "is armed until a person disarms it" in armed.out


def test_up_outside_of_a_project_and_on_a_busy_port_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    message = command("up", config=config, cwd=tmp_path).failed_with_one_message()
    assert "no workspace.yaml here" in message
    (tmp_path / "workspace.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        message = command("up", "--port", port, config=config, cwd=tmp_path).failed_with_one_message()
    assert f"port {port} is in use" in message


@pytest.mark.slow
def test_the_exchange_alone_serves_alpaca_s_api_as_configured_until_it_is_interrupted(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\nquote_spread_bps: 40\n")
    line = [*COMMAND, "exchange", "--json", "--port", "0", "--control-port", "0", "--cash", "5000"]
    environ = os.environ | {
        "TRADING_ASSETS_CONFIG": str(config),
        "TRADING_ASSETS_EXCHANGE_TOKEN": "a-tests-token",
    }
    process = subprocess.Popen(
        [*line, "--start", "2012-11-23"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        urls = json.loads(text)
        pair = key_pair(tmp_path / "var" / "exchange")
        keys = {"APCA-API-KEY-ID": pair.key_id, "APCA-API-SECRET-KEY": pair.secret}
        account = requests.get(f"{urls['url']}/v2/account", headers=keys, timeout=10).json()
        assert float(account["equity"]) == 5000.0
        snapshots = f"{urls['url']}/v2/stocks/snapshots?symbols=AAPL"
        quote = requests.get(snapshots, headers=keys, timeout=10).json()["AAPL"]["latestQuote"]
        assert (quote["ap"] - quote["bp"]) / (quote["ap"] + quote["bp"]) * 2e4 == pytest.approx(40, abs=0.5)
        clock = requests.get(
            f"{urls['control_url']}/clock", headers={"Authorization": "Bearer a-tests-token"}, timeout=10
        ).json()
        assert clock["now_ns"] == Sessions().open_ns(date(2012, 11, 23))
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, (out, err)
    assert "Traceback" not in err
