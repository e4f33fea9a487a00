"""Training: bundled bars → training features → a model that may be promoted. No broker, no partitions.

What a training set is, how a model is fitted and judged and where models live is `trading_assets.model`'s.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import partial

import dagster as dg
from pydantic import Field

from trading_assets.defs.sources.assets import bundled_bars, imported_files
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions
from trading_assets.runs.decorators import asset
from trading_assets.runs.lanes import TRAIN_POOL
from trading_assets.runs.plain_config import PlainConfig
from trading_assets.runs.presentation import table
from trading_assets.runs.resources import ConfigurationResource

GROUP = "training"
OWNERS = ["team:research"]
SOURCE = "bundled"


class TrainingRange(PlainConfig):
    """The sessions that the model is trained on, both ends included."""

    first: str = Field(default="2000-03-01", description="First session, as YYYY-MM-DD.")
    last: str = Field(default="2010-12-31", description="Last session, as YYYY-MM-DD.")

    def days(self) -> tuple[date, date]:
        return date.fromisoformat(self.first), date.fromisoformat(self.last)


class ModelConfig(PlainConfig):
    """How the model is trained, and whether the desk trades by it."""

    promote_because: str = Field(
        default="",
        description="Why the new model becomes the champion, by which the desk trades. Without a reason "
        "it is only registered.",
    )
    threads: int = Field(default=2, description="Processor threads for the training.")


_training_asset = partial(asset, group_name=GROUP, owners=OWNERS, pool=TRAIN_POOL)


@_training_asset("market", "engine/market_data/bars.py", deps=[bundled_bars], kinds={"duckdb"})
def training_bars(config: TrainingRange, configuration: ConfigurationResource) -> dg.MaterializeResult[None]:
    """Copy the bundled daily bars, splits and dividends into the history, up to the last session of the
    range.
    """
    from trading_assets.engine.market_data.bars import import_tape
    from trading_assets.market.bundle import BundledTape

    _, last = config.days()
    sessions, tape = Sessions(), BundledTape()
    until = sessions.next(last)
    stored = import_tape(
        configuration.history(),
        tape,
        tape.symbols,
        until=until,
        received_ns=sessions.close_ns(sessions.previous(until)),
        source=SOURCE,
    )
    return dg.MaterializeResult(
        metadata={"bars": stored, "symbols": ", ".join(tape.symbols), "through": last.isoformat()}
    )


@_training_asset(
    "features", "model/training_set.py", deps=[training_bars, imported_files], kinds={"numba", "duckdb"}
)
def training_features(
    config: TrainingRange, configuration: ConfigurationResource
) -> dg.MaterializeResult[None]:
    """Compute the features and the label of every symbol and session of the range, and store them in one
    file.
    """
    from trading_assets.engine.training import store_training_set, training_set_path

    settings = configuration.settings()
    built = store_training_set(settings, configuration.history(), *config.days(), as_of_ns=system_now_ns())
    return dg.MaterializeResult(
        metadata={
            "rows": len(built),
            "symbols": ", ".join(built.symbols),
            "first_row": built.sessions[int(built.session[0])].isoformat(),
            "last_row": built.sessions[int(built.session[-1])].isoformat(),
            "label": f"relative return from the next open over {built.horizon} sessions",
            "feature_set": built.feature_identity,
            "dropped": dg.MetadataValue.json(asdict(built.dropped)),
            "features": table(
                [
                    {
                        "feature": name,
                        "mean": float(column.mean()),
                        "standard deviation": float(column.std()),
                        "lowest": float(column.min()),
                        "highest": float(column.max()),
                    }
                    for name, column in zip(built.feature_names, built.X.T, strict=True)
                ]
            ),
            "file": dg.MetadataValue.path(training_set_path(settings)),
        }
    )


@_training_asset("model", "features", deps=[training_features], kinds={"xgboost"})
def model(config: ModelConfig, configuration: ConfigurationResource) -> dg.MaterializeResult[None]:
    """Train gradient-boosted trees, measure them out of sample, and register the model. A reason in the run's
    configuration promotes it: the desk then trades by it."""
    from trading_assets.engine.training import train_model

    report = train_model(
        configuration.settings(),
        configuration.history(),
        at_ns=system_now_ns(),
        promote_because=config.promote_because,
        threads=config.threads,
    )
    figures = report.model.figures
    return dg.MaterializeResult(
        metadata={
            "version": report.directory.name,
            "directory": dg.MetadataValue.path(report.directory),
            "promoted": report.promoted,
            "out_of_sample": table(
                [
                    {"figure": "rank IC", "value": figures.rank_ic, "no skill": 0.0},
                    {"figure": "t of rank IC", "value": figures.rank_ic_t, "no skill": 0.0},
                    {"figure": "AUC", "value": figures.auc, "no skill": 0.5},
                    {"figure": "hit rate", "value": figures.hit_rate, "no skill": figures.base_rate},
                ]
            ),
            "folds": table([asdict(fold) for fold in figures.folds]),
            "rows_out_of_sample": figures.rows,
            "training_data": dg.MetadataValue.json(asdict(report.model.training_data)),
            "parameters": dg.MetadataValue.json(asdict(report.model.parameters)),
        }
    )


CHAIN: Sequence[dg.AssetsDefinition] = (training_bars, training_features, model)

# Outside of Dagster: a promotion or a person puts it there, and signals from outside need none.
champion_model = dg.AssetSpec(
    "champion_model",
    group_name=GROUP,
    deps=[model],
    owners=OWNERS,
    kinds={"xgboost"},
    description="The model that `model_path` names in the configuration: the one promoted last, or a file "
    "of your own. Signals read it only where `model.enabled` is true.",
)
