"""The job that trains a model."""

import dagster as dg

from trading_assets.defs.training.assets import CHAIN
from trading_assets.runs.lanes import TRAIN

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets(*CHAIN),
    executor_def=dg.in_process_executor,
    tags=TRAIN,
    description="Bundled bars, features and labels, and a model with its figures out of sample.",
)
