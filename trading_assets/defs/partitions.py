"""Session days as partitions. Which session is the current one is never asked of them but of the calendar.

A partition is a New York day from midnight to midnight, weekends and the weekdays on which XNYS was
or will be closed left out. With `end_offset=1` the set ends with the day that is under way, so that
a session has its partition while it trades; on a closed day the same rule offers the *next* session,
which is why `defs.resources` compares every run's key with the calendar and the venue's clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions

FIRST_SESSION = date(2000, 3, 1)  # the first of the bundled bars
_NEW_YORK = "America/New_York"
_WEEKENDS = "0 0 * * 0,6"


def session_partitions(sessions: Sessions, last: date) -> dg.TimeWindowPartitionsDefinition:
    """Every XNYS session from `FIRST_SESSION`, keyed by its ISO date.

    last: the last day whose closures are known; later weekdays count as sessions until the
          calendar covers them.
    """
    closures = [datetime.combine(day, time()) for day in sessions.weekday_closures(FIRST_SESSION, last)]
    return dg.TimeWindowPartitionsDefinition(
        start=datetime.combine(FIRST_SESSION, time()),
        cron_schedule="0 0 * * *",
        fmt="%Y-%m-%d",
        timezone=_NEW_YORK,
        end_offset=1,
        exclusions=[_WEEKENDS, *closures],
    )


def _known_closures_end() -> date:
    """The calendar reaches a year ahead; a code server is loaded again more often than that."""
    return datetime.fromtimestamp(system_now_ns() // 10**9, UTC).date() + timedelta(days=300)


SESSIONS = session_partitions(Sessions(), _known_closures_end())
