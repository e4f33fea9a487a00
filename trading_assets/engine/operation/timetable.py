"""What is due when: the premarket work, the ticks and the end of the day of every session.

Pure: a time goes in, what is due at it or after it comes out. Who asks, and with which clock, is a
schedule's or a sensor's; what the work is belongs to `engine.operation.day` and `engine.ticks.tick`.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from trading_assets.market.sessions import FIRST_DAY, MINUTE_NS, Sessions

PREMARKET_LEAD_NS = 30 * MINUTE_NS
CLOSE_LAG_NS = 10 * MINUTE_NS  # the broker's last fills and the close's equity are in by then
ENDS_KEPT = 20  # sessions: a desk that was down for longer begins anew, and `rebuild` projects the rest


class Work(StrEnum):
    """What a session has to be done; each value is the name of its job."""

    PREMARKET = "premarket"
    TICK = "trading_tick"
    END_OF_DAY = "end_of_day"


LATE_AFTER_NS = {
    Work.PREMARKET: PREMARKET_LEAD_NS,
    Work.TICK: MINUTE_NS,  # the market has moved on
    Work.END_OF_DAY: 6 * 60 * MINUTE_NS,  # of use until the day is over
}


class Due(NamedTuple):
    work: Work
    session: str  # ISO date
    at_ns: int


class NotDue(NamedTuple):
    """Why there is nothing to do, for a person."""

    reason: str


def due_at(sessions: Sessions, work: Work, at_ns: int, *, now_ns: int, tick_minutes: int) -> Due | NotDue:
    """Whether `work` is due at `at_ns`, the minute for which a schedule asks at `now_ns`, perhaps late."""
    day = sessions.new_york_date(at_ns)
    if not sessions.is_session(day):
        return NotDue(f"holiday: {day} is not an XNYS session")
    open_ns, close_ns = sessions.open_ns(day), sessions.close_ns(day)
    match work:
        case Work.PREMARKET:
            points = [open_ns - PREMARKET_LEAD_NS]
        case Work.END_OF_DAY:
            points = [close_ns + CLOSE_LAG_NS]
        case Work.TICK:
            if at_ns <= open_ns:
                return NotDue(f"{day} has not opened yet" if at_ns < open_ns else f"{day} opens now")
            if at_ns >= close_ns:
                half = "the half day" if sessions.is_half_day(day) else "the session"
                return NotDue(f"{half} {day} is over")
            points = sessions.ticks(day, tick_minutes)
    if at_ns not in points:
        return NotDue(f"no {work} is due at this minute")
    if now_ns - at_ns > LATE_AFTER_NS[work]:
        return NotDue(f"late: it was due {(now_ns - at_ns) / 1e9:.0f} s ago")
    return Due(work, day.isoformat(), at_ns)


def due_now(sessions: Sessions, now_ns: int, tick_minutes: int) -> Due | None:
    """What is due exactly at `now_ns`, where time stands."""
    day = sessions.session_at(now_ns)
    if day is None:
        return None
    for work in Work:
        due = due_at(sessions, work, now_ns, now_ns=now_ns, tick_minutes=tick_minutes)
        if isinstance(due, Due):
            return due
    return None


def overdue_end(sessions: Sessions, now_ns: int) -> Due | None:
    """The premarket work or the end of the day that has become due and is not late, where time runs."""
    day = sessions.session_at(now_ns)
    if day is None:
        return None
    for work, at_ns in (
        (Work.PREMARKET, sessions.open_ns(day) - PREMARKET_LEAD_NS),
        (Work.END_OF_DAY, sessions.close_ns(day) + CLOSE_LAG_NS),
    ):
        if 0 <= now_ns - at_ns <= LATE_AFTER_NS[work]:
            return Due(work, day.isoformat(), at_ns)
    return None


def ends_due(sessions: Sessions, first: date, now_ns: int) -> list[date]:
    """The sessions from `first` on whose end of the day has become due by `now_ns`, however long ago: the
    last ENDS_KEPT of them, the earliest first."""
    today = sessions.new_york_date(now_ns)
    ended = [
        day
        for day in sessions.between(max(first, FIRST_DAY), today)[-ENDS_KEPT - 1 :]
        if now_ns >= sessions.close_ns(day) + CLOSE_LAG_NS
    ]
    return ended[-ENDS_KEPT:]


def next_due(sessions: Sessions, after_ns: int, tick_minutes: int) -> Due:
    """The first work that is due after `after_ns`. Raises OutsideCalendar at the calendar's end."""
    day = sessions.new_york_date(after_ns)
    if not sessions.is_session(day) or after_ns >= sessions.close_ns(day) + CLOSE_LAG_NS:
        day = sessions.next(day)
    key = day.isoformat()
    points = [
        Due(Work.PREMARKET, key, sessions.open_ns(day) - PREMARKET_LEAD_NS),
        *(Due(Work.TICK, key, tick_ns) for tick_ns in sessions.ticks(day, tick_minutes)),
        Due(Work.END_OF_DAY, key, sessions.close_ns(day) + CLOSE_LAG_NS),
    ]
    return next(due for due in points if due.at_ns > after_ns)
