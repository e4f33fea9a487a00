"""What orders of ours have filled and the broker's activities do not list yet: shares and cash that have
moved, and that the ledger, which folds activities, does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from trading_assets.broker.port import BrokerError
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.log import get_logger
from trading_assets.store.records import OrderRecord

log = get_logger(__name__)


class Unlisted(NamedTuple):
    """The part of an order's fills that no activity tells of."""

    order: OrderRecord
    qty: Decimal  # below 0 where the activities are ahead of the order
    listed_qty: Decimal
    listed_usd: Decimal  # quantity × price of those that are listed


def unlisted_fills(desk: Desk, sent: Sequence[OrderRecord]) -> list[Unlisted]:
    """Of the session's orders, `sent`."""
    if not any(record.filled_qty for record in sent):
        return []
    fills = desk.journal.fills(desk.book, session=desk.session_text())
    unlisted = []
    for record in sent:
        if not record.filled_qty:
            continue
        of_it = [
            fill
            for fill in fills
            if record.broker_order_id == fill.broker_order_id
            or record.intent.client_order_id == fill.client_order_id
        ]
        listed = sum((fill.qty for fill in of_it), Decimal(0))
        if listed != record.filled_qty:
            usd = sum((fill.qty * fill.price for fill in of_it), Decimal(0))
            unlisted.append(Unlisted(record, record.filled_qty - listed, listed, usd))
    return unlisted


def unlisted_proceeds_usd(desk: Desk, sent: Sequence[OrderRecord]) -> Decimal:
    """What sales of the session have brought that no activity lists yet, at the broker's average price of
    each order; where that cannot be read, at the most that its limit lets one expect."""
    return sum(
        (
            _proceeds_usd(desk, one)
            for one in unlisted_fills(desk, sent)
            if one.order.intent.side == Side.SELL and one.qty > 0
        ),
        Decimal(0),
    )


def _proceeds_usd(desk: Desk, one: Unlisted) -> Decimal:
    record = one.order
    if record.broker_order_id is not None:
        try:
            order = desk.broker.order(record.broker_order_id)
        except BrokerError as error:
            log.warning("price of a sale not readable", symbol=record.intent.symbol, why=str(error))
        else:
            price = order.filled_avg_price
            if price is not None and order.filled_qty >= record.filled_qty:
                return max(order.filled_qty * price - one.listed_usd, Decimal(0))
    above = Decimal(repr(1.0 + desk.limits.exit_collar_pct))
    return one.qty * record.intent.limit_price * above
