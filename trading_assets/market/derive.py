"""Minute bars derived from a daily bar: a seeded path that hits open, high, low and close exactly.

They know the day's close in advance: they exercise the machinery, and no model may be trained on them.

All arithmetic is on whole millionths of a dollar and on the raw output of PCG64, which numpy promises
never to change: the same bars come out on every machine and with every version.
"""

from __future__ import annotations

import hashlib
from datetime import date
from itertools import pairwise
from math import isfinite, isqrt

import numpy as np
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Bars
from trading_assets.market.sessions import MINUTE_NS

_MICROS = 1_000_000  # a dollar
_CENT = 10_000
_WALK_UNIT = 1 << 20

Ints = NDArray[np.int64]


def minute_bars(symbol: str, session: date, day: Bars, seed: int) -> Bars:
    """The session's minutes, n = (close − open) in minutes, from its daily bar `day` (arrays of shape (1,)).

    The path is a random walk bridged through open, the two extremes at random minutes and close, and
    folded into the day's range. Each bar opens at the close of the one before. Prices are whole cents
    but for the day's own four, which are hit as they are; volumes are whole shares, heavier near open
    and close, and add up to the day's. Raises InvalidInput for a bar of less than three minutes, with
    more than six decimals, with a fraction of a share, or with open or close outside low and high.
    """
    start_ns, end_ns = int(day.start_ns[0]), int(day.end_ns[0])
    count = (end_ns - start_ns) // MINUTE_NS
    first, high, low, last = (
        _whole(column[0], _MICROS, symbol, session) for column in (day.open, day.high, day.low, day.close)
    )
    shares = _whole(day.volume[0], 1, symbol, session)
    if count < 3 or not (low <= first <= high and low <= last <= high):
        raise InvalidInput(
            f"{count} minutes of open, high, low, close {first, high, low, last} millionths",
            where=f"{symbol} {session}",
            remedy="Derive minutes from a daily bar whose open and close lie within low and high.",
        )
    random = _Random(symbol, session, seed)
    path = _path(first, high, low, last, count, random)
    opens, closes = path[:-1], path[1:]
    reach = max((high - low) // 20, 1)
    highest, lowest = np.maximum(opens, closes), np.minimum(opens, closes)
    upper = (highest + random.below(reach, count)) // _CENT * _CENT
    lower = -((random.below(reach, count) - lowest) // _CENT) * _CENT
    starts = start_ns + MINUTE_NS * np.arange(count, dtype=np.int64)
    return Bars(
        start_ns=starts,
        end_ns=starts + MINUTE_NS,
        open=opens / _MICROS,
        high=np.minimum(np.maximum(upper, highest), high) / _MICROS,
        low=np.maximum(np.minimum(lower, lowest), low) / _MICROS,
        close=closes / _MICROS,
        volume=_volumes(shares, count, random).astype(np.float64),
    )


class _Random:
    """Whole random numbers that depend on symbol, session and seed alone."""

    def __init__(self, symbol: str, session: date, seed: int) -> None:
        digest = hashlib.sha256(f"{symbol} {session.isoformat()} {seed}".encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16], "big"))

    def below(self, bound: int, count: int) -> Ints:
        """`count` numbers in [0, bound); the bias of the remainder is below bound ÷ 2⁶²."""
        raw: Ints = (self._bits.random_raw(count) >> np.uint64(2)).astype(np.int64)
        return raw % bound


def _path(first: int, high: int, low: int, last: int, count: int, random: _Random) -> Ints:
    """Prices at the count + 1 minute marks, in millionths, within [low, high]."""
    extremes = random.below(count - 1, 2) + 1
    if extremes[0] == extremes[1]:
        extremes[1] = extremes[0] % (count - 1) + 1
    knots = sorted([(0, first), (int(extremes[0]), high), (int(extremes[1]), low), (count, last)])
    # Uniform steps of ± w have a deviation of w/√3, and a walk of n steps a mean range of 1.6 deviations
    # times √n (Feller 1951): w makes that range the day's.
    width = (high - low) * 108 // (100 * isqrt(count))
    walk = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(random.below(2 * width + 1, count) - width, out=walk[1:])
    path = np.empty(count + 1, dtype=np.int64)
    for (begin, price), (end, next_price) in pairwise(knots):
        step = np.arange(end - begin + 1, dtype=np.int64)
        noise = walk[begin : end + 1] - walk[begin]
        slope = next_price - price - int(noise[-1])
        path[begin : end + 1] = price + noise + slope * step // (end - begin)
    path = _on_cents(_folded(path, low, high), low, high)
    for mark, price in knots:
        path[mark] = price
    return path


def _folded(path: Ints, low: int, high: int) -> Ints:
    """What leaves [low, high] is reflected back at its edges."""
    if high == low:
        return np.full_like(path, low)
    span = high - low
    offset = (path - low) % (2 * span)
    return low + np.minimum(offset, 2 * span - offset)


def _on_cents(path: Ints, low: int, high: int) -> Ints:
    """The nearest whole cent in [low, high], or the nearer edge where there is no whole cent between."""
    lowest, highest = -(-low // _CENT) * _CENT, high // _CENT * _CENT
    if lowest > highest:
        return np.where(path - low < high - path, low, high)
    return np.clip((path + _CENT // 2) // _CENT * _CENT, lowest, highest)


def _volumes(shares: int, count: int, random: _Random) -> Ints:
    """`shares` over the minutes: U-shaped, each at least one share where there are enough."""
    middle = 2 * np.arange(count, dtype=np.int64) - (count - 1)
    shape = _WALK_UNIT + 3 * _WALK_UNIT * middle * middle // (count * count)
    weights = shape * (512 + random.below(1024, count)) >> 20
    cumulative = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(weights)])
    each = 1 if shares >= count else 0
    rest = shares - each * count
    return each + np.diff(rest * cumulative // int(cumulative[-1]))


def _whole(value: np.float64, unit: int, symbol: str, session: date) -> int:
    whole = round(float(value) * unit) if isfinite(value) else 0
    if whole / unit != value:
        raise InvalidInput(
            f"{value} is not a whole number of 1/{unit}",
            where=f"{symbol} {session}",
            remedy="Give raw prices as quoted, and whole shares.",
        )
    return whole
