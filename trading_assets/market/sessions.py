"""XNYS sessions: which days trade, from when to when, and the ticks of a day.

The calendar is that of exchange_calendars; this module answers the desk's questions about it, from arrays.
`market.clock` knows what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY = date(1990, 1, 1)
MINUTE_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class NotASession(InvalidInput):
    """The market is closed all of that day."""


class OutsideCalendar(InvalidInput):
    """The day is outside the range of the calendar."""


class _Timetable(NamedTuple):
    """Every session, ascending. Arrays of shape (n,)."""

    day: NDArray[np.int64]  # proleptic ordinal, as date.toordinal()
    open_ns: NDArray[np.int64]
    close_ns: NDArray[np.int64]
    half_day: NDArray[np.bool_]
    last_day: int  # ordinal of the last day that the calendar covers


@cache
def _timetable() -> _Timetable:
    """Load exchange_calendars, once a process: about 0.8 s, of which the calendar itself is 0.1 s."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat())
    sessions = calendar.sessions
    return _Timetable(
        day=sessions.to_numpy().astype("datetime64[D]").astype(np.int64) + _EPOCH_ORDINAL,
        open_ns=np.asarray(calendar.opens_nanos, dtype=np.int64),
        close_ns=np.asarray(calendar.closes_nanos, dtype=np.int64),
        half_day=np.asarray(sessions.isin(calendar.early_closes)),
        last_day=calendar.last_session.date().toordinal(),
    )


class Sessions:
    """The trading sessions of XNYS from 1990 to about a year ahead.

    A session is named by its date in New York. Regular hours are 09:30–16:00 New York time; a half
    day closes earlier (13:00 in our years: the day before Independence Day, the Friday after
    Thanksgiving, Christmas Eve). Open times move by an hour in UTC when daylight saving changes.
    Days of unscheduled closures (11–14 September 2001, hurricane Sandy on 29–30 October 2012, days of
    mourning) are not sessions. Every method raises OutsideCalendar for a day that the calendar does
    not cover; those that need a session raise NotASession for any other day.
    """

    def is_session(self, day: date) -> bool:
        table = _timetable()
        index = self._first_at_or_after(day)
        return index < len(table.day) and int(table.day[index]) == day.toordinal()

    def open_ns(self, day: date) -> int:
        return int(_timetable().open_ns[self._index(day)])

    def close_ns(self, day: date) -> int:
        return int(_timetable().close_ns[self._index(day)])

    def hours(self, days: Sequence[date]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Opens and closes of n sessions, two arrays of shape (n,)."""
        rows = [self._index(day) for day in days]
        return _timetable().open_ns[rows], _timetable().close_ns[rows]

    def is_half_day(self, day: date) -> bool:
        """Whether the session closes before the regular time."""
        return bool(_timetable().half_day[self._index(day)])

    def ticks(self, day: date, minutes: int) -> list[int]:
        """The session's decision times: open + k × `minutes`, k ≥ 1, strictly before the close."""
        if minutes < 1:
            raise InvalidInput(
                f"ticks every {minutes} minutes", where="minutes", remedy="Give a whole number of 1 or more."
            )
        index, step = self._index(day), minutes * MINUTE_NS
        table = _timetable()
        return list(range(int(table.open_ns[index]) + step, int(table.close_ns[index]), step))

    def latest_tick(self, day: date, minutes: int, now_ns: int) -> int | None:
        """The session's last decision time at or before `now_ns`; None before the first."""
        return max((tick for tick in self.ticks(day, minutes) if tick <= now_ns), default=None)

    def session_at(self, now_ns: int) -> date | None:
        """The session on the New York date of `now_ns`, also before its open and after its close."""
        day = self.new_york_date(now_ns)
        return day if self.is_session(day) else None

    def is_open(self, now_ns: int) -> bool:
        """Regular hours: open ≤ now < close."""
        day = self.session_at(now_ns)
        return day is not None and self.open_ns(day) <= now_ns < self.close_ns(day)

    def extended_hours(self, day: date) -> tuple[int, int]:
        """(first, end) of a session's pre-market, regular and after-hours trading: 04:00 to 20:00 New York
        time, to 17:00 on a half day (the hours in which Alpaca takes orders marked `extended_hours`)."""
        hour_ns, midnight_ns = 60 * MINUTE_NS, new_york_midnight_ns(day)
        return midnight_ns + 4 * hour_ns, midnight_ns + (17 if self.is_half_day(day) else 20) * hour_ns

    def is_extended(self, now_ns: int) -> bool:
        """Within the `extended_hours` of a session, regular hours included."""
        day = self.session_at(now_ns)
        if day is None:
            return False
        first_ns, end_ns = self.extended_hours(day)
        return first_ns <= now_ns < end_ns

    def previous(self, day: date) -> date:
        """The last session before `day`, which need not be a session."""
        index = self._first_at_or_after(day) - 1
        if index < 0:
            raise _outside(day, "has no session before it in the calendar")
        return date.fromordinal(int(_timetable().day[index]))

    def next(self, day: date) -> date:
        """The first session after `day`, which need not be a session."""
        table = _timetable()
        index = self._first_at_or_after(day)
        if index < len(table.day) and int(table.day[index]) == day.toordinal():
            index += 1
        if index == len(table.day):
            raise _outside(day, "has no session after it in the calendar")
        return date.fromordinal(int(table.day[index]))

    def between(self, first: date, last: date) -> list[date]:
        """The sessions from `first` to `last`, both included; empty where there is none."""
        if last < first:
            return []
        start, stop = self._first_at_or_after(first), self._first_at_or_after(last)
        if self.is_session(last):
            stop += 1
        return [date.fromordinal(int(day)) for day in _timetable().day[start:stop]]

    def weekday_closures(self, first: date, last: date) -> list[date]:
        """The Mondays to Fridays from `first` to `last`, both included, that are not sessions."""
        sessions = set(self.between(first, last))
        days = (first + timedelta(days=k) for k in range((last - first).days + 1))
        return [day for day in days if day.weekday() < 5 and day not in sessions]

    def new_york_date(self, ns: int) -> date:
        """The date in New York at `ns`."""
        return datetime.fromtimestamp(ns // _SECOND_NS, UTC).astimezone(NEW_YORK).date()

    def _first_at_or_after(self, day: date) -> int:
        table, ordinal = _timetable(), day.toordinal()
        if not FIRST_DAY.toordinal() <= ordinal <= table.last_day:
            raise _outside(day, "is outside the calendar")
        return int(np.searchsorted(table.day, ordinal))

    def _index(self, day: date) -> int:
        index = self._first_at_or_after(day)
        if int(_timetable().day[index]) != day.toordinal():
            raise NotASession(
                f"{day} ({day:%A}) is not an XNYS session",
                where="session",
                remedy=f"Use a trading day, e.g. {date.fromordinal(int(_timetable().day[index]))}.",
            )
        return index


def new_york_time(ns: int) -> str:
    """The time as a person reads it: 2012-07-03 10:00:00 EDT."""
    return f"{datetime.fromtimestamp(ns // _SECOND_NS, UTC).astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S %Z}"


def new_york_midnight_ns(day: date) -> int:
    """When `day` begins in New York."""
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp()) * _SECOND_NS


def _outside(day: date, why: str) -> OutsideCalendar:
    last = date.fromordinal(_timetable().last_day)
    return OutsideCalendar(
        f"{day} {why}",
        where="session",
        remedy=f"Use a day from {FIRST_DAY} to {last}; later days need a newer exchange_calendars or time.",
    )
