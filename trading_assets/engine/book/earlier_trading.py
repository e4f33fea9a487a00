"""Whether the account has traded under another journal: then this one has no say in what it may do.

A journal that is lost, or another data directory, would else begin ACTIVE, without the halts, limits, locks
and counts of the one before. Looked at once, before the opening entry of a book is recorded; a restored
backup has one.
"""

from __future__ import annotations

from collections.abc import Sequence

from trading_assets.broker.port import MoreOrders, OrderState
from trading_assets.core.orders import PREFIX, is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.log import get_logger

log = get_logger(__name__)

LOOKS = 10  # at the account's orders, from its first one on


def see_earlier_trading(desk: Desk) -> None:
    """Latch NEW_JOURNAL where the broker's orders bear our prefix and this journal has no record of them, or
    where there are too many to tell. Raises BrokerError when they cannot be read."""
    since_ns = 1
    for _ in range(LOOKS):
        try:
            orders, whole = desk.broker.orders_since(since_ns), True
        except MoreOrders as more:
            orders, whole = more.read, False
            since_ns = more.through_ns
        unknown = _unknown(desk, orders)
        if unknown:
            return _hold(desk, f"order {unknown[0]} and {len(unknown) - 1} more bear our prefix {PREFIX}")
        if whole:
            return None
    return _hold(desk, "the account has more orders than can be read to tell")


def _unknown(desk: Desk, orders: Sequence[OrderState]) -> list[str]:
    named = [order.client_order_id for order in orders if is_ours(order.client_order_id)]
    known = desk.journal.named(named)
    return [name for name in named if name not in known]


def _hold(desk: Desk, why: str) -> None:
    desk.latch(
        Cause.NEW_JOURNAL,
        f"this journal is new, and the account has traded under another: {why}. Put the old journal "
        "back if it was lost; else compare the limits and run `trading-assets rearm --reason …`",
    )
