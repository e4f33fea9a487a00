"""The broker as the engine sees it: typed answers, typed failures, no HTTP and no vendor's names.

Quantities and money are Decimal as the broker states them; times are UTC nanoseconds. A failed
read raises; it never returns "empty". A broker's own words are read in its adapter, a folder beside this
file; what is left of them here is text for a person. `broker.registry` has an entry for each adapter,
and `broker.connection` opens the configured one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from queue import Queue
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeVar

from trading_assets.core.activities import ActivityType, LineStatus
from trading_assets.core.orders import State
from trading_assets.errors import TradingAssetsError
from trading_assets.redaction import clean

Row = TypeVar("Row")

US_EQUITY = "us_equity"  # the asset class that the desk trades


class BrokerError(TradingAssetsError):
    """Root of what a broker call raises. Its words may repeat what the broker was sent, or name a proxy with
    its password: no secret stays in them, as they go into the journal, alerts and pages."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*(clean(part) if isinstance(part, str) else part for part in parts))


class Rejected(BrokerError):
    """The broker refused the request for good: HTTP 400, 401, 403, 404 or 422."""

    def __init__(self, status: int, code: int | None, message: str) -> None:
        self.status = status
        self.code = code
        self.message = clean(message)
        super().__init__(f"the broker refused it: HTTP {status}, code {code}: {message}")


class Unauthorized(Rejected):
    """HTTP 401: the key pair is wrong or missing."""

    def __init__(self, status: int, code: int | None, message: str, *, variables: Sequence[str] = ()) -> None:
        self.variables = tuple(variables)  # of the environment: they hold the pair
        super().__init__(status, code, message)

    def __str__(self) -> str:
        remedy = f"check {' and '.join(self.variables)}" if self.variables else "check it"
        return f"{super().__str__()}. The key pair is wrong, or of another mode: {remedy}"


class NotFound(Rejected):
    """HTTP 404: no such order, symbol or position."""


class DuplicateClientOrderId(Rejected):
    """HTTP 422 "client_order_id must be unique": an order with this id exists already."""


class RateLimited(BrokerError):
    """HTTP 429: nothing happened; may be sent again after `reset_epoch_s`."""

    def __init__(self, reset_epoch_s: float | None) -> None:
        self.reset_epoch_s = reset_epoch_s
        super().__init__(f"rate limited until epoch second {reset_epoch_s}")


class OutcomeUnknown(BrokerError):
    """A write was sent and no usable answer came: it may or may not have happened."""


class WriteRefused(BrokerError):
    """This connection may not send orders; nothing was sent."""


class Unreachable(BrokerError):
    """A read got no usable answer. It says nothing about the state at the broker."""


class MoreOrders(BrokerError):
    """The list is longer than one look reads: `read` is its beginning, up to the time `through_ns`."""

    def __init__(self, read: Sequence[OrderState], through_ns: int) -> None:
        self.read = read
        self.through_ns = through_ns
        super().__init__(f"more orders than one look reads: {len(read)} were read")


