"""What a schedule asks of the timetable: the run that is due at its minute, or why there is none.

Cron knows the machine's clock and the venue may have another: where the embedded exchange's time runs, the
trading schedule asks it what time it is; where it stands, and for the ends of its sessions, its sensor
requests the same work (`defs.embedded_exchange`).
"""

from contextlib import closing
from typing import NamedTuple

import dagster as dg

from trading_assets.config import Settings
from trading_assets.engine.operation.timetable import Due, NotDue, Work, due_at
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.owed import owed_end
from trading_assets.runs.partitions import come_to
from trading_assets.runs.readiness import exchange_keeper, readiness, run_under_way

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


def decide(context: dg.ScheduleEvaluationContext, work: Work) -> dg.RunRequest | dg.SkipReason:
    """The run of this kind of work that is due at the schedule's minute, else why there is none."""
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
