"""The watchdog: when a protection is due, and that it takes place whatever else of the desk is not there."""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from ground import run_tick
from hypothesis import given
from hypothesis import strategies as st
from receiver import Receiver, listening
from trading_floor import TradingFloor, trading_floor

from trading_assets.config import LastGood, Settings
from trading_assets.engine import watchdog as module
from trading_assets.engine.alerts import URLS_VARIABLE
from trading_assets.engine.book_place import journal_file
from trading_assets.engine.desk import Desk
from trading_assets.engine.preload import preload
from trading_assets.engine.protect import new_execution_id, protect_alone
from trading_assets.engine.protected import PROTECTED_MARK, note_protected
from trading_assets.engine.reserve import Reserve
from trading_assets.engine.sign_of_life import Life, seen, sign_file
from trading_assets.engine.signalling import receive
from trading_assets.engine.watchdog import (
    Look,
    Memory,
    Overdue,
    Rhythm,
    Trouble,
    Watchdog,
    Why,
    overdue,
    remembered,
    rhythm_of,
)
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.store import database
from trading_assets.store.journal import Journal

SESSION = date(2012, 9, 11)
S = 10**9
RHYTHM = Rhythm(after_ns=180 * S, alone_ns=90 * S)
FAR = 1_800_000_000 * S


def walked(*looks: Look) -> list[Overdue | None]:
    """What is due at each look of a watchdog that does nothing about it."""
    memory: Memory | None = None
    found = []
    for look in looks:
        found.append(overdue(memory, look, RHYTHM))
        memory = remembered(memory, look)
    return found


def at(seconds: float, marked: float | None, *, jumped: float = 0.0) -> Look:
    """A look so many seconds after the first; `jumped`: of the machine's clock alone, until now."""
    mark = None if marked is None else FAR + int(marked * S)
    return Look(FAR + int((seconds + jumped) * S), 1_000 * S + int(seconds * S), mark)


def test_a_protection_is_due_once_the_last_is_three_minutes_old_and_not_before() -> None:
    assert walked(at(0, -1), at(178, -1), at(179, -1)) == [None, None, Overdue(Why.LATE, 180 * S)]


