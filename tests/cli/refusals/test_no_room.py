"""A disk without room: nothing is half-written, exits go on, and a kill is set."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from refused import IMPORT, SESSION, bar_file, bought, data_dir, orders_at_broker
from support.command import command
from support.trading_floor import TradingFloor

pytestmark = pytest.mark.slow


def bars_stored(floor: TradingFloor, symbol: str) -> int:
    with duckdb.connect(data_dir(floor) / "history.duckdb", read_only=True) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM bars WHERE symbol = ?", [symbol]).fetchall()
    return int(count)


@pytest.mark.slow
def test_a_full_disk_stores_nothing_of_an_import_and_a_tick_sells_all_the_same(floor: TradingFloor) -> None:
    bought(floor)
    history = data_dir(floor) / "history.duckdb"
    full = history.stat().st_size // 2  # every write behind it fails; the journal has room below it
    assert full > 4 * (data_dir(floor) / "journal.sqlite").stat().st_size
    wide = bar_file(floor, 1700)
    ended = command("import-bars", wide, *IMPORT, config=floor.config_path, file_bytes=full)
    message = ended.failed_with_one_message()
    assert str(history) in message
    assert "full disk" in message
    assert bars_stored(floor, "ACME") in (0, 1700)  # the commit, or only its checkpoint, found no room
    command("signal", "AAPL=-0.9", config=floor.config_path)
    ended = command("tick", "--json", config=floor.config_path, file_bytes=full)
    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert [line["verdict"] for line in ended.json["verdicts"]] == ["PASS"]
    assert [line["state"] for line in ended.json["orders"]] == ["FILLED"]
    assert all("full disk" in problem for problem in ended.json["problems"])
    assert orders_at_broker(floor) == [("AAPL", 1), ("AAPL", -1)]
    ended = command("import-bars", wide, *IMPORT, "--json", config=floor.config_path)
    assert ended.status == 0
    assert bars_stored(floor, "ACME") == 1700
    assert command("verify", SESSION, config=floor.config_path).status == 0


@pytest.mark.slow
def test_a_journal_on_a_full_disk_sends_nothing_and_a_kill_is_set_by_file(floor: TradingFloor) -> None:
    bought(floor)
    command("signal", "IBM=0.9", config=floor.config_path)
    full = 4096  # less than any page that is to be written
    message = command("tick", config=floor.config_path, file_bytes=full).failed_with_one_message()
    assert "journal.sqlite" in message
    assert "full disk" in message
    ended = command("kill", "--reason", "a full disk", config=floor.config_path, file_bytes=full)
    assert ended.status == 0
    assert f"the kill file {data_dir(floor) / 'KILL'}" in ended.out
    assert "full disk" in ended.out
    assert "The broker took the cancels of 0 orders past the journal" in ended.out
    assert "Traceback" not in ended.err
    assert orders_at_broker(floor) == [("AAPL", 1)]
    ended = command("tick", "--json", config=floor.config_path)
    assert ended.json["halt_state"] == "HALTED"
    assert [line["verdict"] for line in ended.json["verdicts"]] == ["KILL_SWITCH_ACTIVE cause=KILL"]
    message = command("rearm", "--reason", "freed", config=floor.config_path).failed_with_one_message()
    assert "the kill is still set in the kill file" in message
    (data_dir(floor) / "KILL").unlink()
    assert command("rearm", "--reason", "freed", config=floor.config_path).status == 0


@pytest.fixture
def small_disk(floor: TradingFloor) -> Iterator[Path]:
    """A file system of its own, 16 MB, where the desk's data directory goes."""
    place = floor.settings.data_dir
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.strip()}); limits stand in above")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
def test_a_file_system_without_a_free_block_stops_entries_and_is_named(
    small_disk: Path, floor: TradingFloor
) -> None:
    bought(floor)
    assert command("signal", "IBM=0.9", config=floor.config_path).status == 0
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    assert shutil.disk_usage(small_disk).free == 0
    message = command("tick", config=floor.config_path).failed_with_one_message()
    assert "journal.sqlite" in message
    assert "full disk" in message
    ended = command("kill", "--reason", "no room", config=floor.config_path)
    assert ended.status == 0
    assert f"the kill file {small_disk / 'KILL'}" in ended.out
    ballast.unlink()
    assert orders_at_broker(floor) == [("AAPL", 1)]
    ended = command("tick", "--json", config=floor.config_path)
    assert ended.json["halt_state"] == "HALTED"
    assert [line["verdict"] for line in ended.json["verdicts"]] == ["KILL_SWITCH_ACTIVE cause=KILL"]
    assert command("verify", SESSION, config=floor.config_path).status == 0
