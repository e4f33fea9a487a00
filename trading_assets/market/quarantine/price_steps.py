"""What is wrong with the step from one bar's price to the next: splits that nobody told, prices of another
size, actions that the price did not follow, another company under the ticker.

A step is judged with the actions that are told for it taken out. A crash is no split: its open is not where
its close is, or its volume is many times the usual.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import (
    AGAIN_WITHIN,
    FOLLOWED_FROM,
    GAP_JUMP,
    GAP_SESSIONS,
    JUMP,
    QUIET_VOLUME,
    REVERSE_ONLY,
    REVERTS_WITHIN,
    SPLIT_RATIOS,
    USUAL_ROWS,
    BarRule,
)
from trading_assets.market.quarantine.series import Findings, Flags, Floats, Ints, Series

_REVERSE = (*SPLIT_RATIOS, *REVERSE_ONLY)
_FACTORS = np.array([*(1.0 / ratio for ratio in SPLIT_RATIOS), *_REVERSE])  # of the price
_SIZES = np.array([*SPLIT_RATIOS, *_REVERSE])
_MOST_BESIDE = np.select([_SIZES < 1.4, _SIZES < 4.0], [0.015, 0.06], 0.12)  # of an open, in log
_LEAST_BESIDE = 0.025
_CLOSE_BESIDE = 2.5  # times that of an open: it has had a day to move
_OPEN_MOVES, _CLOSE_MOVES = 4.0, 5.0  # usual moves of the symbol
_UNUSUAL = np.where(_SIZES < 1.4, 15.0, 8.0)  # usual moves of the symbol that a split is at least
_SMALLEST_MOVE = 1.2
_CAME_BACK = 1.25
_SIGMA = 1.4826  # of a median absolute move, for a standard deviation
_FEWEST = 5  # rows from which the usual is taken
_NO_HISTORY_MOVE = 0.02
_DAY_BITS = 22  # of a date's ordinal, in a key of symbol and day


class PriceFindings(NamedTuple):
    """found: by rule. refuted: the actions that are left out."""

    findings: list[Findings]
    refuted: frozenset[CorporateAction]


def price_findings(series: Series) -> PriceFindings:
    """Every finding on prices and actions, each row that is to be left out by itself."""
    announced = _Announced(series)
    not_followed, again = announced.refuted()
    out = announced.among(not_followed) | announced.among(again)
    base = announced.base(~(not_followed | again))
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = series.rows.close / base
    far = series.follows & ((factor > _SMALLEST_MOVE) | (factor < 1.0 / _SMALLEST_MOVE))
    rows = np.flatnonzero(far)
    if series.breaks:
        known = [series.broken_between(row) for row in rows.tolist()]
        rows = rows[~np.array(known, np.bool_)] if len(rows) else rows
    gone = series.place[rows] - series.place[rows - 1] > GAP_SESSIONS
    other = gone & ((factor[rows] >= GAP_JUMP) | (factor[rows] <= 1.0 / GAP_JUMP))
    listings, rows = rows[other], rows[~gone]
    jumps, splits = _level_changes(series, base, factor, rows)
    wide = np.flatnonzero(series.rows.high >= JUMP * series.rows.low)
    wide = wide[~np.isin(wide, jumps.row)]
    range_ = Findings.at(BarRule.JUMP, series, wide, series.rows.high[wide] / series.rows.low[wide], JUMP)
    return PriceFindings(
        [
            *announced.findings(not_followed, again),
            jumps,
            range_,
            splits,
            Findings.at(BarRule.NEW_LISTING, series, listings, factor[listings], GAP_JUMP),
        ],
        out,
    )


class _Announced:
    """The actions that are told, each beside the first bar that it changes."""

    def __init__(self, series: Series) -> None:
        self._series = series
        numbers = {symbol: number for number, symbol in enumerate(series.symbols)}
        self._actions = [
            action
            for symbol, actions in series.actions.items()
            if symbol in numbers
            for action in sorted(actions, key=lambda one: (one.ex_date, one.split_ratio != 1.0))
        ]
        number = np.array([numbers[one.symbol] for one in self._actions], np.int64)
        self._number, self._day = (
            number,
            np.array([one.ex_date.toordinal() for one in self._actions], np.int64),
        )
        self._split = np.array([one.split_ratio for one in self._actions], np.float64)
        self._cash = np.array([one.cash_usd for one in self._actions], np.float64)
        keys = (series.number.astype(np.int64) << _DAY_BITS) | series.day if len(number) else series.day[:0]
        row = np.searchsorted(keys, (number << _DAY_BITS) | self._day)
        inside = row < len(series.number)
        inside[inside] = (series.number[row[inside]] == number[inside]) & series.follows[row[inside]]
        self._row, self._inside = row, inside

    def base(self, counts: Flags) -> Floats:
        """The close before each bar in shares of the bar's, of shape (n,): with the actions that count
        taken out."""
        base = np.empty(len(self._series.rows.close))
        base[:1] = np.nan
        base[1:] = self._series.rows.close[:-1]
        for row, split, cash in zip(
            self._row[counts & self._inside].tolist(),
            self._split[counts & self._inside].tolist(),
            self._cash[counts & self._inside].tolist(),
            strict=True,
        ):
            left = base[row] - cash
            base[row] = (left if left > 0.0 else base[row]) / split
        return base

    def refuted(self) -> tuple[Flags, Flags]:
        """Of each action, whether the price did not follow it, and whether it was told before."""
        place = np.flatnonzero(self._inside)
        refuted = np.zeros(len(self._actions), np.bool_)
        rows = self._series.rows
        row = self._row[place]
        before = rows.close[row - 1]
        left = before - self._cash[place]
        after = np.where(left > 0.0, left, np.nan) / self._split[place]
        size = np.abs(np.log(after / before))
        judged = ~(size < np.log(FOLLOWED_FROM))  # also a dividend above the price
        nearer = np.ones(len(place), np.bool_)
        with np.errstate(invalid="ignore"):
            for price in (rows.open[row], rows.close[row]):
                nearer &= ~(np.abs(np.log(price / after)) <= np.abs(np.log(price / before)))
        refuted[place] = judged & nearer
        again = self._again(refuted)
        return refuted & ~again, again

    def _again(self, refuted: Flags) -> Flags:
        """The later of two of the same, or the one of them that the price did not follow where it did follow
        the other."""
        again = np.zeros(len(self._actions), np.bool_)
        sessions = self._series.sessions
        at = np.searchsorted(sessions, self._day)
        judged = self._inside & (np.abs(np.log(self._split)) >= np.log(FOLLOWED_FROM))
        order = np.lexsort((self._day, self._number))
        for kind, none in ((self._split, 1.0), (self._cash, 0.0)):
            some = order[kind[order] != none]
            near = (
                (self._number[some[1:]] == self._number[some[:-1]])
                & (kind[some[1:]] == kind[some[:-1]])
                & (self._day[some[1:]] > self._day[some[:-1]])
                & (at[some[1:]] - at[some[:-1]] <= AGAIN_WITHIN)
            )
            for later in np.flatnonzero(near).tolist():
                one, two = int(some[later]), int(some[later + 1])
                if judged[one] and judged[two]:
                    again[one if refuted[one] else two] |= bool(refuted[one] or refuted[two])
                else:
                    again[two] = True
        return again

    def among(self, chosen: Flags) -> frozenset[CorporateAction]:
        return frozenset(self._actions[place] for place in np.flatnonzero(chosen).tolist())

    def findings(self, not_followed: Flags, again: Flags) -> list[Findings]:
        rows = self._series.rows
        place = np.flatnonzero(not_followed)
        row = self._row[place]
        before = rows.close[row - 1]
        findings = Findings(
            BarRule.ACTION_NOT_FOLLOWED,
            self._number[place].astype(np.int32),
            self._day[place],
            rows.close[row] / before,
            (before - self._cash[place]) / self._split[place] / before,
            row,
        )
        place = np.flatnonzero(again)
        repeated = Findings(
            BarRule.ACTION_AGAIN,
            self._number[place].astype(np.int32),
            self._day[place],
            np.where(self._split[place] != 1.0, self._split[place], self._cash[place]),
            np.full(len(place), float(AGAIN_WITHIN)),
            np.where(self._inside[place], self._row[place], -1),
        )
        return [findings, repeated]


def _level_changes(series: Series, base: Floats, factor: Floats, rows: Ints) -> tuple[Findings, Findings]:
    """Jumps and unexplained splits among the rows whose price is far from the one before."""
    jump = (factor[rows] >= JUMP) | (factor[rows] <= 1.0 / JUMP)
    near, ratio = _near_a_ratio(series, base, rows)
    suspect = np.flatnonzero(jump | near)
    jumps: dict[int, tuple[float, float]] = {}
    splits: dict[int, tuple[float, float]] = {}
    close = series.rows.close
    until = -1
    for place in suspect.tolist():
        row = int(rows[place])
        if row <= until:  # the way back, or on it
            continue
        back = _comes_back(series, row, float(base[row]))
        if jump[place] and not (near[place] and _is_split(series, base, row, float(ratio[place]))):
            into, limit = jumps, JUMP if factor[row] > 1.0 else 1.0 / JUMP
        elif _is_split(series, base, row, float(ratio[place])) and not _came_back(series, row):
            into, limit = splits, float(ratio[place])
        else:
            continue
        into[row] = (float(factor[row]), limit)
        if back is not None:
            until = back
            for between in range(row + 1, back):
                into[between] = (float(close[between] / base[row]), limit)
    return _listed(BarRule.JUMP, series, jumps), _listed(BarRule.UNEXPLAINED_SPLIT, series, splits)


def _listed(rule: BarRule, series: Series, rows: dict[int, tuple[float, float]]) -> Findings:
    ordered = sorted(rows)
    return Findings.at(
        rule,
        series,
        np.array(ordered, np.int64),
        np.array([rows[row][0] for row in ordered], np.float64),
        np.array([rows[row][1] for row in ordered], np.float64),
    )


def _near_a_ratio(series: Series, base: Floats, rows: Ints) -> tuple[Flags, Floats]:
    """Whether open and close lie within the widest distance of a ratio, and the factor of the price that it
    makes. Each of shape (k,)."""
    if series.interval is Interval.MINUTE:  # a split takes place between two sessions
        overnight = series.place[rows] != series.place[rows - 1]
    else:
        overnight = np.ones(len(rows), np.bool_)
    findings = np.zeros(len(rows), np.bool_)
    ratio = np.ones(len(rows))
    logs = np.log(_FACTORS)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_open = np.log(series.rows.open[rows] / base[rows])
        at_close = np.log(series.rows.close[rows] / base[rows])
    for begin in range(0, len(rows), 100_000):
        part = slice(begin, begin + 100_000)
        # of open and close together, or a close far from its open would choose the ratio
        beside = np.maximum(
            np.abs(at_open[part, None] - logs),
            np.abs(at_close[part, None] - logs) / _CLOSE_BESIDE,
        )
        nearest = np.argmin(beside - _MOST_BESIDE, axis=1)
        least = np.take_along_axis(beside, nearest[:, None], axis=1)[:, 0]
        findings[part] = overnight[part] & (least <= _MOST_BESIDE[nearest])
        ratio[part] = _FACTORS[nearest]
    return findings, ratio


def _is_split(series: Series, base: Floats, row: int, factor: float) -> bool:
    """By the symbol's own moves and volumes."""
    if series.interval is Interval.MINUTE:
        return True  # a first minute's volume is like no other's
    begin, end = (int(series.begins[series.number[row] + more]) for more in (0, 1))
    rows = series.rows
    before = slice(max(begin, row - 3 * USUAL_ROWS), row)
    after = slice(row + 1, min(end, row + 1 + USUAL_ROWS))
    usual = before if row - begin >= _FEWEST else after
    moves = np.abs(np.diff(np.log(rows.close[usual])))
    move = _SIGMA * float(np.median(moves)) if len(moves) >= _FEWEST - 1 else _NO_HISTORY_MOVE
    kind = int(np.argmin(np.abs(_FACTORS - factor)))
    if abs(np.log(factor)) < _UNUSUAL[kind] * move:
        return False
    most = float(_MOST_BESIDE[kind])
    beside_open = min(max(_OPEN_MOVES * move, _LEAST_BESIDE), most)
    beside_close = min(max(_CLOSE_MOVES * move, _CLOSE_BESIDE * _LEAST_BESIDE), _CLOSE_BESIDE * most)
    if abs(float(np.log(rows.open[row] / base[row] / factor))) > beside_open:
        return False
    if abs(float(np.log(rows.close[row] / base[row] / factor))) > beside_close:
        return False
    return _is_quiet(rows.close, rows.volume, usual, row)


