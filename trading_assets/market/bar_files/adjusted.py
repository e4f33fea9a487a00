"""Adjusted prices taken back to what traded, with the splits and dividends that they were adjusted for.

Nothing is invented: a step of the adjustment is a split by whole numbers, or a dividend of whole cents under
one method of adjusting, or the file is refused. Two methods are in use for a dividend D with ex-date t: by
the close of the day before, 1 − D ÷ close(t−1) (CRSP, Yahoo), and by the close of the ex-date,
1 ÷ (1 + D ÷ close(t)) (the former WIKI data).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from fractions import Fraction
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.actions import ex_date_shows
from trading_assets.market.bars import CorporateAction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_SPLIT = 1_000  # of whole numbers on one side
SMALL_NUMBERS = 20  # on the other
LEAST_SPLIT = 1.25  # new shares for an old one, or its reciprocal: nearer to one is a dividend's step
MOST_PAID = 0.35  # of the price before it
MOST_DECIMALS = 10
HALF_A_CENT = 0.005


class Adjusted(StrEnum):
    """What a file's prices are adjusted for, and how."""

    NO = "no"
    SPLIT = "split"
    BY_EX_DATE_CLOSE = "ex-date-close"
    BY_PREVIOUS_CLOSE = "previous-close"
    EITHER = "yes"  # splits and dividends, by the method that explains every step


_METHODS = {
    Adjusted.SPLIT: (None,),
    Adjusted.BY_EX_DATE_CLOSE: (Adjusted.BY_EX_DATE_CLOSE,),
    Adjusted.BY_PREVIOUS_CLOSE: (Adjusted.BY_PREVIOUS_CLOSE,),
    Adjusted.EITHER: (Adjusted.BY_PREVIOUS_CLOSE, Adjusted.BY_EX_DATE_CLOSE),
}


def actions_of(
    symbol: str, days: Sequence[date], close: Floats, adjusted_close: Floats, how: Adjusted
) -> tuple[CorporateAction, ...]:
    """The splits and dividends that turned `close` into `adjusted_close`, ascending by ex-date.

    All of length n, one entry a session, USD a share. Raises InvalidInput for a step that is no action under
    the method, and where two methods explain all of them by different dividends.
    """
    actions: list[tuple[CorporateAction, ...]] = []
    wrong: InvalidInput | None = None
    for method in _METHODS[how]:
        try:
            one = _actions(symbol, days, close, adjusted_close, method)
        except InvalidInput as error:
            wrong = wrong or error
        else:
            if one not in actions:
                actions.append(one)
    if len(actions) > 1:
        apart = next(pair for pair in zip(*actions, strict=True) if pair[0] != pair[1])
        raise InvalidInput(
            f"it paid {apart[0].cash_usd:.2f} if it is adjusted by the previous close, and "
            f"{apart[1].cash_usd:.2f} if by the ex-date's",
            where=f"{symbol} {apart[0].ex_date}",
            remedy=f"Say --adjusted {Adjusted.BY_PREVIOUS_CLOSE} or {Adjusted.BY_EX_DATE_CLOSE}.",
        )
    if not actions:
        assert wrong is not None
        raise wrong
    return actions[0]


def _actions(
    symbol: str, days: Sequence[date], close: Floats, adjusted_close: Floats, method: Adjusted | None
) -> tuple[CorporateAction, ...]:
    noise = _rounding(adjusted_close) / adjusted_close + _rounding(close) / close * 1e-3
    ratio = adjusted_close / close
    steps, tolerance = ratio[1:] / ratio[:-1], noise[1:] + noise[:-1] + 1e-9
    return tuple(
        _action(symbol, days[i + 1], float(steps[i]), float(tolerance[i]), close[i : i + 2], method)
        for i in np.flatnonzero(np.abs(steps - 1.0) > tolerance).tolist()
    )


def _rounding(prices: Floats) -> float:
    """Half of the last decimal that the prices are written with."""
    for decimals in range(2, MOST_DECIMALS):
        if bool((np.abs(np.round(prices, decimals) - prices) <= 1e-12 * prices).all()):
            return 0.5 * 10.0**-decimals
    return 0.0


def _action(
    symbol: str, ex_date: date, step: float, tolerance: float, closes: Floats, method: Adjusted | None
) -> CorporateAction:
    before, on = closes.tolist()
    split = split_ratio(step, tolerance)
    if split is not None:
        _refuse_unseen(symbol, ex_date, split, before, on)
        return CorporateAction(symbol, ex_date, split, 0.0)
    if method is not None and step > 1.0:
        paid, off = (
            (before * (1.0 - 1.0 / step), before * tolerance)
            if method is Adjusted.BY_PREVIOUS_CLOSE
            else (on * (step - 1.0), on * tolerance)
        )
        cents = round(paid, 2)
        exact = abs(paid - cents) <= 1e-6 * before  # no rounding hides that
        if 0.0 < cents <= MOST_PAID * before and (exact or abs(paid - cents) <= off < HALF_A_CENT):
            return CorporateAction(symbol, ex_date, 1.0, cents)
    what = "no split by whole numbers"
    if method is not None:
        what = f"no split by whole numbers and no dividend of whole cents by the {_WORDS[method]}"
    raise InvalidInput(
        f"the adjustment changes by a factor of {step:.9f}: {what}",
        where=f"{symbol} {ex_date}",
        remedy="Give split_ratio and cash_usd columns beside raw_close, or another --adjusted.",
    )


def _refuse_unseen(symbol: str, ex_date: date, split: float, before: float, on: float) -> None:
    """Prices as traded that a split did not move: it is another day's, or its ratio another."""
    if not ex_date_shows(before, before / split, on):
        raise InvalidInput(
            f"a split of {split:g} new shares for an old one, and the close went from {before:g} to {on:g}",
            where=f"{symbol} {ex_date}",
            remedy="The prices as traded did not follow it: correct its day or its ratio.",
        )


_WORDS = {Adjusted.BY_PREVIOUS_CLOSE: "previous close", Adjusted.BY_EX_DATE_CLOSE: "ex-date's close"}


def split_ratio(step: float, tolerance: float) -> float | None:
    """New shares for an old one, as a ratio of whole numbers that the step is within the tolerance of."""
    if not isfinite(step) or step <= 0.0:
        return None
    above = max(step, 1.0 / step)
    if above < LEAST_SPLIT * (1.0 - tolerance):
        return None
    whole = Fraction(above).limit_denominator(SMALL_NUMBERS)
    if whole.numerator > LARGEST_SPLIT or abs(above / float(whole) - 1.0) > tolerance:
        return None
    return float(whole if step > 1.0 else 1 / whole)


def later_splits(day: Ints, split_day: Ints, ratios: Floats) -> Floats:
    """By how much prices that are adjusted for splits are to be multiplied to be those that traded: the
    product of the splits of later ex-dates, of shape (n,).

    day: of the bars, of shape (n,); split_day, ratios: of the splits, ascending by day, of shape (m,)
    """
    later = np.append(np.cumprod(ratios[::-1])[::-1], 1.0)
    return np.asarray(later[np.searchsorted(split_day, day, side="right")], dtype=np.float64)
