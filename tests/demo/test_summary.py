"""What the demonstration's summary says of the stores, and the exit status that follows: each thing that must
hold, failing alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import dagster as dg
import pytest
import yaml
from rich.console import Console
from support.trading_floor import TOKEN, trading_floor

from trading_assets import config
from trading_assets.broker.port import PositionState
from trading_assets.cli import main
from trading_assets.core.ledger import Holding, Ledger
from trading_assets.demo import show, story, summary
from trading_assets.demo.demo_desk import DemoDesk
from trading_assets.demo.story import DemoFailed
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.sessions import Sessions

SESSION = date(2012, 9, 11)
HELD: dict[str, Any] = {"agree": True, "open_breaks": 0, "failed_checks": 0, "model_filled": 10}
LEDGER = Ledger(1000.0, {"AAPL": Holding(3.0, 600.0), "IBM": Holding()})
POSITIONS = {"AAPL": PositionState("AAPL", Decimal(3), Decimal(600), Decimal(3))}


def test_all_of_it_held() -> None:
    assert summary.all_held(**HELD)
    assert summary.all_held(**HELD | {"model_filled": 11})


@pytest.mark.parametrize(
    "failing", [{"agree": False}, {"open_breaks": 1}, {"failed_checks": 1}, {"model_filled": 9}], ids=str
)
def test_each_thing_that_must_hold_fails_it_alone(failing: dict[str, Any]) -> None:
    assert not summary.all_held(**HELD | failing)


@pytest.mark.parametrize(
    ("cash", "quantities", "agree"),
    [
        ("1000", {"AAPL": "3"}, True),
        ("1001", {"AAPL": "3"}, True),
        ("1001.01", {"AAPL": "3"}, False),
        ("998.99", {"AAPL": "3"}, False),
        ("1000", {"AAPL": "3.0000005"}, True),
        ("1000", {"AAPL": "3.000002"}, False),
        ("1000", {"AAPL": "2"}, False),
        ("1000", {}, False),
        ("1000", {"AAPL": "3", "MSFT": "1"}, False),
        ("1000", {"AAPL": "3", "IBM": "-1"}, False),
    ],
)
def test_the_ledger_agrees_to_a_dollar_and_to_a_millionth_of_a_share(
    cash: str, quantities: Mapping[str, str], agree: bool
) -> None:
    positions = {
        symbol: replace(POSITIONS["AAPL"], symbol=symbol, qty=Decimal(qty))
        for symbol, qty in quantities.items()
    }
    assert summary.ledger_agrees(LEDGER, Decimal(cash), positions) is agree


def evaluated(instance: dg.DagsterInstance, **checks: tuple[bool, dg.AssetCheckSeverity]) -> None:
    """A run of an asset with these checks' outcomes."""
    specs = [dg.AssetCheckSpec(name, asset="bars") for name in checks]

    @dg.multi_asset(specs=[dg.AssetSpec("bars")], check_specs=specs)
    def bars() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        yield dg.MaterializeResult("bars")
        for name, (passed, severity) in checks.items():
            yield dg.AssetCheckResult(passed=passed, asset_key="bars", check_name=name, severity=severity)

    assert dg.materialize([bars], instance=instance).success


def test_a_check_that_must_pass_fails_it_and_one_that_warns_does_not() -> None:
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    with dg.DagsterInstance.ephemeral() as instance:
        evaluated(instance, complete=(True, error), sane=(True, warn), fresh=(False, warn))
        assert summary._checks(instance) == (2, 1, [])
        evaluated(instance, complete=(False, error), fresh=(False, warn))
        passed, warned, (failed,) = summary._checks(instance)
    assert (passed, warned) == (2, 2)
    assert failed.startswith("bars.complete (")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoDesk]:
    """A tick that filled an order from outside, and the exchange it was sent to."""
    root = tmp_path_factory.mktemp("summary")
    with trading_floor(root, SESSION) as floor, dg.DagsterInstance.ephemeral() as instance:
        tick_ns = floor.go_to_session(SESSION, 0)
        with floor.desk() as desk:
            receive(desk, "AAPL", 0.15)
            report = run_tick(desk, SESSION, tick_ns, new_execution_id())
            assert [order.state for order in report.execution.orders] == ["FILLED"]
        keeper = ControlClient(floor.exchange.control_url, TOKEN)
        paths = (floor.config_path, floor.config_path)
        yield DemoDesk(root, *paths, instance, floor.exchange, keeper, Sessions())
        keeper.close()


def planted_nothing(desk: Desk) -> None:
    """As the tick left it."""


def planted_shares(desk: Desk) -> None:
    operator.adjust(desk, symbol="AAPL", qty_delta=Decimal(2), reason="a test", author="tester")


def planted_break(desk: Desk) -> None:
    desk.journal.record_sightings(desk.book, desk.now_ns(), [("QUANTITY", "AAPL", "1", "2")])


@pytest.mark.exchange
@pytest.mark.parametrize(
    ("plant", "failed_checks", "minimum", "message"),
    [
        (planted_nothing, 0, 0, "agree"),
        (planted_nothing, 0, 1, "0 (at least 1)"),  # the order from outside is none of the model's
        (planted_nothing, 1, 0, "0 / 0 / 1"),
        (planted_break, 0, 0, "breaks                       1"),
        (planted_shares, 0, 0, "DIFFER"),
    ],
)
def test_the_summary_judges_what_the_stores_say(
    demo: DemoDesk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[Desk], None],
    failed_checks: int,
    minimum: int,
    message: str,
) -> None:
    monkeypatch.setattr(summary, "MINIMUM_MODEL_FILLS", minimum)
    data_dir, path = tmp_path / "var", tmp_path / "copy.yaml"
    shutil.copytree(config.load(demo.model_config).data_dir, data_dir)
    path.write_text(
        yaml.safe_dump(yaml.safe_load(demo.model_config.read_text()) | {"data_dir": str(data_dir)})
    )
    with Desk.open(config.load(path)) as desk:
        plant(desk)
    console = Console(record=True, width=200)
    with dg.DagsterInstance.ephemeral() as instance:
        if failed_checks:
            evaluated(instance, complete=(False, dg.AssetCheckSeverity.ERROR))
        good = summary.summarise(replace(demo, model_config=path, instance=instance), console)
    assert good is (message == "agree")
    assert message in console.export_text()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """`trading-assets demo` with nothing in it; its exit status."""
    monkeypatch.setattr(show, "demo_desk", lambda *_: nullcontext(MagicMock(home=tmp_path)))
    for name in ("train", "controls", "trade", "replay"):
        monkeypatch.setattr(story, name, lambda *_: None)
    monkeypatch.setattr(summary, "model_figures", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["trading-assets", "demo", "--home", str(tmp_path)])

    def status() -> int:
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return status


@pytest.mark.parametrize(
    ("good", "status", "message"), [(True, 0, "All of it held; "), (False, 1, "SOMETHING DID NOT HOLD; ")]
)
def test_the_exit_status_is_the_summary_s(
    command: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    good: bool,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr(summary, "summarise", lambda *_: good)
    assert command() == status
    assert message in capsys.readouterr().out


def test_a_story_that_fails_ends_with_status_1_and_says_why(
    command: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise DemoFailed("AAPL=0.15 was refused: STALE_QUOTE")

    monkeypatch.setattr(story, "controls", refused)
    assert command() == 1
    assert "trading-assets: AAPL=0.15 was refused: STALE_QUOTE" in capsys.readouterr().err
