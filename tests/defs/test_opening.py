"""Before the desk's parts start, runs that a crash left are ended, and no other is touched."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.dagster_run import DagsterRun

from trading_assets.runs.opening import end_orphans


def test_what_a_crash_left_running_is_failed_and_the_rest_stays() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        statuses = [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.QUEUED]
        for number, status in enumerate(statuses):
            instance.add_run(DagsterRun(job_name="trading_tick", run_id=f"{number:036d}", status=status))
        before = {run.run_id: run.status for run in instance.get_runs()}
        ended = end_orphans(instance)
        after = {run.run_id: run.status for run in instance.get_runs()}
        assert {before[run_id] for run_id in ended} == {
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        }
        assert {after[run_id] for run_id in ended} == {dg.DagsterRunStatus.FAILURE}
        assert all(after[run_id] == before[run_id] for run_id in after if run_id not in ended)
        assert not end_orphans(instance)