def _is_quiet(close: Floats, volume: Floats, usual: slice, row: int) -> bool:
    """Whether no more than a few times the usual was traded, in shares or in USD."""
    shares = volume[usual][-USUAL_ROWS:]
    traded = shares > 0.0
    if not traded.any() or volume[row] <= 0.0:
        return True
    usd = float(np.median((shares * close[usual][-USUAL_ROWS:])[traded]))
    most = QUIET_VOLUME * float(np.median(shares[traded]))
    return bool(volume[row] <= most or volume[row] * close[row] <= QUIET_VOLUME * usd)


def _comes_back(series: Series, row: int, price: float) -> int | None:
    """The row within a few at which the close is that price again."""
    end = min(int(series.begins[series.number[row] + 1]), row + 1 + REVERTS_WITHIN)
    closes = series.rows.close[row + 1 : end]
    back = np.flatnonzero((closes < _CAME_BACK * price) & (closes > price / _CAME_BACK))
    return row + 1 + int(back[0]) if len(back) else None


def _came_back(series: Series, row: int) -> bool:
    """Whether a close of a few rows ago was this price, before it went away from it."""
    begin = max(int(series.begins[series.number[row]]), row - 1 - REVERTS_WITHIN)
    closes: NDArray[np.float64] = series.rows.close[begin : row - 1]
    price = float(series.rows.close[row])
    return bool(((closes < 1.1 * price) & (closes > price / 1.1)).any())
