"""When each row's bar began: what its stamp says, in which zone, and to which session it belongs.

A stamp is read once however many rows have it. Which stamps are doubtful as a whole is `doubts.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trading_assets.market.bar_files.shapes import Stamps
from trading_assets.market.bar_files.table import BarTable
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import FIRST_DAY, MINUTE_NS, OutsideCalendar, Sessions
from trading_assets.market.timestamps import EPOCH, ns_of

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY_NS = 24 * 60 * MINUTE_NS
_EPOCH_DIGITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}  # of a count since 1970 in our years: ns of one
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(.*)", re.DOTALL)
_BARE_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\D(.*))?", re.DOTALL)
_BARE_CLOCK = re.compile(r"(\d{1,2}):?(\d{2})(?::?(\d{2}))?")
_ISO = "Write ISO 8601: 2012-09-11 or 2012-09-11T13:30:00Z."
_Moment = date | datetime


@dataclass(frozen=True, slots=True)
class BarTimes:
    """Of the rows that are kept, each array of shape (n,)."""

    rows: Ints  # their places in the file
    start_ns: Ints
    day: Ints  # the session's date.toordinal()
    inside: Flags  # regular hours
    left_out: int  # rows before the first or after the last day that was asked for
    closed: Ints  # places of rows whose day is no session; they are not among `rows`
    closed_day: Ints  # and their date.toordinal()
    row_day: Ints  # of every row of the file, also those that were not asked for: its date.toordinal()
    requested: Flags  # whether its day was asked for
    zone: str  # where the times of day come from, for a person


def read_times(
    table: BarTable,
    interval: Interval,
    stamps: Stamps,
    zone: str | None,
    first: date | None = None,
    last: date | None = None,
) -> BarTimes:
    """Raises InvalidInput, with the row, for what is no time, has no zone, or lies outside the calendar."""
    known = _zone(table, zone)
    try:
        values, of_row = _distinct(_stamps(table))
    except pa.ArrowInvalid as error:
        raise table.refused(f"its timestamps cannot be read: {error}", "Leave such rows out.") from error
    moments, zone_source = _moments(table, values, of_row, interval, stamps, known)
    where = _Rows(table, values, of_row)
    count = len(values)
    start, day = np.zeros(count, np.int64), np.zeros(count, np.int64)
    inside, kept, closed = np.ones(count, np.bool_), np.ones(count, np.bool_), np.zeros(count, np.bool_)
    hours: dict[date, tuple[int, int] | None] = {}
    sessions = Sessions()
    for number, moment in enumerate(moments):
        if isinstance(moment, datetime):
            at_ns = ns_of(moment)
            if stamps is Stamps.END:
                at_ns -= MINUTE_NS if interval is Interval.MINUTE else 1
            session = sessions.new_york_date(at_ns)
        elif interval is Interval.MINUTE:
            raise where.refused(number, "is no time of day", "Minute bars need a time and its zone.")
        else:
            at_ns, session = 0, moment
        day[number] = session.toordinal()
        if (first and session < first) or (last and session > last):
            kept[number] = False
            continue
        if session not in hours:
            hours[session] = _hours(where, number, session, sessions)
        open_to_close = hours[session]
        if open_to_close is None:
            closed[number] = True
            continue
        open_ns, close_ns = open_to_close
        if interval is Interval.DAY:
            at_ns = open_ns
        elif at_ns % MINUTE_NS:
            raise where.refused(number, "is no whole minute", "Give one-minute bars.")
        start[number] = at_ns
        inside[number] = open_ns <= at_ns < close_ns
    rows = np.flatnonzero((kept & ~closed)[of_row])
    beside = np.flatnonzero(closed[of_row])
    taken = of_row[rows]
    left_out = int((~kept[of_row]).sum())
    return BarTimes(
        rows,
        start[taken],
        day[taken],
        inside[taken],
        left_out,
        beside,
        day[of_row[beside]],
        day[of_row],
        kept[of_row],
        zone_source,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Names the first row that has a stamp."""

    table: BarTable
    values: Sequence[Any]
    of_row: Ints

    def refused(self, number: int, what: str, remedy: str) -> Exception:
        row = int(np.flatnonzero(self.of_row == number)[0])
        return self.table.refused(f"{self.values[number]} {what}", remedy, row)


def _hours(where: _Rows, number: int, session: date, sessions: Sessions) -> tuple[int, int] | None:
    """Open and close of a session; None: the day is none."""
    try:
        if not sessions.is_session(session):
            return None
    except OutsideCalendar as error:
        row = int(np.flatnonzero(where.of_row == number)[0])
        begin = f"--from {sessions.next(FIRST_DAY)}" if session < FIRST_DAY else "--to with an earlier day"
        raise where.table.refused(
            f"{session} is outside the calendar of sessions",
            f"Say {begin} to leave such rows out. {error.remedy}",
            row,
        ) from None
    return sessions.open_ns(session), sessions.close_ns(session)


def _zone(table: BarTable, name: str | None) -> tzinfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise table.refused(f"{name!r} is no time zone", "Name one such as America/New_York.") from None


