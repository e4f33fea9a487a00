"""The sensors against a real exchange and a real instance: what each requests, and why it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
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
from dagster._core.test_utils import create_run_for_test
from evaluated import SESSION, Desk, Watch, now_ns, request, skipped
from support.trading_floor import TradingFloor

from trading_assets.core.words import HaltState
from trading_assets.defs.desk.sensors import live_session, signal_inbox
from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.engine.book.arming import ARMED_MARK, arm, disarm
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.runs import signal_ticks
from trading_assets.runs.lanes import RANGE_TAGS
from trading_assets.runs.readiness import run_under_way
from trading_assets.store.journal import Journal

pytestmark = [pytest.mark.slow, pytest.mark.floor(SESSION)]  # an exchange for each


LAST = date(2013, 2, 28)  # the last session of the bundled tape but one


SESSIONS = Sessions()


def turn_on(instance: dg.DagsterInstance, schedule: str = "trading_hours") -> None:
    """What the switch in the UI stores."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), schedule)
    data = ScheduleInstigatorData(cron_schedule="* * * * *")
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    )


def tick_ns(requested: dg.RunRequest) -> int:
    return int(requested.tags["trading_assets/tick_ns"])


def test_time_stands_until_the_schedule_is_turned_on(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    before = now_ns(floor)
    turn_on(instance, "after_the_close")
    assert "the schedule trading_hours is off: turn it on" in skipped(Watch(virtual_clock, instance)())
    assert now_ns(floor) == before


def test_the_clock_walks_through_the_day_and_over_the_holiday(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    walked = []
    for _ in range(9):
        result = request(watch())
        walked.append((result.job_name, result.partition_key, now_ns(floor)))
        if result.job_name == "trading_tick":
            assert tick_ns(result) == now_ns(floor)
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
    floor.keeper.move_to(SESSIONS.close_ns(SESSION) + 22 * 3_600 * 10**9)
    assert skipped(watch()) == "2012-07-04 is not an XNYS session"
    assert latest(instance) == "2012-07-03"
    floor.keeper.move_to(SESSIONS.open_ns(date(2012, 7, 5)))
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
    with floor.desk() as desk:
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
    floor.keeper.move_to(SESSIONS.close_ns(date(2013, 3, 1)) + 10 * MINUTE_NS)
    watch = Watch(virtual_clock, instance)
    assert request(watch()).job_name == "end_of_day"
    assert "tape ends before 2013-03-04" in skipped(watch())


def test_time_stands_while_a_person_has_disarmed_the_book(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    with floor.desk() as desk:
        disarm(desk, author="a person")
    before = now_ns(floor)
    assert "time stands; trading is not armed: trading is disarmed" in skipped(watch())
    assert now_ns(floor) == before
    with floor.desk() as desk:
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
    with floor.desk() as desk:
        receive(desk, "AAPL", 0.5)
    result = request(watch())
    assert result.job_name == "trading_tick"
    assert result.partition_key == "2012-07-03"
    assert tick_ns(result) == now_ns(floor) == due
    assert result.run_key is not None
    assert result.run_key.startswith("signals:")
    assert tick_ns(request(watch())) > due  # its run left the signal: the next due tick has it


def test_a_signal_gets_its_tick_under_a_halt_so_that_its_refusal_is_on_record(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    turn_on(instance)
    watch = Watch(virtual_clock, instance)
    request(watch())
    request(watch())
    with floor.desk() as desk:
        latch(desk.journal, desk.book, Cause.KILL, at_ns=1, session="2012-07-03", reason="test")
        receive(desk, "AAPL", 0.5)
    assert str(request(watch()).run_key).startswith("signals:")
    assert "halted: KILL" in skipped(watch())


def test_the_inbox_takes_a_file_and_leaves_its_tick_to_the_clock(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    watch = Watch(signal_inbox, instance)
    assert "the book is not open yet" in skipped(watch())
    with floor.desk() as desk:
        reconcile(desk)
        data_dir = Path(desk.settings.data_dir)
    assert skipped(watch()) == "no signal waits"
    (data_dir / "inbox" / "a.json").write_text(json.dumps({"AAPL": 0.5, "IBM": 0.2}))
    assert skipped(watch()) == "2 signals wait; the sensor virtual_clock requests their tick"
    with floor.desk() as desk:
        pending = desk.journal.pending_signals(desk.book)
        assert [(signal.symbol, signal.as_of_ns) for signal in pending] == [
            ("AAPL", now_ns(floor)),
            ("IBM", now_ns(floor)),
        ]


def test_on_a_venue_of_the_worlds_time_the_inbox_requests_the_tick_once(
    floor: TradingFloor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with floor.desk() as desk:
        book = "alpaca:PA1:paper"
        desk.journal.set_mark("alpaca:paper", "book", book, 0)
        inbox = Path(desk.settings.data_dir) / "inbox"
    floor.config_path.write_text("venue: alpaca\n")
    now = SESSIONS.open_ns(date(2026, 11, 24)) + 12 * MINUTE_NS + 3
    monkeypatch.setattr(signal_ticks, "system_now_ns", lambda: now)
    watch = Watch(signal_inbox, instance)
    assert skipped(watch()) == "no signal waits"
    (inbox / "a.csv").write_text("symbol,value\nAAPL,0.5\n")
    assert "the schedule trading_hours is off" in skipped(watch())
    turn_on(instance)
    assert "no person has armed trading" in skipped(watch())
    with Journal.open(inbox.parent / "journal.sqlite") as journal:
        journal.set_mark(book, ARMED_MARK, "{}", 0)
    result = request(watch())
    assert (result.partition_key, tick_ns(result)) == ("2026-11-24", now)
    assert "their tick was requested" in skipped(watch())
    (inbox / "b.csv").write_text("symbol,value\nIBM,0.5\n")
    assert request(watch()).run_key != result.run_key
    monkeypatch.setattr(signal_ticks, "system_now_ns", lambda: SESSIONS.close_ns(date(2026, 11, 24)))
    (inbox / "c.csv").write_text("symbol,value\nMSFT,0.5\n")
    assert "the market is closed" in skipped(watch())


def test_with_a_model_signals_from_outside_are_left_where_they_are(
    start_floor: Callable[..., TradingFloor], instance: dg.DagsterInstance
) -> None:
    floor = start_floor(SESSION, model={"enabled": True}, model_path="m.ubj", features_path="f.json")
    assert "the model trades" in skipped(Watch(signal_inbox, instance)())
    assert not (floor.settings.data_dir / "inbox").exists()


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


def test_an_evaluation_imports_no_client_no_history_and_no_model(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    code = """
import sys, dagster as dg
from trading_assets.definitions import defs
from trading_assets.defs.alerts.sensors import alert_delivery
from trading_assets.defs.desk.schedules import trading_hours
from trading_assets.defs.desk.sensors import live_session, signal_inbox
from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.defs.protection.sensors import protection
from datetime import datetime, UTC
with dg.instance_for_test() as instance:
    for sensor in (protection, signal_inbox, virtual_clock, live_session, alert_delivery):
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
    with floor.desk() as desk:
        assert not (Path(desk.settings.data_dir) / "history.duckdb").exists()
