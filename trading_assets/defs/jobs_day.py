"""The two ends of a session as jobs: `premarket` and `end_of_day`. What they do is `engine.day`'s.

After the close the session's materializations are reported once more from what is stored, as events
of no run; only then are old tick runs deleted, as a deleted run takes its partition's status with it. What a
deleted run printed goes with it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from trading_assets.defs.lanes import BOOK_POOL, SESSION_END
from trading_assets.defs.resources import PARTITION_TAG, DeskResource
from trading_assets.market.clock import system_now_ns
from trading_assets.store.leases import when_free

KEEP = {
    "trading_tick": timedelta(days=7),
    "reconcile": timedelta(days=1),  # one a minute
    "premarket": timedelta(days=30),
    "end_of_day": timedelta(days=30),
}


@dg.op(pool=BOOK_POOL)
def prepare_session(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Protect, then look at account, symbols, hours, model and daily bars. Fails where one is not right."""
    from trading_assets.engine.day import premarket as work

    opened = desk.open(context)
    report = when_free(lambda: work(opened))
    context.add_output_metadata({"session": report.session, "new_daily_bars": report.daily_bars})
    if report.problems:
        raise dg.Failure(description="; ".join(report.problems), allow_retries=False)


@dg.op(pool=BOOK_POOL)
def put_session_away(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Reconcile, project, report and prune. Fails where ledger and broker do not agree."""
    from trading_assets.engine import day

    opened = desk.open(context)
    report = when_free(lambda: day.end_of_day(opened))
    for asset, figures in report.figures.items():
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=report.session,
                description="The session as stored, reported after its close.",
                metadata=dict(figures),
            )
        )
    day.put_away(opened, report.session)
    pruned = _prune(context.instance, lambda session: day.is_put_away(opened, session))
    context.add_output_metadata(
        {
            "session": report.session,
            "agree": report.agree,
            "still_working": ", ".join(report.still_working) or "none",
            "snapshot": dg.MetadataValue.path(report.snapshot),
            "runs_deleted": pruned,
        }
    )
    if not report.agree:
        raise dg.Failure(description="ledger and broker do not agree after the close", allow_retries=False)


def _prune(instance: dg.DagsterInstance, reported: Callable[[str], bool]) -> int:
    """Delete succeeded runs past their time, and what they printed; ticks of sessions that are put away."""
    now = datetime.fromtimestamp(system_now_ns() // 10**9, UTC)
    deleted = 0
    for job, keep in KEEP.items():
        old = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], created_before=now - keep)
        for run in instance.get_runs(old):
            session = run.tags.get(PARTITION_TAG)
            if session is None or reported(session):
                instance.delete_run(run.run_id)
                instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                deleted += 1
    return deleted


@dg.job(
    executor_def=dg.in_process_executor,
    tags=SESSION_END,
    description="Before the open: protection, then all that the session will need is looked at.",
)
def premarket() -> None:
    prepare_session()


@dg.job(
    executor_def=dg.in_process_executor,
    tags=SESSION_END,
    description="After the close: reconciliation, the session reported and put away, old runs deleted.",
)
def end_of_day() -> None:
    put_session_away()


DAY_JOBS = (premarket, end_of_day)
