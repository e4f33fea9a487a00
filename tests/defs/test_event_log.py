"""The pooled event log: the same files and answers as Dagster's own, with few connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from trading_assets.defs.event_log import OPEN_SHARDS, PooledSqliteEventLogStorage

CONFIG = """
telemetry: {enabled: false}
event_log_storage:
  module: trading_assets.defs.event_log
  class: PooledSqliteEventLogStorage
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