def test_while_others_protect_none_is_ever_due() -> None:
    assert not any(walked(*(at(5 * k, 60 * (5 * k // 60)) for k in range(200))))


@pytest.mark.parametrize("marked", [None, -181, -1e9])
def test_at_its_start_it_protects_what_nobody_has_for_three_minutes(marked: float | None) -> None:
    (found,) = walked(at(0, marked))
    assert found is not None
    assert found.why is Why.BEGINS


def test_at_its_start_it_leaves_alone_what_was_just_protected() -> None:
    assert walked(at(0, -179)) == [None]


def test_after_its_own_protection_it_goes_on_at_a_pace_that_lets_the_others_come_first() -> None:
    own = at(0, 0)
    memory = Memory(own, own.monotonic_ns, own_ns=own.marked_ns)
    assert overdue(memory, at(89, 0), RHYTHM) is None
    assert overdue(memory, at(90, 0), RHYTHM) == Overdue(Why.ALONE, 90 * S)
    assert overdue(memory, at(100, 60), RHYTHM) is None  # somebody else's
    settings = Settings()
    assert rhythm_of(settings).alone_ns > settings.reconciliation_interval_seconds * S
    assert rhythm_of(settings) == RHYTHM


def test_a_clock_that_is_set_back_by_a_day_delays_no_protection() -> None:
    found = walked(at(0, -1), *(at(10 * k, -1, jumped=-86_400) for k in range(1, 19)))
    assert found[:-1] == [None] * 18
    assert found[-1] == Overdue(Why.LATE, 180 * S)


def test_a_machine_that_slept_protects_at_once_and_nobody_is_blamed() -> None:
    _, found = walked(at(0, -1), at(5, -1, jumped=3_600))
    assert found == Overdue(Why.SLEPT, 3_606 * S)
    assert remembered(remembered(None, at(0, -1)), at(5, -1, jumped=3_600)).awake_ns == 1_005 * S


@given(
    st.lists(st.tuples(st.floats(0.1, 30), st.floats(-1e6, 1e6)), min_size=40, max_size=80),
    st.none() | st.floats(-1e6, 1e6),
)
def test_however_the_clock_jumps_an_unprotected_book_is_due_within_the_rhythm_and_one_look(
    steps: list[tuple[float, float]], marked: float | None
) -> None:
    """The steps are looks, the machine's clock jumping between them; the mark stays what it is."""
    elapsed = list(itertools.accumulate(step for step, _ in steps))
    jumps = list(itertools.accumulate(jump for _, jump in steps))
    found = walked(
        at(0, marked), *(at(t, marked, jumped=jump) for t, jump in zip(elapsed, jumps, strict=True))
    )
    late = [t for t, due in zip([0.0, *elapsed], found, strict=True) if due is not None]
    if elapsed[-1] >= 180 + 30:
        assert late
        assert late[0] <= 180 + 30


@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=80), st.floats(1, 120))
def test_a_book_that_is_protected_in_time_is_never_due(steps: list[float], pace: float) -> None:
    elapsed = list(itertools.accumulate(steps))
    assert not any(walked(at(0, 0), *(at(t, pace * (t // pace)) for t in elapsed)))


def test_a_day_that_stays_owed_is_told_once_and_another_one_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    settings = LastGood(config).settings
    with Journal.open(journal_file(settings)) as journal:
        journal.set_mark("embedded:paper", "book", "embedded:PA0001:paper", 0)
    dog = Watchdog(LastGood(config), lambda _: pytest.fail("nothing is opened"), environ={})
    owed, now = [date(2012, 9, 11)], system_now_ns()
    monkeypatch.setattr(module.put_away, "owed_long", lambda *_: tuple(owed))
    for look in range(6):
        monkeypatch.setattr(module, "system_now_ns", lambda look=look: now + look * 3600 * 10**9)
        dog._owed_looked_ns = monotonic_ns() - 3600 * 10**9
        dog._see_to_days_owed(settings)
        if look == 3:
            owed.append(date(2012, 9, 12))
    with Journal.open(journal_file(settings)) as journal:
        assert [alert.title for alert in journal.pending_alerts()] == [
            "The end of a day is owed: 2012-09-11",
            "The end of a day is owed: 2012-09-11, 2012-09-12",
        ]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    many = 100_000  # requests a minute: many accounts, one after the other, in the same few minutes
    with trading_floor(tmp_path_factory.mktemp("watchdog"), SESSION, requests_per_minute=many) as floor:
        floor.tick(SESSION, 1)
        yield floor


@pytest.fixture
def floor(shared: TradingFloor, tmp_path: Path) -> TradingFloor:
    """A new account on the module's exchange, with a desk's directory of its own and a hasty watchdog."""
    shared.control("/account/reset", cash="100000")
    for symbol in ("AAPL", "IBM"):
        shared.control("/quote", symbol=symbol)
    path = tmp_path / "config" / "execution.yaml"
    path.parent.mkdir()
    settings = yaml.safe_load(shared.config_path.read_text())
    path.write_text(
        yaml.safe_dump(settings | {"watchdog_seconds": 0.4, "reconciliation_interval_seconds": 0.2})
    )
    return TradingFloor(shared.exchange, path, shared.sessions)


def watchdog(floor: TradingFloor, environ: dict[str, str] | None = None, **options: Any) -> Watchdog:
    return Watchdog(
        LastGood(floor.config_path),
        lambda settings: Desk.open(settings, environ={}),
        environ=environ or {},
        look_seconds=0.05,
        **options,
    )


def through_its_stop(floor: TradingFloor) -> None:
    """Buy AAPL at 6.5 % above the market and let the market come back, protected until now."""
    with floor.open_desk() as desk:
        protect_alone(desk, new_execution_id())
        quote = desk.broker.quotes(["AAPL"])["AAPL"]
        assert quote.bid is not None
        dear = (quote.bid * Decimal("1.065")).quantize(Decimal("0.01"))
        floor.control("/quote", symbol="AAPL", bid=str(dear), ask=str(dear + Decimal("0.01")))
        receive(desk, "AAPL", 0.5, reference_price=dear)
        run_tick(desk, SESSION, desk.now_ns())
    assert held(floor) == ["AAPL"]
    floor.control("/quote", symbol="AAPL")
    protected_now(floor)


def protected_now(floor: TradingFloor) -> None:
    with floor.open_desk() as desk:
        note_protected(desk.journal, desk.book, now_ns=time.time_ns())


def held(floor: TradingFloor) -> list[str]:
    with floor.open_desk() as desk:
        return [position.symbol for position in desk.broker.positions()]


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)


def alerted(floor: TradingFloor) -> list[str]:
    with Journal.open(journal_file(LastGood(floor.config_path).settings)) as journal:
        return [alert.title for alert in journal.pending_alerts()]


@contextmanager
def watching(dog: Watchdog) -> Iterator[None]:
    """The watchdog in a thread of its own, until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=dog.watch, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def unprotected(dog: Watchdog) -> None:
    """Let the watchdog see the last protection, and time go by."""
    dog.look()
    time.sleep(0.5)


def test_a_stop_fires_where_nobody_but_the_watchdog_protects_and_people_are_told(floor: TradingFloor) -> None:
    through_its_stop(floor)
    dog = watchdog(floor)
    dog.look()  # it was protected just now
    assert held(floor) == ["AAPL"]
    time.sleep(0.5)
    dog.look()
    assert held(floor) == []
    assert "Nobody but the watchdog protects" in alerted(floor)


def test_a_watchdog_that_begins_protects_what_nobody_did_and_blames_nobody(floor: TradingFloor) -> None:
    through_its_stop(floor)
    time.sleep(0.5)
    watchdog(floor).look()
    assert held(floor) == []
    assert "Nobody but the watchdog protects" not in alerted(floor)


def test_a_stop_that_another_process_is_about_to_fire_is_left_to_it(floor: TradingFloor) -> None:
    through_its_stop(floor)
    dog = watchdog(floor)
    unprotected(dog)
    with floor.open_desk() as desk:
        protect_alone(desk, new_execution_id())
        fired = desk.journal.orders(desk.book)
    dog.look()
    with floor.open_desk() as desk:
        assert desk.journal.orders(desk.book) == fired


def test_a_book_that_is_held_is_waited_for_people_are_told_and_then_its_stop_fires(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_PATIENCE_SECONDS", 0.3)
    through_its_stop(floor)
    dog = watchdog(floor)
    unprotected(dog)
    with floor.open_desk() as desk, desk.journal.lease(desk.book, "a tick that hangs"):
        dog.look()
        assert held(floor) == ["AAPL"]
        assert "The watchdog waits for the book" in alerted(floor)
    dog.look()
    assert held(floor) == []


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end of the block, whatever it is doing."""
    with process:
        try:
            yield process
        finally:
            process.kill()


STOPPED = """
import sys, time
from trading_assets.store import database
from trading_assets.store.journal import Journal
with Journal.open(sys.argv[1]) as journal:
    journal.acquire_lease(sys.argv[2], "a run that hangs", ttl_seconds=2.0)
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_stopped_process_holds_the_book_no_longer_than_its_lease(floor: TradingFloor) -> None:
    through_its_stop(floor)
    with floor.open_desk() as desk:
        arguments = [sys.executable, "-c", STOPPED, str(journal_file(desk.settings)), desk.book]
    with ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        dog = watchdog(floor)
        unprotected(dog)
        dog.look()
        assert held(floor) == []


@pytest.mark.parametrize("typo", ["venue: embeded\n", "stop_loss: [0.05\n", "", "stop_los: 0.05\n"])
def test_a_typo_in_the_configuration_is_told_and_the_last_good_one_goes_on(
    floor: TradingFloor, typo: str
) -> None:
    through_its_stop(floor)
    dog = watchdog(floor)
    good = floor.config_path.read_text()
    unprotected(dog)
    floor.config_path.write_text(typo)
    dog.look()
    floor.config_path.write_text(good)
    assert held(floor) == []
    assert "The configuration cannot be used" in alerted(floor)


def test_a_configuration_that_is_right_again_is_taken_up(floor: TradingFloor) -> None:
    configured = LastGood(floor.config_path)
    good = yaml.safe_load(floor.config_path.read_text())
    floor.config_path.unlink()
    assert configured.read().stop_loss == 0.05
    assert configured.fault is not None
    floor.config_path.write_text(yaml.safe_dump(good | {"stop_loss": 0.04}))
    assert configured.read().stop_loss == 0.04
    assert configured.fault is None


def test_a_broker_out_of_reach_is_told_and_tried_again(floor: TradingFloor) -> None:
    through_its_stop(floor)
    dog = watchdog(floor)
    unprotected(dog)
    floor.control("/faults", faults=[{"kind": "html_502", "method": "GET", "path": "/v2/positions"}])
    dog.look()
    assert held(floor) == ["AAPL"]
    assert "The watchdog could not protect" in alerted(floor)
    floor.control("/faults", faults=[])
    time.sleep(0.3)  # not again at once: at the pace of the others
    dog.look()
    assert held(floor) == []


def test_a_fault_of_the_program_is_told_and_the_next_look_protects(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    through_its_stop(floor)
    faults = iter([KeyError("planted"), ZeroDivisionError("planted")])

    def protect_in_the_end(desk: Desk, execution: str, *, holder: str) -> object:
        for fault in faults:
            raise fault
        return protect_alone(desk, execution, holder=holder)

    monkeypatch.setattr(module, "protect_alone", protect_in_the_end)
    with watching(watchdog(floor)):
        until(lambda: not held(floor))
    assert "The watchdog could not protect" in alerted(floor)


def test_where_time_stands_and_nothing_is_held_nothing_is_due_and_nobody_is_told(floor: TradingFloor) -> None:
    with floor.open_desk() as desk:
        protect_alone(desk, new_execution_id())
        before = desk.journal.mark(desk.book, PROTECTED_MARK)
    dog = watchdog(floor)
    unprotected(dog)
    for _ in range(3):
        dog.look()
        time.sleep(0.2)
    with floor.open_desk() as desk:
        assert desk.journal.mark(desk.book, PROTECTED_MARK) == before
    assert alerted(floor) == []


def test_a_book_that_was_never_opened_is_not_the_watchdogs_to_open(floor: TradingFloor) -> None:
    dog = watchdog(floor)
    dog.look()
    with floor.open_desk() as desk:
        unprotected(dog)
        dog.look()
        assert desk.journal.opening(desk.book) == []
    assert alerted(floor) == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


def test_an_alert_that_the_daemon_leaves_lying_is_delivered_by_the_watchdog(
    floor: TradingFloor, receiver: Receiver
) -> None:
    through_its_stop(floor)
    dog = watchdog(floor, {URLS_VARIABLE: receiver.url}, delivery_seconds=0.2)
    unprotected(dog)
    dog.look()
    assert "Nobody but the watchdog protects" in alerted(floor)
    time.sleep(0.3)
    dog.look()
    until(lambda: not alerted(floor))
    assert any("Nobody but the watchdog protects" in message["message"] for message in receiver.messages)


def test_a_mail_server_that_hangs_delays_no_stop(floor: TradingFloor) -> None:
    through_its_stop(floor)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it takes connections and never answers
        url = f"json://127.0.0.1:{mute.getsockname()[1]}/alerts"
        dog = watchdog(floor, {URLS_VARIABLE: url}, delivery_seconds=0.0)
        dog._tell("test", "ERROR", "Something to deliver", "to nobody")
        dog.look()
        dog.look()
        time.sleep(0.5)
        began = time.monotonic()
        dog.look()
        took = time.monotonic() - began
        assert dog._courier._thread is not None
        assert dog._courier._thread.is_alive()
    assert held(floor) == []
    assert took < 3.0  # apprise gives a server four seconds to answer


def test_what_dagster_says_twice_is_told_and_what_it_says_once_is_not(floor: TradingFloor) -> None:
    with floor.open_desk() as desk:
        protect_alone(desk, new_execution_id())
    passing = Trouble("a", "Passing", "")
    lasting = Trouble("b", "Lasting", "")
    failed = Trouble("c", "An evaluation failed", "why", occurrence="tick 7")
    answers = iter([(passing, lasting), (lasting,), (lasting, failed)])
    asked = []

    def ask() -> tuple[Trouble, ...]:
        asked.append(1)
        return next(answers, (lasting,))

    with watching(watchdog(floor, ask_dagster=ask, settling_seconds=0.0, ask_seconds=0.05)):
        until(lambda: {"Lasting", "An evaluation failed"} <= set(alerted(floor)) and len(asked) > 10)
    assert sorted(alerted(floor)) == ["An evaluation failed", "Lasting"]


def test_after_its_start_and_after_a_sleep_dagster_is_given_time(floor: TradingFloor) -> None:
    with floor.open_desk() as desk:
        protect_alone(desk, new_execution_id())
    dog = watchdog(floor, ask_dagster=lambda: (Trouble("a", "Silent", ""),), ask_seconds=0.02)
    with watching(dog):
        until(lambda: dog._lasting)
        time.sleep(0.3)
    assert alerted(floor) == []


def test_its_sign_of_life_says_whether_it_watches_hangs_or_died(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LastGood(floor.config_path).settings
    assert seen(settings).life is Life.NONE
    path = sign_file(settings)
    with watching(watchdog(floor)):
        until(lambda: seen(settings).life is Life.WATCHES)
        assert seen(settings).pid == os.getpid()
        hung = json.loads(path.read_text())
    assert seen(settings).life is Life.NONE
    path.write_text(json.dumps(hung))
    os.utime(path, (time.time() - 200, time.time() - 200))
    assert seen(settings).life is Life.SILENT
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    path.write_text(json.dumps(hung | {"pid": gone.pid}))
    assert seen(settings).life is Life.DIED
    path.write_text("")
    assert seen(settings).life is Life.DIED


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
    with floor.open_desk() as desk:  # as a daemon would have it open
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
    time.sleep(0.5)
    dog.look()
    assert held(floor) == []


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
    monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.5)
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
