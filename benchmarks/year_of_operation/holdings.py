"""What the year has left: bytes on disk by kind, and whether the instance still knows every session."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.engine.checks.table import CHECKS

_NOT_SHARDS = ("index", "")  # the index of all runs, and the events of no run


class Sizes(NamedTuple):
    """Bytes."""

    event_logs: int  # one file for each run
    index: int
    runs: int
    schedules: int
    printed: int
    dagster_home: int  # all of it
    journal: int
    history: int
    snapshot: int  # of the history, for notebooks


def sizes(home: Path) -> Sizes:
    dagster_home, stores = home / "dagster_home", home / "var"
    shards = dagster_home / "history" / "runs"
    index = _bytes(shards, "index.db*")
    return Sizes(
        event_logs=_bytes(shards, "*") - index,
        index=index,
        runs=_bytes(dagster_home / "history", "runs.db*"),
        schedules=_bytes(dagster_home / "schedules", "*"),
        printed=_bytes(dagster_home / "storage", "**/*"),
        dagster_home=_bytes(dagster_home, "**/*"),
        journal=_bytes(stores, "journal.sqlite*"),
        history=_bytes(stores, "history.duckdb*"),
        snapshot=_bytes(stores, "history-snapshot.duckdb"),
    )


def problems(instance: dg.DagsterInstance, dagster_home: Path, sessions: Sequence[date]) -> list[str]:
    """What the instance gets wrong about the year; empty where all of it is right."""
    found = []
    keys = {day.isoformat() for day in sessions}
    runs = instance.get_runs(dg.RunsFilter(job_name="trading_tick"))
    of_session = {key: sum(run.tags["dagster/partition"] == key for run in runs) for key in keys}
    for asset in CHAIN:
        materialized = instance.get_materialized_partitions(asset.key)
        if materialized != keys:
            found.append(
                f"{asset.key.to_user_string()}: partitions differ: {sorted(materialized ^ keys)[:5]}"
            )
        told = [record for page in _pages(instance, asset.key) for record in page]
        for key in sorted(keys):
            of_key = [record for record in told if record.partition_key == key]
            once_more = [record for record in of_key if not record.event_log_entry.run_id]
            if len(once_more) != 1:
                found.append(
                    f"{asset.key.to_user_string()} of {key}: reported {len(once_more)} times after its close"
                )
            if len(of_key) != of_session[key] + 1:
                held = f"{len(of_key)} materializations for {of_session[key]} runs"
                found.append(f"{asset.key.to_user_string()} of {key}: {held}")
    found += _left_behind(instance, dagster_home)
    found += [
        f"check {name}: {known} outcomes of {len(runs)} runs, {open_} of them still planned"
        for name, (known, open_) in _outcomes(dagster_home).items()
        if known != len(runs) or open_
    ]
    return found


def _pages(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[Sequence[dg.EventLogRecord]]:
    """All materializations of an asset."""
    cursor, more = None, True
    while more:
        page = instance.fetch_materializations(asset, limit=1000, cursor=cursor)
        yield page.records
        cursor, more = page.cursor, page.has_more


def _left_behind(instance: dg.DagsterInstance, dagster_home: Path) -> list[str]:
    """Of runs that are deleted: their event logs, what they printed."""
    known = {run.run_id for run in instance.get_runs()}
    shards = {path.name.split(".db")[0] for path in (dagster_home / "history" / "runs").glob("*.db*")}
    printed = {path.name for path in (dagster_home / "storage").iterdir()}
    left = {"event logs": shards - known - set(_NOT_SHARDS), "output": printed - known}
    return [f"{len(of)} deleted runs have left their {what}" for what, of in left.items() if of]


def _outcomes(dagster_home: Path) -> dict[str, tuple[int, int]]:
    """Check → how many runs of it the index knows, and how many of these without an outcome."""
    counted = """SELECT count(*), count(*) FILTER (WHERE execution_status = 'PLANNED')
        FROM asset_check_executions WHERE asset_key = ? AND check_name = ?"""
    with closing(sqlite3.connect(dagster_home / "history" / "runs" / "index.db")) as index:
        return {
            check.key: index.execute(counted, [dg.AssetKey(check.asset).to_string(), check.name]).fetchone()
            for check in CHECKS
        }


def _bytes(place: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in place.glob(pattern) if path.is_file())
