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
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs import SqliteRunStorage
from dagster._serdes import ConfigurableClassData

from trading_assets import entry
from trading_assets.log import get_logger
from trading_assets.ownership import private_directory, refuse_writable

log = get_logger(__name__)

entry.begin_hosted()  # every process of Dagster that opens the instance loads this module first

Part = TypeVar("Part")

EVENT_LOG, OUTPUT = "the event log", "printed output"
_MODULES = {EVENT_LOG: "trading_assets.defs.event_log", OUTPUT: "trading_assets.defs.compute_log"}

FORKED = "TRADING_ASSETS_FORKED_RUN"  # in the environment of a run that the forkserver began

UP = "TRADING_ASSETS_DAGSTER_URL"  # in the environment of what `make up` starts

_told: set[str] = set()  # by this process
_private: set[Path] = set()  # as `_refuse_open_to_others` has found them
_tried: set[str] = set()  # what this process, or the one that it is a fork of, has seen to work


class EventLogStorage(SqliteEventLogStorage):
    """`defs.event_log`, else Dagster's SQLite event log."""

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        _refuse_open_to_others(Path(config_value["dagster_home"]))

        def ours() -> SqliteEventLogStorage:
            from trading_assets.defs.event_log import PooledSqliteEventLogStorage

            _once(EVENT_LOG)
            return PooledSqliteEventLogStorage.from_config_value(inst_data, config_value)

        def stock() -> SqliteEventLogStorage:
            return SqliteEventLogStorage(
                str(Path(config_value["dagster_home"], "history", "runs")), inst_data
            )

        return _ours_or_stock(EVENT_LOG, ours, stock)


class RunStorage(SqliteRunStorage):
    """`defs.run_storage`, else Dagster's SQLite run storage."""

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        def ours() -> SqliteRunStorage:
            from trading_assets.defs.run_storage import ReadableRunStorage

            return ReadableRunStorage.from_config_value(inst_data, config_value)

        def stock() -> SqliteRunStorage:
            return SqliteRunStorage.from_local(str(Path(config_value["dagster_home"], "history")), inst_data)

        return _ours_or_stock("the run storage", ours, stock)


class ComputeLogManager(LocalComputeLogManager):
    """`defs.compute_log`, else Dagster's local compute log manager."""

    @classmethod
    def config_type(cls) -> Any:
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        def ours() -> LocalComputeLogManager:
            from trading_assets.defs.compute_log import FileComputeLogManager

            _once(OUTPUT)
            return FileComputeLogManager.from_config_value(inst_data, config_value)

        def stock() -> LocalComputeLogManager:
            return LocalComputeLogManager(
                str(Path(config_value["dagster_home"], "storage")), inst_data=inst_data
            )

        return _ours_or_stock(OUTPUT, ours, stock)


class RunCoordinator(QueuedRunCoordinator[Any]):
    """`defs.run_queue`, else Dagster's queued run coordinator."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        def ours() -> QueuedRunCoordinator[Any]:
            from trading_assets.defs.run_queue import PromptRunCoordinator

            return PromptRunCoordinator.from_config_value(inst_data, config_value)

        def stock() -> QueuedRunCoordinator[Any]:
            return QueuedRunCoordinator.from_config_value(inst_data, config_value)

        return _ours_or_stock("the run queue", ours, stock)


class RunLauncher(DefaultRunLauncher):
    """`defs.launcher`, else Dagster's default run launcher."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        def ours() -> DefaultRunLauncher:
            from trading_assets.defs.launcher import ForkingRunLauncher

            return ForkingRunLauncher(inst_data)

        return _ours_or_stock("the run launcher", ours, lambda: DefaultRunLauncher(inst_data))


def try_all() -> None:
    """Try out what has files of its own, so that the forks of this process need not."""
    for part in (EVENT_LOG, OUTPUT):
        try:
            _once(part)
        except Exception as error:  # noqa: BLE001 - each fork finds the same, and takes the stock class
            tell_fallback(part, f"{type(error).__name__}: {error}")


def _ours_or_stock(part: str, ours: Callable[[], Part], stock: Callable[[], Part]) -> Part:
    try:
        return ours()
    except Exception as error:  # noqa: BLE001 - whatever it is, the stock class does without
        tell_fallback(part, f"{type(error).__name__}: {error}")
        return stock()


def _once(part: str) -> None:
    """Use ours once on files of its own, before it is trusted with the instance's."""
    if part in _tried:
        return
    try_out = import_module(_MODULES[part]).try_out
    with tempfile.TemporaryDirectory(prefix="trading-assets-") as place:
        try_out(Path(place))
    _tried.add(part)


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
    if part in _told:
        return
    _told.add(part)
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
    from trading_assets.engine import alerts
    from trading_assets.engine.book_place import journal_file, known_book
    from trading_assets.market.clock import system_now_ns
    from trading_assets.store.journal import Journal
    from trading_assets.store.records import OutboxRecord

    settings = config.load(config.path_in_use(None, os.environ))
    now = system_now_ns()
    with Journal.open(journal_file(settings)) as journal:
        book = known_book(settings, journal) or alerts.NO_BOOK
        alert = OutboxRecord(f"{book}:{subject}:{now}", book, now, "WARN", title, body)
        alerts.enqueue(journal, alert, subject=subject, now_ns=now)
