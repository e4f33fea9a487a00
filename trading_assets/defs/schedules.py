"""Schedules on a venue whose time is the world's: the trading ticks, and the two ends of a session.

Cron only asks, every minute that a session can have; the calendar and the clock decide, and a skip
says why. On the embedded exchange time is virtual: its sensor requests the same work (`defs.sensors`).
"""

from collections.abc import Sequence

import dagster as dg

from trading_assets.defs.jobs import tick_tags, trading_tick
from trading_assets.defs.jobs_day import end_of_day, premarket
from trading_assets.defs.readiness import TRADING_SCHEDULE, readiness, run_under_way
from trading_assets.engine.agenda import Due, NotDue, Work, due_at
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions

NEW_YORK = "America/New_York"


def run_request(due: Due) -> dg.RunRequest:
    """The run that does what is due. Asking for it again is asking for the same run."""
    if due.work is Work.TICK:
        return dg.RunRequest(
            run_key=f"{due.work}:{due.at_ns}",
            job_name=due.work.value,
            partition_key=due.session,
            tags=tick_tags(due.at_ns),
        )
    return dg.RunRequest(run_key=f"{due.work}:{due.session}", job_name=due.work.value)


def _decide(context: dg.ScheduleEvaluationContext, work: Work) -> dg.RunRequest | dg.SkipReason:
    at_ns = round(context.scheduled_execution_time.timestamp()) * 10**9
    with readiness() as desk:
        if desk.settings.venue == "embedded":
            return dg.SkipReason(
                "the embedded exchange's time is virtual: the sensor virtual_clock asks for this"
            )
        due = due_at(Sessions(), work, at_ns, now_ns=system_now_ns(), tick_minutes=desk.settings.tick_minutes)
        if isinstance(due, NotDue):
            return dg.SkipReason(due.reason)
        if work is not Work.TICK:
            return run_request(due)
        if (causes := desk.halted()) is not None:
            return dg.SkipReason(f"halted: {causes}; rearm with a reason to go on")
    before = run_under_way(context.instance, Work.TICK.value)
    if before is not None:
        return dg.SkipReason(f"the previous tick is still running: run {before.run_id}")
    return run_request(due)


@dg.schedule(
    name=TRADING_SCHEDULE,
    job=trading_tick,
    cron_schedule="* 9-16 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="A tick every `tick_minutes` of a session. Turn it on to arm trading, on the embedded "
    "exchange too; it starts stopped.",
)
def trading_hours(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.TICK)


@dg.schedule(
    job=premarket,
    cron_schedule="0 9 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Half an hour before the open of a session.",
)
def before_the_open(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.PREMARKET)


@dg.schedule(
    job=end_of_day,
    cron_schedule="10 13,16 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Ten minutes after the close of a session; a half day closes at 13:00.",
)
def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.END_OF_DAY)


SCHEDULES: Sequence[dg.ScheduleDefinition] = (trading_hours, before_the_open, after_the_close)
