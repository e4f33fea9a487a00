"""What dagster.yaml names for storages, queue, launcher and printed output: ours, or Dagster's own where ours
cannot be had.

Ours are subclasses of Dagster's insides, which a later Dagster may have changed. An instance that does not
open protects nothing. So each is tried as the instance is opened and, where it cannot be imported, made or
used, the stock class stands in on the same files, and an alert says so. What it costs then is time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from dagster import StringSource
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs import SqliteRunStorage
from dagster._serdes import ConfigurableClassData

from trading_assets import process_setup
from trading_assets.dagster_instance.clean_events import CleanEventLog
from trading_assets.log import get_logger
from trading_assets.ownership import private_directory, refuse_writable

log = get_logger(__name__)

process_setup.begin_hosted()  # every process of Dagster that opens the instance loads this module first

Part = TypeVar("Part")

EVENT_LOG, OUTPUT = "the event log", "printed output"
RUNS, QUEUE, LAUNCHER = "the run storage", "the run queue", "the run launcher"
OURS = {
    EVENT_LOG: ("trading_assets.dagster_instance.event_log", "PooledSqliteEventLogStorage"),
    RUNS: ("trading_assets.dagster_instance.run_storage", "ReadableRunStorage"),
    OUTPUT: ("trading_assets.dagster_instance.compute_log", "FileComputeLogManager"),
    QUEUE: ("trading_assets.dagster_instance.run_queue", "PromptRunCoordinator"),
    LAUNCHER: ("trading_assets.dagster_instance.launcher", "ForkingRunLauncher"),
}
TRIED_OUT = (EVENT_LOG, OUTPUT)  # these have files of their own, and a `try_out`

FORKED = "TRADING_ASSETS_FORKED_RUN"  # in the environment of a run that the forkserver began
UP = "TRADING_ASSETS_DAGSTER_URL"  # in the environment of what `make up` starts

_reported: set[str] = set()  # by this process
_private: set[Path] = set()  # as `_refuse_open_to_others` has found them
_tried: set[str] = set()  # what this process, or the one that it is a fork of, has seen to work


class _InTheInstance:
    """A part whose files are in the instance's directory, which is all that dagster.yaml says of it."""

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}


class EventLogStorage(_InTheInstance, CleanEventLog):
    """`dagster_instance.event_log`, else Dagster's SQLite event log, which stores no secret either."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        home = Path(config_value["dagster_home"])
        _refuse_open_to_others(home)
        place = str(home / "history" / "runs")
        return _ours_or_stock(EVENT_LOG, CleanEventLog, lambda kind: kind(place, inst_data))


class RunStorage(_InTheInstance, SqliteRunStorage):
    """`dagster_instance.run_storage`, else Dagster's SQLite run storage."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        place = str(Path(config_value["dagster_home"], "history"))
        return _ours_or_stock(RUNS, SqliteRunStorage, lambda kind: kind.from_local(place, inst_data))


class ComputeLogManager(_InTheInstance, LocalComputeLogManager):
    """`dagster_instance.compute_log`, else Dagster's local compute log manager."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        place = str(Path(config_value["dagster_home"], "storage"))
        return _ours_or_stock(OUTPUT, LocalComputeLogManager, lambda kind: kind(place, inst_data=inst_data))


class RunCoordinator(QueuedRunCoordinator[Any]):
    """`dagster_instance.run_queue`, else Dagster's queued run coordinator."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        def make(kind: type[QueuedRunCoordinator[Any]]) -> QueuedRunCoordinator[Any]:
            return kind.from_config_value(inst_data, config_value)

        return _ours_or_stock(QUEUE, QueuedRunCoordinator, make)


class RunLauncher(DefaultRunLauncher):
    """`dagster_instance.launcher`, else Dagster's default run launcher."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        return _ours_or_stock(LAUNCHER, DefaultRunLauncher, lambda kind: kind(inst_data))


def try_all() -> None:
    """Try out what has files of its own, so that the forks of this process need not."""
    for part in TRIED_OUT:
        try:
            _ours(part)
        except Exception as error:  # noqa: BLE001 - each fork finds the same, and takes the stock class
            tell_fallback(part, f"{type(error).__name__}: {error}")


def _ours_or_stock(part: str, stock: type[Part], make: Callable[[type[Part]], Part]) -> Part:
    """The part, made of our class, else of Dagster's."""
    try:
        return make(_ours(part))
    except Exception as error:  # noqa: BLE001 - whatever it is, the stock class does without
        tell_fallback(part, f"{type(error).__name__}: {error}")
        return make(stock)


def _ours(part: str) -> Any:
    """Our class; one that has files is used once on files of its own before it is trusted with the
    instance's."""
    module, name = OURS[part]
    loaded = import_module(module)
    if part in TRIED_OUT and part not in _tried:
        with tempfile.TemporaryDirectory(prefix="trading-assets-") as place:
            loaded.try_out(Path(place))
        _tried.add(part)
    return getattr(loaded, name)


def _refuse_open_to_others(home: Path) -> None:
    """Who may write the instance's directory names modules that every process of it loads. Looked at once in
    a process, and at the start of `make up` for all of it: what it starts again protects, as a run does.
    Raises InvalidInput.
    """
    if home in _private or FORKED in os.environ or UP in os.environ:
        return
    private_directory(home, "DAGSTER_HOME")
    if (home / "dagster.yaml").exists():
        refuse_writable(home / "dagster.yaml", "DAGSTER_HOME")
    _private.add(home)


def tell_fallback(part: str, why: str) -> None:
    """Alert that Dagster's own stands in for a part of ours, once in a process. Raises nothing."""
    if part in _reported:
        return
    _reported.add(part)
    title = f"Dagster's own stands in for {part}"
    sys.stderr.write(f"{title}: {why}\n")
    log.error("fallback", part=part, why=why)
    body = (
        f"{why}\nThe desk goes on, slower. Ours does not work with this Dagster: go back to the versions of "
        "requirements.txt, or mend it."
    )
    try:
        _enqueue(f"fallback:{part}", title, body)
    except Exception as error:  # noqa: BLE001 - an instance opens without a journal; the log has both
        log.error("alert not kept", title=title, why=str(error))


def _enqueue(subject: str, title: str, body: str) -> None:
    from trading_assets import config  # here, since every process of Dagster imports this module
    from trading_assets.engine.book import alerts
    from trading_assets.engine.book.place import journal_file, known_book
    from trading_assets.market.clock import system_now_ns
    from trading_assets.store.journal import Journal

    settings = config.load(config.path_in_use(None, os.environ))
    now = system_now_ns()
    with Journal.open(journal_file(settings)) as journal:
        book = known_book(settings, journal) or alerts.NO_BOOK
        alerts.tell(journal, book, subject, title, body, now_ns=now, severity="WARN")
