"""The live chain through real Dagster runs against the embedded exchange in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from support.trading_floor import TradingFloor, trading_floor

from trading_assets.core.gate import reason
from trading_assets.core.orders import State
from trading_assets.definitions import build_definitions
from trading_assets.defs.desk import assets as assets_desk
from trading_assets.engine.checks.table import CHECKS
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.market.sessions import MINUTE_NS, new_york_time
from trading_assets.runs.lanes import RANGE_TAGS, tick_tags
from trading_assets.runs.partitions import come_to
from trading_assets.store.bar_history import StoredBar
from trading_assets.store.journal import Journal

pytestmark = pytest.mark.slow  # the tests build on each other: the venue's clock only moves forward
SESSION = date(2012, 7, 3)  # a half day: it closes at 13:00
KEY = SESSION.isoformat()
CHAIN = [asset.key.to_user_string() for asset in assets_desk.CHAIN]
INSTANCE = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"


@dataclass(frozen=True)
class Live:
    floor: TradingFloor
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run(
        self,
        partition: str | None = KEY,
        *,
        tags: dict[str, str] | None = None,
        assets: list[str] | None = None,
        job: str = "trading_tick",
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags=tags,
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The committed instance configuration in a home of its own, and an exchange."""
    root = tmp_path_factory.mktemp("live")
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(INSTANCE, home)
    with pytest.MonkeyPatch.context() as patch, trading_floor(root, SESSION) as floor:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("TRADING_ASSETS_CONFIG", str(floor.config_path))
        definitions = build_definitions()
        with dg.DagsterInstance.get() as instance:
            for session in ("2012-07-02", "2012-07-05", KEY):
                come_to(instance, session)
            yield Live(floor, definitions, instance)


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.step_key or "" for event in result.get_asset_materialization_events()]


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    event = next(event for event in result.get_step_failure_events() if event.step_key == step)
    return event.step_failure_data.error_display_string


def journal_size(live: Live) -> tuple[int, int]:
    with live.floor.desk() as desk:
        verdicts = desk.journal.verdicts(desk.book)
        return len(verdicts), len(desk.broker.orders_since(0))


def test_before_the_first_tick_nothing_is_due(live: Live) -> None:
    result = live.run()
    assert not result.success
    assert "No tick of 2012-07-03 is due yet" in failure_of(result, "bars")


def test_a_tick_materializes_the_chain_and_every_check_passes(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 0)
    with live.floor.desk() as desk:
        reconcile(desk)
        receive(desk, "AAPL", 0.15)
    result = live.run(tags=tick_tags(tick_ns))
    assert result.success
    assert materialized(result) == [
        "bars",
        "features",
        "signals",
        "gated_orders",
        "fills",
        "reconciled_positions",
    ]
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(CHECKS)
    assert [outcome.check_name for outcome in evaluations if not outcome.passed] == []
    with live.floor.desk() as desk:
        (order,) = desk.journal.orders(desk.book, session=KEY)
        assert order.intent.symbol == "AAPL"
        assert order.state == State.FILLED
        assert [(position.symbol, position.qty) for position in desk.broker.positions()] == [
            ("AAPL", order.intent.qty)
        ]
        sql = 'SELECT asset, "check", passed FROM checks WHERE tick_ns = ?'
        stored = desk.history.query(sql, (tick_ns,)).to_pylist()
        assert {(row["asset"], row["check"]) for row in stored} == {(c.asset, c.name) for c in CHECKS}
        assert all(row["passed"] for row in stored)


def test_the_same_tick_again_sends_nothing_more(live: Live) -> None:
    _, orders = journal_size(live)
    assert live.run().success
    assert journal_size(live)[1] == orders


def test_the_metadata_shows_verdicts_an_equity_to_plot_and_a_time_and_no_picture(live: Live) -> None:
    orders = live.instance.fetch_materializations(dg.AssetKey("gated_orders"), limit=10).records[-1]
    positions = live.instance.fetch_materializations(dg.AssetKey("reconciled_positions"), limit=1).records[0]
    assert orders.asset_materialization is not None
    assert positions.asset_materialization is not None
    verdicts = orders.asset_materialization.metadata["verdicts"]
    assert isinstance(verdicts, dg.TableMetadataValue)
    (row,) = (record.data for record in verdicts.records)
    assert (row["symbol"], row["side"], row["qty"], row["verdict"]) == ("AAPL", "BUY", 1, "PASS")
    shown = positions.asset_materialization.metadata
    assert isinstance(shown["equity_usd"], dg.FloatMetadataValue)  # Dagster plots a number over the ticks
    at = shown["tick_at"]
    assert isinstance(at, dg.TimestampMetadataValue)
    assert new_york_time(round(at.value) * 10**9) == shown["tick"].value
    for entry in (orders.asset_materialization, positions.asset_materialization):
        assert not any("data:image" in str(one.value) for one in entry.metadata.values())


@pytest.mark.parametrize("tag", RANGE_TAGS)
def test_a_run_of_a_backfill_or_a_range_is_refused_before_anything_is_opened(live: Live, tag: str) -> None:
    before = journal_size(live)
    ends = [edge for edge in RANGE_TAGS if "range" in edge]
    over = tag in ends  # Dagster takes both of them, and no partition beside
    result = live.run(None if over else KEY, tags=dict.fromkeys(ends if over else [tag], KEY))
    assert not result.success
    assert materialized(result) == []
    assert "a backfill or a range of partitions cannot reach a broker" in failure_of(result, "bars")
    assert journal_size(live) == before