class MoreActivities(BrokerError):
    """The account's history is longer than one look reads: `read` is its beginning, up to the activity
    `after_id`. The next look goes on after that."""

    def __init__(self, read: Sequence[AccountActivity], after_id: str) -> None:
        self.read = read
        self.after_id = after_id
        super().__init__(f"more activities than one look reads: {len(read)} were read, up to {after_id}")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row of an answer that could not be used, and what it says of itself."""

    symbol: str  # whose row it is; "" where the row does not say
    why: str
    subject: str = ""  # what else names it: the order's or activity's id, an ex-date
    holds_entries: bool = False  # it may be ours, or is an exposure that nobody knows
    exposure_usd: Decimal = Decimal(0)  # what a person's order may still add


class Rows(list[Row]):
    """The rows of an answer that can be used; `unreadable` names those that cannot. One bad row costs
    itself and no other."""

    unreadable: tuple[Unreadable, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row], unreadable: Iterable[Unreadable] = ()) -> Self:
        read = cls(rows)
        read.unreadable = tuple(unreadable)
        return read


class Quotes(dict[str, "QuoteState"]):
    """Quotes by symbol. One that the broker refuses, or that cannot be read, is named in `unreadable`."""

    def __init__(self, read: Mapping[str, QuoteState], unreadable: Iterable[Unreadable] = ()) -> None:
        super().__init__(read)
        self.unreadable = tuple(unreadable)


def unread_of(answer: Iterable[object]) -> tuple[Unreadable, ...]:
    """The rows of an answer that could not be used."""
    return answer.unreadable if isinstance(answer, Rows | Quotes) else ()


@dataclass(frozen=True, slots=True)
class AccountState:
    account_number: str
    status_word: str  # the broker's, for a person: why it does not trade; empty where the broker does not say
    is_active: bool  # False also where the broker does not say
    equity: Decimal
    last_equity: Decimal
    cash: Decimal
    buying_power: Decimal
    trading_blocked: bool  # also where the broker does not say
    settled_cash: Decimal  # cash, where the broker does not state it apart
    multiplier: Decimal | None = None  # 1: nothing is borrowed and sales settle first; None: not told
    non_marginable_buying_power: Decimal | None = None  # kept with the input, not enforced


@dataclass(frozen=True, slots=True)
class ClockState:
    now_ns: int
    is_open: bool
    next_open_ns: int
    next_close_ns: int


@dataclass(frozen=True, slots=True)
class AssetState:
    symbol: str
    tradable: bool
    fractionable: bool
    halted: bool
    known: bool = True  # False: the broker does not know the asset, or does not say


@dataclass(frozen=True, slots=True)
class QuoteState:
    """Latest quote and trade. A side or trade that the broker does not have is None."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    quote_ns: int | None
    last_trade: Decimal | None
    trade_ns: int | None
    previous_close: Decimal | None  # raw close of the previous session's daily bar


@dataclass(frozen=True, slots=True)
class PositionState:
    symbol: str
    qty: Decimal  # signed
    avg_entry_price: Decimal  # 0 where the broker does not state it
    available: Decimal
    asset_class: str = US_EQUITY
    market_value: Decimal | None = None  # USD, signed
    current_price: Decimal | None = None  # the broker's mark
    last_close: Decimal | None = None  # of the previous session


