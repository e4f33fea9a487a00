"""What happened at the exchange, as values. Nothing else is stored.

The state is the fold of these events (`state.py`), so whatever changes the state is an event here,
with everything that the fold needs. Written as JSON with sorted keys: Decimal as text, the rest as is.

A journal outlives the version that wrote it. So existing kinds and fields keep their name and meaning for
good. Something new becomes another kind, or a field whose default says what the exchange did before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from trading_assets.exchange.amounts import text


@dataclass(frozen=True)
class Event:
    """Every event carries the exchange's time at which it happened."""

    at_ns: int


@dataclass(frozen=True)
class Opened(Event):
    """The exchange's first event: what stays the same for all of its life."""

    seed: int
    fill_mode: str = "ideal"
    participation: Decimal | None = None
    bars: str = "bundled"


@dataclass(frozen=True)
class AccountOpened(Event):
    """A new, empty account with cash replaces the one before it."""

    cash: Decimal


@dataclass(frozen=True)
class ClockMoved(Event):
    """`at_ns` is where the clock stands from now on."""


@dataclass(frozen=True)
class OrderAccepted(Event):
    """`working`: it may trade from `at_ns` on; otherwise it waits for the next open."""

    order_id: str
    client_order_id: str
    symbol: str
    side: int
    qty: Decimal | None
    notional: Decimal | None
    type: str
    time_in_force: str
    limit_price: Decimal | None
    extended_hours: bool
    reserve_price: Decimal  # per share: what a buy reserves, what a notional sell is sized with
    expires_ns: int
    working: bool
    stop_price: Decimal | None = None
    replaces: str | None = None  # the id of the order whose place it takes


@dataclass(frozen=True)
class OrderWorking(Event):
    """A waiting order becomes `new` at the open."""

    order_id: str


@dataclass(frozen=True)
class OrderElected(Event):
    """A stop order's price was reached: it is a market or limit order from now on."""

    order_id: str


@dataclass(frozen=True)
class OrderReplaced(Event):
    """The order leaves the book for another one, which is accepted next."""

    order_id: str
    replaced_by: str


@dataclass(frozen=True)
class OrderFilled(Event):
    """`complete`: nothing of the order is left."""

    order_id: str
    qty: Decimal
    price: Decimal
    complete: bool = True


@dataclass(frozen=True)
class FillBusted(Event):
    """A fill is undone: its shares and its cash go back. The order stays as it was executed."""

    order_id: str
    activity_id: str


@dataclass(frozen=True)
class FillCorrected(Event):
    """A fill gets another price; the difference is paid."""

    order_id: str
    activity_id: str
    price: Decimal


@dataclass(frozen=True)
class OrderEnded(Event):
    """The order leaves the book unfilled or partly filled: `status` canceled, expired or rejected."""

    order_id: str
    status: str


@dataclass(frozen=True)
class DividendPaid(Event):
    symbol: str
    qty: Decimal
    per_share: Decimal
    amount: Decimal


@dataclass(frozen=True)
class PositionSplit(Event):
    """`coming`: the shares that another line will bring, where this one only takes the old ones away."""

    symbol: str
    ratio: Decimal
    qty_change: Decimal
    coming: Decimal = Decimal(0)


@dataclass(frozen=True)
class SplitsHeldBack(Event):
    """Whether splits of the symbol wait on their ex-date instead of being booked."""

    symbol: str
    held_back: bool


@dataclass(frozen=True)
class SplitDue(Event):
    """`qty` old shares wait for the split's lines."""

    symbol: str
    ex_date: str
    ratio: Decimal
    qty: Decimal


@dataclass(frozen=True)
class Transferred(Event):
    """Cash deposited (amount > 0) or withdrawn (< 0)."""

    amount: Decimal


@dataclass(frozen=True)
class CashPosted(Event):
    """The broker books cash under an activity type of its own: a fee, interest, a journal entry."""

    kind: str
    amount: Decimal
    symbol: str | None
    qty: Decimal | None
    description: str


@dataclass(frozen=True)
class SharesMoved(Event):
    """Shares are journalled in (qty_change > 0) or out; `price` is what they are worth each."""

    symbol: str
    qty_change: Decimal
    price: Decimal


@dataclass(frozen=True)
class ConfigurationChanged(Event):
    """Members of the account's configuration and their new values."""

    changes: dict[str, bool | int | str]


@dataclass(frozen=True)
class SessionClosed(Event):
    equity: Decimal


@dataclass(frozen=True)
class SessionBegan(Event):
    """Midnight in New York of a session: the equity of the last close becomes `last_equity`."""


@dataclass(frozen=True)
class SymbolHalted(Event):
    symbol: str


@dataclass(frozen=True)
class SymbolResumed(Event):
    symbol: str


@dataclass(frozen=True)
class QuoteOverridden(Event):
    """A person's quote, or a spread around the tape's price. All None: back to the tape."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    spread_bps: Decimal | None


_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}
_DECIMALS = {
    name: tuple(field.name for field in fields(kind) if "Decimal" in str(field.type))
    for name, kind in _TYPES.items()
}


def encode(event: Event) -> tuple[str, str]:
    """(kind, payload)."""
    payload = {field.name: getattr(event, field.name) for field in fields(event)}
    return type(event).__name__, json.dumps(payload, sort_keys=True, separators=(",", ":"), default=text)


def decode(kind: str, payload: str) -> Event:
    """The event that `encode` wrote, now or before fields were added."""
    members: dict[str, Any] = json.loads(payload)
    for name in _DECIMALS[kind]:
        if members.get(name) is not None:
            members[name] = Decimal(members[name])
    return _TYPES[kind](**members)
