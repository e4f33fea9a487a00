"""Which sessions are owed their end of the day, and what is done for one that the next day has overtaken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from engine_ticks import buy, run_tick
from hypothesis import given
from hypothesis import strategies as st
from support.trading_floor import TradingFloor

from trading_assets.core.orders import State
from trading_assets.engine.operation.day import end_of_day, sessions_to_end
from trading_assets.engine.operation.ended_sessions import is_archived, mark_archived, owed, owed_long
from trading_assets.engine.operation.timetable import CLOSE_LAG_NS, ENDS_KEPT, ends_due
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.ticks.tick import NotThisTick
from trading_assets.market.sessions import MINUTE_NS, Sessions, new_york_midnight_ns

SESSIONS = Sessions()
HALF_DAY, AFTER = date(2012, 7, 3), date(2012, 7, 5)
FRIDAY, MONDAY = date(2012, 9, 14), date(2012, 9, 17)


def end_ns(day: date) -> int:
    return SESSIONS.close_ns(day) + CLOSE_LAG_NS


@pytest.mark.parametrize("day", [HALF_DAY, AFTER, FRIDAY, date(2012, 11, 23)])
def test_a_session_is_owed_its_end_from_ten_minutes_after_its_close_on_half_days_too(day: date) -> None:
    assert ends_due(SESSIONS, day, end_ns(day) - 1) == []
    assert ends_due(SESSIONS, day, end_ns(day)) == [day]


def test_over_a_weekend_and_a_closed_week_it_stays_owed() -> None:
    assert ends_due(SESSIONS, FRIDAY, SESSIONS.open_ns(MONDAY)) == [FRIDAY]
    sandy = ends_due(SESSIONS, date(2012, 10, 26), SESSIONS.open_ns(date(2012, 10, 31)))
    assert sandy == [date(2012, 10, 26)]


@given(st.integers(0, 400), st.integers(0, 60 * 24 * 400))
def test_no_session_is_owed_that_has_not_ended_and_no_more_than_a_month_of_them(
    first: int, minutes: int
) -> None:
    day = date.fromordinal(date(2012, 1, 1).toordinal() + first)
    now = new_york_midnight_ns(date(2012, 1, 1)) + minutes * MINUTE_NS
    due = ends_due(SESSIONS, day, now)
    ended = [one for one in SESSIONS.between(day, SESSIONS.new_york_date(now)) if end_ns(one) <= now]
    assert due == ended[-ENDS_KEPT:]


def opened_on(floor: TradingFloor, session: date, number: int = 0) -> None:
    floor.go_to_session(session, number)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())


def test_what_is_put_away_is_no_longer_owed_and_another_books_is_none_of_ours(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(session=FRIDAY)
    opened_on(floor, FRIDAY)
    with floor.desk() as desk:
        journal, book = desk.journal, desk.book
        assert owed(journal, book, SESSIONS, end_ns(FRIDAY) - 1) == ()
        assert owed(journal, book, SESSIONS, end_ns(MONDAY)) == (FRIDAY, MONDAY)
        mark_archived(journal, book, FRIDAY.isoformat(), at_ns=1)
        assert owed(journal, book, SESSIONS, end_ns(MONDAY)) == (MONDAY,)
        assert owed(journal, "embedded:PA9999:paper", SESSIONS, end_ns(MONDAY)) == ()
        assert not is_archived(journal, "embedded:PA9999:paper", FRIDAY.isoformat())


def test_the_end_of_a_day_that_the_next_has_overtaken_is_projected_as_the_session_left_it(
    start_floor: Callable[..., TradingFloor],
) -> None:
    """Bought on Friday, the desk is down at the close; bought more on Monday, before Friday is put away."""
    floor = start_floor(session=FRIDAY)
    opened_on(floor, FRIDAY)
    floor.go_to_tick(1)
    with floor.desk() as desk:
        bought = buy(floor, desk, "AAPL", 0.5)
        left = desk.journal.latest_equity(desk.book)
    assert left is not None
    tick_ns = floor.go_to_session(MONDAY, 1)
    with floor.desk() as desk:
        assert sessions_to_end(desk) == (FRIDAY,)
        protect_alone(desk, new_execution_id())
        more = buy(floor, desk, "IBM", 0.5)
        (report,) = end_of_day(desk)
        assert (report.session, report.agree, report.still_working) == (FRIDAY.isoformat(), True, ())
        assert report.figures["fills"]["fills"] == 1
        assert report.figures["reconciled_positions"]["equity_usd"] == float(left.equity)
        close = {"tick_ns": SESSIONS.close_ns(FRIDAY)}
        rows = desk.history.query("SELECT symbol, qty FROM positions WHERE tick_ns = $tick_ns", close)
        assert rows.to_pylist() == [{"symbol": "AAPL", "qty": float(bought.filled_qty)}]
        orders = "SELECT symbol FROM orders WHERE session = $session"
        assert desk.history.query(orders, {"session": FRIDAY}).to_pylist() == [{"symbol": "AAPL"}]
        mark_archived(desk.journal, desk.book, report.session, at_ns=desk.now_ns())
        with pytest.raises(NotThisTick, match="still open"):
            end_of_day(desk)
        assert desk.journal.order(more.intent.client_order_id).state == State.FILLED
        assert tick_ns == desk.now_ns()


def test_days_are_ended_in_order_and_one_in_which_the_desk_was_not_up_has_nothing_to_report(
    start_floor: Callable[..., TradingFloor],
) -> None:
    first, second, third = date(2012, 9, 11), date(2012, 9, 12), date(2012, 9, 13)
    floor = start_floor(session=first)
    opened_on(floor, first)
    floor.go_to_tick(1)
    with floor.desk() as desk:
        buy(floor, desk, "AAPL", 0.5)
    floor.go_to_session(third, 0)
    with floor.desk() as desk:
        run_tick(desk, third, desk.now_ns())
    floor.keeper.move_to(end_ns(third))
    with floor.desk() as desk:
        reports = end_of_day(desk)
        assert [report.session for report in reports] == [day.isoformat() for day in (first, second, third)]
        assert [bool(report.figures) for report in reports] == [True, False, True]
        again = end_of_day(desk)  # changes nothing
        assert [report.figures for report in again] == [report.figures for report in reports]


def test_a_day_that_is_owed_for_long_is_known_by_the_venues_time(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor(session=FRIDAY)
    opened_on(floor, FRIDAY)
    for at_ns, expected in (
        (end_ns(FRIDAY), ()),
        (end_ns(FRIDAY) + 6 * 60 * MINUTE_NS - MINUTE_NS, ()),
        (end_ns(FRIDAY) + 6 * 60 * MINUTE_NS, (FRIDAY,)),
        (SESSIONS.open_ns(MONDAY), (FRIDAY,)),
    ):
        floor.keeper.move_to(at_ns)
        with floor.desk() as desk:
            protect_alone(desk, new_execution_id())
            assert owed_long(desk.journal, desk.book, SESSIONS) == expected
