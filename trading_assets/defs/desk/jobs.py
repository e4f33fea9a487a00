"""The job of one tick. When it runs is the schedule's and the sensors'."""

import dagster as dg

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.runs.lanes import TICK

trading_tick = dg.define_asset_job(
    "trading_tick",
    selection=dg.AssetSelection.assets(*CHAIN),
    tags=TICK,
    description="Run one tick of the current session: from bars to reconciled positions, with every check.",
)
