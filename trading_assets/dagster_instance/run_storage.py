"""Dagster's SQLite storage of runs and backfills, which takes nothing that it could not read again.

Dagster stores a run as JSON in which the key `__class__` and its like name a type. A launch whose tags have
such a key is stored all the same, and from then on nobody can list runs: neither the daemon, which begins
them, nor the web interface. So what is stored is read back first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dagster import DagsterRun
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.storage.runs import SqliteRunStorage
from dagster._serdes import deserialize_value, serialize_value

from trading_assets.errors import InvalidInput


class ReadableRunStorage(SqliteRunStorage):
    """The stock storage, in the stock file."""

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        _refuse_unreadable(dagster_run)
        return super().add_run(dagster_run)

    def add_historical_run(self, dagster_run: DagsterRun, run_creation_time: datetime) -> DagsterRun:
        _refuse_unreadable(dagster_run)
        return super().add_historical_run(dagster_run, run_creation_time)

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        _refuse_unreadable(DagsterRun(job_name="", run_id=run_id, tags=new_tags))
        super().add_run_tags(run_id, new_tags)

    def add_backfill(self, partition_backfill: PartitionBackfill) -> None:
        _refuse_unreadable(partition_backfill)
        super().add_backfill(partition_backfill)

    def update_backfill(self, partition_backfill: PartitionBackfill) -> None:
        _refuse_unreadable(partition_backfill)
        super().update_backfill(partition_backfill)


def _refuse_unreadable(stored: DagsterRun | PartitionBackfill) -> None:
    """Raises InvalidInput where Dagster could not read again what it is about to store."""
    try:
        deserialize_value(serialize_value(stored), type(stored))
    except Exception as error:
        raise InvalidInput(
            "Dagster could not read this again, and with it no other run",
            where="the tags or the run configuration of a launch",
            remedy="Take out every key that begins with two underscores, such as __class__.",
        ) from error
