"""The pooled event log: the same files and answers as Dagster's own, with few connections."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import cast

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import serialize_value
from sqlalchemy import event

from trading_assets.dagster_instance.event_log import (
    BATCH_SIZE_VARIABLE,
    OPEN_SHARDS,
    PooledSqliteEventLogStorage,
)

pytestmark = pytest.mark.slow

CONFIG = """
telemetry: {enabled: false}
event_log_storage:
  module: trading_assets.dagster_instance.fallback
  class: EventLogStorage
  config: {dagster_home: {env: DAGSTER_HOME}}
"""


@dg.asset
def quotes() -> None:
    pass


@dg.asset_check(asset=quotes)
def positive() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


JOB = dg.Definitions(
    assets=[quotes], asset_checks=[positive], jobs=[dg.define_asset_job("look")]
).resolve_job_def("look")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def storage_of(instance: dg.DagsterInstance) -> PooledSqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, PooledSqliteEventLogStorage)
    return storage


def test_the_stock_storage_reads_what_the_pooled_one_wrote(instance: dg.DagsterInstance) -> None:
    run_id = JOB.execute_in_process(instance=instance).run_id
    stock = SqliteEventLogStorage(storage_of(instance)._base_dir)
    stock.register_instance(instance)
    written = [entry.dagster_event_type for entry in stock.get_logs_for_run(run_id)]
    assert written == [entry.dagster_event_type for entry in storage_of(instance).get_logs_for_run(run_id)]
    assert dg.DagsterEventType.ASSET_MATERIALIZATION in written
    assert dg.DagsterEventType.ASSET_CHECK_EVALUATION in written
    assert stock.get_latest_materialization_events([quotes.key])[quotes.key] is not None


def test_a_shard_is_made_as_the_stock_storage_makes_it(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = JOB.execute_in_process(instance=instance).run_id
    stock = SqliteEventLogStorage(str(tmp_path / "stock"))
    stock.register_instance(instance)
    stock.store_event(dg.EventLogEntry(None, 10, "", "a-run", 1.0))
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    made = []
    for path in (storage_of(instance).path_for_shard(run_id), stock.path_for_shard("a-run")):
        with closing(sqlite3.connect(path)) as shard:
            version = shard.execute("SELECT version_num FROM alembic_version").fetchall()
            mode = shard.execute("PRAGMA journal_mode").fetchone()
            lines = [
                (*line[:3], " ".join((line[3] or "").split())) for line in shard.execute(schema).fetchall()
            ]
            made.append((version, mode, [line for line in lines if line[1] != "alembic_version"]))
    assert made[0] == made[1]


def test_a_forked_child_writes_over_connections_of_its_own(instance: dg.DagsterInstance) -> None:
    JOB.execute_in_process(instance=instance)
    kept = dict(storage_of(instance)._engines)
    assert kept
    child = os.fork()
    if child == 0:
        try:
            JOB.execute_in_process(instance=instance)
            strange = any(engine in kept.values() for engine in storage_of(instance)._engines.values())
            os._exit(3 if strange else 0)
        except BaseException:  # noqa: BLE001  (a forked test process must end here, whatever happens)
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    JOB.execute_in_process(instance=instance)
    assert dict(storage_of(instance)._engines).items() >= kept.items()
    assert len(instance.get_runs()) == 3
    records = instance.fetch_materializations(quotes.key, limit=10).records
    assert len(records) == 3


@pytest.mark.slow(seconds=4)
def test_many_runs_leave_few_connections_open(instance: dg.DagsterInstance) -> None:
    for _ in range(OPEN_SHARDS + 3):
        JOB.execute_in_process(instance=instance)
    assert len(storage_of(instance)._engines) <= OPEN_SHARDS
    assert len(instance.fetch_materializations(quotes.key, limit=100).records) == OPEN_SHARDS + 3


def test_wiping_the_log_leaves_it_usable(instance: dg.DagsterInstance) -> None:
    JOB.execute_in_process(instance=instance)
    instance.event_log_storage.wipe()
    assert not instance.fetch_materializations(quotes.key, limit=10).records
    JOB.execute_in_process(instance=instance)
    assert len(instance.fetch_materializations(quotes.key, limit=10).records) == 1


def test_a_watcher_sees_events_while_the_writers_connection_stays_open(instance: dg.DagsterInstance) -> None:
    """As the webserver follows a run of another process."""
    run_id = JOB.execute_in_process(instance=instance).run_id
    storage = storage_of(instance)
    writer = PooledSqliteEventLogStorage(storage._base_dir)
    cursor = storage.get_records_for_run(run_id).cursor
    seen: list[str] = []
    storage.watch(run_id, cursor, lambda entry, _: seen.append(entry.user_message))
    try:
        for number in range(3):
            writer.store_event(dg.EventLogEntry(None, 10, f"event {number}", run_id, float(number)))
            until = time.monotonic() + 10
            while len(seen) <= number and time.monotonic() < until:
                time.sleep(0.05)
        assert seen == ["event 0", "event 1", "event 2"]
    finally:
        writer.dispose()


def entries(*keys: str) -> list[dg.EventLogEntry]:
    """Materializations of one run."""
    return [
        dg.EventLogEntry(
            None,
            10,
            "",
            "a-run",
            float(number),
            dagster_event=DagsterEvent(
                DagsterEventType.ASSET_MATERIALIZATION.value,
                "look",
                event_specific_data=StepMaterializationData(dg.AssetMaterialization(key)),
            ),
        )
        for number, key in enumerate(keys)
    ]


def test_a_batch_is_one_transaction_of_each_shard(instance: dg.DagsterInstance) -> None:
    storage = storage_of(instance)
    storage.store_event(entries("first")[0])  # creates the tables
    commits: list[str] = []
    for shard in ("a-run", "index"):
        event.listen(storage._engine(shard), "commit", lambda _, shard=shard: commits.append(shard))
    storage.store_event_batch(entries("quotes", "bars", "quotes"))
    assert sorted(commits) == ["a-run", "index"]
    assert len(storage.get_logs_for_run("a-run")) == 4
    assert len(instance.fetch_materializations(quotes.key, limit=10).records) == 2


def test_a_batch_that_fails_stores_nothing_and_the_log_stays_usable(instance: dg.DagsterInstance) -> None:
    storage = storage_of(instance)
    storage.store_event(entries("first")[0])
    with pytest.raises(AttributeError):
        storage.store_event_batch([*entries("quotes"), cast("dg.EventLogEntry", "no event")])
    assert len(storage.get_logs_for_run("a-run")) == 1
    assert not instance.fetch_materializations(quotes.key, limit=10).records
    storage.store_event_batch(entries("quotes"))
    assert len(instance.fetch_materializations(quotes.key, limit=10).records) == 1


def test_a_check_of_a_session_is_one_row_from_plan_to_outcome_without_all_sessions_there_could_be(
    instance: dg.DagsterInstance,
) -> None:
    days = dg.DailyPartitionsDefinition(
        "2012-01-01", exclusions=[datetime.combine(date(2012, 1, day), clock_time()) for day in range(2, 9)]
    )

    @dg.asset(partitions_def=days)
    def bars() -> None:
        pass

    @dg.asset_check(asset=bars)
    def sane() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    made = dg.Definitions(assets=[bars], asset_checks=[sane], jobs=[dg.define_asset_job("look")])
    run_id = (
        made.resolve_job_def("look").execute_in_process(instance=instance, partition_key="2012-07-05").run_id
    )
    storage = storage_of(instance)
    (execution,) = storage.get_asset_check_execution_history(dg.AssetCheckKey(bars.key, "sane"), limit=10)
    assert (execution.run_id, execution.status.value) == (run_id, "SUCCEEDED")
    planned = [
        entry
        for entry in storage.get_logs_for_run(run_id)
        if entry.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    ]
    assert len(planned) == 1
    assert "exclusions" not in serialize_value(planned[0])
    assert instance.get_materialized_partitions(bars.key) == {"2012-07-05"}


def test_whoever_opens_the_instance_stores_what_it_plans_as_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv(BATCH_SIZE_VARIABLE, raising=False)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        stored: list[int] = []
        storage = storage_of(instance)
        store = storage.store_event_batch
        monkeypatch.setattr(
            storage, "store_event_batch", lambda events: (stored.append(len(events)), store(events))
        )
        JOB.execute_in_process(instance=instance)
    assert stored == [2]  # the materialization and the check that are planned
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "7")
    with dg.DagsterInstance.from_config(str(tmp_path)):
        assert os.environ[BATCH_SIZE_VARIABLE] == "7"


def test_a_deleted_run_takes_its_shard_with_it_and_what_later_runs_have_checked_again(
    instance: dg.DagsterInstance,
) -> None:
    storage = storage_of(instance)
    first, second = (JOB.execute_in_process(instance=instance).run_id for _ in range(2))
    check = dg.AssetCheckKey(quotes.key, "positive")
    assert len(storage.get_asset_check_execution_history(check, limit=10)) == 2
    for run_id in (first, second):
        assert Path(storage.path_for_shard(run_id)).exists()
        instance.delete_run(run_id)
        assert not list(Path(storage._base_dir).glob(f"{run_id}*"))
        known = storage.get_asset_check_execution_history(check, limit=10)
        assert [execution.run_id for execution in known] == [second]  # the newest outcome stays
    assert not instance.fetch_materializations(quotes.key, limit=10).records
    assert instance.get_runs() == []
    JOB.execute_in_process(instance=instance)
    assert len(instance.fetch_materializations(quotes.key, limit=10).records) == 1
