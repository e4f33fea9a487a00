"""A year of a desk in a Dagster instance: some sessions really run, the others written as these were.

Time is the embedded exchange's, for Dagster as well, so that what end_of_day deletes is as old as it would
be. Every session ends with the real `end_of_day`, which reconciles, reports the session and deletes old runs.
A session that is written leaves its runs in the instance and nothing in the desk's stores.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import yaml
from recorded_runs import RecordedRun

from trading_assets import config, log
from trading_assets.dagster_instance.fallback import FORKED
from trading_assets.definitions import build_definitions
from trading_assets.defs.day import jobs as jobs_day
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation.timetable import CLOSE_LAG_NS
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.exchange.control_client import ControlClient
from trading_assets.exchange.process import start_process
from trading_assets.market.clock import monotonic_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.partitions import come_to

ROOT = Path(__file__).parents[2]
FIRST_SESSION = date(2012, 1, 3)
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]  # all of them listed the whole year
TICK_MINUTES = 5
SIGNALS_AT_NS = 7 * MINUTE_NS  # after the open: a tick of its own, as signals that wait get one
BUY_AT, SELL_AT = 1, 10  # ticks of a session
PREMARKET_NS = 30 * MINUTE_NS
PROTECTED_DAYS = 2  # at the year's end, whose protections are written: older ones would be deleted again
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailed(RuntimeError):
    """A run that had to succeed did not."""


@dataclass
class Time:
    """What time it is: as set last, and the machine's seconds since."""

    set_ns: int = 0
    since_ns: int = field(default_factory=monotonic_ns)

    def set(self, now_ns: int) -> None:
        self.set_ns, self.since_ns = now_ns, monotonic_ns()

    def now_ns(self) -> int:
        return self.set_ns + monotonic_ns() - self.since_ns

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ns() / 1e9, UTC)


@dataclass
class Year:
    """The desk, its exchange and its instance. Sessions are traded or written in their order."""

    home: Path
    config_path: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    keeper: ControlClient
    time: Time
    ticks_a_session: int | None
    protections: int
    sessions: Sessions = field(default_factory=Sessions)
    recorded: dict[str, RecordedRun] = field(default_factory=dict)  # a day's runs: "premarket", "tick 3", …

    @property
    def data_dir(self) -> Path:
        return self.home / "var"

    def ticks(self, session: date) -> list[int]:
        found = [
            *self.sessions.ticks(session, TICK_MINUTES),
            self.sessions.open_ns(session) + SIGNALS_AT_NS,
        ]
        return sorted(found)[: self.ticks_a_session]

    def trade(self, session: date) -> None:
        """Really run a session: premarket, its ticks, a protection; what is written later is as these are."""
        ticks = self.ticks(session)
        key = session.isoformat()
        come_to(self.instance, key)
        self._run("premarket", session, self.sessions.open_ns(session) - PREMARKET_NS)
        for number, tick_ns in enumerate(ticks):
            self._go_to(tick_ns)
            if number in (BUY_AT, min(SELL_AT, len(ticks) - 1)):
                self._signal(0.5 if number == BUY_AT else -1.0)
            self._run(
                "trading_tick",
                session,
                tick_ns,
                name=f"tick {number}",
                partition_key=key,
                tags=tick_tags(tick_ns),
            )
        self._run("reconcile", session, ticks[-1] + MINUTE_NS)

    def write(self, session: date) -> None:
        """Store a session's runs as the session really run last had them."""
        come_to(self.instance, session.isoformat())
        premarket_ns = self.sessions.open_ns(session) - PREMARKET_NS
        self.recorded["premarket"].write_again(self.instance, session, premarket_ns)
        for number, tick_ns in enumerate(self.ticks(session)):
            self.recorded[f"tick {number}"].write_again(self.instance, session, tick_ns)

    def write_protections(self, session: date) -> None:
        """As many as said, one a minute from the first tick on, as the sensor requests them."""
        first_ns = self.ticks(session)[0] + MINUTE_NS // 2
        for number in range(self.protections):
            self.recorded["reconcile"].write_again(self.instance, session, first_ns + number * MINUTE_NS)

    def end(self, session: date) -> int:
        """The real end of the day; returns how many runs it deleted."""
        result = self._run("end_of_day", session, self.sessions.close_ns(session) + CLOSE_LAG_NS)
        (said,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
        return int(said.event_specific_data.metadata["runs_deleted"].value)

    def _run(
        self, job: str, session: date, at_ns: int, *, name: str = "", **arguments: Any
    ) -> dg.ExecuteInProcessResult:
        self._go_to(at_ns)
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False, **arguments
        )
        if not result.success:
            why = [event.step_failure_data.error_display_string for event in result.get_step_failure_events()]
            raise RunFailed(f"{job} of {session}: {'; '.join(why)}")
        self.recorded[name or job] = RecordedRun.of(self.instance, result.run_id, session, at_ns)
        return result

    def _go_to(self, at_ns: int) -> None:
        self.keeper.move_to(at_ns)
        self.time.set(at_ns)

    def _signal(self, value: float) -> None:
        with Desk.open(config.load(self.config_path)) as desk:
            for symbol in SYMBOLS[:2]:
                receive(desk, symbol, value, source="benchmark")


