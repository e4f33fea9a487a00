"""A kill against an order that is under way: between gate and wire, on the wire, and under a tick's lease.

The tick is a thread that holds the book's lease and stops at a hook; the kill comes from elsewhere meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Event

import pytest
import yaml
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import at_broker, decided, new_account, send, signal

from trading_assets.core.words import HaltState
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.store.journal import LeaseHeld
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 9, 11)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
PATIENCE_SECONDS = 60.0


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path / "desk") as desk:
        yield desk


@pytest.fixture
def config_path(floor: TradingFloor, desk: Desk, tmp_path: Path) -> Path:
    """The desk's configuration, for who opens it by its file."""
    path = tmp_path / "execution.yaml"
    settings = yaml.safe_load(floor.config_path.read_text())
    path.write_text(yaml.safe_dump({**settings, "data_dir": str(desk.settings.data_dir)}))
    return path


class Gate:
    """Where the tick's thread waits."""

    def __init__(self) -> None:
        self._there, self._go = Event(), Event()

    def wait_here(self) -> None:
        self._there.set()
        assert self._go.wait(PATIENCE_SECONDS)

    def wait_for_it(self) -> None:
        assert self._there.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self._go.set()


@contextmanager
def tick_under_way(desk: Desk, gate: Gate) -> Iterator[Future[list[OrderRecord]]]:
    """A thread that sends two orders under the lease and stops at the gate."""
    decision = decided(desk, signal(desk), signal(desk, "IBM"))
    with ThreadPoolExecutor(1) as thread:
        orders = thread.submit(send, desk, decision)
        try:
            gate.wait_for_it()
            yield orders
        finally:
            gate.open()


def stop_after_the_gate(desk: Desk, gate: Gate) -> None:
    """The first intent is durable; its halt state is still to be read again."""
    real = desk.journal

    def record_intents(*about: object) -> None:
        real.record_intents(*about)  # type: ignore[arg-type]
        gate.wait_here()

    desk.journal = Altered(real, record_intents=record_intents)


def by_command(desk: Desk, config_path: Path) -> None:
    arguments = [
        sys.executable,
        "-m",
        "trading_assets.cli",
        "kill",
        "--reason",
        "test",
        "--config",
        str(config_path),
    ]
    subprocess.run(arguments, check=True, capture_output=True, timeout=PATIENCE_SECONDS)


def by_file(desk: Desk, config_path: Path) -> None:
    (Path(desk.settings.data_dir) / "KILL").touch()


def by_environment(desk: Desk, config_path: Path) -> None:
    with Desk.open(desk.settings, environ={"KILL_SWITCH": "1"}) as other, pytest.raises(LeaseHeld):
        protect_alone(other, new_execution_id())  # it may do nothing, but it has seen the kill


def by_job(desk: Desk, config_path: Path) -> None:
    from trading_assets.defs.operator.jobs import kill
    from trading_assets.runs.resources import DeskResource

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADING_ASSETS_CONFIG", str(config_path))
        assert kill.execute_in_process(resources={"desk": DeskResource()}).success


@pytest.mark.parametrize("kill", [by_command, by_file, by_environment, by_job])
def test_a_kill_stops_an_order_between_gate_and_wire_though_a_tick_holds_the_lease(
    desk: Desk, config_path: Path, kill: Callable[[Desk, Path], None]
) -> None:
    gate = Gate()
    stop_after_the_gate(desk, gate)
    with tick_under_way(desk, gate) as under_way:
        kill(desk, config_path)
        gate.open()
        orders = under_way.result(PATIENCE_SECONDS)
    assert [order.state for order in orders] == ["DROPPED", "DROPPED"]
    assert not at_broker(desk)
    assert desk.halts().causes == (Cause.KILL,)
    with Desk.open(desk.settings, environ={}) as next_process:
        assert next_process.halts().state is HaltState.HALTED


def test_a_kill_cancels_the_order_whose_answer_is_still_on_its_way(floor: TradingFloor, desk: Desk) -> None:
    gate, real = Gate(), desk.broker

    def submit(order: object) -> object:
        answer = real.submit(order)  # type: ignore[arg-type]
        gate.wait_here()
        return answer

    decision = decided(desk, signal(desk, resting=True), signal(desk, "IBM"))
    desk.broker = Altered(real, submit=submit)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(send, desk, decision)
        try:
            gate.wait_for_it()
            with Desk.open(desk.settings, environ={}) as other:
                operator.kill(other, reason="now", author="tester")
        finally:
            gate.open()
        first, second = under_way.result(PATIENCE_SECONDS)
    assert [order.status_word for order in real.open_orders()] == []
    assert second.state == "DROPPED"
    with Desk.open(desk.settings, environ={}) as other:
        protect_alone(other, new_execution_id())
        assert other.journal.order(first.intent.client_order_id).state == "CANCELED"
        assert [order.status_word for order in at_broker(other)] == ["canceled"]
        assert other.halts().causes == (Cause.KILL,)
