"""Replay: a range of past sessions walked tick by tick through the live decisions. No broker in reach.

Features and predictions are made for all ticks of a session at once (`predictions`), then the ticks go in
order (`walk`) through the compiled `core.walk.session`: the decisions of `engine.decision.decide`, matching,
ledger and breakers. What was decided, ordered, filled and held goes into a DuckDB file of the replay's own
(`recording`), with what each session measured against every limit (`session_limits`), and into a page to read
(`page`). A run that died goes on from its last `checkpoint`. Nothing here imports `trading_assets.broker`, an
HTTP client or the live desk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trading_assets.config import Settings
from trading_assets.engine.replay.spec import ExternalSignal, ExternalSignals, ModelSignals, ReplaySpec

if TYPE_CHECKING:
    from trading_assets.engine.replay.range_run import ReplayPace
    from trading_assets.engine.replay.report import ReplayReport

__all__ = [
    "COMPILING",
    "ExternalSignal",
    "ExternalSignals",
    "ModelSignals",
    "ReplaySpec",
    "must_compile",
    "run",
]

COMPILING = "compiling the decision core, a quarter of a minute, once: the machine code is kept on disk"


def must_compile() -> bool:
    """Whether a replay begins with compiling, as the first one after a change of the core does."""
    from trading_assets.core.compiled import is_kept
    from trading_assets.core.walk.session import walk_compiled

    return not is_kept(walk_compiled)


def run(
    settings: Settings, spec: ReplaySpec, *, progress: Callable[[ReplayPace], None] | None = None
) -> ReplayReport:
    """Replay the range; leaves `<data_dir>/replays/<name>.duckdb` and `.html`, put there when it is over.

    progress: called after each session with how far it is

    Raises InvalidInput for a spec, limit, signal or model that cannot be used and for a range without
    sessions or bars, HistoryLocked when the desk's history cannot be read.
    """
    from trading_assets.engine.replay.range_run import replay_range  # compiled code: 0.5 s to import

    return replay_range(settings, spec, progress=progress)
