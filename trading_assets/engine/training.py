"""What the training assets do: a training set from the stored bars, and a registered model from it.

How a training set is built and a model fitted, judged and kept is `trading_assets.model`'s. No broker here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading_assets.config import Settings
from trading_assets.log import get_logger
from trading_assets.model import registry
from trading_assets.model.dataset import training_set_from_history
from trading_assets.model.training import Parameters, TrainedModel, train
from trading_assets.model.training_file import read_training_set, write_training_set
from trading_assets.model.training_set import TrainingSet
from trading_assets.reasons import stated
from trading_assets.store.bar_history import recorded_symbols
from trading_assets.store.history import History

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelReport:
    directory: Path
    model: TrainedModel
    promoted: bool


def training_set_path(settings: Settings) -> Path:
    return settings.data_dir / "training" / "training_set.parquet"


def models_dir(settings: Settings) -> Path:
    """Where models are registered: two levels above `model_path`, which leads there through the champion."""
    if settings.model_path is not None:
        return settings.model_path.parent.parent
    return settings.data_dir / "models"


def store_training_set(
    settings: Settings, history: History, first: date, last: date, *, as_of_ns: int
) -> TrainingSet:
    """Build the training set of every symbol with recorded daily bars in the range, and write its file.

    as_of_ns: what had been received by then is used. Raises InvalidInput when no row comes of it.
    """
    symbols = recorded_symbols(history, first, last)
    built = training_set_from_history(history, symbols, first, last, as_of_ns=as_of_ns)
    write_training_set(built, training_set_path(settings))
    log.info("training set stored", rows=len(built), symbols=list(built.symbols), last=last.isoformat())
    return built


def train_model(
    settings: Settings, history: History, *, at_ns: int, promote_because: str = "", threads: int = 1
) -> ModelReport:
    """Train on the stored training set, register the model, and promote it where a reason is given.

    Raises InvalidInput when there is no training set, or too little of it for the folds.
    """
    if promote_because:
        stated("promotion", promote_because)  # before an hour of training
    trained = train(read_training_set(training_set_path(settings)), Parameters(), threads=threads)
    directory = registry.save(trained, models_dir(settings), created_at_ns=at_ns)
    manifest = registry.read_manifest(directory)
    history.replace(
        "models",
        {"version": directory.name},
        [
            {
                "version": directory.name,
                "trained_at_ns": manifest["created_at_ns"],
                "path": str(directory),
                "manifest": json.dumps(manifest),
            }
        ],
    )
    if promote_because:
        registry.promote(models_dir(settings), directory.name, promote_because, at_ns)
    log.info(
        "model trained",
        version=directory.name,
        rank_ic=trained.figures.rank_ic,
        auc=trained.figures.auc,
        promoted=bool(promote_because),
    )
    return ModelReport(directory, trained, bool(promote_because))
