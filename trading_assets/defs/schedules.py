"""Schedules on a venue whose time is the world's: the trading ticks, and the two ends of a session.

Cron only asks, every minute; the calendar and the venue's clock decide, and a skip says why. Where the
embedded exchange's time runs, the trading schedule asks it what time it is; where it stands, and for the
ends of its sessions, its sensor requests the same work (`defs.sensors`).
"""

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import dagster as dg

from trading_assets.config import Settings
from trading_assets.defs.evaluations import told_of_failure
from trading_assets.defs.jobs import tick_tags, trading_tick
from trading_assets.defs.jobs_day import end_of_day, premarket
from trading_assets.defs.owed import owed_end
from trading_assets.defs.partitions import come_to
from trading_assets.defs.readiness import TRADING_SCHEDULE, exchange_keeper, readiness, run_under_way
from trading_assets.engine.operation.timetable import Due, NotDue, Work, due_at
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions

NEW_YORK = "America/New_York"
OFF_THE_MINUTE_NS = 2 * 10**9  # as much as the machine's clock and a broker's may differ


class VenueTime(NamedTuple):
    now_ns: int
    ahead_ns: int  # of the machine's clock, whole minutes: what cron calls 09:31 may be 2012 there


def venue_time(settings: Settings) -> VenueTime | str:
    """The time of a venue whose time runs, or why its minutes cannot be the cron's.

    Raises ControlRefused when the exchange does not answer.
    """
    if settings.venue != "embedded":
        return VenueTime(system_now_ns(), 0)
    keeper = exchange_keeper(settings)
    if isinstance(keeper, str):
        return keeper
    with closing(keeper):
        if keeper.speed() != 1.0:
            return "the exchange's time does not run at the world's speed: start it with `make up`"
        now = keeper.now_ns()
    apart = now - system_now_ns()
    ahead = round(apart / MINUTE_NS) * MINUTE_NS
    if abs(apart - ahead) > OFF_THE_MINUTE_NS:
        return (
            f"the exchange's minutes begin {(apart - ahead) / 1e9:+.0f} s off the machine's, which cron "
            "knows: start it with `make up`"
        )
    return VenueTime(now, ahead)


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
    asked_ns = round(context.scheduled_execution_time.timestamp()) * 10**9
    with readiness() as desk:
        virtual, minutes = desk.settings.virtual_time, desk.settings.tick_minutes
        if virtual == "stands" or (virtual == "runs" and work is not Work.TICK):
            return dg.SkipReason(
                "the embedded exchange's time is virtual: the sensor virtual_clock asks for this"
            )
        time = venue_time(desk.settings)
        if isinstance(time, str):
            return dg.SkipReason(time)
        at_ns = asked_ns + time.ahead_ns
        due = due_at(Sessions(), work, at_ns, now_ns=time.now_ns, tick_minutes=minutes)
        if isinstance(due, NotDue) and work is Work.END_OF_DAY:
            made_up = owed_end(context.instance, desk, time.now_ns)
            return dg.SkipReason(f"{due.reason}; {made_up}") if isinstance(made_up, str) else made_up
        if isinstance(due, NotDue):
            return dg.SkipReason(due.reason)
        if work is not Work.TICK:
            return run_request(due)
        if (off := desk.switched_off()) is not None:
            return dg.SkipReason(off)
        if (causes := desk.halted()) is not None:
            return dg.SkipReason(f"halted: {causes}; rearm with a reason to go on")
    before = run_under_way(context.instance, Work.TICK.value)
    if before is not None:
        return dg.SkipReason(f"the previous tick is still running: run {before.run_id}")
    come_to(context.instance, due.session)
    return run_request(due)


@dg.schedule(
    name=TRADING_SCHEDULE,
    job=trading_tick,
    cron_schedule="* * * * *",  # the embedded exchange may be in its session on our Sunday night
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="A tick every `tick_minutes` of a session, of a book that is armed (`trading-assets arm`; "
    "the embedded exchange's is from the start). Turn it on to trade, on the embedded exchange too; it "
    "starts stopped.",
)
@told_of_failure
def trading_hours(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.TICK)


@dg.schedule(
    job=premarket,
    cron_schedule="0 9 * * 1-5",
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Half an hour before the open of a session.",
)
@told_of_failure
def before_the_open(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.PREMARKET)


@dg.schedule(
    job=end_of_day,
    cron_schedule="*/10 * * * *",  # a day that was missed is made up for whenever the desk is up
    execution_timezone=NEW_YORK,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Ten minutes after the close of a session; a half day closes at 13:00. What was missed then "
    "is made up for when the desk is next up.",
)
@told_of_failure
def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    return _decide(context, Work.END_OF_DAY)


SCHEDULES: Sequence[dg.ScheduleDefinition] = (trading_hours, before_the_open, after_the_close)
