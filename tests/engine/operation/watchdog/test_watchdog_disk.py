"""The listener's watchdog on a full disk, or beside a journal that stays locked: a stop fires in the room
that was kept for it, and people are told past the journal."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.receiver import Receiver
from support.trading_floor import TradingFloor
from watched import MANY_ACCOUNTS, alerted, ended, held, through_its_stop, unprotected, until, watchdog

from trading_assets.config import LastGood
from trading_assets.engine.book.alerts import URLS_VARIABLE
from trading_assets.engine.decision.preload import preload
from trading_assets.engine.operation.disk_reserve import Reserve
from trading_assets.store.journal import Journal

pytestmark = pytest.mark.floor(shared=True, tick=1, requests_per_minute=MANY_ACCOUNTS)

LISTEN = [sys.executable, "-m", "trading_assets.cli", "listen"]


@contextmanager
def listener(floor: TradingFloor, receiver: Receiver, *, file_bytes: int | None = None) -> Iterator[None]:
    """The real command, with what it compiles cached as on a desk that has run before.

    file_bytes: no file may grow beyond it, as if the disk were full
    """
    preload()

    def limited() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    process = subprocess.Popen(
        LISTEN,
        env=os.environ | {"TRADING_ASSETS_CONFIG": str(floor.config_path), URLS_VARIABLE: receiver.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=limited,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def data_dir(floor: TradingFloor) -> Path:
    return Path(LastGood(floor.config_path).settings.data_dir)


def journal_bytes(floor: TradingFloor) -> int:
    return max(path.stat().st_size for path in data_dir(floor).glob("journal.sqlite*"))


@pytest.mark.slow
def test_a_disk_that_is_full_but_for_the_journal_holds_no_stop_back(
    floor: TradingFloor, receiver: Receiver
) -> None:
    """The log cannot be written, the rate limits cannot be noted, the history neither."""
    through_its_stop(floor)
    room = journal_bytes(floor) + 4_000_000
    for name in ("log.jsonl", "history.duckdb.wal"):
        with (data_dir(floor) / name).open("ab") as file:
            file.truncate(room)
    with listener(floor, receiver, file_bytes=room):
        until(lambda: not held(floor), 120)


@pytest.mark.slow
def test_where_the_journal_cannot_be_written_nothing_is_sent_and_the_alert_goes_past_it(
    floor: TradingFloor, receiver: Receiver
) -> None:
    through_its_stop(floor)
    with floor.desk() as desk:  # as a daemon would have it open
        sent = desk.journal.orders(desk.book)
        with listener(floor, receiver, file_bytes=1):
            until(lambda: "The watchdog could not protect" in receiver.titles(), 120)
        assert desk.journal.orders(desk.book) == sent
        assert desk.journal.pending_alerts() == []
    assert held(floor) == ["AAPL"]
    watchdog(floor).look()  # there is room again
    assert held(floor) == []


@pytest.fixture
def small_disk(floor: TradingFloor) -> Iterator[Path]:
    """A file system of its own, 64 MB, where the desk's data directory is."""
    place = data_dir(floor)
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.strip()}); limits stand in above")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_up(disk: Path) -> Path:
    """Leave no free block; the file to delete."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free))
    assert shutil.disk_usage(disk).free == 0
    return ballast


def test_on_a_disk_without_a_free_block_a_stop_fires_in_the_room_that_was_kept_for_it(
    small_disk: Path, floor: TradingFloor
) -> None:
    through_its_stop(floor)
    dog = watchdog(floor)
    unprotected(dog)
    fill_up(small_disk)
    dog.look()
    assert held(floor) == []
    assert "The disk is full" in alerted(floor)


def test_where_no_room_is_left_at_all_people_are_told_and_the_stop_fires_once_there_is(
    small_disk: Path, floor: TradingFloor, receiver: Receiver
) -> None:
    through_its_stop(floor)
    dog = watchdog(floor, {URLS_VARIABLE: receiver.url})
    unprotected(dog)
    Reserve(LastGood(floor.config_path).settings).give_up()
    ballast = fill_up(small_disk)
    dog.look()
    until(lambda: "The watchdog could not protect" in receiver.titles())
    ballast.unlink()
    assert held(floor) == ["AAPL"]

    def sold() -> bool:
        dog.look()
        return held(floor) == []

    until(sold)


def test_room_is_kept_only_where_there_is_plenty(small_disk: Path, floor: TradingFloor) -> None:
    settings = LastGood(floor.config_path).settings
    free = shutil.disk_usage(small_disk).free
    Reserve(settings, size=free // 3).keep()
    assert shutil.disk_usage(small_disk).free == free
    reserve = Reserve(settings, size=free // 5)
    reserve.keep()
    assert free - shutil.disk_usage(small_disk).free >= free // 5
    assert reserve.give_up()
    assert not reserve.give_up()


LOCKING = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(600)
"""


def test_a_journal_that_a_stopped_process_keeps_locked_is_told_past_it(
    floor: TradingFloor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "open", staticmethod(partial(Journal.open, busy_seconds=0.5)))
    through_its_stop(floor)
    dog = watchdog(floor, {URLS_VARIABLE: receiver.url})
    unprotected(dog)
    arguments = [sys.executable, "-c", LOCKING, str(data_dir(floor) / "journal.sqlite")]
    with ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        locker.send_signal(signal.SIGSTOP)
        dog.look()
        until(lambda: "The watchdog could not protect" in receiver.titles())
    (message,) = [m for m in receiver.messages if m["title"] == "The watchdog could not protect"]
    assert "stayed locked by another process" in message["message"]
    time.sleep(0.3)
    dog.look()
    assert held(floor) == []
