"""The job that replays a range of sessions."""

import dagster as dg

from trading_assets.defs.replay import assets
from trading_assets.runs.lanes import REPLAY

replay = dg.define_asset_job(
    "replay",
    selection=dg.AssetSelection.assets(assets.replay),
    executor_def=dg.in_process_executor,
    tags=REPLAY,
    description="A range of sessions through the live decisions on a book of its own, without a broker.",
)
