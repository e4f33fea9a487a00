"""The sensors against a real exchange and a real instance: what each requests, and why it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import sleep

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.test_utils import create_run_for_test
from receiver import listening
from trading_floor import TOKEN, TradingFloor, trading_floor

from trading_assets.config import LastGood, keep, load
from trading_assets.core.words import HaltState
from trading_assets.dagster_health import Health, Instigator, troubles
from trading_assets.defs import evaluations, sensors
from trading_assets.defs.lanes import RANGE_TAGS
from trading_assets.defs.readiness import UNDER_WAY, run_under_way
from trading_assets.defs.sensors import live_session, protection, signal_inbox, virtual_clock
from trading_assets.engine import alerts
from trading_assets.engine.arming import ARMED_MARK, arm, disarm
from trading_assets.engine.halts import Cause, latch
from trading_assets.engine.protected import note_protected
from trading_assets.engine.reconcile import reconcile
from trading_assets.engine.signalling import receive
from trading_assets.engine.watchdog import Look, Watchdog, remembered
from trading_assets.errors import InvalidInput
from trading_assets.exchange.keeper import Keeper
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.journal import Journal

pytestmark = pytest.mark.slow  # an exchange for each
SESSION = date(2012, 7, 3)  # a half day before a holiday
LAST = date(2013, 2, 28)  # the last session of the bundled tape but one
SESSIONS = Sessions()
Evaluation = dg.SensorResult | dg.SkipReason


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def start_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TradingFloor]]:
    """Starts an exchange with its configuration in the environment, as the code server has it."""
    open_floors = []

    def start(session: date = SESSION, **settings: object) -> TradingFloor:
        context = trading_floor(tmp_path, session, **settings)
        floor = context.__enter__()
        open_floors.append(context)
        monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(floor.config_path))
        monkeypatch.setenv("TRADING_ASSETS_EXCHANGE_TOKEN", TOKEN)
        return floor

    yield start
    for context in open_floors:
        context.__exit__(None, None, None)


@pytest.fixture
def floor(start_floor: Callable[..., TradingFloor]) -> TradingFloor:
    return start_floor()


def turn_on(instance: dg.DagsterInstance, schedule: str = "trading_hours") -> None:
    """What the switch in the UI stores."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), schedule)
    data = ScheduleInstigatorData(cron_schedule="* * * * *")
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    )


class Watch:
    """Evaluates one sensor again and again, keeping its cursor as the daemon does."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor: str | None = None

    def __call__(self, *, stored: bool = True) -> Evaluation:
        """stored=False: the daemon dies before it has stored what the evaluation gave."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            found = self.sensor(context)
        assert isinstance(found, Evaluation)
        if stored and isinstance(found, dg.SensorResult):
            self.cursor = found.cursor
        return found


def request(found: Evaluation) -> dg.RunRequest:
    assert isinstance(found, dg.SensorResult), found
    assert found.run_requests is not None
    (only,) = found.run_requests
    return only


def skipped(found: Evaluation) -> str:
    assert isinstance(found, dg.SkipReason), found
    return str(found.skip_message)


def now_ns(floor: TradingFloor) -> int:
    keeper = Keeper(floor.exchange.control_url, TOKEN)
    try:
        return keeper.now_ns()
    finally:
        keeper.close()


def tick_ns(found: dg.RunRequest) -> int:
    return int(found.tags["trading_assets/tick_ns"])


def test_time_stands_until_trading_is_armed(floor: TradingFloor, instance: dg.DagsterInstance) -> None:
    before = now_ns(floor)
    turn_on(instance, "after_the_close")
    assert "trading is not armed" in skipped(Watch(virtual_clock, instance)())
    assert now_ns(floor) == before


