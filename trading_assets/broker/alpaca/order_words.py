"""Alpaca's words for where an order stands, onto the desk's states."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_assets.core.orders import State, as_filled

STATE_OF_STATUS: Mapping[str, State] = {
    "new": State.ACCEPTED,
    "accepted": State.ACCEPTED,
    "pending_new": State.ACCEPTED,
    "accepted_for_bidding": State.ACCEPTED,
    "held": State.ACCEPTED,
    "pending_replace": State.ACCEPTED,
    "calculated": State.ACCEPTED,
    "stopped": State.ACCEPTED,
    "suspended": State.ACCEPTED,
    "partially_filled": State.PARTIALLY_FILLED,
    "pending_cancel": State.PENDING_CANCEL,
    "filled": State.FILLED,
    "canceled": State.CANCELED,
    "done_for_day": State.EXPIRED,
    "expired": State.EXPIRED,
    "rejected": State.REJECTED,
}


def state_of_status(status: str, filled_qty: float | Decimal, qty: float | Decimal) -> tuple[State, bool]:
    """The state that Alpaca's `status` means, and whether a person should look at it.

    filled_qty: the order's cumulative quantity in shares; qty: its quantity, 0 when not known.
    `replaced` and a status that is not known count as working and need attention.
    """
    state = STATE_OF_STATUS.get(status)
    return as_filled(state or State.ACCEPTED, filled_qty, qty), state is None