@contextmanager
def opened(home: Path, *, ticks_a_session: int | None, protections: int) -> Iterator[Year]:
    """An empty year in `home`: exchange, instance with the committed settings, definitions."""
    dagster_home, path = home / "dagster_home", home / "config" / "execution.yaml"
    dagster_home.mkdir(parents=True)
    path.parent.mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", dagster_home)
    os.environ["DAGSTER_HOME"] = str(dagster_home)
    os.environ[FORKED] = "1"  # what runs print goes to files, as the daemon's runs have it
    token, sessions, time = secrets.token_urlsafe(24), Sessions(), Time()
    with ExitStack() as parts:
        exchange = parts.enter_context(
            start_process(
                public_keys=True,
                state_dir=home / "exchange",
                token=token,
                start_ns=sessions.open_ns(FIRST_SESSION) - 2 * PREMARKET_NS,
                cash=Decimal(100_000),
                requests_per_minute=1_000_000,  # its minutes stand while runs are at work
            )
        )
        settings: Mapping[str, object] = {
            "tick_minutes": TICK_MINUTES,
            "symbols": SYMBOLS,
            "embedded": {"url": exchange.url, "control_url": exchange.control_url},
        }
        path.write_text(yaml.safe_dump(settings))
        os.environ["TRADING_ASSETS_CONFIG"] = str(path)
        definitions = build_definitions()
        keeper = parts.enter_context(closing(ControlClient(exchange.control_url, token)))
        instance = parts.enter_context(dg.DagsterInstance.from_config(str(dagster_home)))
        time.set(keeper.now_ns())
        parts.enter_context(_time_of_dagster(time))
        log.configure(json_path=home / "log.jsonl", level="INFO", terminal_level="CRITICAL")
        parts.callback(log.shutdown)
        yield Year(home, path, instance, definitions, keeper, time, ticks_a_session, protections)


def really_run(sessions: int, really: int) -> set[int]:
    """Which sessions of the year are really run: the first, the last, and evenly between."""
    if really == 1:
        return {0}
    return {round(number * (sessions - 1) / (really - 1)) for number in range(really)}


def days(sessions: int) -> Sequence[date]:
    """The year's sessions, from `FIRST_SESSION` on."""
    calendar, found = Sessions(), [FIRST_SESSION]
    while len(found) < sessions:
        found.append(calendar.next(found[-1]))
    return found


@contextmanager
def _time_of_dagster(time: Time) -> Iterator[None]:
    """Let Dagster stamp runs and events with that time, and end_of_day tell by it what is old."""
    made = logging.getLogRecordFactory()

    def stamped(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = made(*arguments, **named)
        record.created = time.now_ns() / 1e9
        return record

    with (
        patch("dagster._time._mockable_get_current_datetime", time.now),
        patch("dagster._time._mockable_get_current_timestamp", lambda: time.now_ns() / 1e9),
        patch.object(jobs_day, "system_now_ns", time.now_ns),
    ):
        logging.setLogRecordFactory(stamped)
        try:
            yield
        finally:
            logging.setLogRecordFactory(made)
