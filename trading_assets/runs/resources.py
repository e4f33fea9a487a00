"""What a run is given: the configuration, and the desk at one tick of the session that is under way.

Here is the rule that keeps every backfill away from the broker: `DeskResource.at` looks at the run
before it opens anything, and then holds its partition against the calendar and the venue's clock.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from pydantic import PrivateAttr

from trading_assets import config
from trading_assets.config import Settings
from trading_assets.engine.book.alerts import CONFIGURATION, tell
from trading_assets.engine.book.desk import Desk
from trading_assets.errors import InvalidInput
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.runs.lanes import PARTITION_TAG, RANGE_TAGS, TICK_TAG
from trading_assets.runs.plain_config import PlainResource
from trading_assets.store.history import History

RunContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext


class DeskAt(NamedTuple):
    """The desk at one tick of the current session."""

    desk: Desk
    session: date
    tick_ns: int


class ConfigurationResource(PlainResource):
    """Reads the desk's configuration file, for steps that need no broker.

    TRADING_ASSETS_CONFIG names the file; the default is config/execution.yaml in the working directory. A run
    cannot name another one: that would be another journal, without halts, limits and arming.
    """

    def settings(self) -> Settings:
        """Read the file again. Raises InvalidInput when it cannot be used."""
        return read_settings()

    def history(self) -> History:
        return History(Path(self.settings().data_dir) / "history.duckdb")


class DeskResource(PlainResource):
    """Opens journal, history and broker at the first step of a run that may trade, and closes them with the
    run.

    The schedule or sensor that requests a tick names its time in the run's tags. A run that a person launches
    has no such tag, and is for the latest tick that is due.
    """

    _desk: Desk | None = PrivateAttr(default=None)
    _tick_ns: int | None = PrivateAttr(default=None)

    def at(self, context: RunContext) -> DeskAt:
        """The desk at the run's tick.

        Raises dagster.Failure for a run of a backfill or a range and for a partition that is not the
        current session, NotThisTick for a tick that is still to come or was missed, ClockUnread where the
        venue does not tell the time.
        """
        from trading_assets.engine.ticks.tick import refuse_other_times

        desk = self.open(context)
        session = current_session(desk.sessions, desk.now_ns(), context.run.tags.get(PARTITION_TAG))
        if self._tick_ns is None:  # once for a run: every step of it is at the same tick
            tag = context.run.tags.get(TICK_TAG)
            self._tick_ns = (
                latest_tick(desk.sessions, session, desk.now_ns(), desk.settings.tick_minutes)
                if tag is None
                else tick_of(tag)
            )
        refuse_other_times(desk, session, self._tick_ns)
        return DeskAt(desk, session, self._tick_ns)

    def open(self, context: RunContext) -> Desk:
        """The desk at no particular tick. Raises dagster.Failure for a run of a backfill or a range."""
        refuse_range(context.run.tags)
        if self._desk is None:
            settings = read_settings()
            home = _home(context.instance)
            if home is not None:
                config.keep(home, config.path_in_use(None, os.environ), settings)
            self._desk = Desk.open(settings)
        return self._desk

    def open_to_protect(self, context: RunContext) -> Desk:
        """As `open`, and where the configuration cannot be used by the last one that could, with an alert.
        Raises InvalidInput where there is none."""
        try:
            return self.open(context)
        except InvalidInput as error:
            path = config.path_in_use(None, os.environ)
            settings = config.kept(_home(context.instance), path)
            if settings is None:
                raise
            self._desk = Desk.open(settings)
            _tell_of_configuration(self._desk, error)
            return self._desk

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None


def _home(instance: dg.DagsterInstance) -> Path | None:
    """Where the instance has its files; None: it has none."""
    return Path(instance.root_directory) if instance.is_persistent else None


def _tell_of_configuration(desk: Desk, error: InvalidInput) -> None:
    now, subject = system_now_ns(), CONFIGURATION
    title = "The configuration cannot be used"
    body = f"{error}\nNo tick until it is mended; protection goes on by the last good one."
    tell(desk.journal, desk.book, subject, title, body, now_ns=now)


def read_settings() -> Settings:
    """Read the process's configuration again. Raises InvalidInput when it cannot be used."""
    return config.load(config.path_in_use(None, os.environ))


def refuse_range(tags: Mapping[str, str]) -> None:
    """Raises dagster.Failure when a backfill or a range of partitions launched the run."""
    range_tags = [tag for tag in RANGE_TAGS if tag in tags]
    if range_tags:
        raise dg.Failure(
            description="This is a live asset: a backfill or a range of partitions cannot reach a broker "
            f"({', '.join(range_tags)}). Replay a past range with the assets of the replay.",
            allow_retries=False,
        )


def current_session(sessions: Sessions, now_ns: int, partition: str | None) -> date:
    """The session under way at `now_ns`, which must be the run's partition where it has one.

    Raises dagster.Failure on a day without session and for every other partition.
    """
    session = sessions.session_at(now_ns)
    if session is None:
        raise dg.Failure(
            description=f"{sessions.new_york_date(now_ns)} is not an XNYS session: nothing trades today.",
            allow_retries=False,
        )
    if partition is not None and partition != session.isoformat():
        raise dg.Failure(
            description=f"A live asset takes no partition but the current session {session}; "
            f"this run is for {partition}.",
            allow_retries=False,
        )
    return session


def tick_of(tag: str) -> int:
    """The nanoseconds that the tag names. Raises dagster.Failure for anything else."""
    if not tag.isascii() or not tag.isdigit():
        raise dg.Failure(
            description=f"The run's tag {TICK_TAG} is {tag!r}, which is no time. Launch the run without that "
            "tag: it is then for the latest tick that is due.",
            allow_retries=False,
        )
    return int(tag)


def latest_tick(sessions: Sessions, session: date, now_ns: int, tick_minutes: int) -> int:
    """The session's latest tick at or before `now_ns`. Raises dagster.Failure before the first."""
    due_ns = sessions.latest_tick(session, tick_minutes, now_ns)
    if due_ns is None:
        raise dg.Failure(description=f"No tick of {session} is due yet.", allow_retries=False)
    return due_ns
