"""The command `data report`: what bars the history holds, and what is wrong with them, rule by rule."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_assets.cli.options import Config, Json, settings_of
from trading_assets.cli.output import say, show_json
from trading_assets.errors import InvalidInput
from trading_assets.market.quarantine.rules import BarRule, Effect
from trading_assets.store.history import History

if TYPE_CHECKING:
    from trading_assets.engine.market_data.bar_report import Line, OfRule

SOURCES_SHOWN = 10


def data_report(
    symbol: Annotated[str | None, typer.Option(metavar="SYMBOL", help="Only what is found of it.")] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="Only what this rule finds, such as UNEXPLAINED_SPLIT.")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Every line (default: the ten that matter most of each rule).")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what bars the history holds, by source, and what is wrong with them, by rule.

    Rows of your files that cannot be right were left out: they are in the table bars_quarantine. What
    is stored is judged anew each time, all bars of a symbol together, whatever files they came from.
    """
    from trading_assets.engine.market_data.bar_report import SHOWN, bar_report
    from trading_assets.store.bar_history import stored_sources

    history = History(settings_of(config).data_dir / "history.duckdb")
    sources = stored_sources(history)
    everything = show_all or symbol is not None
    findings = bar_report(
        history,
        symbol=symbol,
        rule=None if rule is None else _rule(rule),
        shown=None if everything or as_json else SHOWN,
    )
    if as_json:
        show_json({"sources": sources, **_figures(findings.rules)})
        return
    shown = sources if everything else sources[:SOURCES_SHOWN]
    for one in shown if symbol is None and rule is None else ():
        say(
            f"{one['source']}: {one['bars']} bars of {one['interval']}, {one['symbols']} symbols, "
            f"{one['first']} to {one['last']}"
        )
    if len(sources) > len(shown):
        say(f"and {len(sources) - len(shown)} sources more: --all")
    if not sources:
        say("the history holds no bars yet: `trading-assets import-bars FILE…`")
    for of_rule in findings.rules:
        _show(of_rule)
    if not any(of_rule.total for of_rule in findings.rules):
        say("no rule finds anything in them" if sources else "nothing was left out")


def _rule(name: str) -> BarRule:
    try:
        return BarRule[name.upper()]
    except KeyError:
        raise InvalidInput(
            f"{name!r} is no rule", where="--rule", remedy=f"Say one of {', '.join(BarRule.__members__)}."
        ) from None


def _show(of_rule: OfRule) -> None:
    """What was left out and what is stored, each with the lines that matter most."""
    rule, terms = of_rule.rule, of_rule.terms
    what = "splits or dividends" if terms.effect is Effect.ACTION else "rows"
    for count, headline, lines in (
        (of_rule.left_out, f"{what} quarantined", [line for line in of_rule.lines if line.file]),
        (of_rule.stored, "times in what is stored", [line for line in of_rule.lines if not line.file]),
    ):
        if not count:
            continue
        say(f"{count} {headline}: {rule} ({rule.name}). {terms.remedy}")
        for line in lines:
            say(f"  {_line_text(line, terms.measured)}")
        if count > len(lines):
            say(f"  and {count - len(lines)} more: `trading-assets data report --rule {rule.name} --all`")


def _line_text(line: Line, measured: str) -> str:
    where = f", {line.file} row {line.row}" if line.file else ""
    figure = f": {line.measured:.6g} {measured}" if measured and isfinite(line.measured) else ""
    return f"{line.symbol} {line.session}{where}{figure}"


def _figures(rules: tuple[OfRule, ...]) -> dict[str, Any]:
    """Every line, as JSON has it."""

    def lines(of_rule: OfRule, left_out: bool) -> list[dict[str, Any]]:
        return [
            {
                "rule": of_rule.rule.name,
                **line._asdict(),
                "measured": line.measured if isfinite(line.measured) else None,
                "limit": line.limit if isfinite(line.limit) else None,
            }
            for line in of_rule.lines
            if bool(line.file) == left_out
        ]

    return {
        "quarantined": [line for of_rule in rules for line in lines(of_rule, True)],
        "found": [line for of_rule in rules for line in lines(of_rule, False)],
        "rules": [
            {
                "rule": of_rule.rule.name,
                "sentence": str(of_rule.rule),
                "effect": str(of_rule.terms.effect),
                "left_out": of_rule.left_out,
                "stored": of_rule.stored,
                "symbols": of_rule.symbols,
            }
            for of_rule in rules
        ],
    }
