"""Sessions without a bar: a symbol's own between its first and its last, and the whole market's."""

from __future__ import annotations

import numpy as np

from trading_assets.market.quarantine.rules import HOLE_SHARE, HOLE_SYMBOLS, BarRule
from trading_assets.market.quarantine.series import Findings, Ints, Series, nothing


def absent_findings(series: Series, left_out: Ints, left_out_day: Ints) -> list[Findings]:
    """A finding for each gap of a symbol, measured in sessions; one for each session that the market lacks.

    left_out: numbers of symbols, and days, of rows that were left out as wrong: they are named already
    """
    if not len(series.day):
        return [nothing(BarRule.MISSING_SESSIONS), nothing(BarRule.MARKET_HOLE)]
    place, sessions = series.place, series.sessions
    fresh = np.ones(len(place), np.bool_)  # the first bar of a symbol and session
    fresh[1:] = ~series.follows[1:] | (place[1:] != place[:-1])
    present = np.bincount(place[fresh], minlength=len(sessions))
    held = series.begins[:-1] < series.begins[1:]
    first, last = place[series.begins[:-1][held]], place[series.begins[1:][held] - 1]
    change = np.bincount(first, minlength=len(sessions) + 1) - np.bincount(
        last + 1, minlength=len(sessions) + 1
    )
    expected = np.cumsum(change)[: len(sessions)]
    hole = (expected >= HOLE_SYMBOLS) & (present <= HOLE_SHARE * expected)
    holes = np.flatnonzero(hole)
    market = Findings(
        BarRule.MARKET_HOLE,
        np.full(len(holes), -1, np.int32),
        sessions[holes],
        (expected - present)[holes].astype(np.float64),
        HOLE_SHARE * expected[holes],
        np.full(len(holes), -1, np.int64),
    )
    return [_gaps(series, np.concatenate([[0], np.cumsum(hole)]), left_out, left_out_day), market]


def _gaps(series: Series, holes_before: Ints, left_out: Ints, left_out_day: Ints) -> Findings:
    place = series.place.astype(np.int64)
    step = np.zeros(len(place), np.int64)
    step[1:] = place[1:] - place[:-1]
    rows = np.flatnonzero(series.follows & (step > 1))
    missing = step[rows] - 1 - (holes_before[place[rows]] - holes_before[place[rows - 1] + 1])
    if len(left_out):
        known: dict[int, list[int]] = {}
        for number, day in set(zip(left_out.tolist(), left_out_day.tolist(), strict=True)):
            known.setdefault(number, []).append(day)
        for at, row in enumerate(rows.tolist()):
            days = known.get(int(series.number[row]), ())
            missing[at] -= sum(series.day[row - 1] < day < series.day[row] for day in days)
    some = missing > 0
    rows, missing = rows[some], missing[some]
    return Findings(
        BarRule.MISSING_SESSIONS,
        series.number[rows],
        series.sessions[place[rows - 1] + 1],
        missing.astype(np.float64),
        np.zeros(len(rows)),
        rows,
    )
