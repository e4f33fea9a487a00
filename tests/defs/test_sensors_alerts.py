"""What a finished run has to say, by its status and its checks, in the outbox or past it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test
from support.receiver import Receiver, listening

from trading_assets.defs.alerts import sensors as sensors_alerts
from trading_assets.defs.alerts.sensors import (
    alert_delivery,
    alert_on_cancellation,
    alert_on_failure,
    alert_on_success,
)
from trading_assets.defs.protection.sensors import protection
from trading_assets.engine.book import alerts
from trading_assets.engine.operation.alert_delivery import Courier
from trading_assets.errors import InvalidInput
from trading_assets.market.clock import monotonic_ns
from trading_assets.runs.courier import outbox
from trading_assets.store.journal import Journal
from trading_assets.store.records import OutboxRecord

pytestmark = pytest.mark.slow

BOOK = "embedded:PA0001:paper"
MINUTE_NS = 60 * 10**9


@dg.asset(
    check_specs=[dg.AssetCheckSpec(name, asset="positions") for name in ("limit", "drift", "agree")],
)
def positions() -> Iterator[object]:
    yield dg.AssetCheckResult(check_name="limit", passed=False, description="measured 0.06, limit 0.05")
    yield dg.AssetCheckResult(check_name="drift", passed=False, severity=dg.AssetCheckSeverity.WARN)
    yield dg.AssetCheckResult(check_name="agree", passed=True)
    yield dg.MaterializeResult()


@dg.asset
def broken() -> None:
    raise RuntimeError("the venue is on fire")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desk's home whose journal knows its book."""
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(config))
    with Journal.open(tmp_path / "var" / "journal.sqlite") as journal:
        journal.set_mark("embedded:paper", "book", BOOK, 0)
    return tmp_path


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with listening() as receiver:
        monkeypatch.setenv(alerts.URLS_VARIABLE, receiver.url)
        yield receiver


def run(
    instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, name: str = "a_job"
) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job(name).resolve(asset_graph=dg.Definitions(assets=assets).resolve_asset_graph())
    return job.execute_in_process(instance=instance, raise_on_error=False)


def see(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    dagster_run: dg.DagsterRun,
    event: dg.DagsterEvent,
) -> None:
    with dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=instance,
        dagster_run=dagster_run,
        dagster_event=event,
    ) as context:
        sensor(context)


