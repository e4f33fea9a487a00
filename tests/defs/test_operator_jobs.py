"""The operator's jobs and the two ends of a day, through real Dagster runs against a real exchange."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test
from support.trading_floor import TradingFloor, trading_floor

from trading_assets import config
from trading_assets.broker.port import NewOrder
from trading_assets.core.words import HaltState, Side
from trading_assets.definitions import build_definitions, defs
from trading_assets.defs.day import jobs as jobs_day
from trading_assets.defs.desk import assets as assets_desk
from trading_assets.defs.operator.jobs import adopt, flatten, kill, rearm
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import in_force
from trading_assets.engine.book.place import journal_file, known_book
from trading_assets.engine.operation.ended_sessions import is_archived
from trading_assets.engine.operation.operator import person
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.market.sessions import MINUTE_NS
from trading_assets.runs.lanes import PARTITION_TAG, tick_tags
from trading_assets.runs.partitions import come_to
from trading_assets.store.history import History
from trading_assets.store.journal import Journal

SESSION = date(2012, 7, 3)  # a half day before a holiday
KEY = SESSION.isoformat()
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Live:
    floor: TradingFloor
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run(
        self,
        job: str,
        *,
        config: dict[str, str] | None = None,
        session: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        definition = self.definitions.resolve_job_def(job)
        (op,) = [node.name for node in definition.nodes] if session is None else [""]
        return definition.execute_in_process(
            instance=self.instance,
            run_config={"ops": {op: {"config": config}}} if config is not None else None,
            partition_key=session,
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The committed instance configuration in a home of its own, and an exchange."""
    root = tmp_path_factory.mktemp("operator")
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    with pytest.MonkeyPatch.context() as patch, trading_floor(root, SESSION) as floor:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("TRADING_ASSETS_CONFIG", str(floor.config_path))
        definitions = build_definitions()
        with dg.DagsterInstance.get() as instance:
            come_to(instance, KEY)
            yield Live(floor, definitions, instance)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the run's only step said of its output."""
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data.error_display_string


@pytest.mark.parametrize("job", [kill, flatten, rearm, adopt], ids=lambda job: job.name)
def test_loosening_needs_a_reason_and_tightening_none(job: dg.JobDefinition) -> None:
    empty = {"ops": {f"{job.name}_book": {"config": {}}}}
    if job.name in ("rearm", "adopt"):
        with pytest.raises(dg.DagsterInvalidConfigError, match="reason"):
            dg.validate_run_config(job, empty)
    else:
        assert dg.validate_run_config(job, empty)


