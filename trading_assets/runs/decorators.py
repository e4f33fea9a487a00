"""How the desk's definitions are made: each decorator takes what differs, and adds what all of a kind have.

A step shows no secret (`runs.clean_steps`). A failed evaluation of a schedule or sensor is told
(`runs.evaluations`). What is evaluated is on from the start, except the schedule that a person arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import dagster as dg

from trading_assets.runs.clean_steps import shows_no_secret
from trading_assets.runs.code_version import code_version
from trading_assets.runs.evaluations import told_of_failure

NEW_YORK = "America/New_York"

Evaluation: TypeAlias = dg.SensorResult | dg.SkipReason
Materialized: TypeAlias = dg.MaterializeResult[None]
_Asset: TypeAlias = Callable[[Callable[..., Materialized | Iterator[Materialized]]], dg.AssetsDefinition]
_Checks: TypeAlias = Callable[[Callable[..., Iterator[dg.AssetCheckResult]]], dg.AssetChecksDefinition]
_Op: TypeAlias = Callable[[Callable[..., None]], dg.OpDefinition]
_Sensor: TypeAlias = Callable[[Callable[[dg.SensorEvaluationContext], Evaluation]], dg.SensorDefinition]
_RunSensor: TypeAlias = Callable[[Callable[[dg.RunStatusSensorContext], None]], dg.SensorDefinition]
_Decision: TypeAlias = Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]
_Schedule: TypeAlias = Callable[[_Decision], dg.ScheduleDefinition]


def asset(*code: str, **others: Any) -> _Asset:
    """An asset. code: paths in the package that its code version is made of; the rest is `dg.asset`'s."""
    made = dg.asset(code_version=code_version(*code), **others)
    return lambda step: made(shows_no_secret(step))


def checks(name: str, specs: Sequence[dg.AssetCheckSpec], *, pool: str | None = None) -> _Checks:
    """Checks of one asset, evaluated in one step, of which a run may ask for some."""
    made = dg.multi_asset_check(name=name, specs=specs, can_subset=True, pool=pool)
    return lambda step: made(shows_no_secret(step))


def op(*, pool: str | None = None) -> _Op:
    """The one step of a job."""
    made = dg.op(pool=pool)
    return lambda step: made(shows_no_secret(step))


def sensor(*, every_seconds: int, **others: Any) -> _Sensor:
    """A sensor that is on from the start; the rest is `dg.sensor`'s."""
    made = dg.sensor(
        minimum_interval_seconds=every_seconds, default_status=dg.DefaultSensorStatus.RUNNING, **others
    )
    return lambda evaluate: made(told_of_failure(evaluate))


def run_sensor(status: dg.DagsterRunStatus, *, every_seconds: int, description: str) -> _RunSensor:
    """A sensor of runs that end in the status, on from the start."""
    made = dg.run_status_sensor(
        run_status=status,
        minimum_interval_seconds=every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    return lambda evaluate: made(told_of_failure(evaluate))


def schedule(*, cron: str, on: bool = True, **others: Any) -> _Schedule:
    """A schedule by New York's clock; the rest is `dg.schedule`'s.

    on: whether it is on in a new instance
    """
    status = dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED
    made = dg.schedule(cron_schedule=cron, execution_timezone=NEW_YORK, default_status=status, **others)
    return lambda decide: made(told_of_failure(decide))
