"""The schedules on fixed clocks: the calendar and the clock decide, and a skip says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test
from dagster._utils.schedules import schedule_execution_time_iterator
from support.trading_floor import TOKEN, TradingFloor

from trading_assets.core.words import HaltState
from trading_assets.definitions import defs
from trading_assets.defs.day.schedules import after_the_close, before_the_open
from trading_assets.defs.desk.schedules import trading_hours
from trading_assets.defs.embedded_exchange.sensors import virtual_clock
from trading_assets.engine.book.arming import ARMED_MARK, DISARMED
from trading_assets.engine.operation.ended_sessions import mark_archived
from trading_assets.engine.operation.timetable import Due, NotDue, Work, due_at, due_now, next_due
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.runs import due_runs, owed
from trading_assets.store.journal import Journal
from trading_assets.store.records import HaltRecord, OpeningPositionRecord
from trading_assets.up import LEAD_NS, let_time_run

pytestmark = pytest.mark.slow

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 10**9
SESSIONS = Sessions()
SESSION, NEXT = date(2012, 7, 5), date(2012, 7, 6)
BOOK = "alpaca:PA1:paper"

Evaluate = Callable[..., dg.RunRequest | dg.SkipReason]


def ns(text: str) -> int:
    """Nanoseconds of a New York wall time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND_NS


@pytest.fixture
def desk_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration on Alpaca with a journal that knows its book, which is armed; no broker is there."""
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text(yaml.safe_dump({"venue": "alpaca"}))
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(config))
    (tmp_path / "var").mkdir()
    with Journal.open(tmp_path / "var" / "journal.sqlite") as journal:
        journal.set_mark("alpaca:paper", "book", BOOK, 0)
        journal.set_mark(BOOK, ARMED_MARK, json.dumps({"author": "a person", "reason": "a test"}), 0)
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def evaluate(desk_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Evaluates a schedule for a New York minute, asked `late` seconds after it."""

    def run(
        at: str, *, late: int = 1, schedule: dg.ScheduleDefinition = trading_hours
    ) -> dg.RunRequest | dg.SkipReason:
        monkeypatch.setattr(due_runs, "system_now_ns", lambda: ns(at) + late * SECOND_NS)
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime.fromisoformat(at).replace(tzinfo=NEW_YORK),
            repository_def=defs.get_repository_def(),
        ) as context:
            result = schedule(context)
        assert isinstance(result, dg.RunRequest | dg.SkipReason)
        return result

    return run


def reason(evaluation: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(evaluation, dg.SkipReason), evaluation
    return str(evaluation.skip_message)


@pytest.mark.parametrize(
    ("at", "utc_hour"), [("2026-03-06T09:35", 14), ("2026-03-09T09:35", 13), ("2026-11-02T09:35", 14)]
)
def test_a_tick_is_requested_at_new_yorks_time_whatever_the_season(
    evaluate: Evaluate, at: str, utc_hour: int
) -> None:
    request = evaluate(at)
    assert isinstance(request, dg.RunRequest)
    assert request.job_name == "trading_tick"
    assert request.partition_key == at[:10]
    assert request.tags["trading_assets/tick_ns"] == str(ns(at))
    assert ns(at) // (3_600 * SECOND_NS) % 24 == utc_hour
    assert request.run_key == f"trading_tick:{ns(at)}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("2026-11-26T10:00", "holiday: 2026-11-26 is not an XNYS session"),  # Thanksgiving
        ("2026-07-03T10:00", "holiday"),  # Independence Day observed
        ("2026-11-27T13:00", "the half day 2026-11-27 is over"),
        ("2026-11-27T15:55", "the half day 2026-11-27 is over"),
        ("2026-11-24T16:00", "the session 2026-11-24 is over"),
        ("2026-11-24T09:00", "2026-11-24 has not opened yet"),
        ("2026-11-24T09:30", "2026-11-24 opens now"),
        ("2026-11-24T10:01", "no trading_tick is due at this minute"),
    ],
)
def test_a_minute_without_a_tick_is_skipped_with_its_reason(evaluate: Evaluate, at: str, why: str) -> None:
    assert why in reason(evaluate(at))


@pytest.mark.parametrize(("mark", "why"), [(None, "no person has armed"), (DISARMED, "is disarmed")])
def test_without_a_persons_arming_the_schedule_skips_and_names_the_command(
    desk_home: Path, evaluate: Evaluate, mark: str | None, why: str
) -> None:
    with Journal.open(desk_home / "var" / "journal.sqlite") as journal:
        if mark is None:
            journal.set_mark("alpaca:paper", "book", "alpaca:PA2:paper", 0)
        else:
            journal.set_mark(BOOK, ARMED_MARK, mark, 0)
    reason_given = reason(evaluate("2026-11-24T10:00"))
    assert "trading is not armed" in reason_given
    assert why in reason_given
    assert "trading-assets arm --reason" in reason_given


