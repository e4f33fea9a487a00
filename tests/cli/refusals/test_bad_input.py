"""What cannot be used is refused with one clear message, and nothing else is lost or half-written."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from refused import IMPORT, SESSION, bar_file, bought, data_dir, orders_at_broker
from support.command import Done, command
from support.trading_floor import TradingFloor

from trading_assets.market.sessions import Sessions
from trading_assets.model import registry
from trading_assets.model.training import Parameters, train
from trading_assets.model.training_set import Dropped, TrainingSet

pytestmark = pytest.mark.slow


TOKEN = {"TRADING_ASSETS_EXCHANGE_TOKEN": "a-tests-token"}


def varied(floor: TradingFloor, name: str, **settings: object) -> Path:
    """The floor's configuration with some settings changed."""
    path = floor.config_path.with_name(f"{name}.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(floor.config_path.read_text()), **settings}))
    return path


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """The DuckDB file open in another process, as a notebook has it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb; c = duckdb.connect({str(path)!r}); print(); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield
    finally:
        holder.communicate(b"\n")


@pytest.mark.parametrize("argument", ["AAPL", "AAPL=", "AAPL=much", "=0.5x"])
def test_a_malformed_signal_is_a_wrong_command_line(argument: str, tmp_path: Path) -> None:
    ended = command("signal", argument, config=tmp_path / "none.yaml")
    assert ended.status == 2
    assert "SYMBOL=VALUE" in ended.err


@pytest.mark.slow
def test_signals_are_all_taken_or_none(floor: TradingFloor) -> None:
    floor.go_to_session(SESSION, 0)
    config = floor.config_path
    for wrong, refusal in (
        ("IBM=1.5", "outside [-1, 1]"),
        ("NOPE=0.5", "not among the traded symbols"),
        ("IBM=nan", "outside [-1, 1]"),
    ):
        assert refusal in command("signal", "AAPL=0.5", wrong, config=config).failed_with_one_message()
    message = command("signal", "AAPL=0.5", "--price", "-3", config=config).failed_with_one_message()
    assert "is no price" in message
    assert command("signal", "AAPL=0.5", "--as-of", "2012-09-11T10:00:00", config=config).status == 2
    for beyond in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        message = command("signal", "AAPL=0.5", "--as-of", beyond, config=config).failed_with_one_message()
        assert "no time near now" in message
    for option in ("--source", "--id"):
        message = command("signal", "AAPL=0.5", option, b"\xff", config=config).failed_with_one_message()
        assert f"{option[2:]} is '\\udcff'" in message
    message = command("signal", "AAPL=0.5", "--limit", "1e999999", config=config).failed_with_one_message()
    assert "limit price 1E+999999 is no price" in message
    assert command("status", "--json", config=config).json["pending_signals"] == 0
    assert command("signal", "AAPL=0.5", config=config).status == 0
    message = command("signal", "AAPL=0.7", config=config).failed_with_one_message()
    assert "already and says 0.5, not 0.7" in message


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("max_positon_pct: 0.1\n", "unknown key `max_positon_pct` at line 1. Nearest valid key: `max_pos"),
        ("tick_minutes: five\n", "`tick_minutes`"),
        ("mode: [paper\n", "not valid YAML at line"),
        ("", "holds no keys"),
        ("allow_shorts: true\n", "allow_shorts"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, text: str, refusal: str
) -> None:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    path.write_text(text)
    for wanted in (("config", "check"), ("tick",)):
        message = command(*wanted, config=path).failed_with_one_message()
        assert str(path) in message
        assert refusal in message
    assert not (tmp_path / "var").exists()


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = command("status", "--config", tmp_path / "none.yaml").failed_with_one_message()
    assert f"{tmp_path / 'none.yaml'}: there is no such file" in message


@pytest.mark.slow
def test_a_symbol_that_the_broker_does_not_know_holds_back_no_other(floor: TradingFloor) -> None:
    bought(floor)
    config = varied(floor, "unknown", symbols=["AAPL", "IBM", "ZZZZ"])
    message = command("signal", "ZZZZ=0.5", config=config).failed_with_one_message()
    assert "ZZZZ: embedded does not know it" in message
    assert command("signal", "AAPL=-0.9", "IBM=0.5", config=config).status == 0
    ended = command("tick", "--json", config=config)
    assert {line["symbol"]: line["verdict"] for line in ended.json["verdicts"]} == {
        "AAPL": "PASS",
        "IBM": "PASS",
    }
    (failed,) = ended.json["failed_checks"]
    assert (failed["check"], failed["severity"]) == ("bars.no_symbol_incomplete", "WARN")
    assert "ZZZZ lacks" in failed["detail"]


def _model_of_other_features(models: Path) -> Path:
    rng = np.random.default_rng(1)
    days, symbols = 120, 4
    calendar = tuple(Sessions().between(date(2000, 1, 3), date(2000, 12, 29)))
    session = np.repeat(np.arange(days), symbols)
    made_up = TrainingSet(
        X=rng.normal(size=(days * symbols, 2)),
        y=rng.normal(size=days * symbols),
        session=session,
        symbol=np.tile(np.arange(symbols), days),
        label_end=session + 6,
        sessions=calendar[: days + 6],
        symbols=tuple("ABCD"),
        sources=("made up",) * symbols,
        feature_names=("alpha", "beta"),
        feature_identity="others-1",
        horizon=5,
        dropped=Dropped(0, 0, 0),
    )
    return registry.save(train(made_up, Parameters(rounds=3, folds=2)), models, created_at_ns=1)


@pytest.mark.slow
def test_a_missing_model_and_one_of_other_features_veto_entries_and_say_why(floor: TradingFloor) -> None:
    floor.go_to_session(SESSION, 0)
    missing = {"model_path": "models/x/model.ubj", "features_path": "models/x/features.json"}
    other = _model_of_other_features(floor.config_path.parent / "models")
    cases = {
        "missing": (missing, "models/x/manifest.json: cannot be read"),
        "other": (
            {"model_path": str(other / "model.ubj"), "features_path": str(other / "features.json")},
            "features differ: only in the model ['alpha', 'beta']",
        ),
    }
    for name, (paths, reason) in cases.items():
        config = varied(floor, name, model={"enabled": True}, **paths)
        assert reason in command("config", "check", config=config).failed_with_one_message()
        ended = command("tick", "--json", config=config)
        assert ended.status == 1
        (problem,) = ended.json["problems"]
        assert problem.startswith("signals: ")
        assert reason in problem
        assert "signals.in_range" in ended.json["vetoed"]
        assert ended.json["agree"] is True
        message = command("signal", "AAPL=0.5", config=config).failed_with_one_message()
        assert "the model is enabled" in message


@contextmanager
def _refusing_venue() -> Iterator[str]:
    """Alpaca's answer to a wrong key pair, to every request."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"code": 40110000, "message": "request is not authorized"}'
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_missing_keys_are_named_and_no_request_is_made(tmp_path: Path) -> None:
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    path.write_text("venue: alpaca\n")
    for wanted in (("config", "check"), ("tick",), ("status",)):
        message = command(*wanted, config=path).failed_with_one_message()
        assert "APCA_API_KEY_ID and APCA_API_SECRET_KEY not set" in message


@pytest.mark.slow
def test_a_flatten_ends_with_1_and_says_what_is_held_until_everything_is_sold(floor: TradingFloor) -> None:
    bought(floor)
    floor.keeper.move_to(Sessions().close_ns(SESSION) + 10**9)
    for _ in range(2):
        held = command("flatten", "--reason", "over night", "--json", config=floor.config_path)
        assert held.status == 1
        assert held.json["flat"] is False
        ((line),) = held.json["held"]
        assert (line["symbol"], line["why"]) == ("AAPL", "the market is closed")
        assert line["again"].startswith("at the next open, 2012-09-12 09:30:00")
    output = command("flatten", "--reason", "over night", config=floor.config_path)
    assert (output.status, "still held: AAPL" in output.out) == (1, True)
    assert command("status", config=floor.config_path).status == 1
    floor.go_to_session(Sessions().next(SESSION), 0)
    sold = command("flatten", "--reason", "over night", "--json", config=floor.config_path)
    assert (sold.status, sold.json["flat"], sold.json["held"]) == (0, True, [])
    assert command("status", config=floor.config_path).status == 0


@pytest.mark.slow
def test_wrong_keys_are_said_and_what_was_stored_stays(floor: TradingFloor) -> None:
    bought(floor)
    with _refusing_venue() as url:
        control = floor.exchange.control_url
        wrong = varied(floor, "keys", embedded={"url": url, "control_url": control})
        for wanted in (("tick",), ("flatten", "--reason", "x")):
            message = command(*wanted, config=wrong).failed_with_one_message()
            assert "HTTP 401" in message
            assert "check APCA_API_KEY_ID and APCA_API_SECRET_KEY" in message
        assert "stays in force until every position is zero" in message
        book_now = command("status", "--json", config=wrong)
        assert book_now.status == 1
        assert "HTTP 401" in book_now.json["unreachable"]
        assert book_now.json["sent_today"] == 1
        fresh = varied(floor, "fresh", data_dir="elsewhere", embedded={"url": url, "control_url": control})
        assert "HTTP 401" in command("tick", config=fresh).failed_with_one_message()
    assert command("status", "--json", config=floor.config_path).json["flatten"]["reason"] == "x"
    ended = command("rearm", "--reason", "it was a test", config=floor.config_path)
    assert "the flatten in force is ended" in ended.out
    assert command("status", config=floor.config_path).status == 0


@pytest.mark.slow
def test_a_closed_market_is_said_with_the_next_open(floor: TradingFloor) -> None:
    message = command("tick", config=floor.config_path).failed_with_one_message()
    assert "XNYS is closed: it is 2012-09-11 08:30:00 EDT at the venue" in message
    assert "opens 2012-09-11 09:30:00 EDT" in message
    floor.keeper.move_to(floor.sessions.open_ns(SESSION) + 60 * 10**9)
    message = command("tick", config=floor.config_path).failed_with_one_message()
    assert "no tick of 2012-09-11 is due before 2012-09-11 10:00:00 EDT" in message
    floor.keeper.move_to(floor.sessions.close_ns(SESSION) + 10**9)
    message = command("tick", config=floor.config_path).failed_with_one_message()
    assert "opens 2012-09-12 09:30:00 EDT" in message


def test_a_busy_port_is_named_and_the_exchange_s_state_is_not_touched_twice(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        config.write_text(f"embedded:\n  url: http://127.0.0.1:{port}\n")
        ended = command("exchange", "--control-port", "0", config=config, environ=TOKEN)
        message = ended.failed_with_one_message()
    assert f"port {port} of 127.0.0.1" in message
    assert "in use" in message


def test_an_exchange_without_a_token_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    message = command("exchange", config=config).failed_with_one_message()
    assert "environment variable TRADING_ASSETS_EXCHANGE_TOKEN" in message
    assert not (tmp_path / "var" / "exchange").exists()


@pytest.mark.slow
def test_a_locked_history_vetoes_entries_while_exits_and_a_kill_go_on(floor: TradingFloor) -> None:
    bought(floor)
    history = data_dir(floor) / "history.duckdb"
    with held_open(history):
        command("signal", "AAPL=-0.9", "IBM=0.5", config=floor.config_path)
        ended = command("tick", "--json", config=floor.config_path)
        assert ended.status == 1
        assert {line["symbol"]: line["verdict"] for line in ended.json["verdicts"]} == {
            "AAPL": "PASS",
            "IBM": "REDUCE_ONLY cause=CHECKS_FAILED",
        }
        assert [line["state"] for line in ended.json["orders"]] == ["FILLED"]
        assert "history.readable" in ended.json["vetoed"]
        assert all("held open by process" in problem for problem in ended.json["problems"])
        verified = command("verify", SESSION, "--json", config=floor.config_path)
        assert verified.status == 0, verified.out
        assert "held open by process" in verified.json["not_read"]
        assert command("kill", "--reason", "a test", config=floor.config_path).status == 0
        imported = command(
            "import-bars", bar_file(floor), *IMPORT, config=floor.config_path
        ).failed_with_one_message()
        assert "held open by process" in imported
    assert orders_at_broker(floor) == [("AAPL", 1), ("AAPL", -1)]
    assert command("verify", SESSION, config=floor.config_path).status == 0


@pytest.mark.parametrize(
    "text",
    [
        "data_dir: {data}\nmode: papper\n",
        "data_dir: '{data}'  # ours\nsymbols: [\n",
        "data_dir: {data}\n\t: [",
    ],
)
def test_a_kill_is_set_by_file_where_the_configuration_has_a_typo(tmp_path: Path, text: str) -> None:
    file, data = tmp_path / "config" / "execution.yaml", tmp_path / "desk"
    file.parent.mkdir()
    file.write_text(text.format(data=data))
    ended = command("kill", "--reason", "a test", config=file)
    assert ended.status == 1
    assert "Traceback" not in ended.err
    message = ended.err[ended.err.index("trading-assets: ") :]  # after the log's line that the kill is set
    assert f"killed: the kill file {data / 'KILL'}" in message
    assert "no order was cancelled" in message
    assert (data / "KILL").exists()


@pytest.mark.slow
def test_a_kill_holds_while_the_broker_is_out_of_reach(floor: TradingFloor) -> None:
    bought(floor)
    floor.exchange.terminate()
    ended = command("kill", "--reason", "no network", "--json", config=floor.config_path)
    assert ended.status == 1, ended.err
    assert "what works there is not known" in ended.err
    assert ended.json == {"state": "HALTED", "broker_answered": False, "orders": []}
    book_now = command("status", "--json", config=floor.config_path)
    assert book_now.status == 1
    assert book_now.json["unreachable"]
    assert [halt["reason"] for halt in book_now.json["halts"]] == ["no network"]
    held = command("positions", "--json", config=floor.config_path)
    assert held.status == 1
    (line,) = held.json["positions"]
    assert (line["symbol"], line["broker_qty"], line["broker_avg_cost"]) == ("AAPL", None, None)


def test_a_kill_needs_no_keys_once_the_book_is_known(floor: TradingFloor) -> None:
    config = varied(floor, "alpaca", venue="alpaca")
    message = command("kill", "--reason", "unknown book", config=config).failed_with_one_message()
    assert re.search(r"the kill file \S+KILL stops every process", message)
    assert (data_dir(floor) / "KILL").exists()
    (data_dir(floor) / "KILL").unlink()
    with floor.desk() as desk:
        desk.journal.set_mark("alpaca:paper", "book", "alpaca:PA7:paper", 0)
    message = command("kill", "--reason", "known book", config=config).failed_with_one_message()
    assert "killed: the journal " in message
    assert not (data_dir(floor) / "KILL").exists()
    with floor.desk() as desk:
        assert [halt.reason for halt in desk.journal.latched("alpaca:PA7:paper")] == ["known book"]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("date,open,high,low,close,volume\n2011-01-03,1,2,1,1.5,10\n", "no column 'symbol'"),
        ("date,symbol,open,high,low,close\n2011-01-03,A,1,2,1,1.5\n", "no column 'volume'"),
        ("date,symbol,open,high,low,close,volume\n2011-01-03,A,1,2,1,x,9\n", "row 2: close 'x' is no number"),
        ("date,symbol,open,high,low,close,volume\n2011-01-01,A,1,2,1,2,9\n", "row 2: A 2011-01-01"),
        ("date,symbol,open,high,low,close,volume\n2011-01-03,A,1,2,1,1.5\n", "cannot be read"),
        ("date,symbol,open,high,low,close,volume\n", "holds no bars"),
    ],
)  # fmt: skip
def test_a_malformed_bar_file_is_refused_with_its_row(tmp_path: Path, text: str, refusal: str) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    file = tmp_path / "bars.csv"
    file.write_text(text)
    message = command("import-bars", file, *IMPORT, config=config).failed_with_one_message()
    assert str(file) in message
    assert refusal in message
    assert not (tmp_path / "var" / "history.duckdb").exists()


