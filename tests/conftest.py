"""What every test runs under: no telemetry, no key of a real account, no instance of a person's Dagster."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from trading_assets import keyring

if TYPE_CHECKING:  # a test without an exchange does not wait for what an exchange imports
    from support.trading_floor import TradingFloor

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
for _name in (
    "ALPACA_API_KEY",
    "ALPACA_SECRET_KEY",
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "DAGSTER_HOME",
    "KILL_SWITCH",
    "TRADING_ASSETS_ALERT_URLS",
    "TRADING_ASSETS_CONFIG",
    "TRADING_ASSETS_EXCHANGE_TOKEN",
):
    os.environ.pop(_name, None)

# The desk's stores write through to the disk at every commit. No test pulls the plug, so the directories of
# the tests are in memory where there is room.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# fixtures that start an exchange process; a test that starts one without them is marked where it stands
EXCHANGE_FIXTURES = {"floor", "start_floor", "shared_floor", "live", "shared", "traded", "victim"}


SLOW_SECONDS = 10.0  # a slow test that does not say how long it takes


@pytest.fixture(autouse=True)
def _no_secret_stays() -> Iterator[None]:
    """What a test set in the environment, and a process of ours would keep, is not the next test's."""
    yield
    keyring.forget()


def _marked(request: pytest.FixtureRequest) -> tuple[tuple[Any, ...], dict[str, Any], bool]:
    """What the closest mark `floor` says: arguments and options of `trading_floor`; whether it is shared."""
    mark = request.node.get_closest_marker("floor")
    options = dict(mark.kwargs) if mark else {}
    return (mark.args if mark else ()), options, options.pop("shared", False)


@pytest.fixture
def start_floor(tmp_path: Path) -> Iterator[Callable[..., TradingFloor]]:
    """Starts exchanges of the test's own: `start_floor(session, …)`, with what `trading_floor` takes."""
    from support.trading_floor import trading_floor

    with ExitStack() as started:
        numbers = itertools.count()

        def start(*given: Any, **options: Any) -> TradingFloor:
            return started.enter_context(
                trading_floor(tmp_path / f"floor-{next(numbers)}", *given, **options)
            )

        yield start


@pytest.fixture(scope="module")
def shared_floor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TradingFloor]:
    """The exchange that the tests of a module share: its mark is `floor(session, shared=True, …)`."""
    from support.trading_floor import trading_floor

    given, options, shared = _marked(request)
    assert shared, f"{request.node.name} has no pytestmark `floor` with shared=True"
    with trading_floor(tmp_path_factory.mktemp("floor"), *given, **options) as floor:
        yield floor


@pytest.fixture
def floor(request: pytest.FixtureRequest) -> TradingFloor:
    """An exchange and a desk's configuration on it, new for each test or shared by those of a module.

    `pytest.mark.floor(session, shared=…, …)` of the test or its module says which, with what `trading_floor`
    takes; without it there is a new one with the defaults.
    """
    given, options, shared = _marked(request)
    if shared:
        of_module: TradingFloor = request.getfixturevalue("shared_floor")
        return of_module
    start: Callable[..., TradingFloor] = request.getfixturevalue("start_floor")
    return start(*given, **options)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what meets a real exchange: `make check` leaves it to `make test`. The longest files begin first,
    so that no worker is left with one at the end."""
    seconds: Counter[Path] = Counter()
    for item in items:
        if EXCHANGE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.exchange)
        if slow := item.get_closest_marker("slow"):
            seconds[item.path] += slow.kwargs.get("seconds", SLOW_SECONDS)
    items.sort(key=lambda item: -seconds[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests recorded for it: seeds and counts of the crash cases."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties:
            if name == "in the summary" and report.when == "call":
                terminalreporter.write_line(str(line))


# The first example of a compiled function pays for its compilation. Under CI hypothesis would repeat the same
# examples for ever; here new ones are looked for everywhere.
settings.register_profile("trading_assets", settings.get_profile("default"), deadline=None)
settings.load_profile("trading_assets")
