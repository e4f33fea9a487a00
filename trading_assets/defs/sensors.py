"""Sensors that request work: protection every minute, signals from outside, and the embedded exchange's day.

They evaluate in the code server and cost no process; what they request is a run. Where the embedded
exchange's time stands, one sensor alone decides on ticks, those for signals too, so that time never moves
between a request and its run. Sensors that tell people are in `defs.sensors_alerts`.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from trading_assets.config import Settings
from trading_assets.defs.evaluations import tell_failure, told_of_failure
from trading_assets.defs.jobs import reconcile, tick_tags, trading_tick
from trading_assets.defs.jobs_day import end_of_day, premarket
from trading_assets.defs.owed import owed_end
from trading_assets.defs.partitions import come_to
from trading_assets.defs.readiness import (
    Readiness,
    exchange_keeper,
    readiness,
    run_under_way,
    why_no_ticks,
)
from trading_assets.defs.resources import read_settings
from trading_assets.defs.schedules import run_request
from trading_assets.engine.operation.timetable import Due, Work, due_now, next_due, overdue_end
from trading_assets.engine.protection.protected import is_due, protected_ago_ns
from trading_assets.engine.signals.inbox import take_files
from trading_assets.exchange.control_client import ControlClient
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.store.records import SignalRecord

Evaluation = dg.SensorResult | dg.SkipReason


class Request(NamedTuple):
    """The last protection that was requested, as the sensor's cursor keeps it."""

    at_ns: int | None = None
    unmet: int = 0  # requests that no protection has followed yet

    @classmethod
    def of(cls, cursor: str | None) -> "Request":
        """Of a cursor that cannot be read nothing is known, and protection is due."""
        try:
            return cls(*(int(value) for value in json.loads(cursor or "[]")))
        except (TypeError, ValueError):
            return cls()


@dg.sensor(
    job=reconcile,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Protection and reconciliation once the journal's last one, a tick's too, is older than "
    "`reconciliation_interval_seconds`, whatever else is queued or on.",
)
@told_of_failure
def protection(context: dg.SensorEvaluationContext) -> Evaluation:
    now = system_now_ns()
    last = Request.of(context.cursor)
    try:
        interval_ns, ago_ns = _protected(now)
    except Exception as error:  # noqa: BLE001 - protection is requested all the same, and the failure told
        tell_failure("protection", error)
        interval_ns, ago_ns = int(Settings().reconciliation_interval_seconds * 1e9), None
    met = ago_ns is not None and last.at_ns is not None and now - ago_ns >= last.at_ns
    unmet = 0 if met else last.unmet
    if not is_due(now, interval_ns=interval_ns, ago_ns=ago_ns, requested_ns=last.at_ns, unmet=unmet):
        since = "never" if ago_ns is None else f"{ago_ns / 1e9:.0f} s ago"
        return dg.SkipReason(f"protected {since}, requested {unmet} times since")
    under_way = run_under_way(context.instance, reconcile.name)
    if under_way is not None:
        return dg.SkipReason(f"{under_way.job_name} is under way: run {under_way.run_id}")
    cursor = json.dumps([now, unmet + 1])
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)


def _protected(now_ns: int) -> tuple[int, int | None]:
    """The interval of protections and the age of the last."""
    with readiness(last_good=True) as desk:
        ago_ns = None if desk.book is None else protected_ago_ns(desk.journal, desk.book, now_ns=now_ns)
        return int(desk.settings.reconciliation_interval_seconds * 1e9), ago_ns


@dg.sensor(
    job=trading_tick,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes files dropped into the inbox, and requests a tick at once for signals that wait.",
)
@told_of_failure
def signal_inbox(context: dg.SensorEvaluationContext) -> Evaluation:
    with readiness() as desk:
        if desk.settings.model.enabled:
            return dg.SkipReason("the model trades (`model.enabled`): signals from outside are not taken")
        if desk.book is None:
            return dg.SkipReason("the book is not open yet: the first reconciliation opens it")
        now = _venue_now_ns(desk.settings)
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
    if context.cursor == _identity(waiting):
        return dg.SkipReason(f"{len(waiting)} signals wait; their tick was requested")
    request = _tick_for(context.instance, waiting, now)
    if request is None:
        return dg.SkipReason(f"{len(waiting)} signals wait; the market is closed")
    return dg.SensorResult(run_requests=[request], cursor=_identity(waiting))


@dg.sensor(
    jobs=[trading_tick, premarket, end_of_day],
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Moves the embedded exchange's time to what is due next and requests its run; time stands "
    "while a run is on, while the schedule trading_hours is off or the book is not armed, and while it is "
    "halted. Where its time runs, only the two ends of a session are requested here.",
)
@told_of_failure
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
    if due is None and waiting and _identity(waiting) != done.get("signals"):
        request = _tick_for(instance, waiting, now)
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
    cursor = {"at_ns": at_ns, "signals": _identity(waiting)}
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))


def _tick_for(
    instance: dg.DagsterInstance, waiting: Sequence[SignalRecord], now_ns: int
) -> dg.RunRequest | None:
    """A tick at this very moment; None while the market is closed. Once for the same signals."""
    sessions = Sessions()
    if not sessions.is_open(now_ns):
        return None
    due = Due(Work.TICK, sessions.new_york_date(now_ns).isoformat(), now_ns)
    come_to(instance, due.session)
    return dg.RunRequest(
        run_key=f"signals:{_identity(waiting)}",
        job_name=due.work.value,
        partition_key=due.session,
        tags=tick_tags(due.at_ns),
    )


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes the session under way, in the venue's time, the last partition of the live assets: "
    "the interface's latest is the one that trades.",
)
@told_of_failure
def live_session(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    now = _venue_now_ns(read_settings())
    if isinstance(now, str):
        return dg.SkipReason(now)
    sessions = Sessions()
    session = sessions.session_at(now)
    if session is None:
        return dg.SkipReason(f"{sessions.new_york_date(now)} is not an XNYS session")
    come_to(context.instance, session.isoformat())
    return dg.SkipReason(f"the session is {session}")


def _identity(waiting: Sequence[SignalRecord]) -> str:
    return hashlib.sha256("\n".join(signal.decision_id for signal in waiting).encode()).hexdigest()[:32]


def _venue_now_ns(settings: Settings) -> int | str:
    """The venue's time without its client: the exchange's control plane, or the machine's clock, which
    the tick holds against the broker's. Else why it cannot be had."""
    if settings.venue != "embedded":
        return system_now_ns()
    keeper = exchange_keeper(settings)
    if isinstance(keeper, str):
        return keeper
    with closing(keeper):
        return keeper.now_ns()


def _last_session_of_the_tape(sessions: Sessions) -> str:
    from trading_assets.market.bundle import BundledTape

    tape = BundledTape()
    last_ns = max(int(tape.daily(symbol).start_ns[-1]) for symbol in tape.symbols)
    return sessions.new_york_date(last_ns).isoformat()


SENSORS: Sequence[dg.SensorDefinition] = (protection, signal_inbox, virtual_clock, live_session)
