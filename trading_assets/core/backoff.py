"""When an exit that did not get out is tried again: at once, then after 1, 2, 5, 10, 10 … minutes, and more
slowly where the symbol's share of the day's exits would run out before the close.

The desk and a replay share this rule. Each of them counts the tries, and knows when it sent the last one.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_assets.core.compiled import allocation_free

_MINUTE_NS = 60_000_000_000
_EARLY_NS = 15_000_000_000  # protection looks each minute, not to the second: a minute's wait is one look
_LAST_NS = 30 * _MINUTE_NS  # before the close
SEVERAL = 5  # tries in a row, after which the rest of the symbol's share is spread over the session


class Share(NamedTuple):
    """How many of the session's exits a symbol has left. The tries of a flatten take NO_SHARE."""

    until_ns: int  # from the last try to the close
    orders: int  # that the last try took, one for each slice
    left: float  # orders of the symbol's share that were not sent yet, infinite: no cap
    share: float  # orders of a session


NO_SHARE = Share(0, 1, 1.0, 1.0)


@allocation_free
def wait_ns(tries: int) -> int:
    """How long to wait after the last try before the next one is sent, in nanoseconds.

    tries: how many in a row, in this session, filled nothing
    """
    if tries < 2:
        return 0
    if tries == 2:
        return _MINUTE_NS
    if tries == 3:
        return 2 * _MINUTE_NS
    return 5 * _MINUTE_NS if tries == 4 else 10 * _MINUTE_NS


@allocation_free
def spread_wait_ns(tries: int, share: Share) -> int:
    """The wait of `wait_ns`, or a longer one where the remaining tries would run out before the close.

    It grows after several tries, or once half the share is used: the remaining tries then come at even
    distances, the last of them half an hour before the close.
    """
    wait = wait_ns(tries)
    spread_ns = share.until_ns - _LAST_NS
    if tries < 2 or share.left <= 0.0 or spread_ns <= 0:
        return wait
    if tries < SEVERAL and 2.0 * share.left >= share.share:
        return wait
    again = share.left / share.orders
    apart = int(spread_ns / again) if again > 1.0 else spread_ns
    return apart if apart > wait else wait


@allocation_free
def is_due(wait: int, tried_ns: int, now_ns: int) -> bool:
    """Whether the next try may be sent now. wait: in nanoseconds; tried_ns: when the last one was sent."""
    return now_ns - tried_ns >= wait - _EARLY_NS
