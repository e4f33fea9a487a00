"""Dagster's run queue, looked at twice as often as its configuration can say."""

from __future__ import annotations

from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

LOOK_SECONDS = 0.5  # the daemon's own grain: less would not be noticed


class PromptRunCoordinator(QueuedRunCoordinator):
    """The queue of the stock coordinator; only the daemon's interval between two looks is shorter."""

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]
        return LOOK_SECONDS
