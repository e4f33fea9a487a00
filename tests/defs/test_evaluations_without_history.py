"""Schedules and sensors while another process holds the history: each answers at once, as none opens it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import dagster as dg
import duckdb
import pytest
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
from history_holder import held
from support.trading_floor import TradingFloor

from trading_assets.definitions import defs
from trading_assets.defs.alerts.sensors import (
    alert_delivery,
    alert_on_cancellation,
    alert_on_failure,
    alert_on_success,
)
from trading_assets.defs.day.schedules import after_the_close, before_the_open
from trading_assets.defs.desk.schedules import trading_hours
from trading_assets.defs.desk.sensors import live_session, signal_inbox
from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.defs.imported_bars.sensors import bars_imported
from trading_assets.defs.protection.sensors import protection
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.store.history import History, HistoryLocked

SESSION = date(2012, 7, 3)
pytestmark = [pytest.mark.slow, pytest.mark.floor(SESSION)]


@dg.asset
def broken() -> None:
    raise RuntimeError("the venue is on fire")


def test_every_schedule_and_sensor_answers_while_the_history_is_held(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick_ns = floor.go_to_session(SESSION, 0)
    with floor.desk() as desk:
        reconcile(desk)
        receive(desk, "AAPL", 0.5)
        history = History(desk.history.path, retry_seconds=0.0)
        history.query("SELECT count(*) FROM bars")  # makes the file

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("an evaluation opens a DuckDB file")

    evaluations: dict[str, object] = {}
    with held(history.path), dg.instance_for_test() as instance:
        with pytest.raises(HistoryLocked):
            history.query("SELECT count(*) FROM bars")
        monkeypatch.setattr(duckdb, "connect", opened)
        origin = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1), "__repository__"),
            "trading_hours",
        )
        data = ScheduleInstigatorData(cron_schedule="* * * * *")
        instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        )
        for sensor in (protection, signal_inbox, virtual_clock, live_session, alert_delivery, bars_imported):
            with dg.build_sensor_context(instance=instance) as context:
                evaluations[sensor.name] = sensor(context)
        for schedule in (trading_hours, before_the_open, after_the_close):
            with dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=datetime.fromtimestamp(tick_ns / 1e9, UTC),
                repository_def=defs.get_repository_def(),
            ) as evaluated:
                evaluations[schedule.name] = schedule(evaluated)
        result = (
            dg.define_asset_job("fails")
            .resolve(asset_graph=dg.Definitions(assets=[broken]).resolve_asset_graph())
            .execute_in_process(instance=instance, raise_on_error=False)
        )
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        for alerting in (alert_on_success, alert_on_failure, alert_on_cancellation):
            with dg.build_run_status_sensor_context(
                sensor_name=alerting.name,
                dagster_instance=instance,
                dagster_run=run,
                dagster_event=result.get_run_failure_event(),
            ) as alerts:
                alerting(alerts)
    assert {sensor.name for sensor in defs.sensors or ()} | {s.name for s in defs.schedules or ()} == {
        *evaluations,
        "alert_on_success",
        "alert_on_failure",
        "alert_on_cancellation",
    }
    outcome = evaluations["virtual_clock"]
    assert isinstance(outcome, dg.SensorResult)
    assert [request.job_name for request in outcome.run_requests or ()] == ["trading_tick"]
