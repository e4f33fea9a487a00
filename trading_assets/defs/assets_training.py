"""Training: bundled bars → training features → a model that may be promoted. No broker, no partitions.

What a training set is, how a model is fitted and judged and where models live is `trading_assets.model`'s.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

import dagster as dg

from trading_assets.defs.clean_steps import shows_no_secret
from trading_assets.defs.code_version import code_version
from trading_assets.defs.lanes import TRAIN_POOL
from trading_assets.defs.plain_config import PlainConfig
from trading_assets.defs.presentation import table
from trading_assets.defs.resources import ConfigurationResource
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import Sessions

GROUP = "training"
OWNERS = ["team:research"]
SOURCE = "bundled"


class TrainingRange(PlainConfig):
    """The sessions that are trained on, both ends included."""

    first: str = "2000-03-01"
    last: str = "2010-12-31"

    def days(self) -> tuple[date, date]:
        return date.fromisoformat(self.first), date.fromisoformat(self.last)


class ModelConfig(PlainConfig):
    """promote_because: a reason makes the new model the champion; without one it is only registered."""

    promote_because: str = ""
    threads: int = 2


@dg.asset(
    group_name=GROUP,
    kinds={"duckdb"},
    owners=OWNERS,
    pool=TRAIN_POOL,
    code_version=code_version("market", "engine/market_data/bars.py"),
)
@shows_no_secret
def training_bars(config: TrainingRange, configuration: ConfigurationResource) -> dg.MaterializeResult[None]:
    """The bundled daily bars, splits and dividends through the last session of the range, into history."""
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


@dg.asset(
    group_name=GROUP,
    deps=[training_bars],
    kinds={"numba", "duckdb"},
    owners=OWNERS,
    pool=TRAIN_POOL,
    code_version=code_version("features", "model/training_set.py"),
)
@shows_no_secret
def training_features(
    config: TrainingRange, configuration: ConfigurationResource
) -> dg.MaterializeResult[None]:
    """Features and labels of every symbol and session of the range, stored to be looked at and trained on."""
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


@dg.asset(
    group_name=GROUP,
    deps=[training_features],
    kinds={"xgboost"},
    owners=OWNERS,
    pool=TRAIN_POOL,
    code_version=code_version("model", "features"),
)
@shows_no_secret
def model(config: ModelConfig, configuration: ConfigurationResource) -> dg.MaterializeResult[None]:
    """A gradient-boosted model with its figures out of sample; registered, and promoted for a reason."""
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