def _stamps(table: BarTable) -> pa.ChunkedArray:
    """One column of stamps: `timestamp`, or `date` and `time` joined."""
    if not {"date", "time"} <= table.columns.keys():
        return table.column("timestamp")
    day, clock = (table.column(name).cast(pa.string()) for name in ("date", "time"))
    return pc.binary_join_element_wise(day, clock, " ")


def _distinct(column: pa.ChunkedArray) -> tuple[Sequence[Any], Ints]:
    """The column's values, each once, and the number of each row's."""
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz
        encoded = (
            column.cast(pa.timestamp("ns", tz=zone)).cast(pa.int64()).combine_chunks().dictionary_encode()
        )
        values: list[Any] = []
        for ns in encoded.dictionary.to_pylist():
            moment = EPOCH + timedelta(microseconds=ns // 1000)
            values.append(moment if zone is not None else moment.replace(tzinfo=None))
    else:
        encoded = column.combine_chunks().dictionary_encode()
        values = encoded.dictionary.to_pylist()
    return values, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _moments(
    table: BarTable,
    values: Sequence[Any],
    of_row: Ints,
    interval: Interval,
    stamps: Stamps,
    zone: tzinfo | None,
) -> tuple[list[_Moment], str]:
    """What each stamp says, with its zone, and whence the zone is."""
    where = _Rows(table, values, of_row)
    read = _reader(table, values)
    moments: list[_Moment] = []
    for number, value in enumerate(values):
        try:
            moments.append(read(value))
        except (KeyError, TypeError, ValueError, OverflowError):
            row = int(np.flatnonzero(of_row == number)[0])
            raise table.refused(f"timestamp {value!r} is no date or time", _ISO, row) from None
    times = [moment for moment in moments if isinstance(moment, datetime)]
    daily = interval is Interval.DAY
    if daily and times and all(_is_midnight(moment) for moment in times):
        # A day written as a time: at midnight of nobody's zone, or of UTC, where no session begins or ends.
        aware = {moment.tzinfo is not None for moment in times}
        if aware == {False} or (aware == {True} and stamps is Stamps.START and _all_utc(times)):
            return [m.date() if isinstance(m, datetime) else m for m in moments], "dates"
    if daily and stamps is Stamps.START and _all_utc(times):
        # Where one of them is no midnight (the bar of today so far), the others are days all the same.
        moments = [m.date() if isinstance(m, datetime) and _is_midnight(m) else m for m in moments]
        times = [moment for moment in moments if isinstance(moment, datetime)]
    naive = next((n for n, m in enumerate(moments) if isinstance(m, datetime) and m.tzinfo is None), None)
    if naive is None:
        return moments, "the stamps' own" if times else "dates"
    its_zone = zone or (None if table.shape.zone is None else ZoneInfo(table.shape.zone))
    if its_zone is None:
        raise where.refused(
            naive,
            "has no time zone",
            "Write it with one (2012-09-11T13:30:00Z), or name the file's with --zone.",
        )
    return [
        m.replace(tzinfo=its_zone) if isinstance(m, datetime) and m.tzinfo is None else m for m in moments
    ], str(its_zone)


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


def _all_utc(times: Sequence[datetime]) -> bool:
    return all(moment.utcoffset() == timedelta(0) for moment in times)


def _reader(table: BarTable, values: Sequence[Any]) -> Callable[[Any], _Moment]:
    """How the file's stamps are read: in which order day and month stand is the same in all of them."""
    slashed = [
        match for value in values if isinstance(value, str) and (match := _SLASHED.match(value.strip()))
    ]
    day_first = any(int(one[1]) > 12 for one in slashed)
    if day_first and any(int(one[2]) > 12 for one in slashed):
        raise table.refused("day and month change places between its dates", _ISO)

    def read(value: Any) -> _Moment:
        if isinstance(value, date):  # a datetime is one too
            return value
        if isinstance(value, int):
            return _since_1970(str(value))
        if not isinstance(value, str):
            raise TypeError
        text = value.strip()
        if text.isdigit() and len(text) in _EPOCH_DIGITS:
            return _since_1970(text)
        if slash := _SLASHED.match(text):
            month, day = (2, 1) if day_first else (1, 2)
            return _with_clock(date(int(slash[3]), int(slash[month]), int(slash[day])), slash[4])
        if bare := _BARE_DATE.fullmatch(text):
            return _with_clock(date(int(bare[1]), int(bare[2]), int(bare[3])), bare[4] or "")
        if len(text) <= 10:
            return date.fromisoformat(text)
        day_text, clock = text[:10], text[10:].lstrip("T ")
        if _BARE_CLOCK.fullmatch(clock):
            return _with_clock(date.fromisoformat(day_text), clock)
        return datetime.fromisoformat(text)

    return read


def _since_1970(digits: str) -> datetime:
    """Seconds, milliseconds, microseconds or nanoseconds, by their number of digits."""
    return EPOCH + timedelta(microseconds=int(digits) * _EPOCH_DIGITS[len(digits)] // 1000)


def _with_clock(day: date, clock: str) -> _Moment:
    """A date, or with what stands behind it a time without a zone."""
    clock = clock.strip()
    if not clock:
        return day
    if bare := _BARE_CLOCK.fullmatch(clock):
        return datetime.combine(day, time(int(bare[1]), int(bare[2]), int(bare[3] or 0)))
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}")
