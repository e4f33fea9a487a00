"""On the embedded exchange too the end of a day that was missed is asked for when the desk is next up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.test_utils import create_run_for_test
from support.trading_floor import TradingFloor

from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.engine.operation.ended_sessions import mark_archived
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.market.sessions import MINUTE_NS, Sessions

SESSION, NEXT = date(2012, 7, 5), date(2012, 7, 6)
pytestmark = [pytest.mark.slow, pytest.mark.floor(SESSION, tick=1)]
SESSIONS = Sessions()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def floor(floor: TradingFloor) -> TradingFloor:
    """A book that was opened in the session's first ticks; then the desk was down until the next morning."""
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
    floor.keeper.move_to(SESSIONS.open_ns(NEXT) - 45 * MINUTE_NS)
    return floor


def turn_on(instance: dg.DagsterInstance) -> None:
    """What the switch of trading_hours in the UI stores."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "trading_hours")
    data = ScheduleInstigatorData(cron_schedule="* * * * *")
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    )


def requested_jobs(
    instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[str | None], str | None]:
    """The jobs that one evaluation requests, and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = virtual_clock(context)
    if isinstance(result, dg.SkipReason):
        return [], cursor
    assert isinstance(result, dg.SensorResult)
    return [request.job_name for request in result.run_requests or ()], result.cursor


def now_ns(floor: TradingFloor) -> int:
    with floor.desk() as desk:
        desk.clock.sync()
        return desk.now_ns()


def test_where_time_stands_the_missed_end_comes_before_time_moves_on(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    before = now_ns(floor)
    assert requested_jobs(instance) == (["end_of_day"], "{}")
    assert now_ns(floor) == before
    # an attempt that fails keeps time from going on for no longer than itself
    create_run_for_test(instance, job_name="end_of_day", status=dg.DagsterRunStatus.FAILURE)
    assert requested_jobs(instance)[0] == ["premarket"]
    assert now_ns(floor) == SESSIONS.open_ns(NEXT) - 30 * MINUTE_NS


def test_where_time_stands_unarmed_the_missed_end_is_made_up_for_and_time_stays(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    before = now_ns(floor)
    assert requested_jobs(instance) == (["end_of_day"], None)
    with floor.desk() as desk:
        mark_archived(desk.journal, desk.book, SESSION.isoformat(), at_ns=desk.now_ns())
    assert requested_jobs(instance) == ([], None)
    assert now_ns(floor) == before


def test_where_time_runs_it_is_asked_for_at_once(floor: TradingFloor, instance: dg.DagsterInstance) -> None:
    settings = yaml.safe_load(floor.config_path.read_text())
    settings["embedded"]["time"] = "runs"
    floor.config_path.write_text(yaml.safe_dump(settings))
    assert requested_jobs(instance)[0] == ["end_of_day"]
    with floor.desk() as desk:
        mark_archived(desk.journal, desk.book, SESSION.isoformat(), at_ns=desk.now_ns())
    assert requested_jobs(instance)[0] == []
