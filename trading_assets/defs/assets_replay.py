"""The replay of a range of sessions as one asset: one run walks them all, whatever launched it.

It needs the configuration and no desk: no broker is in reach of it. What a replay does is
`trading_assets.engine.replay`'s; its checks are `defs.checks_replay`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from trading_assets.config import Settings
from trading_assets.defs.clean_steps import shows_no_secret
from trading_assets.defs.code_version import code_version
from trading_assets.defs.lanes import REPLAY_POOL
from trading_assets.defs.partitions import SESSIONS
from trading_assets.defs.plain_config import PlainConfig
from trading_assets.defs.presentation import line_plot, table
from trading_assets.defs.resources import ConfigurationResource
from trading_assets.engine.operation.launch_files import named_configuration, named_file
from trading_assets.engine.replay.spec import ExternalSignals, ModelSignals, ReplaySpec
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from trading_assets.engine.replay.range_run import ReplayPace
    from trading_assets.engine.replay.report import ReplayReport

GROUP = "replay"
OWNERS = ["team:research"]
HISTORY, BOOK = "history", "book"  # metadata of every materialization, by which the checks find the replay
PROGRESS_EVERY = 50  # sessions


class ReplayConfig(PlainConfig):
    """What is replayed over the run's sessions; see `trading_assets.engine.replay.spec.ReplaySpec`.

    name:           of the book and its files; without one the range
    interval:       daily, or minutes between two ticks
    source:         model, or external: signals from a file
    configuration:  another configuration's symbols, limits and model, in place of this process's
    model_path:     with features_path, in place of the configuration's
    signals_path:   CSV or Parquet: symbol, value, session or as_of [, reference_price, limit_price]

    The files that these name lie in the import directory or the data directory
    (`engine.operation.launch_files`).

    bars:           bundled, or history
    limits:         in place of the configuration's, by name
    lifted_limits:  names of limits that do not hold in this replay
    usd_per_share:  costs of fills, with cost_bps
    sale_fees:      sales pay the fees of the SEC and FINRA
    continues:      take up the book of this name where its replay of the sessions before ended
    """

    name: str = ""
    interval: str = "daily"
    source: str = "model"
    configuration: str | None = None
    model_path: str | None = None
    features_path: str | None = None
    signals_path: str | None = None
    bars: str = "bundled"
    cash_usd: float = 100_000.0
    limits: dict[str, float] = {}  # noqa: RUF012 - dagster.Config copies defaults
    lifted_limits: list[str] = []  # noqa: RUF012
    spread_bps: float | None = None
    fill_mode: str = "ideal"
    usd_per_share: float = 0.0
    cost_bps: float = 0.0
    sale_fees: bool = True
    rearm_daily: bool = False
    settlement: bool = False
    continues: bool = False

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


@dg.asset(
    key_prefix=["replay"],
    group_name=GROUP,
    partitions_def=SESSIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    kinds={"numba", "xgboost", "duckdb"},
    owners=OWNERS,
    pool=REPLAY_POOL,
    code_version=code_version(
        "core",
        "features",
        "market",
        "model/signal.py",
        "engine/decision/decide.py",
        "engine/decision/inputs.py",
        "engine/replay",
    ),
)
@shows_no_secret
def replay(
    context: dg.AssetExecutionContext, config: ReplayConfig, configuration: ConfigurationResource
) -> dg.MaterializeResult[None]:
    """The run's sessions through the live decisions, on a book and in a file of their own. No broker."""
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
    for result in report.sessions:
        if result.session.isoformat() not in keys:
            continue  # of the replay that this one goes on with
        context.add_asset_metadata(
            {
                "equity_usd": result.equity,
                "change": result.change,
                "gross_exposure": result.gross_exposure,
                "orders": result.orders,
                "fills": result.fills,
                "refused": result.refused,
                "limits_failed": ", ".join(failed.name for failed in result.failed()) or "none",
            },
            partition_key=result.session.isoformat(),
        )
    # Pictures and tables once, at the range's last session: Dagster keeps an event for each of them all.
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

    closes = [result.close_ns for result in report.sessions]
    equity = [result.equity for result in report.sessions]
    peak, drawdown = report.spec.cash_usd, []
    for value in equity:
        peak = max(peak, value)
        drawdown.append(value / peak - 1.0)
    mark = " (derived)" if report.derived else ""
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
        "equity": line_plot(f"Equity in USD{mark}", closes, equity),
        "drawdown": line_plot(f"Drawdown, fraction of the peak{mark}", closes, drawdown),
    }


def _first_ten(symbols: Iterable[str]) -> str:
    """Ten of them, and how many more there are."""
    named = list(symbols)
    more = f" and {len(named) - 10:,} more" if len(named) > 10 else ""
    return ", ".join(named[:10]) + more if named else "none"
