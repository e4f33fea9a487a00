"""A file's bars judged in their order, behind those that are stored before them: what is left out, what is
named.

What is looked for is in `market.quarantine`; here it becomes the file's faults and findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.reading import BarFile
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.quarantine.judge import Judgement, judge
from trading_assets.market.quarantine.rules import BarRule, Effect, Fault, OnDefect, are_too_many
from trading_assets.market.quarantine.series import Findings, Ints, Series

ROWS_BEFORE = 21
"""Of each symbol, what is looked at before its first bar: from them the usual is taken."""


@dataclass(frozen=True)
class Before:
    """What is known of a file's symbols before its bars, ascending by symbol and start."""

    number: NDArray[np.int32]  # of each bar's symbol among the file's
    day: Ints  # date.toordinal()
    rows: Bars
    actions: Mapping[str, Sequence[CorporateAction]] = field(default_factory=dict)  # by other sources
    breaks: Mapping[str, Sequence[int]] = field(default_factory=dict)  # days: see Series


NOTHING = Before(
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    Bars._make((*(np.zeros(0, np.int64) for _ in range(2)), *(np.zeros(0) for _ in range(5)))),
)


def judged(file: BarFile, before: Before, on_defect: OnDefect) -> BarFile:
    """The file without what breaks a rule between its rows. Raises InvalidInput where it is refused."""
    series, places = _series(file, before)
    judgement = judge(series, *_left_out(file))
    rows = places[judgement.rows_out()]
    rows = rows[rows >= 0]
    own = {action for actions in file.actions.values() for action in actions}
    refuted = judgement.refuted & own
    faults = _faults(file, series, places, judgement, {(one.symbol, one.ex_date) for one in refuted})
    all_faults = (*file.faults, *faults)
    if faults and (on_defect is OnDefect.REFUSE or are_too_many(len(all_faults), file.rows_wanted)):
        raise _refused(file, faults, len(all_faults))
    kept = np.ones(file.count, np.bool_)
    kept[rows] = False
    whole = bool(kept.all())
    return replace(
        file,
        number=file.number if whole else file.number[kept],
        line=file.line if whole else file.line[kept],
        day=file.day if whole else file.day[kept],
        rows=file.rows if whole else Bars._make(column[kept] for column in file.rows),
        actions=file.actions
        if not refuted
        else {
            symbol: tuple(one for one in actions if one not in refuted)
            for symbol, actions in file.actions.items()
        },
        faults=all_faults,
        findings=tuple(_kept(file, before, places, judgement)),
    )


def _series(file: BarFile, before: Before) -> tuple[Series, Ints]:
    """The bars in their order, and the place of each in the file; −1: it is one before."""
    number, day, rows = file.number, file.day, file.rows
    places = np.arange(file.count)
    if len(before.number):
        order = np.argsort(np.concatenate([before.number, number]), kind="stable")
        number = np.concatenate([before.number, number])[order]
        day = np.concatenate([before.day, day])[order]
        rows = Bars._make(
            np.concatenate([one, other])[order] for one, other in zip(before.rows, rows, strict=True)
        )
        places = np.concatenate([np.full(len(before.number), -1), places])[order]
    return Series(
        file.interval, file.symbols, number, day, rows, _actions(file, before), before.breaks
    ), places


def _actions(file: BarFile, before: Before) -> Mapping[str, Sequence[CorporateAction]]:
    """The file's, and of other sources those of days for which it has none."""
    if not before.actions:
        return file.actions
    merged = dict(file.actions)
    for symbol, others in before.actions.items():
        own = {one.ex_date for one in merged.get(symbol, ())}
        merged[symbol] = (*merged.get(symbol, ()), *(one for one in others if one.ex_date not in own))
    return merged


def _left_out(file: BarFile) -> tuple[Ints, Ints]:
    numbers = {symbol: number for number, symbol in enumerate(file.symbols)}
    return (
        np.array([numbers[fault.symbol] for fault in file.faults], np.int64),
        np.array([fault.session.toordinal() for fault in file.faults], np.int64),
    )


def _faults(
    file: BarFile, series: Series, places: Ints, judgement: Judgement, refuted: set[tuple[str, date]]
) -> list[Fault]:
    """One for each row, by the first rule that it breaks, and one for each action, ascending by row."""
    findings: dict[tuple[int, bool], Fault] = {}
    rank = {rule: number for number, rule in enumerate(BarRule)}
    for one in sorted(judgement.of(Effect.ROW, Effect.ACTION), key=lambda one: rank[one.rule]):
        for at in one.each(series.symbols):
            place = -1 if at.row < 0 else int(places[at.row])
            is_action = one.rule in (BarRule.ACTION_NOT_FOLLOWED, BarRule.ACTION_AGAIN)
            if (place < 0 and not is_action) or (is_action and (at.symbol, at.session) not in refuted):
                continue
            line = int(file.line[place]) if place >= 0 else 0
            fault = Fault(at.symbol, at.session, at.rule, at.measured, at.limit, line)
            findings.setdefault((line, is_action), fault)
    return sorted(findings.values(), key=lambda fault: fault.row)


def _refused(file: BarFile, faults: Sequence[Fault], count: int) -> InvalidInput:
    one = faults[0]
    others = f" ({count} of its {file.rows_wanted} rows cannot be right)" if count > 1 else ""
    return InvalidInput(
        f"{one.symbol} {one.session} ({one.session:%A}): {one.rule}{others}",
        where=f"{file.path}, row {one.row}",
        remedy="Correct the file; nothing of it was taken.",
    )


def _kept(file: BarFile, before: Before, places: Ints, judgement: Judgement) -> list[Findings]:
    """What is named of the file's own bars."""
    findings = []
    for one in judgement.of(Effect.KEPT):
        own = np.ones(len(one), np.bool_)
        with_row = one.row >= 0
        own[with_row] = places[one.row[with_row]] >= 0
        if len(before.day):
            own[~with_row] = one.day[~with_row] > before.day.max()
        if own.any():
            findings.append(one.only(own))
    return findings
