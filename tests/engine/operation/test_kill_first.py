"""A kill is durable before anything is opened, read or asked, whichever way it comes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engine_ticks import run_tick
from support.planted import Altered
from support.trading_floor import CASH, TradingFloor

from trading_assets.broker.connection import connect
from trading_assets.broker.port import Broker, Unauthorized
from trading_assets.config import Settings
from trading_assets.engine.book import kill_latch
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, in_force
from trading_assets.engine.book.place import journal_file, kill_file
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.submit import see_kill_switch
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import tick
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.market.clock import monotonic_ns
from trading_assets.store.database import JournalBusy
from trading_assets.store.journal import Journal
from trading_assets.store.records import OrderRecord

ANSWERS_AFTER_SECONDS = 9.0  # inside the read timeout
LATCHED_WITHIN_SECONDS = 2.0  # 0.5 s on a machine that has nothing else to do
REQUEST_NAMES = (
    "account",
    "clock",
    "positions",
    "open_orders",
    "cancel_all",
    "cancel",
    "asset",
    "quotes",
    "calendar",
)


class Slow:
    """A broker that answers everything, late: it waits until it is let go, or for as long as it is slow."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.requests = threading.Event()

    def connect(self, settings: Settings, environ: Mapping[str, str]) -> Broker:
        real = connect(settings, environ)

        def late(call: Callable[..., Any]) -> Callable[..., Any]:
            def answer(*arguments: Any) -> Any:
                self.requests.set()
                self.let_go.wait(ANSWERS_AFTER_SECONDS)
                return call(*arguments)

            return answer

        return Altered(real, **{name: late(getattr(real, name)) for name in REQUEST_NAMES})


def seconds_until_latched(floor: TradingFloor, book: str, act: Callable[[], object], slow: Slow) -> float:
    """From the start of `act` in a thread to the kill in the journal, as another process reads it."""
    with Journal.open(journal_file(floor.settings)) as journal:
        began = monotonic_ns()
        thread = threading.Thread(target=act)
        thread.start()
        while Cause.KILL not in in_force(journal, book).causes and thread.is_alive():
            thread.join(0.01)
        elapsed = (monotonic_ns() - began) / 1e9
        latched = Cause.KILL in in_force(journal, book).causes
    slow.let_go.set()
    thread.join(60)
    assert latched
    return elapsed


def command(floor: TradingFloor, slow: Slow) -> Callable[[], object]:
    """What the command and the UI's job do."""
    return lambda: operator.kill_now(floor.settings, {}, reason="stop", author="tester", connect=slow.connect)


def at_opening(environ: dict[str, str]) -> Callable[[TradingFloor, Slow], Callable[[], object]]:
    """Any process of ours that opens a desk while the kill is set."""

    def way(floor: TradingFloor, slow: Slow) -> Callable[[], object]:
        if not environ:
            (floor.settings.data_dir / "KILL").touch()
        return lambda: Desk.open(floor.settings, environ, connect=slow.connect).close()

    return way


def in_an_open_desk(
    look: Callable[[TradingFloor, Desk], object],
) -> Callable[[TradingFloor, Slow], Callable[[], object]]:
    """A process that has its desk open already, and looks."""

    def way(floor: TradingFloor, slow: Slow) -> Callable[[], object]:
        slow.let_go.set()
        desk = Desk.open(floor.settings, {}, connect=slow.connect)
        slow.let_go.clear()
        desk.environ = {"KILL_SWITCH": "1"}

        def act() -> None:
            with desk:
                look(floor, desk)

        return act

    return way


