"""An order at the exchange and the statuses of its life. How it is entered is `order_entry.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_assets.core.words import Side
from trading_assets.exchange.amounts import SHARE_STEP, ZERO, ceil_to


class Status(StrEnum):
    """Alpaca's words. A submit is answered with PENDING_NEW or ACCEPTED; the rest is read later."""

    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


OPEN = frozenset({Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True)
class Order:
    """`sequence` counts the account's orders. Exactly one of `qty` and `notional` is set."""

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
    extended_hours: bool
    reserve_price: Decimal
    expires_ns: int
    submitted_ns: int
    updated_ns: int
    working_ns: int | None  # since when it may trade; None: it waits for an open
    status: Status
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    ended_ns: int | None = None  # when it was filled, cancelled, expired or rejected

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def leaves_qty(self) -> Decimal:
        """Shares still to trade; those of a notional order are estimated with its reserve price."""
        if not self.is_open:
            return ZERO
        if self.qty is not None:
            return self.qty - self.filled_qty
        assert self.notional is not None
        return ceil_to(self.notional / self.reserve_price, SHARE_STEP)

    @property
    def reserved_cash(self) -> Decimal:
        """What an open buy keeps of the buying power (USD)."""
        if self.side is Side.SELL or not self.is_open:
            return ZERO
        return self.notional if self.notional is not None else self.leaves_qty * self.reserve_price

    @property
    def match_limit(self) -> float:
        """The limit for the matching core: NaN for a market order."""
        return math.nan if self.limit_price is None else float(self.limit_price)
