"""The replay of a range of sessions as one asset: one run walks them all, whatever launched it.

It needs the configuration and no desk: no broker is in reach of it. What a replay does is
`trading_assets.engine.replay`'s; its checks are in `checks.py` beside it.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from trading_assets.config import Settings
from trading_assets.defs.sources.assets import bar_history, bundled_bars, imported_files
from trading_assets.defs.training.assets import champion_model
from trading_assets.engine.operation.launch_files import named_configuration, named_file
from trading_assets.engine.replay.spec import ExternalSignals, ModelSignals, ReplaySpec
from trading_assets.errors import InvalidInput
from trading_assets.runs.decorators import asset
from trading_assets.runs.lanes import REPLAY_POOL
from trading_assets.runs.partitions import SESSIONS
from trading_assets.runs.plain_config import PlainConfig
from trading_assets.runs.presentation import table
from trading_assets.runs.resources import ConfigurationResource

if TYPE_CHECKING:
    from trading_assets.engine.replay.range_run import ReplayPace
    from trading_assets.engine.replay.report import ReplayReport

GROUP = "replay"
OWNERS = ["team:research"]
HISTORY, BOOK = "history", "book"  # metadata of every materialization, by which the checks find the replay
PROGRESS_EVERY = 50  # sessions


class ReplayConfig(PlainConfig):
    """What is replayed over the run's sessions. The files that it names lie in the import directory or in
    the data directory."""

    name: str = Field(default="", description="Name of the replay's book and files. Default: the range.")
    interval: str = Field(
        default="daily", description="`daily` for one tick a session at the open, or minutes between ticks."
    )
    source: str = Field(
        default="model", description="Where signals come from: `model`, or `external` for those of a file."
    )
    configuration: str | None = Field(
        default=None,
        description="Another configuration file, whose symbols, limits and model replace the desk's.",
    )
    model_path: str | None = Field(
        default=None, description="Model file, with features_path. Default: the configuration's."
    )
    features_path: str | None = Field(
        default=None, description="File with the features that the model needs. Default: the configuration's."
    )
    signals_path: str | None = Field(
        default=None,
        description="CSV or Parquet file with the columns symbol, value, session or as_of, and as you like "
        "reference_price and limit_price.",
    )
    bars: str = Field(
        default="bundled", description="`bundled` for the bars in the package, `history` for the desk's own."
    )
    cash_usd: float = Field(default=100_000.0, description="Cash at the start, USD.")
    limits: dict[str, float] = Field(
        default={}, description="Limits in place of the configuration's, by name."
    )
    lifted_limits: list[str] = Field(
        default=[], description="Names of limits that do not hold in this replay."
    )
    spread_bps: float | None = Field(
        default=None,
        description="Spread around the bars' prices, basis points. Default: the configuration's.",
    )
    fill_mode: str = Field(
        default="ideal",
        description="`ideal` fills an order in full when its limit is reached; `next_open` fills it at the "
        "next minute bar's open, whatever its limit, as other backtesters do.",
    )
    usd_per_share: float = Field(default=0.0, description="Cost of a fill for each share, USD.")
    cost_bps: float = Field(default=0.0, description="Cost of a fill, basis points of its notional.")
    sale_fees: bool = Field(default=True, description="Sales pay the fees of the SEC and of FINRA.")
    rearm_daily: bool = Field(
        default=False, description="Clear before each session what a loss has latched, as a person would."
    )
    settlement: bool = Field(
        default=False, description="Cash account: what was sold buys nothing before it has settled."
    )
    continues: bool = Field(
        default=False,
        description="Go on with the book of this name from where its replay of the sessions before ended.",
    )

    def settings(self, own: Settings) -> Settings:
        """The settings that the replay is made by: the process's own, or those that it names. Raises
        InvalidInput."""
        if self.configuration is None:
            return own
        return named_configuration(self.configuration, own, "configuration")

    def spec(self, settings: Settings, first: date, last: date) -> ReplaySpec:
        """Raises InvalidInput for what cannot be replayed."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "name",
                "bars",
                "cash_usd",
                "spread_bps",
                "fill_mode",
                "usd_per_share",
                "cost_bps",
                "sale_fees",
                "rearm_daily",
                "settlement",
                "continues",
            )
        }
        return ReplaySpec(
            first=first,
            last=last,
            source=self._source(settings),
            interval=int(self.interval) if self.interval.isdecimal() else self.interval,  # type: ignore[arg-type]
            limits={**self.limits, **dict.fromkeys(self.lifted_limits, float("inf"))},
            **values,
        )

    def _source(self, settings: Settings) -> ModelSignals | ExternalSignals:
        if self.source == "external" and self.signals_path is not None:
            from trading_assets.engine.replay.signal_file import read_signals

            return ExternalSignals(read_signals(named_file(self.signals_path, settings, "signals_path")))
        model, features = settings.model_path, settings.features_path
        if self.model_path is not None:
            model = named_file(self.model_path, settings, "model_path")
        if self.features_path is not None:
            features = named_file(self.features_path, settings, "features_path")
        if self.source == "model" and model is not None and features is not None:
            return ModelSignals(model, features)
        raise InvalidInput(
            f"source {self.source!r} without its file",
            where="replay, run configuration",
            remedy="Give source model with model_path and features_path (here or in the configuration), "
            "or source external with signals_path.",
        )


