"""Sensors that tell people: what a finished run and its checks have to say, and the outbox's delivery.

A run's alerts go into the journal's outbox once for a run, with a cool-down for each subject; halts,
locks and breaks are put there by the engine. One sensor has what waits delivered, on a thread of its own.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData

from trading_assets.defs.courier import COURIER
from trading_assets.defs.evaluations import told_of_failure
from trading_assets.defs.readiness import readiness
from trading_assets.defs.resources import PARTITION_TAG, TICK_TAG
from trading_assets.engine.book import alerts
from trading_assets.errors import TradingAssetsError
from trading_assets.keyring import ENVIRON
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_time

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


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Alerts on failed checks of runs that succeeded.",
)
@told_of_failure
def alert_on_success(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Alerts on failed runs and on their failed checks.",
)
@told_of_failure
def alert_on_failure(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Alerts on cancelled runs and on their failed checks.",
)
@told_of_failure
def alert_on_cancellation(context: dg.RunStatusSensorContext) -> None:
    _tell(context)


@dg.sensor(
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Delivers the outbox to the addresses in {alerts.URLS_VARIABLE}.",
)
@told_of_failure
def alert_delivery(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    came = COURIER.delivered(PATIENCE_SECONDS)
    if isinstance(came, float):
        return dg.SkipReason(f"alerts are being delivered since {came:.0f} s: an address takes its time")
    if not ENVIRON.get(alerts.URLS_VARIABLE, "").split():
        return dg.SkipReason(f"{came.waiting} alerts wait; set {alerts.URLS_VARIABLE} to have them delivered")
    trouble = f"; not taken by {', '.join(came.failed)}" if came.failed else ""
    return dg.SkipReason(f"{came.delivered} alerts delivered, {came.waiting} wait{trouble}")


ALERT_SENSORS: Sequence[dg.SensorDefinition] = (
    alert_on_success,
    alert_on_failure,
    alert_on_cancellation,
    alert_delivery,
)