def test_a_range_of_partitions_is_refused(live: Live) -> None:
    result = live.run(
        None,
        tags={
            "dagster/asset_partition_range_start": "2012-07-02",
            "dagster/asset_partition_range_end": KEY,
        },
        assets=["gated_orders"],
    )
    assert "a backfill or a range of partitions cannot reach a broker" in failure_of(result, "gated_orders")


@pytest.mark.parametrize("asset", CHAIN)
def test_every_live_asset_refuses_another_partition(live: Live, asset: str) -> None:
    result = live.run("2012-07-02", assets=[asset])
    assert "no partition but the current session 2012-07-03" in failure_of(result, asset)


def test_a_tick_still_to_come_is_refused(live: Live) -> None:
    future = live.floor.sessions.ticks(SESSION, 30)[3]
    result = live.run(tags=tick_tags(future), assets=["gated_orders"])
    assert "still to come" in failure_of(result, "gated_orders")


def test_a_tag_that_is_no_time_is_refused(live: Live) -> None:
    result = live.run(tags={"trading_assets/tick_ns": "soon"}, assets=["gated_orders"])
    assert "which is no time" in failure_of(result, "gated_orders")


def test_a_partial_launch_sends_no_entry_whoever_reports_the_ticks_checks_as_passed(live: Live) -> None:
    """The veto reads what this desk's own steps have stored for the tick, and no event of Dagster's."""
    tick_ns = live.floor.go_to_session(SESSION, 1)
    with live.floor.desk() as desk:
        receive(desk, "MSFT", 0.5)
    _, orders = journal_size(live)
    assert live.run(tags=tick_tags(tick_ns), assets=["signals"]).success
    for check in CHECKS:
        claimed = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(check.asset), check_name=check.name, passed=True, metadata={}
        )
        live.instance.report_runless_asset_event(claimed)
    result = live.run(tags=tick_tags(tick_ns), assets=["gated_orders"])
    assert "gated_orders" in materialized(result)
    with live.floor.desk() as desk:
        (verdict,) = desk.journal.verdicts(desk.book, session=KEY, tick_ns=tick_ns)
        assert verdict.symbol == "MSFT"
        assert verdict.failed
        assert verdict.cause == "CHECKS_FAILED"
    assert journal_size(live)[1] == orders


def test_a_bar_that_cannot_be_right_vetoes_the_entry_and_the_run_goes_on_to_protect(live: Live) -> None:
    tick_ns = live.floor.go_to_session(SESSION, 2)
    start_ns = live.floor.sessions.open_ns(SESSION) + 5 * MINUTE_NS  # older than what is asked for again
    wrong = StoredBar(
        symbol="IBM",
        interval="1m",
        session=SESSION,
        start_ns=start_ns,
        available_at_ns=start_ns + MINUTE_NS,
        received_at_ns=tick_ns,
        open=195.0,
        high=190.0,
        low=194.0,
        close=195.0,
        volume=10.0,
        source="planted",
        derived=True,
        version=9,
    )
    with live.floor.desk() as desk:
        desk.history.append("bars", [wrong._asdict()])
        receive(desk, "AAPL", 0.9)
    result = live.run(tags=tick_tags(tick_ns))
    assert result.success
    assert materialized(result) == CHAIN
    failed = [outcome for outcome in result.get_asset_check_evaluations() if not outcome.passed]
    assert "sane" in {outcome.check_name for outcome in failed}
    with live.floor.desk() as desk:
        verdicts = desk.journal.verdicts(desk.book, tick_ns=tick_ns)
        assert [reason(verdict.failed, verdict.cause) for verdict in verdicts] == [
            "REDUCE_ONLY cause=CHECKS_FAILED"
        ]
        assert not [order for order in desk.journal.orders(desk.book) if order.intent.tick_ns == tick_ns]


def test_reconcile_protects_without_bars_features_or_history(live: Live) -> None:
    result = live.run(None, job="reconcile")
    assert result.success


def test_a_mistyped_configuration_ends_ticks_and_not_protection(live: Live) -> None:
    path = live.floor.config_path
    good = path.read_text()
    assert live.run(None, job="reconcile").success
    with live.floor.desk() as desk:
        book, before = desk.book, desk.journal.mark(desk.book, "protected_ns")
        journal_path = Path(desk.settings.data_dir) / "journal.sqlite"
    path.write_text(good + "mod: live\n")
    try:
        assert live.run(None, job="reconcile").success
        tick = live.run(tags=tick_tags(live.floor.sessions.ticks(SESSION, 30)[3]))
        assert "unknown key `mod`" in failure_of(tick, "bars")
    finally:
        path.write_text(good)
    with Journal.open(journal_path) as journal:
        assert int(journal.mark(book, "protected_ns") or 0) > int(before or 0)
        (alerts,) = [alert for alert in journal.pending_alerts() if "configuration" in alert.title]
        assert "unknown key `mod`" in alerts.body


def test_a_missed_tick_is_refused(live: Live) -> None:
    missed = live.floor.sessions.ticks(SESSION, 30)[2]
    live.floor.go_to_session(SESSION, 4)
    result = live.run(tags=tick_tags(missed), assets=["gated_orders"])
    assert "late" in failure_of(result, "gated_orders")


def test_on_a_holiday_nothing_runs(live: Live) -> None:
    live.floor.keeper.move_to(live.floor.sessions.close_ns(SESSION) + 22 * 3_600 * 10**9)
    result = live.run("2012-07-05", assets=["gated_orders"])
    assert "2012-07-04 is not an XNYS session" in failure_of(result, "gated_orders")
