"""The watchdog protects whatever else of the desk is not there, and tells people."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from support.receiver import Receiver
from support.trading_floor import TradingFloor
from watched import MANY_ACCOUNTS, alerted, ended, held, through_its_stop, unprotected, until, watchdog

from trading_assets.config import LastGood, limits
from trading_assets.engine.book.alerts import URLS_VARIABLE
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.operation import watchdog as module
from trading_assets.engine.operation.asking import Trouble
from trading_assets.engine.operation.watchdog import DELIVERY_SECONDS, Watchdog
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.protected import PROTECTED_MARK
from trading_assets.engine.protection.sign_of_life import Life, seen, sign_file
from trading_assets.engine.records.status import book_status

pytestmark = pytest.mark.floor(shared=True, tick=1, requests_per_minute=MANY_ACCOUNTS)


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
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        fired = desk.journal.orders(desk.book)
    dog.look()
    with floor.desk() as desk:
        assert desk.journal.orders(desk.book) == fired


def test_a_book_that_is_held_is_waited_for_people_are_told_and_then_its_stop_fires(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_PATIENCE_SECONDS", 0.3)
    through_its_stop(floor)
    dog = watchdog(floor)
    unprotected(dog)
    with floor.desk() as desk, desk.journal.lease(desk.book, "a tick that hangs"):
        dog.look()
        assert held(floor) == ["AAPL"]
        assert "The watchdog waits for the book" in alerted(floor)
    dog.look()
    assert held(floor) == []


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
    with floor.desk() as desk:
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
    assert limits(configured.read()).stop_loss == 0.05
    assert configured.fault is not None
    floor.config_path.write_text(yaml.safe_dump(good | {"stop_loss": 0.04}))
    assert limits(configured.read()).stop_loss == 0.04
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
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        before = desk.journal.mark(desk.book, PROTECTED_MARK)
    dog = watchdog(floor)
    unprotected(dog)
    for _ in range(3):
        dog.look()
        time.sleep(0.2)
    with floor.desk() as desk:
        assert desk.journal.mark(desk.book, PROTECTED_MARK) == before
    assert alerted(floor) == []


def test_a_book_that_was_never_opened_is_not_the_watchdogs_to_open(floor: TradingFloor) -> None:
    dog = watchdog(floor)
    dog.look()
    with floor.desk() as desk:
        unprotected(dog)
        dog.look()
        assert desk.journal.opening(desk.book) == []
    assert alerted(floor) == []


@pytest.mark.parametrize("delivery_seconds", [0.2, DELIVERY_SECONDS])
def test_an_alert_that_the_daemon_leaves_lying_is_delivered_by_the_watchdog(
    floor: TradingFloor, receiver: Receiver, delivery_seconds: float
) -> None:
    """After that time, and after `watchdog_seconds`, here 0.4, where that is less."""
    through_its_stop(floor)
    dog = watchdog(floor, {URLS_VARIABLE: receiver.url}, delivery_seconds=delivery_seconds)
    unprotected(dog)
    dog.look()
    assert "Nobody but the watchdog protects" in alerted(floor)
    time.sleep(min(delivery_seconds, 0.4) + 0.1)
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
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
    passing = Trouble("a", "Passing", "")
    lasting = Trouble("b", "Lasting", "")
    failed = Trouble("c", "An evaluation failed", "why", occurrence="tick 7")
    answers = iter([(passing, lasting), (lasting,), (lasting, failed)])
    requests = []

    def ask() -> tuple[Trouble, ...]:
        requests.append(1)
        return next(answers, (lasting,))

    with watching(watchdog(floor, ask_dagster=ask, waking_seconds=0.0, ask_seconds=0.05)):
        until(lambda: {"Lasting", "An evaluation failed"} <= set(alerted(floor)) and len(requests) > 10)
    assert sorted(alerted(floor)) == ["An evaluation failed", "Lasting"]


def test_after_its_start_and_after_a_sleep_dagster_is_given_time(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
    dog = watchdog(floor, ask_dagster=lambda: (Trouble("a", "Silent", ""),), ask_seconds=0.02)
    with watching(dog):
        until(lambda: dog._askings[0].lasting)
        time.sleep(0.3)
    assert alerted(floor) == []


def test_definitions_that_do_not_load_are_told_at_once_and_status_is_not_well_until_they_do(
    floor: TradingFloor,
) -> None:
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
    broken = [Trouble("dagster:definitions", "The definitions do not load", "why", "file 1", not_loaded=True)]
    settings = LastGood(floor.config_path).settings

    def is_well() -> bool:
        with floor.desk() as desk:
            return book_status(desk).well

    with watching(watchdog(floor, ask_sources=lambda: tuple(broken))):  # it has just begun: Dagster settles
        until(lambda: alerted(floor) == ["The definitions do not load"])
        until(lambda: seen(settings).not_loaded == "The definitions do not load")
        assert seen(settings).life is Life.WATCHES
        assert not is_well()
        broken.clear()
        until(lambda: not seen(settings).not_loaded)
        assert is_well()
    assert alerted(floor) == ["The definitions do not load"]


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
