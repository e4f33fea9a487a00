"""The job that replays a range of sessions."""

import dagster as dg

from trading_assets.defs.replay import assets
from trading_assets.runs.lanes import REPLAY

replay = dg.define_asset_job(
    "replay",
    selection=dg.AssetSelection.assets(assets.replay),
    tags=REPLAY,
    description="Replay past sessions with the decisions that trade live. No broker.",
)
