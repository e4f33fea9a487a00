"""A kill is durable before anything is opened, read or asked, whichever way it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ground import CASH, Ground
from planted import Altered

from trading_assets.broker.alpaca import connect
from trading_assets.broker.port import Broker, Unauthorized
from trading_assets.config import Settings
from trading_assets.engine import operator, tick
from trading_assets.engine.desk import Desk, journal_file
from trading_assets.engine.halts import Cause, in_force
from trading_assets.engine.protect import new_execution_id, protect_alone
from trading_assets.engine.submit import see_kill_switch
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.market.clock import monotonic_ns
from trading_assets.store.journal import Journal

ANSWERS_AFTER_SECONDS = 9.0  # inside the read timeout
LATCHED_WITHIN_SECONDS = 2.0  # 0.5 s on a machine that has nothing else to do
ASKED = (
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
        self.asked = threading.Event()

    def connect(self, settings: Settings, environ: Mapping[str, str]) -> Broker:
        real = connect(settings, environ)

        def late(call: Callable[..., Any]) -> Callable[..., Any]:
            def answer(*arguments: Any) -> Any:
                self.asked.set()
                self.let_go.wait(ANSWERS_AFTER_SECONDS)
                return call(*arguments)

            return answer

        return Altered(real, **{name: late(getattr(real, name)) for name in ASKED})  # type: ignore[return-value]


def seconds_until_latched(ground: Ground, book: str, act: Callable[[], object], slow: Slow) -> float:
    """From the start of `act` in a thread to the kill in the journal, as another process reads it."""
    with Journal.open(journal_file(ground.settings)) as journal:
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


def command(ground: Ground, slow: Slow) -> Callable[[], object]:
    """What the command and the UI's job do."""
    return lambda: operator.kill_now(
        ground.settings, {}, reason="stop", author="tester", connect=slow.connect
    )


def at_opening(environ: dict[str, str]) -> Callable[[Ground, Slow], Callable[[], object]]:
    """Any process of ours that opens a desk while the kill is set."""

    def way(ground: Ground, slow: Slow) -> Callable[[], object]:
        if not environ:
            (ground.settings.data_dir / "KILL").touch()
        return lambda: Desk.open(ground.settings, environ, connect=slow.connect).close()

    return way


def in_an_open_desk(look: Callable[[Ground, Desk], object]) -> Callable[[Ground, Slow], Callable[[], object]]:
    """A process that has its desk open already, and looks."""

    def way(ground: Ground, slow: Slow) -> Callable[[], object]:
        slow.let_go.set()
        desk = Desk.open(ground.settings, {}, connect=slow.connect)
        slow.let_go.clear()
        desk.environ = {"KILL_SWITCH": "1"}

        def act() -> None:
            with desk:
                look(ground, desk)

        return act

    return way


WAYS = {
    "command and job": command,
    "variable": at_opening({"KILL_SWITCH": "1"}),
    "file": at_opening({}),
    "protection": in_an_open_desk(lambda _, desk: protect_alone(desk, new_execution_id())),
    "tick": in_an_open_desk(
        lambda ground, desk: tick.execute(desk, ground.session, ground.ticks()[0], new_execution_id())
    ),
    "before an order": in_an_open_desk(lambda _, desk: see_kill_switch(desk)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_is_latched_before_a_slow_broker_has_answered(
    ground: Ground, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        protect_alone(desk, new_execution_id())
        book = desk.book
    slow = Slow()
    elapsed = seconds_until_latched(ground, book, WAYS[way](ground, slow), slow)
    with capsys.disabled():
        print(f" latched by {way} after {elapsed:.3f} s", end="")
    assert elapsed < LATCHED_WITHIN_SECONDS


def wrong_keys(settings: Settings, environ: Mapping[str, str]) -> Broker:
    def refuse() -> None:
        raise Unauthorized(401, None, "unauthorized.")

    return Altered(connect(settings, environ), account=refuse)  # type: ignore[return-value]


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
    ground: Ground, broker: Callable[..., Broker], known: bool
) -> None:
    ground.go_to_tick(0)
    if known:
        with ground.desk() as desk:
            protect_alone(desk, new_execution_id())
    killed = operator.kill_now(ground.settings, {}, reason="stop", author="tester", connect=broker)
    assert bool(killed.failure) is not (
        known and broker is wrong_keys
    )  # a known book opens without its account
    assert killed.state == "HALTED"
    if killed.failure:
        assert killed.kept in killed.nothing_cancelled
    with ground.desk() as desk:
        see_kill_switch(desk)
        assert desk.halts().causes == (Cause.KILL,)
        assert [act.author for act in desk.journal.latched(desk.book)] == ["tester" if known else "system"]


def test_a_kill_of_the_command_holds_for_the_book_that_was_and_for_the_one_that_the_keys_open(
    ground: Ground,
) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        protect_alone(desk, new_execution_id())
        before = desk.book
    ground.keeper.reset(CASH)
    killed = operator.kill_now(ground.settings, {}, reason="stop", author="tester")
    assert killed.book != before
    with Journal.open(journal_file(ground.settings)) as journal:
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
