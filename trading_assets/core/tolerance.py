"""What "at most" and "at least" mean, defined once for every limit of the desk. No limit is kept here.

A comparison passes at equality, with room for the last bits of a float64 computation. What is
compared must be finite: NaN and infinity pass neither. The limit may be infinite.
"""

from __future__ import annotations

from math import inf

from trading_assets.core.compiled import allocation_free

RELATIVE = 1e-9
ABSOLUTE = 1e-12


@allocation_free
def is_finite(x: float) -> bool:
    """True unless `x` is NaN or infinite."""
    return -inf < x < inf


@allocation_free
def is_positive(x: float) -> bool:
    """True for a finite number above zero: a price, a quantity, an equity."""
    return 0.0 < x < inf


@allocation_free
def at_most(x: float, limit: float) -> bool:
    """x ≤ limit·(1 + 1e-9) + 1e-12 for a finite x. An infinite limit is met; a NaN limit is not."""
    return is_finite(x) and x <= limit * (1.0 + RELATIVE) + ABSOLUTE


@allocation_free
def at_least(x: float, limit: float) -> bool:
    """x ≥ limit·(1 − 1e-9) − 1e-12 for a finite x: the mirror of `at_most`. +inf is never reached."""
    return is_finite(x) and x >= limit * (1.0 - RELATIVE) - ABSOLUTE
