"""Log lines: where they go, what they carry, and what they never carry."""

from __future__ import annotations

import io
import json
import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trading_assets import log, redaction

NOON_NS = 1_341_331_200_123_456_789  # 2012-07-03T16:00:00.123456789Z


@pytest.fixture(autouse=True)
def _closed_after() -> Iterator[None]:
    yield
    log.shutdown()
    redaction.forget()


class Lines:
    """A configured log, and what it has written."""

    def __init__(self, tmp_path: Path, level: str = "INFO") -> None:
        self.path = tmp_path / "logs" / "desk.jsonl"
        self.stream = io.StringIO()
        log.configure(json_path=self.path, level=level, stream=self.stream, now_ns=lambda: NOON_NS)

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def terminal(self) -> str:
        return self.stream.getvalue()

    @property
    def all_text(self) -> str:
        return self.path.read_text() + self.terminal


def test_an_event_is_one_json_line_in_the_file_and_one_line_on_the_terminal(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.engine").info("order accepted", symbol="AAPL", qty=3)
    assert lines.json == [
        {
            "event": "order accepted",
            "symbol": "AAPL",
            "qty": 3,
            "level": "info",
            "logger": "trading_assets.engine",
            "time": "2012-07-03T16:00:00.123456Z",
        }
    ]
    assert lines.terminal.count("\n") == 1
    assert "order accepted" in lines.terminal
    assert "symbol=AAPL" in lines.terminal


def test_a_line_does_not_reach_the_root_logger_a_second_time(tmp_path: Path) -> None:
    seen: list[logging.LogRecord] = []

    class Root(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Root()
    logging.getLogger().addHandler(handler)
    try:
        lines = Lines(tmp_path)
        log.get_logger("trading_assets.engine").warning("once")
        assert seen == []
        log.shutdown()
        log.get_logger("trading_assets.engine").warning("unconfigured")
        assert len(seen) == 1
    finally:
        logging.getLogger().removeHandler(handler)
    assert [line["event"] for line in lines.json] == ["once"]


def test_configuring_twice_writes_once(tmp_path: Path) -> None:
    first = Lines(tmp_path)
    second = Lines(tmp_path)
    log.get_logger("trading_assets.engine").info("once")
    assert len(second.json) == 1
    assert first.terminal == ""


def test_a_logger_made_before_configuring_follows_the_configuration(tmp_path: Path) -> None:
    early = log.get_logger("trading_assets.early")
    early.debug("lost")
    lines = Lines(tmp_path, level="DEBUG")
    early.debug("kept")
    assert [line["event"] for line in lines.json] == ["kept"]


def test_what_is_below_the_level_is_not_written(tmp_path: Path) -> None:
    lines = Lines(tmp_path, level="WARNING")
    log.get_logger("trading_assets.engine").info("quiet")
    assert lines.all_text == ""


def test_standard_library_loggers_of_the_package_are_written_alike(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    logging.getLogger("trading_assets.foreign").warning("took %d s", 3)
    assert lines.json[0]["event"] == "took 3 s"
    assert lines.json[0]["level"] == "warning"


def test_a_logger_of_another_name_is_put_below_the_package(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("__main__").info("started")
    assert lines.json[0]["logger"] == "trading_assets.__main__"


KEY, SECRET = "PKTESTKEYID123", "sEcr3t/Va+lue"


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", SECRET)


@pytest.mark.usefixtures("_keys")
def test_the_key_pair_never_reaches_a_line_wherever_it_hides(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    engine = log.get_logger("trading_assets.engine")

    class Client:
        def __repr__(self) -> str:
            return f"Client({KEY!r}, {SECRET!r})"

    engine.info(f"connecting with {SECRET}")
    engine.info("positional %s", SECRET)
    engine.info("plain", text=f"…{KEY}…")
    engine.info("nested", headers={"a": [{"b": (SECRET, f"x{KEY}y")}], KEY: 1})
    engine.info("objects", client=Client(), body=SECRET.encode(), some={SECRET}, error=ValueError(SECRET))
    engine.bind(bound=SECRET).info("bound")
    logging.getLogger("trading_assets.foreign").warning("foreign %s", SECRET)
    try:
        try:
            raise KeyError(KEY)
        except KeyError as inner:
            raise ValueError(f"no luck with {SECRET}") from inner
    except ValueError:
        engine.exception("failed")
    engine.info("with stack", stack_info=True, note=SECRET)
    assert len(lines.json) == 9
    assert KEY not in lines.all_text
    assert SECRET not in lines.all_text
    assert "ValueError: no luck with [redacted]" in lines.json[7]["exception"]


def test_what_is_named_like_a_secret_is_redacted_at_any_depth(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    values = {"APCA-API-KEY-ID": "v1", "secretKey": "v2", "auth_token": "v3", "Authorization": "Bearer v4"}
    log.get_logger("trading_assets.x").info(
        "x", api_key="v5", deep=[{"headers": values}], password="v6", key="v7", secret={"a": "v8"}, token=9
    )
    log.get_logger("trading_assets.x").info(f"sent {values} and Authorization: Bearer v10; api_key=v11 ok")
    for number in range(1, 12):
        if number != 9:
            assert f"v{number}" not in lines.all_text
    assert lines.json[0]["token"] == "[redacted]"
    assert lines.json[1]["event"].endswith("ok")


def test_what_only_sounds_like_a_secret_stays(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("x", monkey="a", keyboard="b", symbol="KEY", kept=None, flag=True)
    line = lines.json[0]
    assert (line["monkey"], line["keyboard"], line["symbol"]) == ("a", "b", "KEY")
    assert (line["kept"], line["flag"]) == (None, True)


def test_a_value_given_to_hide_is_kept_out_of_later_lines(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    redaction.hide("from-a-vault", "")
    log.get_logger("trading_assets.x").info("using from-a-vault")
    assert lines.json[0]["event"] == "using [redacted]"


def test_an_event_cannot_forge_a_second_line(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("bad\n2012-07-03 [info] forged", note="a\nb")
    assert len(lines.json) == 1
    assert lines.terminal.count("\n") == 1


def test_a_number_that_json_does_not_know_is_written_as_text(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("x", measured=float("nan"), limit=float("inf"), path=tmp_path)
    assert (lines.json[0]["measured"], lines.json[0]["limit"]) == ("nan", "inf")
    assert lines.json[0]["path"] == str(tmp_path)


def test_the_file_is_private_and_appended_to(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("one")
    log.shutdown()
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("two")
    assert [line["event"] for line in lines.json] == ["one", "two"]
    assert stat.S_IMODE(lines.path.stat().st_mode) == 0o600


def test_after_shutdown_nothing_is_left_but_the_main_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    lines = Lines(tmp_path)
    log.get_logger("trading_assets.x").info("last")
    log.shutdown()
    log.shutdown()
    assert set(threading.enumerate()) == before
    assert logging.getLogger("trading_assets").handlers == []
    assert [line["event"] for line in lines.json] == ["last"]


def test_a_wrong_level_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    with pytest.raises(ValueError, match="LOUD"):
        log.configure(json_path=tmp_path / "x.jsonl", level="LOUD")
    log.get_logger("trading_assets.x").info("still here")
    assert [line["event"] for line in lines.json] == ["still here"]
