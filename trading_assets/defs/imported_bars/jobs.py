"""The job that judges all stored bars."""

import dagster as dg

from trading_assets.defs.imported_bars.assets import imported_bars
from trading_assets.runs.lanes import JUDGE_BARS

judge_bars = dg.define_asset_job(
    "judge_bars",
    selection=dg.AssetSelection.assets(imported_bars),
    executor_def=dg.in_process_executor,
    tags=JUDGE_BARS,
    description="Judge all stored bars by every rule, and show what breaks one. It changes no bar.",
)
