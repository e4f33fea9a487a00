"""What schedules and sensors know of the desk without opening it: configuration, journal, Dagster's runs.

An evaluation asks no broker, touches no history and imports no client; of the embedded exchange it may ask
the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType

from trading_assets.config import Settings, home_of, kept, path_in_use
from trading_assets.core.words import HaltState
from trading_assets.engine.book.arming import switched_off
from trading_assets.engine.book.halts import Cause, in_force
from trading_assets.engine.book.place import known_book
from trading_assets.engine.ticks.steps import LIVE_ASSETS
from trading_assets.errors import InvalidInput
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.credentials import CONTROL_TOKEN_VARIABLE
from trading_assets.keyring import ENVIRON
from trading_assets.runs.lanes import RANGE_TAGS
from trading_assets.runs.resources import read_settings
from trading_assets.store.journal import Journal
from trading_assets.store.records import SignalRecord

TRADING_SCHEDULE = "trading_hours"  # what a person turns on to have ticks requested, on every venue
SCHEDULE_OFF = f"the schedule {TRADING_SCHEDULE} is off: turn it on"
JOURNAL_NAME = "journal.sqlite"
NO_TOKEN = f"{CONTROL_TOKEN_VARIABLE} is not set: the exchange's time is somebody else's to move"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_OTHER_JOBS = ("replay", "train", "judge_bars")
_last_good: dict[Path, Settings] = {}  # by file


class Readiness(NamedTuple):
    """The configuration, and the journal with its book; no book before the desk was first opened."""

    settings: Settings
    journal: Journal
    book: str | None

    def halted(self) -> str | None:
        """The causes of HALTED, or None: REDUCE_ONLY lets ticks run, as exits go on, and so does a flatten in
        force, which is tried again as time goes on."""
        if self.book is None:
            return None
        halts = in_force(self.journal, self.book)
        stands = halts.state is HaltState.HALTED and Cause.FLATTEN not in halts.causes
        return ", ".join(halts.causes) if stands else None

    def switched_off(self) -> str | None:
        """Why the book takes no tick though the schedule is on: no person has armed it. Or None."""
        off = switched_off(self.settings, self.journal, self.book)
        return f"trading is not armed: {off}" if off else None

    def waiting(self) -> list[SignalRecord]:
        """Signals that no tick has taken."""
        return self.journal.pending_signals(self.book) if self.book is not None else []


@contextmanager
def readiness(*, last_good: bool = False) -> Iterator[Readiness]:
    """What is known of the desk now. Raises InvalidInput for a configuration that cannot be used.

    last_good: take the last configuration instead that this process could use, or else a run before it; for
               what protects and what tells people, which a mistyped line must not end
    """
    path = path_in_use(None, os.environ).resolve()
    try:
        settings = _last_good[path] = read_settings()
    except InvalidInput:
        known = (_last_good.get(path) or kept(home_of(os.environ), path)) if last_good else None
        if known is None:
            raise
        settings = known
    with Journal.open(Path(settings.data_dir) / JOURNAL_NAME) as journal:
        yield Readiness(settings, journal, known_book(settings, journal))


def exchange_keeper(settings: Settings) -> ControlClient | str:
    """A client of the embedded exchange's control plane, to be closed; or why there is none."""
    token = ENVIRON.get(CONTROL_TOKEN_VARIABLE)
    return ControlClient(settings.embedded.control_url, token) if token else NO_TOKEN


def run_under_way(instance: dg.DagsterInstance, job: str | None = None) -> dg.DagsterRun | None:
    """A run that acts on the book, or may: of `job`, or any but replays and trainings."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY))
    return next((run for run in runs if _may_act_on_the_book(run)), None)


def _may_act_on_the_book(run: dg.DagsterRun) -> bool:
    """A run launched from an asset's page is of no job of ours but names its assets. A backfill's of live
    assets is refused before it opens anything, so nobody waits for it."""
    if any(tag in run.tags for tag in RANGE_TAGS):
        return False
    if run.asset_selection:
        return any(dg.AssetKey(name) in run.asset_selection for name in LIVE_ASSETS)
    return run.job_name not in _OTHER_JOBS


def why_no_ticks(instance: dg.DagsterInstance, desk: Readiness) -> str | None:
    """Why no tick is requested: the schedule's switch is off, or the book is not armed. Or None.

    The switch is Dagster's: it asks for ticks or does not. The record in the journal says whether orders may
    be sent, whoever asks.
    """
    return desk.switched_off() if _is_turned_on(instance) else SCHEDULE_OFF


def _is_turned_on(instance: dg.DagsterInstance) -> bool:
    schedules = instance.all_instigator_state(
        instigator_type=InstigatorType.SCHEDULE, instigator_statuses={InstigatorStatus.RUNNING}
    )
    return any(schedule.instigator_name == TRADING_SCHEDULE for schedule in schedules)