def see_result(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> None:
    stored = instance.get_run_by_id(result.run_id)
    assert stored is not None
    event = result.get_run_success_event() if result.success else result.get_run_failure_event()
    see(sensor, instance, stored, event)


def waiting(home: Path) -> list[OutboxRecord]:
    with Journal.open(home / "var" / "journal.sqlite") as journal:
        return journal.pending_alerts()


def test_failed_checks_of_either_severity_wait_in_the_outbox(
    home: Path, instance: dg.DagsterInstance
) -> None:
    result = run(instance, positions)
    assert result.success
    see_result(alert_on_success, instance, result)
    alerts = {alert.title: alert for alert in waiting(home)}
    assert {title: alert.severity for title, alert in alerts.items()} == {
        "Check failed: positions.limit": "ERROR",
        "Check failed: positions.drift": "WARN",
    }
    limit = alerts["Check failed: positions.limit"]
    assert limit.book == BOOK
    assert result.run_id in limit.body
    assert "measured 0.06, limit 0.05" in limit.body


def test_a_failed_run_says_which_step_failed_and_why(home: Path, instance: dg.DagsterInstance) -> None:
    result = run(instance, broken, positions)
    assert not result.success
    see_result(alert_on_failure, instance, result)
    alerts = {alert.title: alert.body for alert in waiting(home)}
    assert "broken: " in alerts["a_job failed"]
    assert "the venue is on fire" in alerts["a_job failed"]
    assert "Check failed: positions.limit" in alerts


def test_a_cancelled_run_is_told(home: Path, instance: dg.DagsterInstance) -> None:
    cancelled = create_run_for_test(instance, job_name="a_job", status=dg.DagsterRunStatus.CANCELED)
    event = dg.DagsterEvent(
        event_type_value="PIPELINE_CANCELED", job_name="a_job", message="cancelled by a person"
    )
    see(alert_on_cancellation, instance, cancelled, event)
    (alert,) = waiting(home)
    assert alert.title == "a_job was cancelled"
    assert "cancelled by a person" in alert.body


def test_the_same_run_seen_again_and_the_next_within_the_cool_down_tell_nothing_more(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(minute: int) -> None:
        monkeypatch.setattr(sensors_alerts, "system_now_ns", lambda: minute * MINUTE_NS)

    first, second = run(instance, broken), run(instance, broken)
    other = run(instance, broken, name="another_job")
    at(100)
    see_result(alert_on_failure, instance, first)
    see_result(alert_on_failure, instance, first)
    at(129)
    see_result(alert_on_failure, instance, second)
    assert len(waiting(home)) == 1
    see_result(alert_on_failure, instance, other)
    assert len(waiting(home)) == 2
    at(130)
    see_result(alert_on_failure, instance, second)
    assert len(waiting(home)) == 3
    at(200)
    see_result(alert_on_failure, instance, second)
    assert len(waiting(home)) == 3


def test_a_run_without_anything_wrong_tells_nothing(home: Path, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def fine() -> None:
        pass

    see_result(alert_on_success, instance, run(instance, fine))
    assert waiting(home) == []


def test_a_broken_configuration_is_told_past_the_outbox(
    home: Path, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    (home / "config" / "execution.yaml").write_text(yaml.safe_dump({"mod": "paper"}))
    see_result(alert_on_failure, instance, run(instance, broken))
    (message,) = receiver.messages
    assert message["title"] == "a_job failed"
    assert "unknown key `mod`" in message["message"]


def test_the_outbox_is_delivered_by_its_sensor(
    home: Path, instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deliver() -> str:
        with dg.build_sensor_context(instance=instance) as context:
            alerts = alert_delivery(context)
        assert isinstance(alerts, dg.SkipReason)
        return str(alerts.skip_message)

    see_result(alert_on_success, instance, run(instance, positions))
    receiver.status = 500
    address = receiver.url.removesuffix("/alerts")  # scheme and host: the rest may be a token
    assert deliver() == f"0 alerts delivered, 2 wait; not taken by {address}"
    monkeypatch.setenv(alerts.URLS_VARIABLE, "")
    assert deliver().startswith("2 alerts wait; set TRADING_ASSETS_ALERT_URLS")
    monkeypatch.setenv(alerts.URLS_VARIABLE, receiver.url)
    receiver.status = 200
    assert deliver() == "2 alerts delivered, 0 wait"
    assert waiting(home) == []
    assert receiver.titles() == ["2 alerts: Check failed: positions.limit …"]


@pytest.fixture
def slow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An address that takes a minute, or until it is let go."""
    let_go = threading.Event()

    def send(_title: str, _body: str, _severity: str) -> bool:
        return let_go.wait(60)

    channel = alerts.Channel("mailto://slow", "slow", send)
    monkeypatch.setattr(alerts, "channels", lambda _environ: (channel,))
    monkeypatch.setenv(alerts.URLS_VARIABLE, "mailto://slow")
    monkeypatch.setattr(sensors_alerts, "COURIER", Courier(os.environ, outbox))
    monkeypatch.setattr(sensors_alerts, "PATIENCE_SECONDS", 0.2)
    yield let_go
    let_go.set()


def delivered(instance: dg.DagsterInstance) -> str:
    with dg.build_sensor_context(instance=instance) as context:
        alerts = alert_delivery(context)
    assert isinstance(alerts, dg.SkipReason)
    return str(alerts.skip_message)


def test_an_address_that_takes_a_minute_holds_up_no_evaluation_and_gets_its_alert_once(
    home: Path, instance: dg.DagsterInstance, slow: threading.Event
) -> None:
    see_result(alert_on_failure, instance, run(instance, broken))
    couriers = [thread.name for thread in threading.enumerate()].count("courier")
    began = monotonic_ns()
    for _ in range(3):
        assert "an address takes its time" in delivered(instance)
        with dg.build_sensor_context(instance=instance) as context:
            assert isinstance(protection(context), dg.SensorResult)
    assert monotonic_ns() - began < 30 * 10**9
    assert [thread.name for thread in threading.enumerate()].count("courier") == couriers + 1
    slow.set()
    until = monotonic_ns() + 20 * 10**9
    while (delivery := delivered(instance)) != "0 alerts delivered, 0 wait" and monotonic_ns() < until:
        assert (
            delivery in ("1 alerts delivered, 0 wait", "0 alerts delivered, 0 wait")
            or "takes its time" in delivery
        )
    assert waiting(home) == []


def test_a_delivery_that_fails_is_a_failed_evaluation_and_is_told(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    see_result(alert_on_failure, instance, run(instance, broken))
    monkeypatch.setenv(alerts.URLS_VARIABLE, "no-such-service://x")
    with pytest.raises(InvalidInput, match="apprise"):
        delivered(instance)
    assert "alert_delivery could not be evaluated" in [alert.title for alert in waiting(home)]


def test_alerts_run_from_the_start() -> None:
    assert {
        sensor.default_status.value
        for sensor in (alert_on_success, alert_on_failure, alert_on_cancellation, alert_delivery)
    } == {"RUNNING"}
