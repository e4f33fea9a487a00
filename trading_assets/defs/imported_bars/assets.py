"""The bars of the history as an asset, with a check for each rule that a bar can break.

The command line imports them. Here they are judged after each import, and what is found is shown. The rules
are `market.quarantine`'s; what was found is `engine.market_data.bar_report`'s.
"""

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

import dagster as dg

from trading_assets.defs.sources.assets import bar_history
from trading_assets.market.quarantine.rules import RULES
from trading_assets.runs.decorators import asset
from trading_assets.runs.lanes import IMPORTED_BARS_POOL
from trading_assets.runs.resources import ConfigurationResource

if TYPE_CHECKING:
    from trading_assets.engine.market_data.bar_report import OfRule

ROWS_SHOWN = 50  # of each rule, in its table

_SCHEMA = dg.TableSchema(
    columns=[
        dg.TableColumn("symbol", "string"),
        dg.TableColumn("session", "string"),
        dg.TableColumn("interval", "string"),
        dg.TableColumn("measured", "string", description="what the rule looks at"),
        dg.TableColumn("limit", "string"),
        dg.TableColumn("where", "string", description="file and row that were left out, or what is stored"),
    ]
)


@asset(
    "market/quarantine",
    "engine/market_data/bar_report.py",
    "engine/market_data/imported_bars.py",
    group_name="bars",
    deps=[bar_history],
    kinds={"duckdb"},
    owners=["team:research"],
    pool=IMPORTED_BARS_POOL,
    check_specs=[
        dg.AssetCheckSpec(
            rule.name.lower(), asset="imported_bars", description=f"None of: {rule}. {terms.threshold}"
        )
        for rule, terms in RULES.items()
    ],
)
def imported_bars(configuration: ConfigurationResource) -> Iterator[dg.MaterializeResult[None]]:
    """All bars that are stored and no derived ones, whoever brought them, judged in their order."""
    from trading_assets.engine.market_data.bar_report import bar_report

    report = bar_report(configuration.history(), shown=ROWS_SHOWN)
    yield dg.MaterializeResult(
        metadata={
            "symbols": report.symbols,
            "bars": report.bars,
            "first_session": "–" if report.first is None else report.first.isoformat(),
            "last_session": "–" if report.last is None else report.last.isoformat(),
            "left_out": sum(one.left_out for one in report.rules),
            "found_in_what_is_stored": sum(one.stored for one in report.rules),
            "rules": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "rule": one.rule.name,
                            "left out": one.left_out,
                            "stored": one.stored,
                            "symbols": one.symbols,
                        }
                    )
                    for one in report.rules
                    if one.total
                ]
            )
            if any(one.total for one in report.rules)
            else dg.MetadataValue.text("no rule finds anything"),
        },
        check_results=[_result(one) for one in report.rules],
    )


def _result(of_rule: "OfRule") -> dg.AssetCheckResult:
    """An error where something is stored whose like is left out of a file; else a warning."""
    message = f"{of_rule.left_out} left out, {of_rule.stored} in what is stored, {of_rule.symbols} symbols"
    return dg.AssetCheckResult(
        check_name=of_rule.rule.name.lower(),
        passed=not of_rule.total,
        severity=dg.AssetCheckSeverity.ERROR if of_rule.is_error else dg.AssetCheckSeverity.WARN,
        description=f"{message}. {of_rule.terms.remedy}" if of_rule.total else None,
        metadata={
            "left_out": of_rule.left_out,
            "stored": of_rule.stored,
            "symbols": of_rule.symbols,
            **({"found": _table(of_rule)} if of_rule.lines else {}),
        },
    )


def _table(of_rule: "OfRule") -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "symbol": line.symbol,
                    "session": line.session.isoformat(),
                    "interval": line.interval,
                    "measured": _figure(line.measured),
                    "limit": _figure(line.limit),
                    "where": f"{line.file} row {line.row}" if line.file else "stored",
                }
            )
            for line in of_rule.lines
        ],
        schema=_SCHEMA,
    )


def _figure(value: float) -> str:
    return f"{value:.6g}" if isfinite(value) else "–"
