"""The two ends of a session as jobs: `premarket` and `end_of_day`. What they do is `engine.operation.day`'s.

After the close the materializations of each session that is owed its end are reported once more from what is
stored, as events of no run; only then are old tick runs deleted, as a deleted run takes its partition's
status with it. A session of another book, or one that was never put away, is reported when its runs' time has
come. What a deleted run printed goes with it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple

import dagster as dg

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.engine.book.desk import Desk
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.runs.clean_steps import cleaned_metadata
from trading_assets.runs.decorators import op
from trading_assets.runs.lanes import BOOK_POOL, PARTITION_TAG, SESSION_END
from trading_assets.runs.resources import DeskResource
from trading_assets.store.leases import when_free

log = get_logger(__name__)


class Keep(NamedTuple):
    """How long a run is kept after it was created."""

    succeeded: timedelta
    others: timedelta  # failed and cancelled ones: somebody may still look for why


KEEP = {
    "trading_tick": Keep(timedelta(days=7), timedelta(days=30)),
    "reconcile": Keep(timedelta(days=1), timedelta(days=7)),  # one a minute
    "premarket": Keep(timedelta(days=30), timedelta(days=90)),
    "end_of_day": Keep(timedelta(days=30), timedelta(days=90)),
}


@op(pool=BOOK_POOL)
def prepare_session(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Protect the book, then check account, symbols, trading hours, model and daily bars. The step fails if
    one is not right."""
    from trading_assets.engine.operation.day import premarket as work

    opened = desk.open(context)
    report = when_free(lambda: work(opened))
    context.add_output_metadata(
        cleaned_metadata({"session": report.session, "new_daily_bars": report.daily_bars})
    )
    if report.problems:
        raise dg.Failure(description="; ".join(report.problems), allow_retries=False)


@op(pool=BOOK_POOL)
def archive_session(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Reconcile, write the history and the report of each ended session, then delete old runs. The step
    fails if ledger and broker differ."""
    from trading_assets.engine.operation import day
    from trading_assets.engine.operation.ended_sessions import mark_archived

    opened = desk.open(context)
    try:
        reports = when_free(lambda: day.end_of_day(opened))
        for report in reports:
            _report(context.instance, report.session, report.figures)
            mark_archived(opened.journal, opened.book, report.session, at_ns=opened.now_ns())
    finally:
        pruned = _prune(context.instance, partial(_report_unreported, context.instance, opened))
        context.log.info(f"{pruned} runs past their time deleted")
    last = reports[-1]
    context.add_output_metadata(
        cleaned_metadata(
            {
                "session": last.session,
                "sessions": ", ".join(report.session for report in reports),
                "agree": last.agree,
                "still_working": ", ".join(last.still_working) or "none",
                "snapshot": dg.MetadataValue.path(last.snapshot),
                "runs_deleted": pruned,
            }
        )
    )
    if not last.agree:
        raise dg.Failure(description="ledger and broker do not agree after the close", allow_retries=False)


def _report(instance: dg.DagsterInstance, session: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """The session's materializations, as events of no run."""
    for asset, values in figures.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=session,
                description="The session as stored, reported after its close.",
                metadata=dict(values),
            )
        )


def _report_unreported(instance: dg.DagsterInstance, desk: Desk, session: str) -> None:
    """Before the runs of a session go: its materializations, unless the book has put it away.

    Whatever book traded it, its partition stays; where nothing can be read of it now, without figures.
    """
    from trading_assets.engine.operation.day import figures_of
    from trading_assets.engine.operation.ended_sessions import is_archived

    if is_archived(desk.journal, desk.book, session):
        return
    try:
        figures = figures_of(desk, date.fromisoformat(session))
    except TradingAssetsError as error:
        log.warning("session reported without its figures", session=session, why=str(error))
        figures = {}
    kept = {asset.key.to_user_string(): figures.get(asset.key.to_user_string(), {}) for asset in CHAIN}
    materialized = {name for name in kept if _is_materialized(instance, name, session)}
    _report(instance, session, {name: kept[name] for name in materialized})


def _is_materialized(instance: dg.DagsterInstance, asset: str, session: str) -> bool:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[session])
    return bool(instance.fetch_materializations(wanted, limit=1).records)


def _prune(instance: dg.DagsterInstance, before_deleting: Callable[[str], None]) -> int:
    """Delete runs past their time, and what they printed. `before_deleting` is told once of each session that
    a run was of."""
    now = datetime.fromtimestamp(system_now_ns() // 10**9, UTC)
    reported: set[str] = set()
    deleted = 0
    for job, keep in KEEP.items():
        for statuses, kept in (
            ([dg.DagsterRunStatus.SUCCESS], keep.succeeded),
            ([dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED], keep.others),
        ):
            old = dg.RunsFilter(job_name=job, statuses=statuses, created_before=now - kept)
            for run in instance.get_runs(old):
                session = run.tags.get(PARTITION_TAG)
                if session is not None and session not in reported:
                    reported.add(session)
                    before_deleting(session)
                instance.delete_run(run.run_id)
                instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                deleted += 1
    return deleted


@dg.job(
    tags=SESSION_END,
    description="Before the open: protect the book, then check everything that the session needs.",
)
def premarket() -> None:
    prepare_session()


@dg.job(
    tags=SESSION_END,
    description="After the close: reconcile, report each session that has ended, and delete old runs.",
)
def end_of_day() -> None:
    archive_session()
