"""Which sessions have had their end of the day, and which are owed it, by the journal's marks.

The work itself is `engine.operation.day`'s; what is due when is `engine.operation.timetable`'s. A session is
owed its end from ten minutes after its close until it is put away: a desk that was down then does it when it
is next up.
"""

from __future__ import annotations

from datetime import date

from trading_assets.engine.operation.timetable import LATE_AFTER_NS, Work, ends_due
from trading_assets.market.sessions import Sessions
from trading_assets.store.journal import Journal

ARCHIVED_MARK = "put_away"  # marks a session whose end_of_day is complete


def mark_archived(journal: Journal, book: str, session: str, *, at_ns: int) -> None:
    """Note that everything of the session is stored and reported."""
    journal.set_mark(book, f"{ARCHIVED_MARK}:{session}", str(at_ns), at_ns)


def is_archived(journal: Journal, book: str, session: str) -> bool:
    return journal.mark(book, f"{ARCHIVED_MARK}:{session}") is not None


def owed(
    journal: Journal, book: str, sessions: Sessions, now_ns: int, *, late_ns: int = 0
) -> tuple[date, ...]:
    """The sessions that are owed their end at the venue's time `now_ns`, the earliest first: those since the
    book was opened, and no further back than `agenda.ENDS_KEPT` sessions.

    late_ns: owed for at least so long
    """
    opening = journal.opening(book)
    if not opening:
        return ()
    first = sessions.new_york_date(min(record.at_ns for record in opening))
    due = ends_due(sessions, first, now_ns - late_ns)
    return tuple(day for day in due if not is_archived(journal, book, day.isoformat()))


def owed_long(journal: Journal, book: str, sessions: Sessions) -> tuple[date, ...]:
    """Those that were to be put away hours ago, by the venue's time of the last protection."""
    latest = journal.latest_equity(book)
    if latest is None:
        return ()
    return owed(journal, book, sessions, latest.at_ns, late_ns=LATE_AFTER_NS[Work.END_OF_DAY])
