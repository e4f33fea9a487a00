"""The end of a day that was missed, asked for when the desk is next up: for schedules and sensors alike."""

from __future__ import annotations

import dagster as dg

from trading_assets.engine.operation.ended_sessions import owed
from trading_assets.engine.operation.timetable import Work
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.runs.readiness import Readiness

AGAIN_SECONDS = 3_600.0  # after an attempt, whatever came of it: a history that is locked may be free then


def owed_end(instance: dg.DagsterInstance, desk: Readiness, now_ns: int) -> dg.RunRequest | str:
    """The run that puts away the sessions that are owed it at the venue's time; else why there is none."""
    due = () if desk.book is None else owed(desk.journal, desk.book, Sessions(), now_ns)
    if not due:
        return "no session is owed its end"
    days = ", ".join(day.isoformat() for day in due)
    for record in instance.get_run_records(dg.RunsFilter(job_name=Work.END_OF_DAY.value), limit=1):
        run = record.dagster_run
        if not run.is_finished:
            return f"{days} owed; their end is on: run {run.run_id}"
        ago_s = system_now_ns() / 1e9 - record.create_timestamp.timestamp()
        if ago_s < AGAIN_SECONDS:
            return f"{days} owed; tried {ago_s / 60:.0f} minutes ago: run {run.run_id}"
    return dg.RunRequest(job_name=Work.END_OF_DAY.value)
