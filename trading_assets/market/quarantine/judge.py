"""Everything that is wrong between the bars of the same symbol, and which of them are to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trading_assets.market.bars import CorporateAction
from trading_assets.market.quarantine.absent import absent_findings
from trading_assets.market.quarantine.beside_market import beside_market_findings
from trading_assets.market.quarantine.price_steps import price_findings
from trading_assets.market.quarantine.rules import RULES, Effect
from trading_assets.market.quarantine.series import Findings, Ints, Series
from trading_assets.market.quarantine.volumes import volume_findings

_NONE = np.zeros(0, np.int64)


class Judgement(NamedTuple):
    """found: by rule, rows of the series. refuted: actions that are left out."""

    findings: list[Findings]
    refuted: frozenset[CorporateAction]

    def of(self, *effects: Effect) -> list[Findings]:
        return [one for one in self.findings if len(one) and RULES[one.rule].effect in effects]

    def rows_out(self) -> Ints:
        """The rows that are to be left out, ascending."""
        return np.unique(np.concatenate([_NONE, *(one.row for one in self.of(Effect.ROW))]))


def judge(series: Series, left_out: Ints = _NONE, left_out_day: Ints = _NONE) -> Judgement:
    """left_out: numbers of symbols, and days, of rows that were left out already: they are not missing."""
    prices = price_findings(series)
    findings: Sequence[Findings] = (
        *prices.findings,
        *beside_market_findings(series),
        *volume_findings(series),
        *absent_findings(series, left_out, left_out_day),
    )
    return Judgement([one for one in findings if len(one)], prices.refuted)
