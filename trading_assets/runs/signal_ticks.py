"""A tick at once for signals that wait: one request for the same signals, whichever sensor asks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing

import dagster as dg

from trading_assets.config import Settings
from trading_assets.engine.operation.timetable import Due, Work
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.runs.lanes import tick_tags
from trading_assets.runs.partitions import come_to
from trading_assets.runs.readiness import exchange_keeper
from trading_assets.store.records import SignalRecord


def tick_for(
    instance: dg.DagsterInstance, waiting: Sequence[SignalRecord], now_ns: int
) -> dg.RunRequest | None:
    """A tick at this very moment; None while the market is closed. Once for the same signals."""
    sessions = Sessions()
    if not sessions.is_open(now_ns):
        return None
    due = Due(Work.TICK, sessions.new_york_date(now_ns).isoformat(), now_ns)
    come_to(instance, due.session)
    return dg.RunRequest(
        run_key=f"signals:{identity(waiting)}",
        job_name=due.work.value,
        partition_key=due.session,
        tags=tick_tags(due.at_ns),
    )


def identity(waiting: Sequence[SignalRecord]) -> str:
    """The signals that wait, as a cursor or a run's key names them."""
    return hashlib.sha256("\n".join(signal.decision_id for signal in waiting).encode()).hexdigest()[:32]


def venue_now_ns(settings: Settings) -> int | str:
    """The venue's time without its client: the exchange's control plane, or the machine's clock, which
    the tick holds against the broker's. Else why it cannot be had."""
    if settings.venue != "embedded":
        return system_now_ns()
    keeper = exchange_keeper(settings)
    if isinstance(keeper, str):
        return keeper
    with closing(keeper):
        return keeper.now_ns()