@asset(
    "core",
    "features",
    "market",
    "model/signal.py",
    "engine/decision/decide.py",
    "engine/decision/inputs.py",
    "engine/replay",
    key_prefix=["replay"],
    deps=[bar_history, champion_model, imported_files, bundled_bars],
    group_name=GROUP,
    partitions_def=SESSIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    kinds={"numba", "xgboost", "duckdb"},
    owners=OWNERS,
    pool=REPLAY_POOL,
)
def replay(
    context: dg.AssetExecutionContext, config: ReplayConfig, configuration: ConfigurationResource
) -> dg.MaterializeResult[None]:
    """Take past sessions through the decisions that trade live, on a book and in a file of the replay's own.
    No order leaves: a replay has no broker."""
    from trading_assets.engine.replay import COMPILING, must_compile, run

    settings = config.settings(configuration.settings())
    keys = context.partition_keys
    spec = config.spec(settings, date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))

    def progress(pace: "ReplayPace") -> None:
        if pace.done % PROGRESS_EVERY == 0 or pace.done == pace.sessions:
            context.log.info(str(pace))

    if must_compile():
        context.log.info(COMPILING)
    report = run(settings, spec, progress=progress)
    peak = spec.cash_usd
    for result in report.sessions:
        peak = max(peak, result.equity)
        if result.session.isoformat() not in keys:
            continue  # of the replay that this one goes on with
        context.add_asset_metadata(
            {
                "equity_usd": result.equity,
                "drawdown": result.equity / peak - 1.0,
                "change": result.change,
                "gross_exposure": result.gross_exposure,
                "orders": result.orders,
                "fills": result.fills,
                "refused": result.refused,
                "limits_failed": ", ".join(failed.name for failed in result.failed()) or "none",
            },
            partition_key=result.session.isoformat(),
        )
    # Tables once, at the range's last session: Dagster keeps an event for each session.
    context.add_asset_metadata(_whole(report), partition_key=keys[-1])
    return dg.MaterializeResult(
        metadata={
            BOOK: report.book,
            HISTORY: dg.MetadataValue.path(report.history_path),
            "report": dg.MetadataValue.path(report.page_path),
        }
    )


def _whole(report: "ReplayReport") -> Mapping[str, Any]:
    """What there is to see of the whole range."""
    from dataclasses import asdict

    figures = [{"figure": name.replace("_", " "), "value": v} for name, v in asdict(report.figures).items()]
    return {
        "sessions": len(report.sessions),
        "first": report.sessions[0].session.isoformat(),
        "last": report.sessions[-1].session.isoformat(),
        "closing_equity_usd": report.closing_equity,
        "derived": report.derived,
        "model_version": report.model_version or "none",
        "sessions_in_sample": report.in_sample,
        "seconds": report.seconds,
        "figures": table(figures),
        "verdicts": table([{"code": code, "verdicts": n} for code, n in report.verdict_codes.items()]),
        "halts": table(
            [
                {"session": h.session, "cause": str(h.cause), "action": h.action, "reason": h.reason}
                for h in report.halts
            ]
        ),
        "delisted": _first_ten(f"{s} {day}" for s, day in sorted(report.delisted.items())),
        "costs_usd": sum(result.costs_usd for result in report.sessions),
        "fees_usd": sum(result.fees_usd for result in report.sessions),
        "dividends_usd": sum(result.dividends_usd for result in report.sessions),
        "without_bars": _first_ten(
            f"{s} {n}" for s, n in sorted(report.missing_bars.items(), key=lambda row: (-row[1], row[0]))
        ),
    }


def _first_ten(symbols: Iterable[str]) -> str:
    """Ten of them, and how many more there are."""
    named = list(symbols)
    more = f" and {len(named) - 10:,} more" if len(named) > 10 else ""
    return ", ".join(named[:10]) + more if named else "none"