def test_the_clock_walks_through_the_day_and_over_the_holiday(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    walked = []
    for _ in range(9):
        found = request(watch())
        walked.append((found.job_name, found.partition_key, now_ns(floor)))
        if found.job_name == "trading_tick":
            assert tick_ns(found) == now_ns(floor)
    ticks = SESSIONS.ticks(SESSION, 30)
    after = date(2012, 7, 5)
    assert (
        walked
        == [
            ("premarket", None, SESSIONS.open_ns(SESSION) - 30 * MINUTE_NS),
            *(("trading_tick", "2012-07-03", tick) for tick in ticks),
            ("end_of_day", None, SESSIONS.close_ns(SESSION) + 10 * MINUTE_NS),
            ("premarket", None, SESSIONS.open_ns(after) - 30 * MINUTE_NS),
        ][:9]
    )
    assert len(ticks) == 6


def latest(instance: dg.DagsterInstance) -> str:
    return str(instance.get_dynamic_partitions("live_sessions")[-1])


def test_the_latest_partition_is_the_venues_session_whatever_the_machines_day(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    watch = Watch(live_session, instance)
    assert skipped(watch()) == "the session is 2012-07-03"
    assert latest(instance) == "2012-07-03"
    floor.move_clock(SESSIONS.close_ns(SESSION) + 22 * 3_600 * 10**9)
    assert skipped(watch()) == "2012-07-04 is not an XNYS session"
    assert latest(instance) == "2012-07-03"
    floor.move_clock(SESSIONS.open_ns(date(2012, 7, 5)))
    watch()
    assert latest(instance) == "2012-07-05"


def test_the_latest_partition_on_alpaca_is_todays_session_and_on_a_closed_day_the_last_one(
    desk: Desk, instance: dg.DagsterInstance
) -> None:
    desk.configure("venue: alpaca\n")
    watch = Watch(live_session, instance)
    friday = date(2026, 11, 20)
    for now, session in (
        (SESSIONS.open_ns(friday) - 60 * MINUTE_NS, "2026-11-20"),
        (SESSIONS.close_ns(friday) + 60 * MINUTE_NS, "2026-11-20"),
        (SESSIONS.close_ns(friday) + 24 * 60 * MINUTE_NS, "2026-11-20"),  # Saturday
        (SESSIONS.open_ns(date(2026, 11, 23)), "2026-11-23"),
        (SESSIONS.open_ns(date(2026, 11, 25)) + 24 * 60 * MINUTE_NS, "2026-11-23"),  # Thanksgiving
    ):
        desk.now_ns = now
        watch()
        assert latest(instance) == session


def run_of_assets(instance: dg.DagsterInstance, *keys: dg.AssetKey) -> dg.DagsterRun:
    """A run that is on, launched from the assets' page: no job's tags."""
    started = dg.DagsterRunStatus.STARTED
    return create_run_for_test(
        instance, job_name="__ASSET_JOB", status=started, asset_selection=frozenset(keys)
    )


def test_time_stands_while_a_run_is_on_that_may_act_on_the_book(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    before = now_ns(floor)
    run = create_run_for_test(instance, job_name="reconcile", status=dg.DagsterRunStatus.STARTED)
    assert skipped(watch()) == f"time stands while reconcile is on: run {run.run_id}"
    assert now_ns(floor) == before
    instance.delete_run(run.run_id)
    run = run_of_assets(instance, dg.AssetKey("bars"))
    assert f"run {run.run_id}" in skipped(watch())
    instance.delete_run(run.run_id)
    replay = create_run_for_test(
        instance,
        job_name="replay",
        status=dg.DagsterRunStatus.STARTED,
        tags={"trading_assets/lane": "replay"},
    )
    backfill = run_of_assets(instance, dg.AssetKey(["replay", "replay"]))
    assert request(watch()).job_name == "trading_tick"
    assert all(instance.get_run_by_id(run.run_id) is not None for run in (replay, backfill))


def test_after_a_crash_between_move_and_request_the_same_tick_is_requested_and_time_stays(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    lost = request(watch(stored=False))
    at = now_ns(floor)
    again = request(watch())
    assert (again.run_key, tick_ns(again)) == (lost.run_key, tick_ns(lost))
    assert now_ns(floor) == at == tick_ns(again)
    assert tick_ns(request(watch())) > at


def test_time_stands_while_the_book_is_halted(floor: TradingFloor, instance: dg.DagsterInstance) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    with floor.open_desk() as desk:
        latch(desk.journal, desk.book, Cause.KILL, at_ns=1, session="2012-07-03", reason="test")
        assert desk.halts().state is HaltState.HALTED
    before = now_ns(floor)
    assert "halted: KILL" in skipped(watch())
    assert now_ns(floor) == before


def test_at_the_end_of_the_tape_time_stands(
    start_floor: Callable[..., TradingFloor], instance: dg.DagsterInstance
) -> None:
    floor = start_floor(LAST)
    turn_on(instance)
    floor.move_clock(SESSIONS.close_ns(date(2013, 3, 1)) + 10 * MINUTE_NS)
    watch = Watch(virtual_clock, instance)
    assert request(watch()).job_name == "end_of_day"
    assert "tape ends before 2013-03-04" in skipped(watch())


def test_time_stands_while_a_person_has_disarmed_the_book(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    with floor.open_desk() as desk:
        disarm(desk, author="a person")
    before = now_ns(floor)
    assert "time stands; trading is not armed: trading is disarmed" in skipped(watch())
    assert now_ns(floor) == before
    with floor.open_desk() as desk:
        arm(desk, reason="on again", author="a person")
    request(watch())


def test_a_venue_of_the_worlds_time_is_left_alone(
    floor: TradingFloor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_on(instance)
    monkeypatch.delenv("TRADING_ASSETS_EXCHANGE_TOKEN")
    assert "somebody else's to move" in skipped(Watch(virtual_clock, instance)())
    floor.config_path.write_text("venue: alpaca\n")
    assert "the world's" in skipped(Watch(virtual_clock, instance)())


def test_a_signal_gets_a_tick_at_once_and_only_one_before_time_moves(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    due = tick_ns(request(watch()))
    with floor.open_desk() as desk:
        receive(desk, "AAPL", 0.5)
    found = request(watch())
    assert found.job_name == "trading_tick"
    assert found.partition_key == "2012-07-03"
    assert tick_ns(found) == now_ns(floor) == due
    assert found.run_key is not None
    assert found.run_key.startswith("signals:")
    assert tick_ns(request(watch())) > due  # its run left the signal: the next due tick has it


def test_a_signal_gets_its_tick_under_a_halt_so_that_its_refusal_is_on_record(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    request(watch())
    with floor.open_desk() as desk:
        latch(desk.journal, desk.book, Cause.KILL, at_ns=1, session="2012-07-03", reason="test")
        receive(desk, "AAPL", 0.5)
    assert str(request(watch()).run_key).startswith("signals:")
    assert "halted: KILL" in skipped(watch())


def test_the_inbox_takes_a_file_and_leaves_its_tick_to_the_clock(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    watch = Watch(signal_inbox, instance)
    assert "the book is not open yet" in skipped(watch())
    with floor.open_desk() as desk:
        reconcile(desk)
        data_dir = Path(desk.settings.data_dir)
    assert skipped(watch()) == "no signal waits"
    (data_dir / "inbox" / "a.json").write_text(json.dumps({"AAPL": 0.5, "IBM": 0.2}))
    assert skipped(watch()) == "2 signals wait; the sensor virtual_clock requests their tick"
    with floor.open_desk() as desk:
        pending = desk.journal.pending_signals(desk.book)
        assert [(signal.symbol, signal.as_of_ns) for signal in pending] == [
            ("AAPL", now_ns(floor)),
            ("IBM", now_ns(floor)),
        ]


def test_on_a_venue_of_the_worlds_time_the_inbox_requests_the_tick_once(
    floor: TradingFloor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with floor.open_desk() as desk:
        book = "alpaca:PA1:paper"
        desk.journal.set_mark("alpaca:paper", "book", book, 0)
        inbox = Path(desk.settings.data_dir) / "inbox"
    floor.config_path.write_text("venue: alpaca\n")
    now = SESSIONS.open_ns(date(2026, 11, 24)) + 12 * MINUTE_NS + 3
    monkeypatch.setattr(sensors, "system_now_ns", lambda: now)
    watch = Watch(signal_inbox, instance)
    assert skipped(watch()) == "no signal waits"
    (inbox / "a.csv").write_text("symbol,value\nAAPL,0.5\n")
    assert "trading is not armed" in skipped(watch())
    turn_on(instance)
    assert "no person has armed trading" in skipped(watch())
    with Journal.open(inbox.parent / "journal.sqlite") as journal:
        journal.set_mark(book, ARMED_MARK, "{}", 0)
    found = request(watch())
    assert (found.partition_key, tick_ns(found)) == ("2026-11-24", now)
    assert "their tick was requested" in skipped(watch())
    (inbox / "b.csv").write_text("symbol,value\nIBM,0.5\n")
    assert request(watch()).run_key != found.run_key
    monkeypatch.setattr(sensors, "system_now_ns", lambda: SESSIONS.close_ns(date(2026, 11, 24)))
    (inbox / "c.csv").write_text("symbol,value\nMSFT,0.5\n")
    assert "the market is closed" in skipped(watch())


def test_with_a_model_signals_from_outside_are_left_where_they_are(
    start_floor: Callable[..., TradingFloor], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    start_floor(model={"enabled": True}, model_path="m.ubj", features_path="f.json")
    assert "the model trades" in skipped(Watch(signal_inbox, instance)())
    assert not (tmp_path / "var" / "inbox").exists()


BOOK = "embedded:PA0001:paper"
NS = 10**9


@dataclass
class Desk:
    """A desk that only its configuration, its journal and the machine's clock make up; no venue answers."""

    home: Path
    now_ns: int
    interval_ns: int = 60 * NS

    @property
    def config_path(self) -> Path:
        return self.home / "config" / "execution.yaml"

    def configure(self, text: str) -> None:
        self.config_path.parent.mkdir(exist_ok=True)
        self.config_path.write_text(text)

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        with Journal.open(self.home / "var" / "journal.sqlite") as journal:
            yield journal

    def protected(self) -> None:
        with self.journal() as journal:
            note_protected(journal, BOOK, now_ns=self.now_ns)

    def alerts(self) -> list[str]:
        with self.journal() as journal:
            return [alert.title for alert in journal.pending_alerts()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, system_now_ns())
    desk.configure("reconciliation_interval_seconds: 60\n")
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(desk.config_path))
    monkeypatch.setattr(sensors, "system_now_ns", lambda: desk.now_ns)
    with desk.journal() as journal:
        journal.set_mark("embedded:paper", "book", BOOK, 0)
    return desk


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

    monkeypatch.setattr(sensors, "take_files", fails)
    monkeypatch.setattr(sensors, "_venue_now_ns", lambda _settings: desk.now_ns)
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
        settling_seconds=0,
    )
    dog._memory = remembered(None, Look(desk.now_ns, monotonic_ns(), None))
    dog._occurred.append(trouble)
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


def test_a_backfills_run_holds_up_neither_time_nor_ticks(instance: dg.DagsterInstance) -> None:
    for tag in RANGE_TAGS:
        create_run_for_test(
            instance,
            job_name="__ASSET_JOB",
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset({dg.AssetKey("bars")}),
            tags={tag: "2012-07-03"},
        )
    assert instance.get_runs_count() == len(RANGE_TAGS)
    assert run_under_way(instance) is None
    run = run_of_assets(instance, dg.AssetKey("bars"))
    under_way = run_under_way(instance)
    assert under_way is not None
    assert under_way.run_id == run.run_id


def test_what_protects_runs_from_the_start() -> None:
    assert {sensor.default_status.value for sensor in sensors.SENSORS} == {"RUNNING"}


def test_an_evaluation_imports_no_client_no_history_and_no_model(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    code = """
import sys, dagster as dg
from trading_assets.definitions import defs
from trading_assets.defs.sensors import SENSORS
from trading_assets.defs.sensors_alerts import alert_delivery
from trading_assets.defs.schedules import trading_hours
from datetime import datetime, UTC
with dg.instance_for_test() as instance:
    for sensor in (*SENSORS, alert_delivery):
        with dg.build_sensor_context(instance=instance) as context:
            sensor(context)
    trading_hours(dg.build_schedule_context(instance, datetime(2026, 11, 24, 15, tzinfo=UTC)))
print(*sorted({"alpaca", "xgboost", "sklearn", "matplotlib", "numba"} & set(sys.modules)))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert shown.stdout.split() == []
    with floor.open_desk() as desk:
        assert not (Path(desk.settings.data_dir) / "history.duckdb").exists()
