from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.market.sessions import MINUTE_NS, NEW_YORK, NotASession, OutsideCalendar, Sessions

SESSIONS = Sessions()


def new_york_ns(year: int, month: int, day: int, hour: int, minute: int) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


def utc_text(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%H:%M")


@pytest.mark.parametrize("day", [date(2012, 7, 3), date(2012, 11, 23), date(2012, 12, 24)])
def test_a_half_day_closes_at_one(day: date) -> None:
    assert SESSIONS.is_half_day(day)
    assert SESSIONS.close_ns(day) == new_york_ns(day.year, day.month, day.day, 13, 0)
    assert SESSIONS.close_ns(day) - SESSIONS.open_ns(day) == 210 * MINUTE_NS


def test_a_regular_session_has_390_minutes() -> None:
    day = date(2012, 7, 5)
    assert not SESSIONS.is_half_day(day)
    assert SESSIONS.open_ns(day) == new_york_ns(2012, 7, 5, 9, 30)
    assert SESSIONS.close_ns(day) - SESSIONS.open_ns(day) == 390 * MINUTE_NS


@pytest.mark.parametrize(
    "day",
    [
        date(2012, 10, 29),  # hurricane Sandy
        date(2012, 10, 30),
        date(2012, 4, 6),  # Good Friday
        date(2012, 7, 4),
        date(2012, 11, 22),  # Thanksgiving
        date(2001, 9, 11),
        date(2001, 9, 14),
        date(2007, 1, 2),  # mourning for President Ford
        date(2012, 7, 7),  # Saturday
    ],
)
def test_a_closed_day_is_no_session(day: date) -> None:
    assert not SESSIONS.is_session(day)
    assert SESSIONS.session_at(new_york_ns(day.year, day.month, day.day, 12, 0)) is None
    with pytest.raises(NotASession, match=f"{day}.*Use a trading day"):
        SESSIONS.open_ns(day)


def test_the_open_moves_in_utc_when_daylight_saving_changes() -> None:
    assert utc_text(SESSIONS.open_ns(date(2012, 3, 9))) == "14:30"
    assert utc_text(SESSIONS.open_ns(date(2012, 3, 12))) == "13:30"
    assert utc_text(SESSIONS.open_ns(date(2012, 11, 2))) == "13:30"
    assert utc_text(SESSIONS.open_ns(date(2012, 11, 5))) == "14:30"


def test_ticks_begin_one_step_after_the_open_and_end_before_the_close() -> None:
    day = date(2012, 7, 3)
    ticks = SESSIONS.ticks(day, 5)
    assert ticks[0] == new_york_ns(2012, 7, 3, 9, 35)
    assert ticks[-1] == new_york_ns(2012, 7, 3, 12, 55)
    assert len(ticks) == 41
    assert len(SESSIONS.ticks(date(2012, 7, 5), 5)) == 77
    assert SESSIONS.ticks(day, 210) == []


def test_the_latest_tick_is_the_last_that_is_due_and_none_is_before_the_first() -> None:
    sessions, day = Sessions(), date(2012, 9, 11)
    first, second, *_, last = sessions.ticks(day, 30)
    moments = {first - 1: None, first: first, second - 1: first, sessions.close_ns(day): last}
    assert {at_ns: sessions.latest_tick(day, 30, at_ns) for at_ns in moments} == moments


def test_ticks_need_a_whole_positive_step() -> None:
    with pytest.raises(InvalidInput, match="ticks every 0 minutes"):
        SESSIONS.ticks(date(2012, 7, 3), 0)


def test_a_time_belongs_to_the_session_of_its_new_york_date() -> None:
    assert SESSIONS.session_at(new_york_ns(2012, 7, 5, 0, 0)) == date(2012, 7, 5)
    assert SESSIONS.session_at(new_york_ns(2012, 7, 5, 23, 59)) == date(2012, 7, 5)
    assert SESSIONS.new_york_date(new_york_ns(2012, 7, 5, 23, 59)) == date(2012, 7, 5)


def test_the_market_is_open_from_the_open_until_just_before_the_close() -> None:
    day = date(2012, 11, 23)
    assert not SESSIONS.is_open(SESSIONS.open_ns(day) - 1)
    assert SESSIONS.is_open(SESSIONS.open_ns(day))
    assert SESSIONS.is_open(SESSIONS.close_ns(day) - 1)
    assert not SESSIONS.is_open(SESSIONS.close_ns(day))
    assert not SESSIONS.is_open(new_york_ns(2012, 10, 29, 12, 0))


def test_previous_and_next_skip_closures_and_leave_the_day_itself_out() -> None:
    assert SESSIONS.previous(date(2012, 10, 31)) == date(2012, 10, 26)
    assert SESSIONS.next(date(2012, 10, 26)) == date(2012, 10, 31)
    assert SESSIONS.previous(date(2012, 7, 4)) == date(2012, 7, 3)
    assert SESSIONS.next(date(2012, 7, 4)) == date(2012, 7, 5)


def test_between_includes_both_ends() -> None:
    friday, wednesday = date(2012, 10, 26), date(2012, 10, 31)
    assert SESSIONS.between(friday, wednesday) == [friday, wednesday]
    assert SESSIONS.between(date(2012, 10, 27), date(2012, 10, 30)) == []
    assert SESSIONS.between(wednesday, friday) == []
    assert len(SESSIONS.between(date(2012, 1, 1), date(2012, 12, 31))) == 250


def test_weekday_closures_are_the_holidays() -> None:
    assert SESSIONS.weekday_closures(date(2012, 1, 1), date(2012, 12, 31)) == [
        date(2012, 1, 2),
        date(2012, 1, 16),
        date(2012, 2, 20),
        date(2012, 4, 6),
        date(2012, 5, 28),
        date(2012, 7, 4),
        date(2012, 9, 3),
        date(2012, 10, 29),
        date(2012, 10, 30),
        date(2012, 11, 22),
        date(2012, 12, 25),
    ]


@pytest.mark.parametrize("day", [date(1989, 12, 29), date(2200, 1, 3)])
def test_a_day_that_the_calendar_does_not_cover_is_an_error_and_not_a_closure(day: date) -> None:
    for question in (SESSIONS.is_session, SESSIONS.open_ns, SESSIONS.previous, SESSIONS.next):
        with pytest.raises(OutsideCalendar, match="Use a day from 1990-01-01 to"):
            question(day)


def test_the_first_day_of_the_calendar_has_no_session_before_it() -> None:
    with pytest.raises(OutsideCalendar, match="no session before"):
        SESSIONS.previous(date(1990, 1, 2))


@given(st.dates(date(1990, 2, 1), date(2024, 12, 1)))
def test_previous_and_next_enclose_a_day(day: date) -> None:
    before, after = SESSIONS.previous(day), SESSIONS.next(day)
    assert before < day < after
    inner = [day] if SESSIONS.is_session(day) else []
    assert SESSIONS.between(before, after) == [before, *inner, after]
    assert SESSIONS.between(before + timedelta(days=1), after - timedelta(days=1)) == inner


def test_importing_and_constructing_does_not_load_the_calendar() -> None:
    program = (
        "import sys; from trading_assets.market.sessions import Sessions; Sessions();"
        "sys.exit('exchange_calendars' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("moment", "extended"),
    [
        ("2012-09-11T03:59", False),
        ("2012-09-11T04:00", True),
        ("2012-09-11T19:59", True),
        ("2012-09-11T20:00", False),
        ("2012-07-03T16:59", True),  # a half day
        ("2012-07-03T17:00", False),
        ("2012-07-04T12:00", False),  # a holiday
    ],
)
def test_extended_hours_surround_a_session(moment: str, extended: bool) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK)
    assert Sessions().is_extended(int(at.timestamp()) * 10**9) is extended