@dataclass(frozen=True, slots=True)
class OrderState:
    """One order at the broker. The adapter reads the broker's word as a `state`; the word itself is for a
    person, in journal details, alerts and logs. Nothing is decided by it."""

    id: str
    client_order_id: str
    symbol: str
    side: int  # core.words.Side
    qty: Decimal
    limit_price: Decimal | None
    status_word: str
    state: State
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    submitted_ns: int
    updated_ns: int
    replaced_by: str | None
    type: str
    time_in_force: str
    asset_class: str = US_EQUITY
    replaces: str | None = None  # the id of the order whose place it took
    needs_attention: bool = False  # the adapter does not know the word: `state` is what is safe to assume


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A DAY limit order to be sent, quantised. `reducing`: whether it closes a position or opens one, and is
    told to the broker so; None: it is not told."""

    client_order_id: str
    symbol: str
    side: int
    qty: Decimal
    limit_price: Decimal
    extended_hours: bool = False
    reducing: bool | None = None


@dataclass(frozen=True, slots=True)
class AccountActivity:
    """One line of the account's history. For a fill, its bust and its correction the order fields are set,
    else `net_amount`."""

    id: str
    type: ActivityType  # what it is and what it moves; `type.name` is the broker's word, for a person
    at_ns: int
    symbol: str | None
    side: int | None
    qty: Decimal | None  # of a fill: its own quantity; of a split: the change of the position
    price: Decimal | None
    cum_qty: Decimal | None
    order_id: str | None
    net_amount: Decimal | None  # cash effect of what is not a fill
    changes: str | None = None  # the id of the line that this one busts, corrects or cancels
    status: LineStatus = LineStatus.EXECUTED
    status_word: str = "executed"  # the broker's, for a person
    group: str | None = None  # what lines of one corporate action share
    currency: str = "USD"
    dated: bool = False  # of its time only the date is known: at_ns is that day's first moment


@dataclass(frozen=True, slots=True)
class BarState:
    """One bar as received: raw prices, stamped with its start. `derived`: the embedded exchange made it of a
    daily bar."""

    symbol: str
    start_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    derived: bool = False


@dataclass(frozen=True, slots=True)
class SpinOffState:
    """Shares of another company, or rights, for each old share."""

    new_symbol: str
    per_share: float  # new shares for each old one


@dataclass(frozen=True, slots=True)
class CorporateActionState:
    """What happens to a holder of the symbol on the morning of the ex-date, all of it together."""

    symbol: str
    ex_date: date
    split_ratio: float  # new shares for each old one; 1: no split
    cash_usd: float  # for each old share
    spin_offs: tuple[SpinOffState, ...] = ()


class Broker(Protocol):
    """Reads raise Unreachable, RateLimited or Rejected. `submit`, `cancel` and `cancel_all` raise Rejected,
    RateLimited or OutcomeUnknown. No call is retried inside; every call has a finite timeout.

    One row that cannot be read does not cost the others: orders, positions, activities and corporate
    actions come as `Rows`, quotes as `Quotes`, each with what could not be read of it (`unread_of`).
    """

    def account(self) -> AccountState: ...

    def clock(self) -> ClockState: ...

    def calendar(self, first: date, last: date) -> Mapping[date, tuple[int, int]]:
        """Session → (open_ns, close_ns), both ends included."""
        ...

    def asset(self, symbol: str) -> AssetState: ...

    def assets(self) -> Sequence[AssetState]:
        """Every active US equity, in one request."""
        ...

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        """Of every symbol that the broker does not refuse."""
        ...

    def positions(self) -> Sequence[PositionState]: ...

    def open_orders(self) -> Sequence[OrderState]: ...

    def orders_since(self, since_ns: int) -> Sequence[OrderState]:
        """Every order submitted at or after `since_ns`, whatever its status, ascending. Raises MoreOrders
        where they are more than one look reads."""
        ...

    def order(self, order_id: str) -> OrderState: ...

    def order_by_client_id(self, client_order_id: str) -> OrderState | None:
        """None only when the broker says that it does not exist."""
        ...

    def submit(self, order: NewOrder) -> OrderState: ...

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel. Returning proves that it was asked, not that it happened."""
        ...

    def cancel_all(self) -> Mapping[str, int]:
        """Ask for a cancel of every open order of the account in one call, whoever sent it. The broker's
        order id → the HTTP status that it answers for that order: 2xx says asked, no more."""
        ...

    def activities(self, since_ns: int, *, after_id: str | None = None) -> Sequence[AccountActivity]:
        """Every type, ascending by time, from `since_ns` on, or what follows the activity `after_id` in
        that list. Raises MoreActivities where they are more than one look reads."""
        ...

    def bars(self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int) -> Sequence[BarState]:
        """Raw bars with start_ns ≤ start < end_ns, all pages, ascending by symbol and start."""
        ...

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        """One row a symbol and ex-date, first ≤ ex-date ≤ last. `unreadable` names each announcement that is
        not in them: in another currency, malformed, or of a kind nobody knows. Its symbol's row may then
        lack it."""
        ...

    def close(self) -> None:
        """Release connections. The object is of no use afterwards."""
        ...


class PinnedBroker(Broker, Protocol):
    """A connection that writes to one account only: it refuses to until `account()` has read that one, or
    somebody who knows that the keys open it has said so."""

    def confirm(self) -> None: ...


class Connected(NamedTuple):
    """The stream of updates is there, or there again: what happened meanwhile was not told."""


class OrderChanged(NamedTuple):
    """Something happened to an order: a hint to look at it, and no more. `event` is the broker's word."""

    order_id: str
    client_order_id: str
    event: str


Update = Connected | OrderChanged


class UpdateSource(Protocol):
    """Puts what the broker's stream says into `updates`, from the start of the `with` block to its end. It
    connects anew by itself."""

    updates: Queue[Update]

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
