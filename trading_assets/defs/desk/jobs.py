"""The job of one tick. When it runs is the schedule's and the sensors'."""

import dagster as dg

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.runs.lanes import TICK

trading_tick = dg.define_asset_job(
    "trading_tick",
    selection=dg.AssetSelection.assets(*CHAIN),
    executor_def=dg.in_process_executor,
    tags=TICK,
    description="One tick: bars to reconciled positions with every check, for the session that is under way.",
)
