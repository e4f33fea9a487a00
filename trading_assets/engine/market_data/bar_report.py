"""What is known of the bars in the history, rule by rule: what was left out of them, and what is doubtful in
what is stored. The command line and the asset `imported_bars` show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from trading_assets.engine.market_data.imported_bars import Judged, judged_history
from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import RULES, BarRule, Effect, RuleTerms
from trading_assets.market.quarantine.series import Findings
from trading_assets.store.bar_quarantine import quarantined
from trading_assets.store.history import History

SHOWN = 10


class Line(NamedTuple):
    """One thing that breaks a rule."""

    symbol: str
    session: date
    interval: str
    measured: float  # NaN: the rule measures nothing
    limit: float
    file: str  # "": it is in what is stored
    row: int  # of the file; 0: none


class OfRule(NamedTuple):
    """What one rule found. left_out, stored and symbols are of all of it, `lines` of what was asked for."""

    rule: BarRule
    left_out: int  # rows or actions of files
    stored: int  # found in what is stored
    symbols: int
    lines: tuple[
        Line, ...
    ]  # left out, then stored; of each what matters most, one of a symbol before a second

    @property
    def terms(self) -> RuleTerms:
        return RULES[self.rule]

    @property
    def total(self) -> int:
        return self.left_out + self.stored

    @property
    def is_error(self) -> bool:
        """Whether it is stored although its like is left out of a file: bars before and after do not fit."""
        return self.stored > 0 and self.terms.effect is not Effect.KEPT


class BarReport(NamedTuple):
    """rules: one for each rule, in their order."""

    symbols: int
    bars: int
    first: date | None
    last: date | None
    rules: tuple[OfRule, ...]


def bar_report(
    history: History, *, symbol: str | None = None, rule: BarRule | None = None, shown: int | None = SHOWN
) -> BarReport:
    """shown: lines of each rule; None: all of them. With a symbol or a rule only what is found of these."""
    name = None if rule is None else rule.name
    left_out: dict[str, list[Line]] = {}
    for line in quarantined(history, symbol, name):
        left_out.setdefault(line.pop("rule"), []).append(Line(**line))
    judged = [judged_history(history, interval) for interval in Interval]
    rules = tuple(
        _of_rule(one, left_out.get(one.name, []), judged, symbol, shown)
        for one in BarRule
        if rule is None or one is rule
    )
    days = [
        date.fromordinal(int(day))
        for one in judged
        if len(one.series.day)
        for day in (one.series.day.min(), one.series.day.max())
    ]
    return BarReport(
        symbols=len({name for one in judged for name in one.series.symbols}),
        bars=sum(len(one.series.day) for one in judged),
        first=min(days, default=None),
        last=max(days, default=None),
        rules=rules,
    )


def _of_rule(
    rule: BarRule, left_out: Sequence[Line], judged: Sequence[Judged], symbol: str | None, shown: int | None
) -> OfRule:
    symbols = {line.symbol for line in left_out}
    lines = _one_of_each_first(left_out)[:shown]
    stored = 0
    for one in judged:
        for findings in one.judgement.findings:
            if findings.rule is not rule:
                continue
            findings = findings if symbol is None else _of_symbol(findings, one, symbol)
            stored += len(findings)
            symbols |= {one.series.symbols[n] for n in set(findings.number.tolist()) if n >= 0}
            lines += [
                Line(at.symbol, at.session, str(one.series.interval), at.measured, at.limit, "", 0)
                for at in findings.largest(len(findings) if shown is None else shown).each(one.series.symbols)
            ]
    return OfRule(rule, len(left_out), stored, len(symbols), tuple(lines))


def _of_symbol(findings: Findings, judged: Judged, symbol: str) -> Findings:
    numbers = [n for n, name in enumerate(judged.series.symbols) if name == symbol]
    return findings.only(findings.number == (numbers[0] if numbers else len(judged.series.symbols)))


def _one_of_each_first(lines: Sequence[Line]) -> list[Line]:
    """The first of each symbol, then the others."""
    seen: Counter[str] = Counter()
    ranked = []
    for line in lines:
        ranked.append((seen[line.symbol] > 0, line))
        seen[line.symbol] += 1
    return [line for _, line in sorted(ranked, key=lambda one: one[0])]
