"""Which runs wait for one another, which goes first, and how long each may last.

A lane is a pool of Dagster's with room for one run (`concurrency` in dagster.yaml). An op or an asset names
its pool, so a run is in it however it was launched. Dagster takes the highest priority off the queue first,
and ends a run that is over its time (`run_monitoring`, `dagster_instance.launcher`). Who may act on the book
is never decided here: the book's lease in the journal decides it.
"""

from __future__ import annotations

BOOK_POOL = "book"  # one tick, premarket work, end of a day or person's act at a time
# behind no tick, least of all one that hangs; one at a time, so that repeated launches leave room for others
PROTECT_POOL, FLATTEN_POOL, KILL_POOL = "protect", "flatten", "kill"
REPLAY_POOL, TRAIN_POOL, IMPORTED_BARS_POOL = "replay", "train", "imported_bars"

# every tag by which Dagster marks a run that a backfill, or a range of partitions, launched
RANGE_TAGS = (
    "dagster/backfill",
    "dagster/parent_backfill",
    "dagster/root_backfill",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)

TICK_TAG = "trading_assets/tick_ns"
PARTITION_TAG = "dagster/partition"
PRIORITY_TAG = "dagster/priority"
MAX_RUNTIME_TAG = "dagster/max_runtime"
TICK_SECONDS = 120


def run_tags(*, priority: int = 0, max_seconds: int) -> dict[str, str]:
    """The tags of a job's runs."""
    return {PRIORITY_TAG: str(priority), MAX_RUNTIME_TAG: str(max_seconds)}


# A backfill's runs and those launched from an asset's page have priority 0: whatever protects goes first.
TICK = run_tags(priority=10, max_seconds=TICK_SECONDS)
SESSION_END = run_tags(priority=10, max_seconds=900)
PERSON = run_tags(priority=10, max_seconds=600)
FLATTEN = run_tags(priority=60, max_seconds=600)
PROTECT = run_tags(priority=50, max_seconds=TICK_SECONDS)
KILL = run_tags(priority=100, max_seconds=TICK_SECONDS)
REPLAY = run_tags(max_seconds=24 * 3600)
TRAIN = run_tags(max_seconds=6 * 3600)


def tick_tags(tick_ns: int) -> dict[str, str]:
    """The run tags of one tick of `trading_tick`, for whoever launches it for the session's partition."""
    return {TICK_TAG: str(tick_ns), **TICK}


JUDGE_BARS = run_tags(max_seconds=3600)
