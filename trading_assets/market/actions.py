"""Splits and cash dividends: recovered from adjusted closes, laid beside bars, applied to a price, and seen
in one.

The features adjust a window of bars; the ledger adjusts a holding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bars import CorporateAction
from trading_assets.market.sessions import new_york_midnight_ns

NO_CHANGE = 1e-9  # relative; the source's rounding noise is below 1e-13, the smallest dividend above 1e-3
SPLIT_RATIOS = tuple(
    sorted({new / old for new in range(1, 21) for old in range(1, 21) if not 0.75 < new / old < 1.25})
)
TOLD_APART = 1.2
"""Two prices that are closer than this factor no price of a day tells apart: it is as far from either as
stocks move in a day (`max_symbol_move` is 10 %, twice)."""

FAR_APART = 1.0 / 0.7
"""A price that is further than this factor from a close is hardly its own: a fall of 30 % overnight."""


def recovered_actions(
    symbol: str,
    days: Sequence[date],
    close: NDArray[np.float64],
    adjusted_close: NDArray[np.float64],
) -> tuple[CorporateAction, ...]:
    """The splits and cash dividends that turned `close` into `adjusted_close`, ascending by ex-date.

    All three have length n, one entry a session. Quandl's WIKI adjusts by split × (1 + cash ÷ raw close
    of the ex-date) (not by the previous close, which would give $3.03 instead of MSFT's $3.08 in
    November 2004). With r = adjusted ÷ raw, a step of r is a split where it is a ratio of small whole
    numbers 25 % or more from one, and else a dividend, rounded to the hundredth of a cent. Raises
    InvalidInput for a step that is neither, e.g. a split and a dividend on one day.
    """
    ratio = adjusted_close / close
    steps = ratio[1:] / ratio[:-1]
    return tuple(
        _action(symbol, days[row + 1], float(steps[row]), float(close[row + 1]))
        for row in np.flatnonzero(np.abs(steps - 1.0) > NO_CHANGE).tolist()
    )


def _action(symbol: str, ex_date: date, step: float, ex_close: float) -> CorporateAction:
    for split_ratio in SPLIT_RATIOS:
        if abs(step / split_ratio - 1.0) <= NO_CHANGE:
            return CorporateAction(symbol, ex_date, split_ratio, 0.0)
    exact = ex_close * (step - 1.0)
    cash_usd = round(exact, 4)
    if cash_usd <= 0.0 or abs(exact - cash_usd) > 1e-6 * ex_close:
        raise InvalidInput(
            f"the adjustment changes by a factor of {step:.9f}, which is neither a split nor a dividend",
            where=f"{symbol} {ex_date}",
            remedy="Correct the adjusted close, or give the corporate actions apart.",
        )
    return CorporateAction(symbol, ex_date, 1.0, cash_usd)


def aligned_actions(
    actions: Sequence[CorporateAction], start_ns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split ratio (1: none) and cash in USD for each old share (0: none) in force from each bar on.

    `start_ns` of shape (n,), ascending; both results have shape (n,). An action counts from the first bar
    that starts on its ex-date or later (the symbol may not have traded on the ex-date itself). One that
    would fall on the first bar, or after the last, changes nothing between two bars and is left out.
    """
    split_ratio, cash_usd = np.ones(len(start_ns)), np.zeros(len(start_ns))
    for action in sorted(actions, key=lambda action: (action.ex_date, action.split_ratio != 1.0)):
        row = int(np.searchsorted(start_ns, new_york_midnight_ns(action.ex_date)))
        if 0 < row < len(start_ns):
            cash_usd[row] += action.cash_usd * split_ratio[row]  # per share held before the first of them
            split_ratio[row] *= action.split_ratio
    return split_ratio, cash_usd


def ex_price(price: float, split_ratio: float, cash_usd: float) -> float:
    """A price from before the ex-date, in shares of after it: (price − cash) ÷ split ratio."""
    return (price - cash_usd) / split_ratio


def counts_unseen(factor: float) -> bool:
    """Whether an announced action counts before any price shows it: it lowers prices, to `factor` of what
    they were, by less than a stock moves in a day. An action that raises prices would sell the position, and
    one that lowers them far would keep a stop from firing: a price must show these."""
    return 1.0 / TOLD_APART <= factor <= 1.0


def ex_date_shows(close: float, adjusted: float, price: float) -> bool | None:
    """Whether a price shows that an announced action has taken place: it is nearer, in log, to the close
    before the ex-date adjusted for the action than to that close as it was. None: not all three are prices.
    USD a share."""
    if not (isfinite(close) and close > 0.0 and isfinite(price) and price > 0.0):
        return None
    if not (isfinite(adjusted) and adjusted > 0.0):
        return False  # it would take more from a share than there is
    return abs(log(price / adjusted)) < abs(log(price / close))


def are_told_apart(one: float, other: float) -> bool:
    """Whether two prices, or two numbers of shares, lie further apart than a stock moves in a day."""
    return not (one > 0.0 and other > 0.0 and abs(log(one / other)) < log(TOLD_APART))


def told_apart(close: float, adjusted: float, price: float) -> bool | None:
    """Whether a price proves that an announced action has taken place (True) or has not (False): it is within
    a day's move of one close, and far from the other. None: it proves neither, as when the action took place
    in another ratio, or when the two closes are close together. USD a share."""
    if not all(isfinite(usd) and usd > 0.0 for usd in (close, price)):
        return None
    if not (isfinite(adjusted) and adjusted > 0.0):
        return False  # it would take more from a share than there is
    from_close, from_adjusted = abs(log(price / close)), abs(log(price / adjusted))
    if min(from_close, from_adjusted) >= log(TOLD_APART) or max(from_close, from_adjusted) <= log(FAR_APART):
        return None
    return from_adjusted < from_close
