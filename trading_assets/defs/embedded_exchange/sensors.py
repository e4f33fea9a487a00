"""The sensor that moves the embedded exchange's time and requests what is due there.

Where that time stands, this sensor alone decides on ticks, those for signals too, so that time never moves
between a request and its run.
"""

import json
from collections.abc import Sequence
from contextlib import closing

import dagster as dg

from trading_assets.defs.day.jobs import end_of_day, premarket
from trading_assets.defs.desk.jobs import trading_tick
from trading_assets.engine.operation.timetable import Work, due_now, next_due, overdue_end
from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.sessions import Sessions
from trading_assets.runs.decorators import Evaluation, sensor
from trading_assets.runs.due_runs import run_request
from trading_assets.runs.owed import owed_end
from trading_assets.runs.partitions import come_to
from trading_assets.runs.readiness import (
    Readiness,
    exchange_keeper,
    readiness,
    run_under_way,
    why_no_ticks,
)
from trading_assets.runs.signal_ticks import identity, tick_for
from trading_assets.store.records import SignalRecord


@sensor(
    jobs=[trading_tick, premarket, end_of_day],
    every_seconds=1,
    description="Moves the embedded exchange's time to the next tick, open or close, and requests its "
    "run. Time stands while a run works, while the schedule trading_hours is off, and while the book is not "
    "armed or is halted. Where the exchange's time runs, this sensor requests only `premarket` and "
    "`end_of_day`.",
)
def virtual_clock(context: dg.SensorEvaluationContext) -> Evaluation:
    with readiness() as desk:
        if desk.settings.virtual_time is None:
            return dg.SkipReason("this venue's time is the world's")
        off = why_no_ticks(context.instance, desk)
        keeper = exchange_keeper(desk.settings)
        if isinstance(keeper, str):  # so in the webserver, where a person may evaluate this sensor
            return dg.SkipReason(keeper if off is None else f"{off}; {keeper}")
        if desk.settings.virtual_time == "runs":
            return _end_of_a_session(context.instance, desk, keeper, json.loads(context.cursor or "{}"))
        under_way = run_under_way(context.instance)
        if under_way is not None:
            return dg.SkipReason(f"time stands while {under_way.job_name} is on: run {under_way.run_id}")
        with closing(keeper):
            if off is not None:
                return _stand(context.instance, desk, keeper, context.cursor, off)
            return _move(context.instance, desk, keeper, json.loads(context.cursor or "{}"))


def _end_of_a_session(
    instance: dg.DagsterInstance, desk: Readiness, keeper: ControlClient, done: dict[str, str | int]
) -> Evaluation:
    """The premarket work or the end of the day, once, and days that are owed theirs; the trading schedule
    asks for the ticks.

    done: what was requested last, {"run_key"}
    """
    with closing(keeper):
        now = keeper.now_ns()
    due = overdue_end(Sessions(), now)
    request = None if due is None else run_request(due)
    if request is None or request.run_key == done.get("run_key"):
        made_up = owed_end(instance, desk, now)
        if isinstance(made_up, str):
            return dg.SkipReason(f"time runs; no other end of a session is due; {made_up}")
        return dg.SensorResult(run_requests=[made_up], cursor=json.dumps(done))
    return dg.SensorResult(run_requests=[request], cursor=json.dumps({"run_key": request.run_key}))


def _stand(
    instance: dg.DagsterInstance, desk: Readiness, keeper: ControlClient, cursor: str | None, why: str
) -> Evaluation:
    """While no tick is requested: only the end of a day that is owed; it moves no time and sends no entry."""
    made_up = owed_end(instance, desk, keeper.now_ns())
    if isinstance(made_up, str):
        return dg.SkipReason(f"time stands; {why}; {made_up}")
    return dg.SensorResult(run_requests=[made_up], cursor=cursor)


def _move(
    instance: dg.DagsterInstance, desk: Readiness, keeper: ControlClient, done: dict[str, str | int]
) -> Evaluation:
    """What is due where time stands, else time moved to what is due next.

    done: what was requested last, {"at_ns", "signals"}: after a crash between a move and its request,
          what is due at the new time is requested and time is not moved again
    """
    sessions, minutes = Sessions(), desk.settings.tick_minutes
    now = keeper.now_ns()
    waiting = [] if desk.settings.model.enabled else desk.waiting()
    due = due_now(sessions, now, minutes)
    if due is not None and due.at_ns == done.get("at_ns"):
        due = None
    if due is None and waiting and identity(waiting) != done.get("signals"):
        request = tick_for(instance, waiting, now)
        if request is not None:
            return _requested(request, now, waiting)
    if due is None and isinstance(made_up := owed_end(instance, desk, now), dg.RunRequest):
        return dg.SensorResult(run_requests=[made_up], cursor=json.dumps(done))
    if (causes := desk.halted()) is not None:
        return dg.SkipReason(f"time stands; halted: {causes}; rearm with a reason to go on")
    if due is None:
        due = next_due(sessions, now, minutes)
        if due.session > _last_session_of_the_tape(sessions):
            return dg.SkipReason(f"time stands: the exchange's tape ends before {due.session}")
        keeper.move_to(due.at_ns)
    come_to(instance, due.session)
    return _requested(run_request(due), due.at_ns, waiting if due.work is Work.TICK else ())


def _requested(request: dg.RunRequest, at_ns: int, waiting: Sequence[SignalRecord]) -> dg.SensorResult:
    cursor = {"at_ns": at_ns, "signals": identity(waiting)}
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))


def _last_session_of_the_tape(sessions: Sessions) -> str:
    from trading_assets.market.bundle import BundledTape

    tape = BundledTape()
    last_ns = max(int(tape.daily(symbol).start_ns[-1]) for symbol in tape.symbols)
    return sessions.new_york_date(last_ns).isoformat()