def test_a_bar_file_needs_its_three_declarations(tmp_path: Path) -> None:
    ended: Done = command("import-bars", tmp_path / "bars.csv", "--interval", "1d", "--stamps", "start")
    assert ended.status == 2
    assert "--adjusted" in ended.err


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("data_dir: occupied/var\n")
    (tmp_path / "occupied").write_text("a file\n")
    message = command("status", config=config).failed_with_one_message()
    assert str(tmp_path / "occupied") in message


def test_no_secret_is_in_a_message_or_the_log(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("venue: alpaca\nmode: live\naccount_number: PA1\n")
    environ = {"APCA_API_KEY_ID": "AKSECRETID", "APCA_API_SECRET_KEY": "very-secret"}
    ended = command("config", "check", config=config, environ=environ)
    assert ended.status == 0, ended.err
    log = tmp_path / "var" / "log.jsonl"
    written = ended.out + ended.err + (log.read_text() if log.exists() else "")
    assert "very-secret" not in written
    assert "AKSECRETID" not in written
    assert os.environ.get("APCA_API_SECRET_KEY") is None


def test_a_data_directory_that_anybody_may_write_is_refused_and_holds_no_kill_back(tmp_path: Path) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("data_dir: var\n")
    var = tmp_path / "var"
    var.mkdir()
    var.chmod(0o777)
    for words in (("tick",), ("listen",)):
        message = command(*words, config=config).failed_with_one_message()
        assert f"data_dir {var}: anybody may write {var}. Type: chmod go-w {var}" in message
    ended: Done = command("kill", "--reason", "a drill", config=config)
    assert "may write" not in ended.err
    assert "HALTED" in ended.out or (var / "KILL").exists() or (var / "journal.sqlite").exists()
