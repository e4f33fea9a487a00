"""Symbols whose daily bars stand a session beside the market's: their returns are another day's.

A bar that is a session early shows today what was known tomorrow. No stock leads the market by a session;
thin ones follow it.
"""

from __future__ import annotations

import numpy as np

from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import (
    LIKE_MARKET,
    LIKE_MARKET_T,
    MARKET_SESSIONS,
    OTHERS,
    BarRule,
)
from trading_assets.market.quarantine.series import Findings, Flags, Floats, Series, nothing

_MOST_MOVE = 0.1  # of a session's return, in log: a split or a crash says nothing of the market


def beside_market_findings(series: Series) -> list[Findings]:
    """Those ahead of the market: a finding for each of their bars; and those behind it, one at the first."""
    rules = (BarRule.AHEAD_OF_MARKET, BarRule.BEHIND_MARKET)
    symbols, sessions = len(series.symbols), len(series.sessions)
    if series.interval is not Interval.DAY or symbols <= OTHERS or sessions <= MARKET_SESSIONS:
        return [nothing(rule) for rule in rules]
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.log(series.rows.close[1:] / series.rows.close[:-1])
    place, number = series.place[1:], series.number[1:]
    usable = series.follows[1:] & (place - series.place[:-1] == 1) & np.isfinite(moved)
    moved = np.clip(moved[usable], -_MOST_MOVE, _MOST_MOVE)
    place, number = place[usable], number[usable]
    total = np.bincount(place, moved, minlength=sessions)
    count = np.bincount(place, minlength=sessions)

    def correlation(shift: int) -> tuple[Floats, Floats]:
        """Of each symbol's moves with the market's mean move that many sessions later, and of how many
        sessions. Of the same session the symbol itself is taken out of the market."""
        at = place + shift
        inside = (at >= 0) & (at < sessions)
        own, of, at = moved[inside], number[inside], at[inside]
        alone = 0 if shift else 1
        others = count[at] - alone
        known = others >= OTHERS
        market = (total[at] - alone * own)[known] / others[known]
        own, of = own[known], of[known]
        n = np.bincount(of, minlength=symbols).astype(np.float64)
        sums = (own, market, own * own, market * market, own * market)
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y, xx, yy, xy = (np.bincount(of, one, minlength=symbols) / n for one in sums)
            findings = (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))
        return np.nan_to_num(findings), n

    same, _ = correlation(0)

    def like(shift: int) -> tuple[Flags, Floats]:
        findings, n = correlation(shift)
        surely = LIKE_MARKET_T / np.sqrt(np.maximum(n, 1.0))
        more = (findings >= LIKE_MARKET) & (findings >= surely) & (findings - np.abs(same) >= surely)
        return (n >= MARKET_SESSIONS) & more, findings

    (ahead, how_much), (behind, how_much_behind) = like(1), like(-1)
    every = np.flatnonzero(ahead[series.number]) if ahead.any() else np.zeros(0, np.int64)
    first = series.begins[:-1][behind]
    return [
        Findings.at(BarRule.AHEAD_OF_MARKET, series, every, how_much[series.number[every]], LIKE_MARKET),
        Findings.at(BarRule.BEHIND_MARKET, series, first, how_much_behind[behind], LIKE_MARKET),
    ]
