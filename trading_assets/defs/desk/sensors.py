"""Sensors of the desk: signals from outside, and the session under way as the live assets' last partition.

They evaluate in the code server and cost no process; what they request is a run. Where the embedded
exchange's time stands, the sensor `virtual_clock` alone decides on ticks, those for signals too, so that time
never moves between a request and its run.
"""

from pathlib import Path

import dagster as dg

from trading_assets.defs.desk.jobs import trading_tick
from trading_assets.engine.signals.inbox import take_files
from trading_assets.market.sessions import Sessions
from trading_assets.runs.decorators import Evaluation, sensor
from trading_assets.runs.partitions import come_to
from trading_assets.runs.readiness import readiness, why_no_ticks
from trading_assets.runs.resources import read_settings
from trading_assets.runs.signal_ticks import identity, tick_for, venue_now_ns


@sensor(
    job=trading_tick,
    every_seconds=5,
    description="Takes the files in the inbox, and requests a tick at once for the signals that wait.",
)
def signal_inbox(context: dg.SensorEvaluationContext) -> Evaluation:
    with readiness() as desk:
        if desk.settings.model.enabled:
            return dg.SkipReason("the model trades (`model.enabled`): signals from outside are not taken")
        if desk.book is None:
            return dg.SkipReason("the book is not open yet: the first reconciliation opens it")
        now = venue_now_ns(desk.settings)
        if isinstance(now, str):
            return dg.SkipReason(now)
        for file in take_files(
            Path(desk.settings.data_dir), desk.journal, desk.book, desk.settings.symbols, now_ns=now
        ):
            context.log.info(f"{file.name}: {len(file.received)} signals, {len(file.refused)} refused")
            for reason in file.refused:
                context.log.warning(f"{file.name}: {reason}")
        waiting, off = desk.waiting(), why_no_ticks(context.instance, desk)
    if not waiting:
        return dg.SkipReason("no signal waits")
    if desk.settings.virtual_time == "stands":
        return dg.SkipReason(f"{len(waiting)} signals wait; the sensor virtual_clock requests their tick")
    if off is not None:
        return dg.SkipReason(f"{len(waiting)} signals wait; {off}")
    if context.cursor == identity(waiting):
        return dg.SkipReason(f"{len(waiting)} signals wait; their tick was requested")
    request = tick_for(context.instance, waiting, now)
    if request is None:
        return dg.SkipReason(f"{len(waiting)} signals wait; the market is closed")
    return dg.SensorResult(run_requests=[request], cursor=identity(waiting))


@sensor(
    every_seconds=10,
    description="Makes the venue's current session the last partition of the live assets, so that "
    "`latest` in Dagster's launch dialog is the session that trades.",
)
def live_session(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    now = venue_now_ns(read_settings())
    if isinstance(now, str):
        return dg.SkipReason(now)
    sessions = Sessions()
    session = sessions.session_at(now)
    if session is None:
        return dg.SkipReason(f"{sessions.new_york_date(now)} is not an XNYS session")
    come_to(context.instance, session.isoformat())
    return dg.SkipReason(f"the session is {session}")
