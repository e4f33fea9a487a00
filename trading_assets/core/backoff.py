"""When an exit that did not get out is tried again: at once, then after 1, 2, 5, 10, 10 … minutes.

One rule for the desk and for a replay. What a try is and when the last one was sent, they count themselves.
"""

from __future__ import annotations

from trading_assets.core.compiled import allocation_free

_MINUTE_NS = 60_000_000_000
_EARLY_NS = 15_000_000_000  # protection looks each minute, not to the second: a minute's wait is one look


@allocation_free
def wait_ns(tries: int) -> int:
    """How long after the last try the next one is sent, in nanoseconds.

    tries: in a row, in this session, in which nothing was filled
    """
    if tries < 2:
        return 0
    if tries == 2:
        return _MINUTE_NS
    if tries == 3:
        return 2 * _MINUTE_NS
    return 5 * _MINUTE_NS if tries == 4 else 10 * _MINUTE_NS


@allocation_free
def is_due(tries: int, tried_ns: int, now_ns: int) -> bool:
    """Whether the next try may be sent now. tried_ns: when the last one was sent."""
    return now_ns - tried_ns >= wait_ns(tries) - _EARLY_NS
