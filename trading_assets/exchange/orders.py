"""An order at the exchange, and the statuses of its life. `order_entry.py` enters it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_assets.core.words import Side
from trading_assets.exchange.amounts import SHARE_STEP, ZERO, ceil_to, floor_to, tick_at


class Status(StrEnum):
    """Alpaca's words. A submit is answered with PENDING_NEW or ACCEPTED; the rest is read later."""

    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"


OPEN = frozenset({Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED})


def stop_collar(stop_price: Decimal) -> Decimal:
    """The highest price that a buy stop pays: Alpaca turns it into a stop limit 2.5 % above its stop
    price, 4 % for one below $50. A sell stop becomes a market order."""
    ceiling = stop_price * (Decimal("1.025") if stop_price >= 50 else Decimal("1.04"))
    return floor_to(ceiling, tick_at(ceiling))


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """`sequence` counts the account's orders. Exactly one of `qty` and `notional` is set.

    An order that replaces another is a separate order, for what the other one had left.
    """

    sequence: int
    id: str
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal | None
    notional: Decimal | None
    type: str
    time_in_force: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    reserve_price: Decimal
    expires_ns: int
    submitted_ns: int
    updated_ns: int
    working_ns: int | None  # since when it may trade; None: it waits for an open
    status: Status
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    ended_ns: int | None = None  # when it was filled, cancelled, expired, replaced or rejected
    elected_ns: int | None = None  # since when a stop trades like a market or limit order
    replaces: str | None = None  # ids of the order before and after it
    replaced_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def awaits_election(self) -> bool:
        return self.stop_price is not None and self.elected_ns is None

    def worked_before(self, start_ns: int) -> bool:
        """Whether it was on the market, in its present form, when a bar began."""
        return self.working_ns is not None and max(self.working_ns, self.elected_ns or 0) <= start_ns

    @property
    def leaves_notional(self) -> Decimal:
        """Dollars still to trade of a notional order."""
        assert self.notional is not None
        return self.notional - self.filled_value

    @property
    def leaves_qty(self) -> Decimal:
        """Shares still to trade; those of a notional order are estimated with its reserve price."""
        if not self.is_open:
            return ZERO
        if self.qty is not None:
            return self.qty - self.filled_qty
        return ceil_to(self.leaves_notional / self.reserve_price, SHARE_STEP)

    @property
    def reserved_cash(self) -> Decimal:
        """How much of the buying power an open buy reserves (USD)."""
        if self.side is Side.SELL or not self.is_open:
            return ZERO
        return self.leaves_notional if self.notional is not None else self.leaves_qty * self.reserve_price

    @property
    def match_limit(self) -> float:
        """The limit for the matching core: NaN where any price will do."""
        if self.limit_price is not None:
            return float(self.limit_price)
        if self.stop_price is not None and self.side is Side.BUY:
            return float(stop_collar(self.stop_price))
        return math.nan
