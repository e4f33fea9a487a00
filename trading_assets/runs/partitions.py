"""Session days as partitions: of the live assets the sessions that this desk has come to, of the replay every
session there is. Which session is under way is never asked of them but of the calendar and the venue's clock.

A live partition comes into being with its session, in the venue's time, which on the embedded exchange is
another than the machine's: the last one is the session that trades, or the last that did. A partition of the
replay is a New York day from midnight to midnight, weekends and the weekdays on which XNYS was or will be
closed left out.
"""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from trading_assets.engine.ticks.steps import LIVE_ASSETS
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions

FIRST_SESSION = date(2000, 3, 1)  # the first of the bundled bars
_NAME = "live_sessions"
LIVE_SESSIONS = dg.DynamicPartitionsDefinition(name=_NAME)
_coming = threading.Lock()  # sensors are evaluated in threads
_NEW_YORK = "America/New_York"
_WEEKENDS = "0 0 * * 0,6"


def come_to(instance: dg.DagsterInstance, session: str) -> None:
    """Make the session, by its ISO date, the last partition of the live assets.

    An instance that has none yet is given those that its live assets were materialized for before.
    """
    with _coming:
        known = instance.get_dynamic_partitions(_NAME)
        if known and known[-1] == session:
            return
        if session in known:  # an exchange that was begun anew is in a session that it has been in before
            instance.delete_dynamic_partition(_NAME, session)  # its materializations stay
        earlier = [] if known else [key for key in materialized_before(instance) if key != session]
        instance.add_dynamic_partitions(_NAME, [*earlier, session])


def materialized_before(instance: dg.DagsterInstance) -> list[str]:
    """The sessions that live assets were materialized for, in order of their dates."""
    return sorted(
        {key for name in LIVE_ASSETS for key in instance.get_materialized_partitions(dg.AssetKey(name))}
    )


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
