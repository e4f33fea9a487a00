"""Protection is requested by the journal's clock, whatever else is queued, wrong or on."""

from __future__ import annotations

from time import sleep

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test
from evaluated import NS, Desk, Watch, request, skipped
from support.receiver import listening

from trading_assets.config import LastGood, keep, load
from trading_assets.dagster_health import Health, Instigator, troubles
from trading_assets.defs.desk import sensors as desk_sensors
from trading_assets.defs.desk.sensors import live_session, signal_inbox
from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.defs.protection.sensors import protection
from trading_assets.engine.book import alerts
from trading_assets.engine.operation.watchdog import Watchdog, WatchdogLook, remembered
from trading_assets.errors import InvalidInput
from trading_assets.market.clock import monotonic_ns
from trading_assets.runs import evaluations
from trading_assets.runs.readiness import UNDER_WAY

pytestmark = pytest.mark.slow  # an exchange for each


def run_of(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1)
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)
    return create_run_for_test(instance, job_name=job, status=status, remote_job_origin=origin)


def test_protection_is_requested_whatever_else_is_queued_or_on(
    desk: Desk, instance: dg.DagsterInstance
) -> None:
    for status in UNDER_WAY:
        for job in ("trading_tick", "premarket", "flatten", "replay", "__ASSET_JOB"):
            run_of(instance, job, status)
    request(Watch(protection, instance)())


def test_no_second_protection_is_requested_beside_one(desk: Desk, instance: dg.DagsterInstance) -> None:
    watch = Watch(protection, instance)
    for status in UNDER_WAY:
        run = run_of(instance, "reconcile", status)
        assert skipped(watch(stored=False)) == f"reconcile is under way: run {run.run_id}"
        instance.delete_run(run.run_id)
    request(watch())


def test_protection_is_due_once_the_journals_last_one_is_older_than_the_interval(
    desk: Desk, instance: dg.DagsterInstance
) -> None:
    watch = Watch(protection, instance)
    desk.protected()
    assert "protected 0 s ago" in skipped(watch())
    desk.now_ns += 59 * NS
    assert "protected 59 s ago" in skipped(watch())
    desk.now_ns += NS
    request(watch())
    desk.protected()
    desk.now_ns += 60 * NS
    request(watch())
    desk.configure("reconciliation_interval_seconds: 10\n")
    desk.protected()
    desk.now_ns += 10 * NS
    request(watch())


def test_a_request_that_led_to_no_protection_is_repeated_with_patience(
    desk: Desk, instance: dg.DagsterInstance
) -> None:
    watch = Watch(protection, instance)
    requested = []
    began = desk.now_ns
    while desk.now_ns < began + 200 * NS:
        if isinstance(watch(), dg.SensorResult):
            requested.append((desk.now_ns - began) // NS)
        desk.now_ns += 5 * NS
    assert requested == [0, 15, 45, 105, 165]
    desk.protected()
    desk.now_ns += 60 * NS
    request(watch())
    desk.now_ns += 15 * NS
    request(watch())


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_was_set_makes_no_protection_wait(
    desk: Desk, instance: dg.DagsterInstance, hours: int
) -> None:
    watch = Watch(protection, instance)
    request(watch())
    desk.protected()
    desk.now_ns += hours * 3_600 * NS
    request(watch())


@pytest.mark.parametrize(
    "cursor", ["1790000000000000000", "soon", "{}", "[1]", '["a", 1]', "[1, 2, 3]", "null"]
)
def test_any_cursor_lets_protection_be_requested(
    desk: Desk, instance: dg.DagsterInstance, cursor: str
) -> None:
    watch = Watch(protection, instance)
    watch.cursor = cursor
    request(watch())


@pytest.mark.parametrize(
    "text", ["reconciliation_interval_secondz: 60\n", "mode: [\n", "\x00", "venue: nowhere\n"]
)
def test_a_mistyped_configuration_ends_no_protection_and_is_told(
    desk: Desk, instance: dg.DagsterInstance, text: str
) -> None:
    watch = Watch(protection, instance)
    request(watch())
    desk.protected()
    desk.configure(text)
    assert "protected 0 s ago" in skipped(watch())  # by the configuration that could last be used
    desk.now_ns += 60 * NS
    request(watch())
    for sensor in (signal_inbox, virtual_clock, live_session):
        with pytest.raises(InvalidInput):
            Watch(sensor, instance)()
    assert desk.alerts() == ["The configuration cannot be used"]  # once, however many fail of it


def test_a_process_that_never_read_a_configuration_requests_protection_all_the_same(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "_told_ns", {})
    desk.configure("mode: [\n")
    with listening() as receiver:
        monkeypatch.setenv(alerts.URLS_VARIABLE, receiver.url)
        request(Watch(protection, instance)())
        until = monotonic_ns() + 20 * NS
        while not receiver.messages and monotonic_ns() < until:
            sleep(0.05)
        assert receiver.titles() == ["The configuration cannot be used"]
        desk.now_ns += 60 * NS
        request(Watch(protection, instance)())
    assert receiver.titles() == ["The configuration cannot be used"]  # once in its cool-down


def test_a_failed_evaluation_that_the_watchdog_sees_too_is_told_once(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(desk_sensors, "take_files", fails)
    monkeypatch.setattr(desk_sensors, "venue_now_ns", lambda _settings: desk.now_ns)
    with pytest.raises(RuntimeError):
        Watch(signal_inbox, instance)()
    now_s = desk.now_ns / NS
    seen = Instigator("signal_inbox", True, 5, now_s, now_s, "tick 7", "RuntimeError: no room")
    (trouble,) = troubles(Health({}, "", (), (seen,)), now_s=now_s, since_s=0)
    dog = Watchdog(
        LastGood(desk.config_path),
        lambda _: pytest.fail("nothing is opened"),
        ask_dagster=lambda: [trouble],
        environ={},
        waking_seconds=0,
    )
    dog._memory = remembered(None, WatchdogLook(desk.now_ns, monotonic_ns(), None))
    dog._askings[0].occurred.append(trouble)
    dog._see_to_dagster()
    assert desk.alerts() == ["signal_inbox could not be evaluated"]


def test_a_process_that_begins_while_the_configuration_is_wrong_knows_when_protection_was_last(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(desk.home))
    keep(desk.home, desk.config_path, load(desk.config_path))
    desk.protected()
    desk.configure("mode: [\n")
    assert "protected 0 s ago" in skipped(Watch(protection, instance)())


def test_a_journal_that_cannot_be_read_ends_no_request_for_protection(
    desk: Desk, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.home / "var" / "journal.sqlite").write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (desk.home / "var" / f"journal.sqlite{suffix}").unlink(missing_ok=True)
    request(Watch(protection, instance)())


def test_what_protects_runs_from_the_start() -> None:
    assert {
        sensor.default_status.value for sensor in (protection, signal_inbox, virtual_clock, live_session)
    } == {"RUNNING"}