WAYS = {
    "command and job": command,
    "variable": at_opening({"KILL_SWITCH": "1"}),
    "file": at_opening({}),
    "protection": in_an_open_desk(lambda _, desk: protect_alone(desk, new_execution_id())),
    "tick": in_an_open_desk(
        lambda floor, desk: tick.execute(desk, floor.session, floor.ticks()[0], new_execution_id())
    ),
    "before an order": in_an_open_desk(lambda _, desk: see_kill_switch(desk)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_is_latched_before_a_slow_broker_has_answered(
    floor: TradingFloor, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        book = desk.book
    slow = Slow()
    elapsed = seconds_until_latched(floor, book, WAYS[way](floor, slow), slow)
    with capsys.disabled():
        print(f" latched by {way} after {elapsed:.3f} s", end="")
    assert elapsed < LATCHED_WITHIN_SECONDS


@contextmanager
def locked_by_another_process(file: Path) -> Iterator[None]:
    """A process that keeps the journal's write lock, as one does that was stopped within a transaction."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.communicate("")


def rest(floor: TradingFloor, desk: Desk) -> OrderRecord:
    """An order of ours that works at the broker."""
    tick_signals.receive(desk, "AAPL", 1.0, limit_price=desk.broker.quotes(["AAPL"])["AAPL"].bid)
    report, _ = run_tick(desk, floor.session, desk.now_ns())
    (order,) = report.orders
    assert order.state == "ACCEPTED"
    return order


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("way", ["command and job", "file", "variable"])
def test_a_kill_while_another_process_holds_the_journal_latches_by_file_and_cancels(
    floor: TradingFloor, way: str
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        rest(floor, desk)
    file, environ = journal_file(floor.settings), dict[str, str]()
    with floor.desk() as desk, locked_by_another_process(file):
        if way == "command and job":
            killed = operator.kill_now(floor.settings, {}, reason="stop", author="tester")
            assert (killed.failure, killed.cancels_sent, killed.answered) == ("", 1, True)
            assert f"the kill file {floor.settings.data_dir / 'KILL'}" in killed.kept
            assert "not in the journal" in killed.kept
            assert "stayed locked by another process" in killed.past_journal
        else:
            if way == "file":
                (floor.settings.data_dir / "KILL").touch()
            else:
                desk.environ = environ = {"KILL_SWITCH": "1"}
            with pytest.raises(JournalBusy):
                protect_alone(desk, new_execution_id())
        assert desk.broker.open_orders() == []
        assert desk.halts().causes == (Cause.KILL,)
        assert (floor.settings.data_dir / "KILL").exists()
    with floor.desk(environ) as desk:
        protect_alone(desk, new_execution_id())
        assert desk.journal.open_orders(desk.book) == []
        (act,) = desk.journal.latched(desk.book)
        assert act.cause == Cause.KILL
        with pytest.raises(InvalidInput, match="still set"):
            operator.rearm(desk, reason="test", author="tester")


def test_a_kill_that_the_journal_has_leaves_no_file_behind_and_a_rearm_ends_it(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        killed = operator.kill_now(floor.settings, {}, reason="stop", author="tester")
        assert killed.kept == f"the journal {journal_file(floor.settings)}"
        assert not (floor.settings.data_dir / "KILL").exists()
        assert operator.rearm(desk, reason="test", author="tester") == (Cause.KILL,)
        assert desk.halts().causes == ()


def test_a_kill_without_a_place_for_its_file_is_in_the_journal_and_says_so(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())

        def no_room(*_: object) -> bool:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(kill_latch, "set_kill_file", no_room)
        killed = operator.kill_now(floor.settings, {}, reason="stop", author="tester")
        assert killed.kept.startswith(f"the journal {journal_file(floor.settings)} (the kill file")
        assert "No space left on device" in killed.kept
        assert desk.halts().causes == (Cause.KILL,)


def wrong_keys(settings: Settings, environ: Mapping[str, str]) -> Broker:
    def refuse() -> None:
        raise Unauthorized(401, None, "unauthorized.")

    return Altered(connect(settings, environ), account=refuse)


def another_account(settings: Settings, environ: Mapping[str, str]) -> Broker:
    raise InvalidInput(
        "the keys open account PA9, not the pinned PA1",
        where="config `account_number`",
        remedy="Use its keys",
    )


def no_keys(settings: Settings, environ: Mapping[str, str]) -> Broker:
    raise InvalidInput("no key pair", where="environment", remedy="Set it")


@pytest.mark.parametrize("broker", [wrong_keys, another_account, no_keys])
@pytest.mark.parametrize("known", [True, False], ids=["a known book", "no book yet"])
def test_a_kill_holds_whatever_keeps_the_desk_from_opening(
    floor: TradingFloor, broker: Callable[..., Broker], known: bool
) -> None:
    floor.go_to_tick(0)
    if known:
        with floor.desk() as desk:
            protect_alone(desk, new_execution_id())
    killed = operator.kill_now(floor.settings, {}, reason="stop", author="tester", connect=broker)
    assert bool(killed.failure) is not (
        known and broker is wrong_keys
    )  # a known book opens without its account
    assert killed.state == "HALTED"
    if killed.failure:
        assert killed.kept in killed.nothing_cancelled
    with floor.desk() as desk:
        see_kill_switch(desk)
        assert desk.halts().causes == (Cause.KILL,)
        assert [act.author for act in desk.journal.latched(desk.book)] == ["tester" if known else "system"]


def test_a_kill_of_the_command_holds_for_the_book_that_was_and_for_the_one_that_the_keys_open(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        before = desk.book
    floor.keeper.reset(CASH)
    killed = operator.kill_now(floor.settings, {}, reason="stop", author="tester")
    assert killed.book != before
    with Journal.open(journal_file(floor.settings)) as journal:
        assert in_force(journal, before).causes == in_force(journal, killed.book).causes == (Cause.KILL,)


def test_a_kill_without_a_journal_is_kept_by_the_kill_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "desk")
    settings.data_dir.mkdir()
    journal_file(settings).write_text("this is no journal")

    def nobody(*_: object) -> Broker:
        raise TradingAssetsError("no broker here")

    killed = operator.kill_now(settings, {}, reason="stop", author="tester", connect=nobody)
    assert (settings.data_dir / "KILL").exists()
    assert "the kill file" in killed.kept
    assert killed.failure


def test_a_kill_whose_file_another_kill_takes_away_holds_where_the_journal_cannot_be_had(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has latched, and a person rearms it, before this one's last try."""
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        file = kill_file(desk.settings)
        kill_latch.set_kill_file(file, "the other", "tester")

        def busy(*_: object) -> bool:
            if file.exists():
                file.unlink()
                operator.rearm(desk, reason="the other kill is over", author="tester")
            raise JournalBusy(str(journal_file(desk.settings)))

        with monkeypatch.context() as patch:
            patch.setattr(kill_latch, "_latch_in", busy)
            latched = kill_latch.latch_kill(desk.settings, reason="this one", author="tester")
        assert (latched.file, latched.journal) == (file, None)
        see_kill_switch(desk)
        assert Cause.KILL in desk.halts().causes
