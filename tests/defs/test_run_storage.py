"""What Dagster could not read again is not stored, and every other run stays readable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.dagster_run import DagsterRun

from trading_assets.dagster_instance.run_storage import ReadableRunStorage
from trading_assets.errors import InvalidInput

COMMITTED = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"
UNREADABLE = [
    pytest.param({"__class__": "no_such_class"}, id="no type of Dagster's"),
    pytest.param({"__class__": "DagsterRun"}, id="a type without its fields"),
    pytest.param({"__enum__": "DagsterRunStatus.FAILURE"}, id="a value that is no mapping"),
    pytest.param({"__set__": "a"}, id="a set"),
]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The committed instance, with one run."""
    shutil.copy(COMMITTED, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        assert isinstance(opened.run_storage, ReadableRunStorage)
        opened.add_run(DagsterRun(job_name="trading_tick", run_id="1" * 36, tags={"a": "b"}))
        yield opened


def is_as_it_was(instance: dg.DagsterInstance) -> bool:
    (run,) = instance.get_runs()
    return (run.run_id, run.tags["a"], "__class__" in run.tags) == ("1" * 36, "b", False)


@pytest.mark.parametrize("unreadable", UNREADABLE)
def test_a_run_with_tags_that_could_not_be_read_is_refused(
    instance: dg.DagsterInstance, unreadable: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput, match="could not read"):
        instance.add_run(DagsterRun(job_name="kill", run_id="2" * 36, tags=unreadable))
    with pytest.raises(InvalidInput, match="could not read"):
        instance.add_run_tags("1" * 36, unreadable)
    assert is_as_it_was(instance)


def test_a_run_with_configuration_that_could_not_be_read_is_refused(instance: dg.DagsterInstance) -> None:
    unreadable: dict[str, Any] = {"resources": {"io_manager": {"config": {"__class__": "no_such_class"}}}}
    with pytest.raises(InvalidInput, match="could not read"):
        instance.add_run(DagsterRun(job_name="kill", run_id="2" * 36, run_config=unreadable))
    assert is_as_it_was(instance)


def backfill(**tags: str) -> PartitionBackfill:
    return PartitionBackfill("b", BulkActionStatus.REQUESTED, False, dict(tags), 1_700_000_000.0)


def test_a_backfill_that_could_not_be_read_is_refused(instance: dg.DagsterInstance) -> None:
    with pytest.raises(InvalidInput, match="could not read"):
        instance.add_backfill(backfill(__class__="no_such_class"))
    instance.add_backfill(backfill(a="b"))
    with pytest.raises(InvalidInput, match="could not read"):
        instance.update_backfill(backfill(__class__="no_such_class"))
    (kept,) = instance.get_backfills()
    assert kept.tags == {"a": "b"}


def test_it_reads_and_writes_the_stock_file(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    from dagster._core.storage.runs import SqliteRunStorage

    (run,) = SqliteRunStorage.from_local(str(tmp_path / "history")).get_runs()
    assert run.run_id == "1" * 36
