"""What `status` says where no desk runs, or only the rest of one: which processes there are, what to type."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from support.command import Done, command
from support.stand_in_desk import StandInDesk, stand_in
from support.trading_floor import TradingFloor

NOBODY = "embedded:\n  url: http://127.0.0.1:{}\n"


@pytest.fixture
def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[StandInDesk]:
    started = stand_in(tmp_path, parts=["exchange", "dagster-daemon"])
    yield started
    started.end()


def status(place: Path, port: int, *more: str) -> Done:
    config = place / "config" / "execution.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(NOBODY.format(port))
    return command("status", *more, cwd=place)


def test_nothing_runs_and_nothing_ever_did(tmp_path: Path, closed_port: int) -> None:
    done = status(tmp_path, closed_port)
    assert done.out == f"desk  none runs on {tmp_path}/var. Start one with `trading-assets up`\n"
    assert done.failed_with_one_message() == (
        "trading-assets: the embedded exchange does not answer, and this desk has seen no account yet: "
        f"account: nothing listens at http://127.0.0.1:{closed_port}. Start the desk with `trading-assets "
        "up`, or the exchange alone with `trading-assets exchange`\n"
    )


def test_programs_get_the_same_sentence_and_no_half_of_a_document(tmp_path: Path, closed_port: int) -> None:
    done = status(tmp_path, closed_port, "--json")
    assert done.out == ""
    assert f"nothing listens at http://127.0.0.1:{closed_port}" in done.failed_with_one_message()


def test_a_kill_that_is_set_is_said_all_the_same(tmp_path: Path, closed_port: int) -> None:
    status(tmp_path, closed_port)
    assert command("kill", "--reason", "x", cwd=tmp_path).status == 1
    assert "kill  set in the kill file KILL" in status(tmp_path, closed_port).out


def test_a_desk_that_runs_is_named(desk: StandInDesk, tmp_path: Path, closed_port: int) -> None:
    assert status(tmp_path, closed_port).out == (
        f"desk  process {desk.process.pid}, since 2012-09-11 08:30:00 EDT, Dagster http://127.0.0.1:1\n"
    )


def test_what_a_killed_one_has_left_is_named_with_each_process(
    desk: StandInDesk, tmp_path: Path, closed_port: int
) -> None:
    desk.kill()
    exchange, daemon = (desk.parts[name].pid for name in ("exchange", "dagster-daemon"))
    assert status(tmp_path, closed_port).out == (
        f"desk  an earlier `make up` was killed and has left exchange (process {exchange}), dagster-daemon "
        f"(process {daemon}). End what is left with `trading-assets down`, then start the desk again\n"
    )


def test_a_desk_whose_exchange_has_ended_shows_its_last_figures_and_who_does_not_answer(
    floor: TradingFloor, closed_port: int
) -> None:
    floor.go_to_session(date(2012, 9, 11), 0)
    assert command("tick", config=floor.config_path).status == 0
    running = command("status", "--json", config=floor.config_path)
    assert running.json["desk"] == {"process": None, "left": []}
    kept = floor.config_path.read_text()
    floor.config_path.write_text(kept.replace(floor.exchange.url, f"http://127.0.0.1:{closed_port}"))
    done = command("status", config=floor.config_path)
    assert (done.status, done.err) == (1, "")
    assert f"DOES NOT ANSWER: clock: nothing listens at http://127.0.0.1:{closed_port} " in done.out
    assert "Start one with `trading-assets up`" in done.out
