"""The sensor that requests protection and reconciliation once the last one is too old."""

import json
from typing import NamedTuple

import dagster as dg

from trading_assets.config import Settings
from trading_assets.defs.protection.jobs import reconcile
from trading_assets.engine.protection.protected import is_due, protected_ago_ns
from trading_assets.market.clock import system_now_ns
from trading_assets.runs.decorators import Evaluation, sensor
from trading_assets.runs.evaluations import tell_failure
from trading_assets.runs.readiness import readiness, run_under_way


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


@sensor(
    job=reconcile,
    every_seconds=5,
    description="Requests `reconcile` when the last protection, also a tick's, is older than "
    "`reconciliation_interval_seconds`, whatever else is queued or running.",
)
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