def test_an_arming_that_has_expired_or_differs_leaves_the_ticks_to_their_exits(evaluate: Evaluate) -> None:
    """The fixture's record is bound to nothing: no order of it would pass as an entry."""
    assert isinstance(evaluate("2026-11-24T10:00"), dg.RunRequest)


def test_the_last_tick_of_a_half_day_is_before_its_close(evaluate: Evaluate) -> None:
    assert isinstance(evaluate("2026-11-27T12:55"), dg.RunRequest)


def test_a_late_tick_is_skipped_and_one_within_its_minute_is_not(evaluate: Evaluate) -> None:
    assert isinstance(evaluate("2026-11-24T10:00", late=60), dg.RunRequest)
    assert reason(evaluate("2026-11-24T10:00", late=61)) == "late: it was due 61 s ago"


def test_a_halted_book_is_skipped_with_its_cause_and_a_reduced_one_is_not(
    evaluate: Evaluate, desk_home: Path
) -> None:
    def latch(cause: str, state: HaltState) -> None:
        with Journal.open(desk_home / "var" / "journal.sqlite") as journal:
            journal.record_halt(HaltRecord(BOOK, 1, "2026-11-24", "latch", cause, int(state), "test", "test"))

    latch("DAILY_LOSS", HaltState.REDUCE_ONLY)
    assert isinstance(evaluate("2026-11-24T10:00"), dg.RunRequest)
    latch("KILL", HaltState.HALTED)
    assert reason(evaluate("2026-11-24T10:00")).startswith("halted: KILL, DAILY_LOSS")


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_tick_is_skipped_while_the_previous_one_is_running(
    evaluate: Evaluate, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    run = create_run_for_test(instance, job_name="trading_tick", status=status)
    assert reason(evaluate("2026-11-24T10:00")) == f"the previous tick is still running: run {run.run_id}"


def test_a_tick_that_ended_or_another_job_keeps_none_from_starting(
    evaluate: Evaluate, instance: dg.DagsterInstance
) -> None:
    create_run_for_test(instance, job_name="trading_tick", status=dg.DagsterRunStatus.FAILURE)
    create_run_for_test(instance, job_name="reconcile", status=dg.DagsterRunStatus.STARTED)
    assert isinstance(evaluate("2026-11-24T10:00"), dg.RunRequest)


def test_on_the_embedded_exchange_no_cron_asks_for_a_tick(evaluate: Evaluate, desk_home: Path) -> None:
    (desk_home / "config" / "execution.yaml").write_text("venue: embedded\n")
    for schedule in (trading_hours, before_the_open, after_the_close):
        assert "the embedded exchange's time is virtual" in reason(
            evaluate("2026-11-24T10:00", schedule=schedule)
        )


@pytest.fixture
def floor(start_floor: Callable[..., TradingFloor]) -> TradingFloor:
    """An exchange an hour before the open whose time may run, and a tick at every minute."""
    floor = start_floor(SESSION, tick_minutes=1)
    let_run(floor)
    with floor.desk():
        pass  # the book is known from now on
    return floor


def ask(instance: dg.DagsterInstance, minutes_ago: int = 0) -> dg.RunRequest | dg.SkipReason:
    """What the trading schedule says to the machine's last minute, or one before it."""
    minute = system_now_ns() // MINUTE_NS * 60 - 60 * minutes_ago
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime.fromtimestamp(minute, NEW_YORK)
    ) as context:
        result = trading_hours(context)
    assert isinstance(result, dg.RunRequest | dg.SkipReason)
    return result


