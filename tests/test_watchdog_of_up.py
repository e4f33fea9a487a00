"""`make up` when its parts die or hang: the watchdog protects, the part is started again, people are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import psutil
import pytest
import yaml
from receiver import Receiver, listening
from running_desk import BOOK, ROOT, TOKEN, RunningDesk, free_ports, start

from trading_assets import config
from trading_assets.engine import chain, sign_of_life
from trading_assets.engine.desk import Desk
from trading_assets.engine.protect import new_execution_id, protect_alone
from trading_assets.engine.sign_of_life import Life
from trading_assets.engine.signalling import receive
from trading_assets.market.sessions import Sessions
from trading_assets.store.journal import Journal
from trading_assets.store.leases import when_free
from trading_assets.up import FIRST_SESSION

pytestmark = [pytest.mark.slow(seconds=60), pytest.mark.exchange]

WORKSPACE = {
    "load_from": [
        {
            "python_module": {
                "module_name": "desk_definitions",
                "location_name": "trading_assets",
                "working_directory": ".",
            }
        }
    ]
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningDesk]:
    """A desk whose code location can be broken, with a hasty watchdog, and a share through its stop."""
    home = tmp_path_factory.mktemp("up")
    project = home / "project"
    project.mkdir()
    (project / "workspace.yaml").write_text(yaml.safe_dump(WORKSPACE))
    (project / "desk_definitions.py").write_text("from trading_assets.definitions import defs\n")
    desk = start(
        home,
        ports=free_ports(3),
        alert_urls=receiver.url,
        project=project,
        watchdog_seconds=6,
        reconciliation_interval_seconds=3,
    )
    try:
        while not desk.said().startswith("Ready."):
            assert desk.process.poll() is None, desk.logs()
        yield desk
    finally:
        desk.end()


@pytest.fixture(scope="module")
def said(desk: RunningDesk) -> Callable[[], list[str]]:
    """What `up` has said since it was ready."""
    lines: list[str] = []
    assert desk.process.stdout is not None
    output = desk.process.stdout
    Thread(target=lambda: lines.extend(iter(output.readline, "")), daemon=True).start()
    return lambda: lines


def part(desk: RunningDesk, name: str) -> psutil.Process:
    """A part's own process."""
    (found,) = [
        child
        for child in psutil.Process(desk.process.pid).children()
        if any(Path(word).name == name for word in child.cmdline()[:3])
    ]
    return found


def through_its_stop(desk: RunningDesk) -> None:
    """A share of AAPL that was bought at 6.5 % above the market."""
    settings = config.load(desk.config_path)
    with desk.keeper() as keeper, Desk.open(settings) as opened:
        tick_ns = Sessions().ticks(FIRST_SESSION, 30)[1]
        if keeper.now_ns() < tick_ns:
            keeper.move_to(tick_ns)
        protect(opened)
        quote = opened.broker.quotes(["AAPL"])["AAPL"]
        assert quote.bid is not None
        dear = (quote.bid * Decimal("1.065")).quantize(Decimal("0.01"))
        keeper.quote("AAPL", float(dear), float(dear + Decimal("0.01")))
        opened.clock.sync()
        receive(opened, "AAPL", 0.5, reference_price=dear)
        when_free(lambda: chain.run_tick(opened))
        assert held(desk) == ["AAPL"]
        keeper.tape_quote("AAPL")


def protect(opened: Desk) -> None:
    when_free(lambda: protect_alone(opened, new_execution_id()))


def held(desk: RunningDesk) -> list[str]:
    with Desk.open(config.load(desk.config_path)) as opened:
        return [position.symbol for position in opened.broker.positions()]