def test_a_kill_waits_in_no_pool_of_others_and_no_number_of_runs_keeps_it_in_the_queue() -> None:
    pools = {
        job.name: {pool for node in job.nodes for pool in node.definition.pools}
        for job in defs.resolve_all_job_defs()
    }
    assert all(pools.values()), "a job without a pool may be launched until no run can begin"
    assert not pools.pop("kill") & set().union(*pools.values())
    settings = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    assert settings["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
    assert settings["concurrency"]["runs"]["max_concurrent_runs"] > len(set().union(*pools.values())) + 1


@pytest.mark.slow
def test_premarket_looks_at_the_session_and_fetches_its_daily_bars(live: Live) -> None:
    result = live.run("premarket")
    assert result.success, failure_of(result)
    assert metadata(result)["session"] == KEY
    assert metadata(result)["new_daily_bars"] > 100
    with live.floor.desk() as desk:
        assert [record.symbol for record in desk.journal.opening(desk.book)] == [""]
        assert desk.broker.orders_since(0) == []


@pytest.mark.slow
def test_premarket_says_everything_that_is_not_right(live: Live) -> None:
    live.floor.control("/halt", symbol="IBM", halted=True)
    path = live.floor.config_path
    before = path.read_text()
    missing = {"model": {"enabled": True}, "model_path": "no.ubj", "features_path": "no.json"}
    path.write_text(yaml.safe_dump(yaml.safe_load(before) | missing))
    result = live.run("premarket")
    assert not result.success
    problems = failure_of(result)
    assert "IBM is not tradable" in problems
    assert "the model cannot be used" in problems
    path.write_text(before)
    live.floor.control("/halt", symbol="IBM", halted=False)
    assert live.run("premarket").success


@pytest.mark.slow
def test_a_kill_cancels_what_works_and_keeps_its_author(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with live.floor.desk() as desk:
        reconcile(desk)
        bid = desk.broker.quotes(["MSFT"])["MSFT"].bid
        assert bid is not None
        receive(desk, "MSFT", 0.5, limit_price=bid * Decimal("0.996"))
        receive(desk, "AAPL", 0.5)
    assert live.run("trading_tick", session=KEY, tags=tick_tags(tick_ns)).success
    result = live.run("kill", config={"reason": "looks wrong"})
    assert result.success
    assert metadata(result)["halt_state"] == "HALTED"
    with live.floor.desk() as desk:
        states = {order.intent.symbol: order.state for order in desk.journal.orders(desk.book)}
        assert states == {"AAPL": "FILLED", "MSFT": "CANCELED"}
        (act,) = desk.journal.halts(desk.book)
        assert (act.cause, act.reason, act.author) == ("KILL", "looks wrong", person())


@pytest.mark.slow
def test_a_flatten_fails_while_something_is_held_and_says_what(live: Live) -> None:
    with live.floor.desk() as desk:
        (position,) = desk.broker.positions()
        limit = (position.avg_entry_price * 2).quantize(Decimal("0.01"))
        desk.broker.submit(NewOrder("take-profit", "AAPL", Side.SELL, position.qty, limit))
    live.floor.control("/faults", faults=[{"kind": "ignored_cancel", "symbol": "AAPL", "times": None}])
    result = live.run("flatten")
    live.floor.control("/faults", faults=[])
    assert not result.success
    failure = failure_of(result)
    assert f"AAPL, {position.qty:f} shares: reserved by a person's order take-profit" in failure
    assert "a person's order (take-profit) is new at the broker" in failure
    with live.floor.desk() as desk:
        assert desk.journal.flatten_in_force(desk.book) is not None


@pytest.mark.slow
def test_flatten_sells_everything_under_the_kill(live: Live) -> None:
    result = live.run("flatten")
    assert result.success
    assert metadata(result)["orders"] == "AAPL FILLED"
    with live.floor.desk() as desk:
        assert desk.broker.positions() == []
        assert desk.halts().state is HaltState.HALTED


@pytest.mark.slow
def test_a_rearm_with_a_reason_ends_the_halt_and_a_blank_one_does_not(live: Live) -> None:
    assert not live.run("rearm", config={"reason": "   "}).success
    with live.floor.desk() as desk:
        assert desk.halts().state is HaltState.HALTED
    result = live.run("rearm", config={"reason": "it was a drill"})
    assert metadata(result)["cleared"] == "KILL"
    with live.floor.desk() as desk:
        assert desk.halts().state is HaltState.ACTIVE


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["of another account", "that does not answer"])
def test_a_kill_is_kept_and_fails_visibly_where_no_desk_can_be_opened(
    live: Live, venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = live.floor.config_path
    before = path.read_text()
    wrong = (
        {"account_number": "PA0"}
        if venue == "of another account"
        else {"embedded": {"url": "http://127.0.0.1:9", "control_url": "http://127.0.0.1:9"}}
    )
    path.write_text(yaml.safe_dump(yaml.safe_load(before) | wrong))
    opened = list[bool]()
    really_open = Desk.open

    def open_later(*arguments: Any, **named: Any) -> Desk:
        opened.append(latched_by_then(live))
        return really_open(*arguments, **named)

    monkeypatch.setattr(Desk, "open", open_later)
    result = live.run("kill", config={"reason": venue})
    monkeypatch.undo()
    path.write_text(before)
    assert opened == [True]  # before anything was opened
    if venue == "of another account":
        assert not result.success
        assert "But no order was cancelled" in failure_of(result)
    with live.floor.desk() as desk:
        assert desk.journal.latched(desk.book)[0].reason == venue
    assert live.run("rearm", config={"reason": "it was a drill"}).success


def latched_by_then(live: Live) -> bool:
    settings = config.load(live.floor.config_path)
    with Journal.open(journal_file(settings)) as journal:
        book = known_book(settings, journal)
        return book is not None and in_force(journal, book).state is HaltState.HALTED


@pytest.mark.slow
def test_adopting_an_open_book_changes_nothing(live: Live) -> None:
    result = live.run("adopt", config={"reason": "to be sure"})
    assert metadata(result)["positions"] == 0


@pytest.mark.slow
def test_the_end_of_the_day_is_refused_before_the_close(live: Live) -> None:
    result = live.run("end_of_day")
    assert "its end comes after the close" in failure_of(result)


@pytest.mark.slow
def test_the_session_is_reported_once_more_before_its_runs_are_deleted(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.floor.keeper.move_to(live.floor.sessions.close_ns(SESSION) + 10 * MINUTE_NS)
    result = live.run("end_of_day")
    assert result.success, failure_of(result)
    assert metadata(result)["runs_deleted"] == 0
    tick_runs = dg.RunsFilter(job_name="trading_tick")
    assert len(live.instance.get_runs(tick_runs)) == 1
    chain = [asset.key for asset in assets_desk.CHAIN]
    for key in chain:
        rows = live.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[KEY]), limit=1
        ).records[0]
        assert rows.asset_materialization is not None
        assert "reported after its close" in str(rows.asset_materialization.description)
    orders = live.instance.get_latest_materialization_event(assets_desk.gated_orders.key)
    assert orders is not None
    assert orders.asset_materialization is not None
    # two entries and one of the flatten: while a person's order held the shares there was none to propose
    assert orders.asset_materialization.metadata["verdicts"].value == 3.0
    with live.floor.desk() as desk:
        assert is_archived(desk.journal, desk.book, KEY)
        assert desk.journal.mark(desk.book, f"close_equity:{KEY}") is not None
        copy = History(Path(desk.settings.data_dir) / "history-snapshot.duckdb")
        closing = "SELECT count(*) AS n FROM equity WHERE tick_ns = ?"
        at = (live.floor.sessions.close_ns(SESSION),)
        assert desk.history.query(closing, at).to_pylist() == [{"n": 1}]
        assert copy.path.stat().st_mode & 0o777 == 0o400

    later = datetime.now(UTC) + timedelta(days=8)
    monkeypatch.setattr(jobs_day, "system_now_ns", lambda: int(later.timestamp()) * 10**9)
    result = live.run("end_of_day")
    assert metadata(result)["runs_deleted"] == 1
    assert live.instance.get_runs(tick_runs) == []
    for key in chain:
        assert live.instance.get_materialized_partitions(key) == {KEY}


def ticked(live: Live, session: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A tick run of some session that ended so."""
    return create_run_for_test(
        live.instance, job_name="trading_tick", status=status, tags={PARTITION_TAG: session}
    )


@pytest.mark.slow
def test_failed_and_cancelled_runs_are_deleted_too_after_longer_and_no_session_keeps_any(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2012-06-29 was another book's, and put away by none: its partition stays all the same."""
    other = "2012-06-29"
    run = ticked(live, other, dg.DagsterRunStatus.SUCCESS)
    live.instance.report_dagster_event(
        dg.DagsterEvent(
            "ASSET_MATERIALIZATION",
            "trading_tick",
            event_specific_data=StepMaterializationData(dg.AssetMaterialization("bars", partition=other)),
        ),
        run.run_id,
    )
    for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        ticked(live, other, status)
        create_run_for_test(live.instance, job_name="reconcile", status=status)
    bars = dg.AssetKey("bars")
    assert live.instance.get_materialized_partitions(bars) >= {other}
    gone = []
    for days in (6, 8, 31):
        later = datetime.now(UTC) + timedelta(days=days)
        monkeypatch.setattr(jobs_day, "system_now_ns", lambda at=later: int(at.timestamp()) * 10**9)
        result = live.run("end_of_day")
        assert result.success, failure_of(result)
        left = {(run.job_name, run.status.value) for run in live.instance.get_runs()}
        gone.append([name for name in ("trading_tick", "reconcile") if (name, "FAILURE") not in left])
        assert (("trading_tick", "SUCCESS") in left) == (days < 7)
    assert gone == [[], ["reconcile"], ["trading_tick", "reconcile"]]
    assert live.instance.get_materialized_partitions(bars) >= {other}


@pytest.mark.slow
def test_on_a_holiday_neither_end_of_a_day_does_anything(live: Live) -> None:
    live.floor.keeper.move_to(live.floor.sessions.close_ns(SESSION) + 20 * 3_600 * 10**9)
    for job in ("premarket", "end_of_day"):
        assert "2012-07-04 is not an XNYS session" in failure_of(live.run(job))
