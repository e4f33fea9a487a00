"""Dagster's run queue, looked at twice as often as its configuration can say, and the tags that a run gets in
it: by which door it was launched (`runs.acts`), and what a run of live assets that names no job lacks.

A run from an asset's page has none of a job's tags: it gets a tick's maximum time.
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from trading_assets.dagster_instance.fallback import tell_fallback
from trading_assets.engine.ticks.steps import LIVE_ASSETS
from trading_assets.runs.acts import launched_tags
from trading_assets.runs.lanes import MAX_RUNTIME_TAG, TICK_SECONDS

LOOK_SECONDS = 0.5  # the daemon's own grain: less would not be noticed


class PromptRunCoordinator(QueuedRunCoordinator):
    """The queue of the stock coordinator, with a shorter interval between the daemon's looks."""

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]
        return LOOK_SECONDS

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        try:
            source = getattr(context.workspace, "source", None)
            tags = {**tags_of(context.dagster_run), **launched_tags(context.dagster_run, source)}
            if tags:
                self._instance.add_run_tags(context.dagster_run.run_id, tags)
        except Exception as error:  # noqa: BLE001 - the run is queued without, as the stock coordinator does
            tell_fallback("the tags of a launch", f"{type(error).__name__}: {error}")
        return super().submit_run(context)


def tags_of(run: DagsterRun) -> dict[str, str]:
    """What the run lacks of a tick's tags where it materializes live assets without a job."""
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    if MAX_RUNTIME_TAG in run.tags or selected.isdisjoint(LIVE_ASSETS):
        return {}
    return {MAX_RUNTIME_TAG: str(TICK_SECONDS)}
