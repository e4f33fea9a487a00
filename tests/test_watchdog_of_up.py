"""`make up` when its parts die or hang: the watchdog protects, the part is started again, people are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Thread

import psutil
import pytest
import yaml
from support.receiver import Receiver, listening
from support.running_desk import BOOK, RunningDesk, free_ports, start

from trading_assets import config
from trading_assets.core.orders import Kind
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection import sign_of_life
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.protection.sign_of_life import Life
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks import whole_tick
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.journal import Journal
from trading_assets.store.leases import when_free
from trading_assets.up import FIRST_SESSION

pytestmark = [pytest.mark.slow(seconds=60), pytest.mark.exchange]

PATIENCE_SECONDS = 150  # of the four minutes within which a stop fires

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
        while not desk.next_line().startswith("Ready."):
            assert desk.process.poll() is None, desk.logs()
        yield desk
    finally:
        desk.end()


@pytest.fixture(scope="module")
def next_line(desk: RunningDesk) -> Callable[[], list[str]]:
    """What `up` has said since it was ready."""
    lines: list[str] = []
    assert desk.process.stdout is not None
    output = desk.process.stdout
    Thread(target=lambda: lines.extend(iter(output.readline, "")), daemon=True).start()
    return lambda: lines


def part(desk: RunningDesk, name: str) -> psutil.Process:
    """A part's own process."""
    (result,) = [
        child
        for child in psutil.Process(desk.process.pid).children()
        if any(Path(word).name == name for word in child.cmdline()[:3])
    ]
    return result


def through_its_stop(desk: RunningDesk, symbol: str) -> None:
    """Buy at 6.5 % above the market, and let the market come back."""
    settings = config.load(desk.config_path)
    with desk.keeper() as keeper, Desk.open(settings) as opened:
        tick_ns = Sessions().ticks(FIRST_SESSION, 30)[0]
        keeper.move_to(max(tick_ns, keeper.now_ns()) + MINUTE_NS)  # and the broker's minute begins anew
        opened.clock.sync()
        quote = opened.broker.quotes([symbol])[symbol]
        assert quote.bid is not None
        dear = (quote.bid * Decimal("1.065")).quantize(Decimal("0.01"))
        keeper.quote(symbol, float(dear), float(dear + Decimal("0.01")))
        receive(opened, symbol, 0.5, reference_price=dear)
        when_free(lambda: whole_tick.run_tick(opened, FIRST_SESSION, tick_ns, new_execution_id()))
        assert filled(desk, symbol, Kind.EXTERNAL)
        keeper.tape_quote(symbol)


def fired(desk: RunningDesk, symbol: str) -> bool:
    """Whether its stop has sold it, by the journal: asking the broker would use up what protection needs."""
    return filled(desk, symbol, Kind.STOP)


def filled(desk: RunningDesk, symbol: str, kind: Kind) -> bool:
    with Journal.open(desk.data_dir / "journal.sqlite") as journal:
        return any(
            (order.intent.symbol, order.intent.kind, order.state) == (symbol, kind, "FILLED")
            for order in journal.orders(BOOK)
        )


def protections(desk: RunningDesk) -> int:
    return len(desk.runs("reconcile"))


def test_the_watchdog_is_a_part_and_status_says_so(desk: RunningDesk) -> None:
    settings = config.load(desk.config_path)
    desk.wait("its sign of life", lambda: sign_of_life.seen(settings).life is Life.WATCHES)
    assert sign_of_life.seen(settings).pid == part(desk, "trading-assets").pid
    done = subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", "status"],
        env=os.environ | {"TRADING_ASSETS_CONFIG": str(desk.config_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "watchdog" in done.stdout
    assert "watches" in done.stdout


def test_a_daemon_that_hangs_holds_no_stop_back(desk: RunningDesk, receiver: Receiver) -> None:
    daemon = part(desk, "dagster-daemon")
    daemon.suspend()
    try:
        desk.wait("the end of what it had launched", lambda: not under_way(desk))
        through_its_stop(desk, "AAPL")
        desk.wait("the stop", lambda: fired(desk, "AAPL"), PATIENCE_SECONDS)
        desk.wait(
            "its alert", lambda: has_alert(receiver, "Nobody but the watchdog protects"), PATIENCE_SECONDS
        )
    finally:
        daemon.resume()


def under_way(desk: RunningDesk) -> list[object]:
    """The runs that have a process. What is queued waits for the daemon."""
    query = """{ runsOrError(filter: {statuses: [STARTING, STARTED, CANCELING]}) {
      ... on Runs { results { jobName } } } }"""
    return list(desk.graphql(query)["runsOrError"]["results"])


def has_alert(receiver: Receiver, title: str) -> bool:
    """Whether an alert has arrived, alone or among others."""
    return any(
        title in message["title"] or title in message["message"] for message in list(receiver.messages)
    )


def test_a_code_location_that_is_broken_holds_no_stop_back(desk: RunningDesk) -> None:
    """The daemon's code server is ended too, so that it loads the sources anew, as it would within time."""
    definitions = desk.home / "project" / "desk_definitions.py"
    good = definitions.read_text()
    definitions.write_text("from trading_assets.definitions import defs\ndefs = = defs\n")
    try:
        for child in part(desk, "dagster-daemon").children(recursive=True):
            child.kill()
        through_its_stop(desk, "IBM")
        desk.wait("the stop", lambda: fired(desk, "IBM"), PATIENCE_SECONDS)
    finally:
        definitions.write_text(good)


def test_a_typo_in_the_configuration_holds_no_stop_back(desk: RunningDesk, receiver: Receiver) -> None:
    good = desk.config_path.read_text()
    through_its_stop(desk, "MSFT")
    desk.config_path.write_text(good + "\nstop_los: 0.05\n")
    try:
        desk.wait("the stop", lambda: fired(desk, "MSFT"), PATIENCE_SECONDS)
        desk.wait(
            "its alert", lambda: has_alert(receiver, "The configuration cannot be used"), PATIENCE_SECONDS
        )
    finally:
        desk.config_path.write_text(good)


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("dagster-daemon", "Dagster's daemon ended"),
        ("trading-assets", "The listener with the watchdog ended"),
    ],
)
def test_a_part_that_is_killed_is_started_again_and_people_are_told(
    desk: RunningDesk, next_line: Callable[[], list[str]], receiver: Receiver, name: str, spoken: str
) -> None:
    before = part(desk, name)
    before.kill()
    desk.wait("a line on the terminal", lambda: any(spoken in line for line in next_line()), 30)
    desk.wait("another in its place", lambda: _replaced(desk, name, before.pid), PATIENCE_SECONDS)
    desk.wait("its alert", lambda: has_alert(receiver, spoken), PATIENCE_SECONDS)


def _replaced(desk: RunningDesk, name: str, pid: int) -> bool:
    try:
        return part(desk, name).pid != pid
    except (ValueError, psutil.Error):
        return False


def test_after_all_of_it_the_daemon_protects_again(desk: RunningDesk) -> None:
    before = protections(desk)
    desk.wait("a protection by the daemon", lambda: protections(desk) > before, 120)


def test_ctrl_c_ends_the_watchdog_too(desk: RunningDesk) -> None:
    settings = config.load(desk.config_path)
    processes = desk.processes()
    desk.process.send_signal(signal.SIGINT)
    assert desk.process.wait(60) == 0
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]
    assert sign_of_life.seen(settings).life is Life.NONE
