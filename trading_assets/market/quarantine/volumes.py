"""What is wrong with volumes and with rows that repeat one another, in daily bars."""

from __future__ import annotations

from itertools import pairwise
from math import log

import numpy as np

from trading_assets.market.bars import Interval
from trading_assets.market.quarantine.rules import STALE_ROWS, VOLUME_LEVEL, VOLUME_ROWS, BarRule
from trading_assets.market.quarantine.series import Findings, Flags, Floats, Ints, Series, nothing

_STEADY = 3.0  # the lowest fourth of one side is above the highest fourth of the other by it


def volume_findings(series: Series) -> list[Findings]:
    """Rows without volume and rows that repeat, a finding for each run of them; levels of volume."""
    rules = (BarRule.ZERO_VOLUME, BarRule.STALE, BarRule.VOLUME_LEVEL)
    if series.interval is not Interval.DAY or not len(series.day):
        return [nothing(rule) for rule in rules]
    return [_zero_volume(series), _stale(series), _levels(series)]


def _runs(flagged: Flags, follows: Flags) -> tuple[Ints, Ints]:
    """Where runs of flagged rows of one symbol begin, and how long they are."""
    before = np.zeros(len(flagged), np.bool_)
    before[1:] = flagged[:-1]
    begins = np.flatnonzero(flagged & ~(before & follows))
    return begins, np.add.reduceat(flagged, begins, dtype=np.int64) if len(begins) else begins


def _zero_volume(series: Series) -> Findings:
    begins, length = _runs(series.rows.volume == 0.0, series.follows)
    return Findings.at(BarRule.ZERO_VOLUME, series, begins, length.astype(np.float64), 0.0)


def _stale(series: Series) -> Findings:
    rows = series.rows
    same = series.follows & (rows.volume > 0.0)
    for column in (rows.close, rows.volume, rows.open, rows.high, rows.low):
        same[1:] &= column[1:] == column[:-1]
    begins, length = _runs(same, series.follows)
    long = length + 1 >= STALE_ROWS
    # the first row of the run is the one that the others repeat
    return Findings.at(
        BarRule.STALE, series, begins[long], (length[long] + 1).astype(np.float64), float(STALE_ROWS)
    )


def _levels(series: Series) -> Findings:
    """Where the mean log volume of so many rows differs from that of as many before by the level, at most,
    and steadily."""
    traded = np.flatnonzero(series.rows.volume > 0.0)
    logs = np.log(series.rows.volume[traded])
    number = series.number[traded]
    width = VOLUME_ROWS
    if len(traded) < 2 * width:
        return nothing(BarRule.VOLUME_LEVEL)
    total = np.concatenate([[0.0], np.cumsum(logs)])
    mean = (total[width:] - total[:-width]) / width  # of rows k to k + width
    step = mean[width:] - mean[:-width]  # at row k + width
    inside = number[2 * width - 1 :] == number[: len(step)]
    large = inside & (np.abs(step) >= np.log(VOLUME_LEVEL))
    # windows across two symbols are no step
    findings: list[int] = []
    factors: list[float] = []
    places = np.flatnonzero(large)
    apart = np.flatnonzero(np.diff(places, prepend=-2 * width) > width)
    for begin, end in pairwise([*apart.tolist(), len(places)]):
        run = places[begin:end]
        at = int(run[np.argmax(np.abs(step[run]))])
        before, after = logs[at : at + width], logs[at + width : at + 2 * width]
        if _is_steady(before, after):
            findings.append(int(traded[at + width]))
            factors.append(float(np.exp(step[at])))
    return Findings.at(
        BarRule.VOLUME_LEVEL, series, np.array(findings, np.int64), np.array(factors), VOLUME_LEVEL
    )


def _is_steady(before: Floats, after: Floats) -> bool:
    lower, upper = (before, after) if before.mean() < after.mean() else (after, before)
    return float(np.quantile(upper, 0.25) - np.quantile(lower, 0.75)) >= log(_STEADY)
