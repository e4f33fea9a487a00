"""The job that trains a model."""

import dagster as dg

from trading_assets.defs.training.assets import CHAIN
from trading_assets.runs.lanes import TRAIN

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets(*CHAIN),
    tags=TRAIN,
    description="Train a model on the bundled bars and measure it out of sample.",
)
