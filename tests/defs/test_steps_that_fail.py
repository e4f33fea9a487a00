"""A tick whose bars, model or history cannot be had: protection and exits go on, and the run ends as failed.

The job `trading_tick` and the tick in one call meet the same failures and come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
import yaml
from history_holder import held
from support.trading_floor import TradingFloor

from trading_assets.core.gate import reason
from trading_assets.core.orders import State
from trading_assets.definitions import build_definitions
from trading_assets.defs.alerts.sensors import alert_on_failure
from trading_assets.defs.desk import assets as assets_desk
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import BLOCKING, missing_or_failed
from trading_assets.engine.market_data import bars
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.partitions import come_to
from trading_assets.store.history import History

SESSION = date(2012, 7, 3)
pytestmark = [pytest.mark.slow(seconds=120), pytest.mark.floor(SESSION)]
KEY = SESSION.isoformat()
CHAIN = [asset.key.to_user_string() for asset in assets_desk.CHAIN]
CHECKS_BEFORE = ["check_bars", "check_features", "check_signals"]
REFUSED_BARS = {"kind": "server_error", "path": r"/v2/stocks/(.+/)?bars", "times": None}


@dataclass(frozen=True)
class Live:
    floor: TradingFloor
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @property
    def history(self) -> Path:
        with self.floor.desk() as desk:
            return desk.history.path

    def run(self, tick_ns: int, assets: list[str] | None = None) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def("trading_tick").execute_in_process(
            instance=self.instance,
            partition_key=KEY,
            tags=tick_tags(tick_ns),
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
            raise_on_error=False,
        )

    def alerts(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        """Title → body of what waits after the alerting sensor saw the run, twice."""
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        for _ in range(2):
            with dg.build_run_status_sensor_context(
                sensor_name=alert_on_failure.name,
                dagster_instance=self.instance,
                dagster_run=run,
                dagster_event=result.get_run_failure_event(),
            ) as context:
                alert_on_failure(context)
        with self.floor.desk() as desk:
            waiting = desk.journal.pending_alerts()
        assert len({alert.title for alert in waiting}) == len(waiting)
        return {alert.title: alert.body for alert in waiting}


@pytest.fixture
def live(floor: TradingFloor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    # who waits for the file in these tests waits for nothing
    monkeypatch.setitem(History.__init__.__kwdefaults__, "retry_seconds", 0.1)
    with dg.instance_for_test() as instance:
        definitions = build_definitions()
        come_to(instance, KEY)
        yield Live(floor, definitions, instance)


def bid(desk: Desk, symbol: str) -> Decimal:
    result = desk.broker.quotes([symbol])[symbol].bid
    assert result is not None
    return result


def buy_dear(live: Live) -> None:
    """A position in AAPL at 6.5 % above the market: its stop is due at the next tick."""
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with live.floor.desk() as desk:
        reconcile(desk)
        price = (bid(desk, "AAPL") * Decimal("1.065")).quantize(Decimal("0.01"))
        live.floor.control("/quote", symbol="AAPL", bid=str(price), ask=str(price + Decimal("0.01")))
        receive(desk, "AAPL", 0.9, reference_price=price)
        (order,) = run_tick(desk, SESSION, tick_ns, new_execution_id()).execution.orders
        assert order.state == State.FILLED
    live.floor.control("/quote", symbol="AAPL")


@contextmanager
def history_held(live: Live) -> Iterator[None]:
    with held(live.history):
        yield


@contextmanager
def model_missing(live: Live) -> Iterator[None]:
    path = live.floor.config_path
    missing = {"model": {"enabled": True}, "model_path": "no.ubj", "features_path": "no.json"}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | missing))
    yield


@contextmanager
def bars_refused(live: Live) -> Iterator[None]:
    live.floor.control("/faults", faults=[REFUSED_BARS])
    yield
    live.floor.control("/faults", faults=[])


@dataclass(frozen=True)
class Fault:
    afflict: Callable[[Live], AbstractContextManager[None]]
    message: str
    steps: tuple[str, ...]  # that fail by themselves, in the tick in one call
    shown: tuple[str, ...]  # assets that show the failure in Dagster
    red: tuple[str, ...]  # steps of the run that fail
    refused: tuple[str, ...]  # entries' symbols that the gate is asked about


FAULTS = {
    "history held": Fault(
        history_held,
        "is held open by process",
        steps=("bars", "check_gated_orders", "fills", "reconciled_positions"),
        shown=("bars", "features", "signals", "fills"),
        red=(*CHECKS_BEFORE, "check_gated_orders", "check_fills", "reconciled_positions"),
        refused=("IBM",),
    ),
    "model missing": Fault(
        model_missing,
        "cannot be read: No such file or directory",
        steps=("signals",),
        shown=("signals",),
        red=("check_signals",),
        refused=(),  # what waits in the inbox is not the model's
    ),
    "bars refused": Fault(
        bars_refused,
        "500",
        steps=("bars",),
        shown=("bars", "features", "signals"),
        red=tuple(CHECKS_BEFORE),
        refused=("IBM",),
    ),
}


@pytest.mark.parametrize("way", ["trading_tick", "in one call"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_stop_sells_no_entry_is_sent_and_the_failure_is_shown(live: Live, fault: Fault, way: str) -> None:
    buy_dear(live)
    tick_ns = live.floor.go_to_session(SESSION, 1)
    with live.floor.desk() as desk:
        receive(desk, "IBM", 0.5, reference_price=bid(desk, "IBM"))
    with fault.afflict(live):
        if way == "trading_tick":
            shown_in_dagster(live, live.run(tick_ns), fault)
        else:
            with live.floor.desk() as desk:
                report = run_tick(desk, SESSION, tick_ns, new_execution_id())
            assert [problem.split(":")[0] for problem in report.problems] == list(fault.steps)
            assert all(fault.message in problem for problem in report.problems)
    with live.floor.desk() as desk:
        sent = [order for order in desk.journal.orders(desk.book) if order.intent.tick_ns == tick_ns]
        assert [(order.intent.symbol, order.intent.kind, order.state) for order in sent] == [
            ("AAPL", "stop", "FILLED")
        ]
        assert desk.broker.positions() == []
        refused = [verdict for verdict in desk.journal.verdicts(desk.book, tick_ns=tick_ns) if verdict.failed]
        assert tuple(verdict.symbol for verdict in refused) == fault.refused
        assert {reason(verdict.failed, verdict.cause) for verdict in refused} <= {
            "REDUCE_ONLY cause=CHECKS_FAILED"
        }
        noted = {result.check: result for result in desk.journal.gate_checks(desk.book, tick_ns)}
        first = fault.steps[0]
        assert fault.message in noted[f"step:{first}"].detail
        vetoing = set(missing_or_failed(desk, tick_ns))
        assert {check for check in BLOCKING if check.startswith(f"{first}.")} <= vetoing


def shown_in_dagster(live: Live, result: dg.ExecuteInProcessResult, fault: Fault) -> None:
    assert not result.success
    assert {event.step_key for event in result.get_step_failure_events()} == set(fault.red)
    materialized = {
        (event.step_key or ""): event.materialization for event in result.get_asset_materialization_events()
    }
    assert list(materialized) == [name for name in CHAIN if name not in fault.red]
    failed = {
        name: str(outcome.metadata["failed"].value)
        for name, outcome in materialized.items()
        if "failed" in outcome.metadata
    }
    assert tuple(failed) == fault.shown
    assert all(fault.message in why for why in failed.values())
    assert not {
        f"check_{outcome.asset_key.to_user_string()}" for outcome in result.get_asset_check_evaluations()
    } & set(fault.red)
    alerts = live.alerts(result)
    messages = alerts.pop("trading_tick failed")
    assert all(f"{step}: {fault.steps[0]}: " in messages for step in fault.red if step in CHECKS_BEFORE)
    assert fault.message in messages
    assert "Stack Trace" not in messages
    assert set(alerts) <= {"AAPL locked: STOP", "History not readable: no entries"}


def test_a_kill_cancels_while_the_history_is_held(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with live.floor.desk() as desk:
        reconcile(desk)
        receive(desk, "MSFT", 1.0, limit_price=bid(desk, "MSFT") * Decimal("0.996"))
    assert live.run(tick_ns).success
    with live.floor.desk() as desk:
        (resting,) = desk.broker.open_orders()
        desk.kill_file.touch()
        receive(desk, "IBM", 0.5, reference_price=bid(desk, "IBM"))
    with held(live.history):
        result = live.run(tick_ns)
    assert "gated_orders" in [event.step_key for event in result.get_asset_materialization_events()]
    assert not result.success
    with live.floor.desk() as desk:
        assert desk.halts().causes == ("KILL",)
        assert desk.broker.open_orders() == []
        (order,) = desk.journal.orders(desk.book)
        assert (order.intent.client_order_id, order.state) == (resting.client_order_id, State.CANCELED)


def test_a_tick_done_again_vetoes_while_its_bars_fail_and_takes_that_back(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with live.floor.desk() as desk:
        reconcile(desk)
        assert live.run(tick_ns).success
        with bars_refused(live):
            assert not live.run(tick_ns).success
        assert set(missing_or_failed(desk, tick_ns)) == {key for key in BLOCKING if key.startswith("bars.")}
        receive(desk, "IBM", 0.5, reference_price=bid(desk, "IBM"))
        assert live.run(tick_ns).success
        assert missing_or_failed(desk, tick_ns) == ()
        (order,) = desk.journal.orders(desk.book)
        assert (order.intent.symbol, order.state) == ("IBM", State.FILLED)


def test_a_step_fails_by_itself_where_the_run_has_nothing_to_protect(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with bars_refused(live):
        result = live.run(tick_ns, assets=["bars", "features"])
    assert [event.step_key for event in result.get_step_failure_events()] == ["bars"]
    assert result.get_asset_materialization_events() == []


def test_a_fault_of_the_program_ends_the_run(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("not of this world")

    tick_ns = live.floor.go_to_session(SESSION, 0)
    monkeypatch.setattr(bars, "store_bars", broken)
    result = live.run(tick_ns)
    (failure,) = result.get_step_failure_events()
    assert failure.step_key == "bars"
    assert "not of this world" in failure.step_failure_data.error_display_string
    assert result.get_asset_materialization_events() == []
    with live.floor.desk() as desk:
        assert desk.journal.gate_checks(desk.book, tick_ns) == []
        with pytest.raises(ZeroDivisionError):
            run_tick(desk, SESSION, tick_ns, new_execution_id())
