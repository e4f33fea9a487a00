"""Sensors that tell people: what a finished run and its checks have to say, and the outbox's delivery.

A run's alerts go into the journal's outbox once for a run, with a cool-down for each subject; halts,
locks and breaks are put there by the engine. One sensor has what waits delivered, on a thread of its own.
"""

from collections.abc import Iterator

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData

from trading_assets.engine.book import alerts
from trading_assets.errors import TradingAssetsError
from trading_assets.keyring import ENVIRON
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_time
from trading_assets.runs.courier import COURIER
from trading_assets.runs.decorators import run_sensor, sensor
from trading_assets.runs.lanes import PARTITION_TAG, TICK_TAG
from trading_assets.runs.readiness import readiness

STEPS_NAMED = 10
PATIENCE_SECONDS = 3.0  # of an evaluation with the addresses; the delivery goes on


def _tell(context: dg.RunStatusSensorContext) -> None:
    """Put what the run has to say into the outbox.

    Where the journal cannot be had (a broken configuration, a file that stays locked), it is sent past
    the outbox: a run-status sensor sees a run once.
    """
    messages = list(_messages(context))
    now = system_now_ns()
    try:
        with readiness(last_good=True) as desk:
            book = desk.book or alerts.NO_BOOK
            for subject, severity, title, body in messages:
                run_id = context.dagster_run.run_id
                alerts.tell(
                    desk.journal,
                    book,
                    subject,
                    title,
                    body,
                    now_ns=now,
                    severity=severity,
                    occurrence=run_id,
                )
    except TradingAssetsError as error:
        for _, severity, title, body in messages:
            alerts.send_at_once(alerts.channels(ENVIRON), title, f"{body}\n{error}", severity)


def _messages(context: dg.RunStatusSensorContext) -> Iterator[tuple[str, str, str, str]]:
    """Subject, severity, title and body of each alert of the run."""
    run = context.dagster_run
    tick = run.tags.get(TICK_TAG, "")
    at = new_york_time(int(tick)) if tick.isdigit() else run.tags.get(PARTITION_TAG, "")
    where = f"{run.job_name} {at}".strip() + f", run {run.run_id}"
    if run.status is not dg.DagsterRunStatus.SUCCESS:
        logged = context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        failures = [entry.get_dagster_event() for entry in logged][:STEPS_NAMED]
        steps = ",".join(str(failure.step_key) for failure in failures)
        reasons = [f"{failure.step_key}: {_why(failure.step_failure_data)}" for failure in failures]
        yield (
            f"run:{run.job_name}:{run.status.value}:{steps}",
            "ERROR",
            f"{run.job_name} {'failed' if run.status is dg.DagsterRunStatus.FAILURE else 'was cancelled'}",
            "\n".join([where, *(reasons or [context.dagster_event.message or ""])]),
        )
    for entry in context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = entry.get_dagster_event().asset_check_evaluation_data
        if not evaluation.passed:
            check = f"{evaluation.asset_key.to_user_string()}.{evaluation.check_name}"
            yield (
                f"check:{check}",
                evaluation.severity.value,
                f"Check failed: {check}",
                f"{where}\n{evaluation.description or ''}".strip(),
            )


def _why(failure: StepFailureData) -> str:
    """A step's own words where it failed on purpose, else the error with its trace."""
    data = failure.user_failure_data
    if data is not None and data.description:
        return data.description
    return failure.error_display_string.strip()


@run_sensor(
    dg.DagsterRunStatus.SUCCESS,
    every_seconds=5,
    description="Alerts on the failed checks of a run that succeeded.",
)
def alert_on_success(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@run_sensor(
    dg.DagsterRunStatus.FAILURE,
    every_seconds=5,
    description="Alerts on a run that failed, and on its failed checks.",
)
def alert_on_failure(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@run_sensor(
    dg.DagsterRunStatus.CANCELED,
    every_seconds=5,
    description="Alerts on a run that was cancelled, and on its failed checks.",
)
def alert_on_cancellation(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@sensor(
    every_seconds=10,
    description=f"Delivers the alerts that wait to the addresses in {alerts.URLS_VARIABLE}.",
)
def alert_delivery(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    came = COURIER.delivered(PATIENCE_SECONDS)
    if isinstance(came, float):
        return dg.SkipReason(f"alerts are being delivered since {came:.0f} s: an address takes its time")
    if not ENVIRON.get(alerts.URLS_VARIABLE, "").split():
        return dg.SkipReason(f"{came.waiting} alerts wait; set {alerts.URLS_VARIABLE} to have them delivered")
    trouble = f"; not taken by {', '.join(came.failed)}" if came.failed else ""
    return dg.SkipReason(f"{came.delivered} alerts delivered, {came.waiting} wait{trouble}")
