"""Distances between time stamps, which are int64 UTC nanoseconds. No clock is read here."""

from __future__ import annotations

from math import nan

from trading_assets.core.compiled import allocation_free


@allocation_free
def seconds_between(earlier_ns: int, later_ns: int) -> float:
    """later − earlier in seconds, negative the other way round; NaN where a stamp is missing (≤ 0)."""
    if earlier_ns <= 0 or later_ns <= 0:
        return nan
    return float(later_ns - earlier_ns) / 1e9
