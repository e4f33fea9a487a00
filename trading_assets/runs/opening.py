"""What is done to the Dagster instance before its webserver and daemon start (`trading_assets.up`).

`python -m trading_assets.runs.opening` creates its tables in one process (two that create them at once
can both fail) and ends the runs that a crash left: nobody works on them any more, and as long as they
count as running no sensor requests the next one.
"""

from __future__ import annotations

import dagster as dg

from trading_assets.log import get_logger

log = get_logger(__name__)

AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_orphans(instance: dg.DagsterInstance) -> list[str]:
    """Report every run that counts as running as failed; returns their ids. Only for an instance that
    nothing runs on: who starts webserver and daemon knows that."""
    orphans = instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
    for run in orphans:
        instance.report_run_failed(run, "its process had ended when the desk was started again")
        log.warning("orphaned run ended", job=run.job_name, run_id=run.run_id)
    return [run.run_id for run in orphans]


def main() -> None:
    with dg.DagsterInstance.get() as instance:
        end_orphans(instance)


if __name__ == "__main__":
    main()
