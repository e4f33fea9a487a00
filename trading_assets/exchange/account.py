"""One account: cash, holdings, orders, and what orders reserve. Only events change it.

A cash account: buying power is cash less what open buys reserve; sells release it when they trade;
nothing is sold short. Marks come from outside, so equity takes a price function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from trading_assets.core.words import Side
from trading_assets.exchange.amounts import ZERO, shares
from trading_assets.exchange.configuration import Configuration
from trading_assets.exchange.orders import Status, VenueOrder


@dataclass(frozen=True, slots=True)
class VenueHolding:
    """Shares held and what they cost. A sale reduces the cost in proportion (average cost)."""

    qty: Decimal
    cost: Decimal

    @property
    def avg_entry_price(self) -> Decimal:
        return self.cost / self.qty

    def bought(self, qty: Decimal, price: Decimal) -> VenueHolding:
        return VenueHolding(self.qty + qty, self.cost + qty * price)

    def sold(self, qty: Decimal) -> VenueHolding:
        return VenueHolding(self.qty - qty, self.cost * (self.qty - qty) / self.qty)


class VenueExecution(StrEnum):
    """What a FILL line reports."""

    FILL = "fill"
    BUST = "trade_bust"
    CORRECTION = "trade_correct"


@dataclass(frozen=True, slots=True)
class VenueActivity:
    """One line of the account's history: a FILL (order fields set) or a movement of cash or shares.

    `amends` is set on a FILL line that busts or corrects an earlier one, named by its id.
    """

    id: str
    type: str  # FILL, DIV, SPLIT, JNLS, CSD, CSW, and what the broker posts
    at_ns: int
    symbol: str | None = None
    order: VenueOrder | None = None  # as it was right after this fill
    qty: Decimal | None = None
    price: Decimal | None = None
    per_share: Decimal | None = None
    net_amount: Decimal = ZERO
    description: str = ""
    execution: VenueExecution = VenueExecution.FILL
    amends: str | None = None
    cash_change: Decimal = ZERO
    qty_change: Decimal = ZERO  # of the position in `symbol`


@dataclass(frozen=True, slots=True)
class DueSplit:
    """A split that is not booked at midnight of its ex-date, and how far it is booked."""

    ex_date: date
    ratio: Decimal
    qty: Decimal  # old shares that wait for it
    coming: Decimal = ZERO  # new shares that a second line is still to bring
    cost: Decimal = ZERO  # of the old shares that the first line took
    booked: Decimal = ZERO  # new shares that it brought, as far as they are still held

    @property
    def is_waiting(self) -> bool:
        return bool(self.qty or self.coming)


@dataclass(slots=True)
class VenueAccount:
    number: str
    id: str
    opened_ns: int
    cash: Decimal
    last_equity: Decimal
    last_equity_ns: int
    holdings: dict[str, VenueHolding] = field(default_factory=dict)
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    order_ids: list[str] = field(default_factory=list)  # by sequence, so ascending by submission
    by_client_id: dict[str, str] = field(default_factory=dict)
    open_ids: dict[str, None] = field(default_factory=dict)  # in order of acceptance
    activities: list[VenueActivity] = field(default_factory=list)  # ascending by time
    activity_rows: dict[str, int] = field(default_factory=dict)  # id → place in `activities`
    amended: set[str] = field(default_factory=set)  # ids of fills that were busted or corrected
    closings: list[tuple[int, Decimal]] = field(default_factory=list)  # (ns, equity) of each close
    configuration: Configuration = field(default_factory=Configuration)
    splits: dict[str, DueSplit] = field(default_factory=dict)  # by symbol, the last one of each

    def open_orders(self, symbol: str | None = None) -> Iterator[VenueOrder]:
        """Working and waiting orders, first accepted first. Safe while orders end."""
        for order_id in tuple(self.open_ids):
            order = self.orders[order_id]
            if symbol is None or order.symbol == symbol:
                yield order

    @property
    def reserved_cash(self) -> Decimal:
        return sum((order.reserved_cash for order in self.open_orders()), ZERO)

    @property
    def buying_power(self) -> Decimal:
        return max(ZERO, self.cash - self.reserved_cash)

    def held_for_orders(self, symbol: str) -> Decimal:
        """Shares that open sells reserve."""
        return sum((o.leaves_qty for o in self.open_orders(symbol) if o.side is Side.SELL), ZERO)

    def position_qty(self, symbol: str) -> Decimal:
        holding = self.holdings.get(symbol)
        return ZERO if holding is None else holding.qty

    def long_market_value(self, price: Callable[[str], Decimal]) -> Decimal:
        return sum((holding.qty * price(symbol) for symbol, holding in self.holdings.items()), ZERO)

    def accept(self, order: VenueOrder) -> None:
        self.put(order)
        self.order_ids.append(order.id)
        self.by_client_id[order.client_order_id] = order.id

    def put(self, order: VenueOrder) -> None:
        """Store the order's newest version."""
        self.orders[order.id] = order
        if order.is_open:
            self.open_ids[order.id] = None
        else:
            self.open_ids.pop(order.id, None)

    def note(self, activity: VenueActivity) -> None:
        """Add a line to the account's history."""
        self.activity_rows[activity.id] = len(self.activities)
        self.activities.append(activity)
        if activity.amends is not None:
            self.amended.add(activity.amends)

    def traded_since(self, symbol: str, since_ns: int) -> Decimal:
        """Shares filled at or after an instant, on both sides."""
        qty = ZERO
        for activity in reversed(self.activities):
            if activity.at_ns < since_ns:
                break
            if activity.symbol == symbol and activity.execution is VenueExecution.FILL and activity.order:
                qty += activity.qty or ZERO
        return qty

    def fill(self, order_id: str, qty: Decimal, price: Decimal, at_ns: int, *, complete: bool) -> VenueOrder:
        """Apply a fill to order, holding and cash; returns the order after it."""
        order = self.orders[order_id]
        order = replace(
            order,
            filled_qty=order.filled_qty + qty,
            filled_value=order.filled_value + qty * price,
            status=Status.FILLED if complete else Status.PARTIALLY_FILLED,
            updated_ns=at_ns,
            ended_ns=at_ns if complete else None,
        )
        self.put(order)
        holding = self.holdings.get(order.symbol, VenueHolding(ZERO, ZERO))
        self.cash -= order.side * qty * price
        self._hold(order.symbol, holding.bought(qty, price) if order.side is Side.BUY else holding.sold(qty))
        if order.side is Side.SELL and (due := self.splits.get(order.symbol)) is not None:
            left, held = max(ZERO, due.qty - qty), self.position_qty(order.symbol)
            self.splits[order.symbol] = replace(due, qty=left, booked=min(due.booked, held - left))
        return order

    def split(self, symbol: str, qty_change: Decimal, coming: Decimal) -> None:
        """Book a split, or one of its two lines: the whole cost stays, and waits for the shares that are
        `coming`."""
        due = self.splits.get(symbol)
        if due is None or not due.is_waiting:
            self.adjust(symbol, qty_change, ZERO)
        elif coming:
            holding = self.holdings[symbol]
            cost = holding.cost - holding.sold(due.qty).cost
            self.adjust(symbol, qty_change, -cost)
            self.splits[symbol] = replace(due, qty=ZERO, coming=coming, cost=cost)
        else:
            self.adjust(symbol, qty_change, due.cost)
            self.splits[symbol] = replace(due, qty=ZERO, coming=ZERO, cost=ZERO, booked=due.qty + qty_change)

    def adjust(self, symbol: str, qty_change: Decimal, cost_change: Decimal) -> None:
        """Change a holding without a trade: its shares and what they cost, which stays ≥ 0."""
        holding = self.holdings.get(symbol, VenueHolding(ZERO, ZERO))
        cost = max(ZERO, holding.cost + cost_change)
        self._hold(symbol, VenueHolding(shares(holding.qty + qty_change), cost))

    def _hold(self, symbol: str, holding: VenueHolding) -> None:
        if holding.qty:
            self.holdings[symbol] = holding
        else:
            self.holdings.pop(symbol, None)