def test_where_the_exchanges_time_runs_the_machines_minute_is_asked_for_as_its_own(
    floor: TradingFloor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ns = SESSIONS.open_ns(SESSION)
    assert "does not run at the world's speed" in reason(ask(instance))
    with closing(ControlClient(floor.exchange.control_url, TOKEN)) as keeper:
        go_on(keeper, open_ns - 30 * MINUTE_NS, off_ns=20 * SECOND_NS)
        assert "the exchange's minutes begin +20 s off the machine's" in reason(ask(instance))
        go_on(keeper, open_ns - 20 * MINUTE_NS)
        assert reason(ask(instance)) == f"{SESSION} has not opened yet"
        go_on(keeper, open_ns + 10 * MINUTE_NS)
        request = ask(instance)
        assert isinstance(request, dg.RunRequest)
        tick_ns = int(request.tags["trading_assets/tick_ns"])
        assert tick_ns in SESSIONS.ticks(SESSION, 1)
        assert 0 <= keeper.now_ns() - tick_ns < 2 * MINUTE_NS
        assert "late: it was due" in reason(ask(instance, minutes_ago=2))
    monkeypatch.delenv(CONTROL_TOKEN_VARIABLE)
    assert "is not set" in reason(ask(instance))


def test_where_the_exchanges_time_runs_its_sensor_asks_once_for_each_end_of_the_session(
    floor: TradingFloor, instance: dg.DagsterInstance
) -> None:
    cursor: str | None = None

    def look() -> list[str | None]:
        nonlocal cursor
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            result = virtual_clock(context)
        if isinstance(result, dg.SkipReason):
            return []
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        return [request.run_key for request in result.run_requests or ()]

    with closing(ControlClient(floor.exchange.control_url, TOKEN)) as keeper:
        result = []
        for at_ns in (
            SESSIONS.open_ns(SESSION) - 40 * MINUTE_NS,
            SESSIONS.open_ns(SESSION) - 30 * MINUTE_NS,
            SESSIONS.open_ns(SESSION) + 10 * MINUTE_NS,
            SESSIONS.close_ns(SESSION) + 10 * MINUTE_NS,
        ):
            go_on(keeper, at_ns)
            result.append([look(), look()])
    assert result == [[[], []], [[f"premarket:{SESSION}"], []], [[], []], [[f"end_of_day:{SESSION}"], []]]


def test_up_lets_time_run_on_the_machines_minutes_from_shortly_before_the_next_open(
    floor: TradingFloor,
) -> None:
    with closing(ControlClient(floor.exchange.control_url, TOKEN)) as keeper:
        for before_ns, expected in (
            (SESSIONS.open_ns(SESSION) - 50 * MINUTE_NS, SESSIONS.open_ns(SESSION) - LEAD_NS),
            (SESSIONS.open_ns(SESSION) + 30 * MINUTE_NS, SESSIONS.open_ns(SESSION) + 30 * MINUTE_NS),
            (SESSIONS.close_ns(SESSION) + 20 * MINUTE_NS, SESSIONS.open_ns(NEXT) - LEAD_NS),
        ):
            keeper.stand()
            keeper.move_to(before_ns)
            let_time_run(keeper, SESSIONS)
            now, machine = keeper.now_ns(), system_now_ns()
            assert keeper.speed() == 1.0
            assert expected <= now < expected + 2 * MINUTE_NS
            assert (now - machine + SECOND_NS // 2) % MINUTE_NS < SECOND_NS


def let_run(floor: TradingFloor) -> None:
    settings = yaml.safe_load(floor.config_path.read_text())
    settings["embedded"]["time"] = "runs"
    floor.config_path.write_text(yaml.safe_dump(settings))


def go_on(keeper: ControlClient, from_ns: int, *, off_ns: int = 0) -> None:
    """Let time run from the first time after `from_ns` whose second of the minute is the machine's."""
    keeper.stand()
    keeper.move_to(from_ns)
    keeper.move_to(from_ns + (system_now_ns() + off_ns - from_ns) % MINUTE_NS)
    keeper.run(1.0)


def test_the_ends_of_a_session_are_asked_for_once_on_half_days_too(evaluate: Evaluate) -> None:
    result = [
        (at, schedule.name)
        for day in ("2026-11-24", "2026-11-26", "2026-11-27")
        for at, schedule in (
            (f"{day}T09:00", before_the_open),
            (f"{day}T13:10", after_the_close),
            (f"{day}T16:10", after_the_close),
        )
        if isinstance(evaluate(at, schedule=schedule), dg.RunRequest)
    ]
    assert result == [
        ("2026-11-24T09:00", "before_the_open"),
        ("2026-11-24T16:10", "after_the_close"),
        ("2026-11-27T09:00", "before_the_open"),
        ("2026-11-27T13:10", "after_the_close"),
    ]


def opened_on(desk_home: Path, at: str) -> None:
    """The book's opening entry."""
    with Journal.open(desk_home / "var" / "journal.sqlite") as journal:
        journal.record_opening(
            [OpeningPositionRecord(BOOK, "", Decimal(100_000), Decimal(0), ns(at), "test", "test")]
        )


def test_a_day_that_was_missed_is_asked_for_whenever_the_desk_is_next_up(
    evaluate: Evaluate, desk_home: Path, instance: dg.DagsterInstance
) -> None:
    """Opened on a Tuesday, down over its close and over Thanksgiving, up again before Friday's open."""
    opened_on(desk_home, "2026-11-24T09:00")
    for at in ("2026-11-24T10:00", "2026-11-24T16:00"):
        assert "no session is owed its end" in reason(evaluate(at, schedule=after_the_close))
    for at in ("2026-11-24T16:20", "2026-11-25T03:10", "2026-11-26T12:00", "2026-11-27T08:30"):
        result = evaluate(at, schedule=after_the_close)
        assert isinstance(result, dg.RunRequest), at
        assert result.job_name == "end_of_day"
    run = create_run_for_test(instance, job_name="end_of_day", status=dg.DagsterRunStatus.STARTED)
    reason_given = reason(evaluate("2026-11-27T08:40", schedule=after_the_close))
    assert f"2026-11-24, 2026-11-25 owed; their end is on: run {run.run_id}" in reason_given


def test_a_day_whose_end_failed_is_tried_again_after_an_hour(
    evaluate: Evaluate, desk_home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_on(desk_home, "2026-11-24T09:00")
    create_run_for_test(instance, job_name="end_of_day", status=dg.DagsterRunStatus.FAILURE)
    made_ns = system_now_ns()
    for minutes, again in ((1, False), (59, False), (61, True)):
        monkeypatch.setattr(owed, "system_now_ns", lambda m=minutes: made_ns + m * MINUTE_NS)
        result = evaluate("2026-11-24T17:30", schedule=after_the_close)
        assert isinstance(result, dg.RunRequest) is again


def test_a_day_that_was_put_away_is_not_asked_for_again(evaluate: Evaluate, desk_home: Path) -> None:
    opened_on(desk_home, "2026-11-24T09:00")
    with Journal.open(desk_home / "var" / "journal.sqlite") as journal:
        mark_archived(journal, BOOK, "2026-11-24", at_ns=ns("2026-11-24T16:10"))
    assert "no session is owed its end" in reason(evaluate("2026-11-24T16:20", schedule=after_the_close))


def test_the_end_of_a_day_is_made_up_for_hours_later(evaluate: Evaluate) -> None:
    assert isinstance(evaluate("2026-11-24T16:10", late=3_600, schedule=after_the_close), dg.RunRequest)
    assert "late" in reason(evaluate("2026-11-24T09:00", late=3_600, schedule=before_the_open))


def test_cron_asks_at_every_minute_that_a_tick_can_have() -> None:
    ticks = {tick for day in (date(2026, 11, 24), date(2026, 11, 27)) for tick in SESSIONS.ticks(day, 1)}
    times = schedule_execution_time_iterator(
        ns("2026-11-24T00:00") / SECOND_NS, trading_hours.cron_schedule, trading_hours.execution_timezone
    )
    minutes = {int(time.timestamp()) * SECOND_NS for time in islice(times, 4 * 1_440 + 1)}
    assert ticks <= minutes


def test_only_trading_starts_stopped() -> None:
    default = {
        schedule.name: schedule.default_status.value
        for schedule in (trading_hours, before_the_open, after_the_close)
    }
    assert default == {
        "trading_hours": "STOPPED",
        "before_the_open": "RUNNING",
        "after_the_close": "RUNNING",
    }


def test_the_agenda_walks_through_sessions_over_weekends_and_closed_days() -> None:
    at = ns("2012-10-26T15:30")  # hurricane Sandy: closed on Monday and Tuesday
    walked = []
    for _ in range(5):
        due = next_due(SESSIONS, at, 180)
        walked.append((due.session, due.work))
        assert due_now(SESSIONS, due.at_ns, 180) == due
        assert due_now(SESSIONS, due.at_ns + 1, 180) is None
        at = due.at_ns
    assert walked == [
        ("2012-10-26", Work.END_OF_DAY),
        ("2012-10-31", Work.PREMARKET),
        ("2012-10-31", Work.TICK),
        ("2012-10-31", Work.TICK),
        ("2012-10-31", Work.END_OF_DAY),
    ]


def test_what_the_agenda_names_next_is_due_and_nothing_between_is() -> None:
    day, minutes = date(2012, 7, 3), 30  # a half day
    due = next_due(SESSIONS, SESSIONS.close_ns(date(2012, 7, 2)) + 30 * MINUTE_NS, minutes)
    while due.session == day.isoformat():
        result = due_at(SESSIONS, due.work, due.at_ns, now_ns=due.at_ns, tick_minutes=minutes)
        assert result == Due(due.work, day.isoformat(), due.at_ns)
        after = due_at(SESSIONS, due.work, due.at_ns + MINUTE_NS, now_ns=due.at_ns, tick_minutes=minutes)
        assert isinstance(after, NotDue)
        due = next_due(SESSIONS, due.at_ns, minutes)
    assert due.session == "2012-07-05"
