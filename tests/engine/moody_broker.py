"""A broker at the port, in this process, that a test makes lose, deny, refuse and contradict. Its account
keeps the rules all the same: it never sells more than is free, and what fills is an activity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from support.broker_words import activity, restated, stated

from trading_assets.broker.port import (
    AccountActivity,
    AccountState,
    AssetState,
    BarState,
    ClockState,
    CorporateActionState,
    DuplicateClientOrderId,
    NewOrder,
    NotFound,
    OrderState,
    OutcomeUnknown,
    PositionState,
    QuoteState,
    RateLimited,
    Rejected,
    Unreachable,
)
from trading_assets.core.words import Side
from trading_assets.market.sessions import Sessions

T = TypeVar("T")
PRICE = Decimal(100)
CENT = Decimal("0.01")
WORKING = ("new", "partially_filled", "pending_cancel")
ZERO = Decimal(0)


@dataclass
class Moods:
    """How the broker is disposed now. The first word of each is how it obeys."""

    submit: str = "fills"  # fills, rests, refuses, lands_unheard, is_lost, rate_limits
    cancel: str = "obeys"  # obeys, ignores, refuses, leaves_pending, is_lost
    lookup: str = "true"  # true, fails, denies
    lists: str = "true"  # true, fail, are_old


@dataclass
class MoodyBroker:
    now_ns: int
    stamps: str  # true, or of the submission: an order's last change is not stated
    symbols: tuple[str, ...] = ("AAPL", "IBM")
    sessions: Sessions = field(default_factory=Sessions)
    moods: Moods = field(default_factory=Moods)
    cash: Decimal = Decimal(100_000)
    held: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)  # orders that it does not know any more
    old_list: list[OrderState] = field(default_factory=list)
    lines: list[AccountActivity] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    # --- what happens at the broker

    def known(self) -> list[OrderState]:
        return [order for order in self.orders.values() if order.id not in self.lost]

    def at_work(self) -> list[OrderState]:
        return [order for order in self.known() if order.status_word in WORKING]

    def word(self, order_id: str, status: str, filled: Decimal = ZERO) -> None:
        """The order becomes `status`, with so much more filled."""
        order = self.orders[order_id]
        self._fill(order, filled)
        self._change(order_id, status=status)

    def replaced(self, order_id: str, qty: Decimal) -> None:
        """A person gives the order another quantity for what it has left."""
        order = self.orders[order_id]
        new = restated(
            order,
            id=f"b{next(self.numbers)}",
            client_order_id=f"person-{next(self.numbers)}",
            qty=qty,
            filled_qty=ZERO,
            status="new",
            replaces=order_id,
            submitted_ns=self.now_ns,
            updated_ns=self.now_ns,
        )
        self._change(order_id, status="replaced", replaced_by=new.id)
        self.orders[new.id] = new

    def end_day(self) -> None:
        for order in self.at_work():
            self._change(order.id, status="expired")

    def free(self, symbol: str) -> Decimal:
        """Shares that no open sell keeps."""
        kept = sum(
            (
                one.qty - one.filled_qty
                for one in self.at_work()
                if (one.symbol, one.side) == (symbol, Side.SELL)
            ),
            ZERO,
        )
        return self.held.get(symbol, ZERO) - kept

    def _change(self, order_id: str, **changes: Any) -> None:
        changed = restated(self.orders[order_id], **changes)
        stamp = self.now_ns if self.stamps == "true" else changed.submitted_ns
        self.orders[order_id] = replace(changed, updated_ns=stamp)

    def _fill(self, order: OrderState, qty: Decimal) -> None:
        qty = min(qty, order.qty - order.filled_qty)
        if not qty:
            return
        filled = order.filled_qty + qty
        self._change(order.id, filled_qty=filled, filled_avg_price=PRICE)
        self.held[order.symbol] = self.held.get(order.symbol, ZERO) + order.side * qty
        self.cash -= order.side * qty * PRICE
        name = f"f{next(self.numbers)}"
        self.lines.append(
            activity(
                name,
                "FILL",
                self.now_ns,
                order.symbol,
                order.side,
                qty,
                PRICE,
                cum_qty=filled,
                order_id=order.id,
            )
        )

    # --- the port

    def submit(self, new: NewOrder) -> OrderState:
        mood = self.moods.submit
        if mood == "is_lost":
            raise OutcomeUnknown("scripted: never arrived")
        if mood == "rate_limits":
            raise RateLimited(None)
        if mood == "refuses":
            raise Rejected(403, 40310000, "scripted")
        if any(order.client_order_id == new.client_order_id for order in self.orders.values()):
            raise DuplicateClientOrderId(422, 40010001, "client_order_id must be unique")
        if new.side == Side.SELL and new.qty > self.free(new.symbol):
            raise Rejected(403, 40310000, "insufficient qty available for order")
        order = stated(
            id=f"b{next(self.numbers)}",
            client_order_id=new.client_order_id,
            symbol=new.symbol,
            side=new.side,
            qty=new.qty,
            limit_price=new.limit_price,
            status="new",
            filled_qty=ZERO,
            submitted_ns=self.now_ns,
            updated_ns=self.now_ns,
        )
        self.orders[order.id] = order
        if mood == "fills":
            self.word(order.id, "filled", order.qty)
        if mood == "lands_unheard":
            raise OutcomeUnknown("scripted: no answer came")
        return self.orders[order.id]

    def cancel(self, order_id: str) -> None:
        order = self.orders.get(order_id)
        if order is None or order_id in self.lost:
            raise NotFound(404, 40410000, "order not found")
        if order.status_word not in WORKING:
            raise Rejected(422, 42210000, f'order is already in "{order.status_word}" state')
        mood = self.moods.cancel
        if mood == "refuses":
            raise Rejected(422, 42210000, "scripted")
        if mood == "is_lost":
            raise OutcomeUnknown("scripted")
        if mood == "leaves_pending":
            self._change(order_id, status="pending_cancel")
        if mood == "obeys":
            self._change(order_id, status="canceled")

    def cancel_all(self) -> Mapping[str, int]:
        answers = {}
        for order in self.at_work():
            try:
                self.cancel(order.id)
            except Rejected as error:
                answers[order.id] = error.status
            else:
                answers[order.id] = 200
        return answers

    def order(self, order_id: str) -> OrderState:
        return self._looked_up(lambda order: order.id == order_id, order_id)

    def order_by_client_id(self, client_order_id: str) -> OrderState | None:
        try:
            return self._looked_up(lambda order: order.client_order_id == client_order_id, client_order_id)
        except NotFound:
            return None

    def _looked_up(self, which: Callable[[OrderState], bool], name: str) -> OrderState:
        if self.moods.lookup == "fails":
            raise Unreachable(f"scripted: {name}")
        result = next((order for order in self.known() if which(order)), None)
        if result is None or self.moods.lookup == "denies":
            raise NotFound(404, 40410000, f"order {name} not found")
        return result

    def orders_since(self, since_ns: int) -> Sequence[OrderState]:
        result = self._listed(self.known())
        return [order for order in result if order.submitted_ns >= since_ns]

    def open_orders(self) -> Sequence[OrderState]:
        return [order for order in self._listed(self.known()) if order.status_word in WORKING]

    def _listed(self, now: list[OrderState]) -> list[OrderState]:
        if self.moods.lists == "fail":
            raise Unreachable("scripted: lists")
        return self.old_list if self.moods.lists == "are_old" else now

    def positions(self) -> Sequence[PositionState]:
        return [
            PositionState(symbol, qty, PRICE, self.free(symbol)) for symbol, qty in self.held.items() if qty
        ]

    def account(self) -> AccountState:
        equity = self.cash + sum(self.held.values(), ZERO) * PRICE
        return AccountState(
            account_number="M1",
            status_word="ACTIVE",
            is_active=True,
            equity=equity,
            last_equity=Decimal(100_000),
            cash=self.cash,
            buying_power=self.cash,
            trading_blocked=False,
            settled_cash=self.cash,
        )

    def clock(self) -> ClockState:
        today = self.sessions.new_york_date(self.now_ns)
        following = self.sessions.next(today)
        return ClockState(
            self.now_ns,
            self.sessions.is_open(self.now_ns),
            self.sessions.open_ns(following),
            self.sessions.close_ns(today if self.sessions.is_session(today) else following),
        )

    def calendar(self, first: date, last: date) -> Mapping[date, tuple[int, int]]:
        return {
            day: (self.sessions.open_ns(day), self.sessions.close_ns(day))
            for day in self.sessions.between(first, last)
        }

    def asset(self, symbol: str) -> AssetState:
        return AssetState(symbol, tradable=True, fractionable=False, halted=False)

    def assets(self) -> Sequence[AssetState]:
        return [self.asset(symbol) for symbol in self.symbols]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        return {
            symbol: QuoteState(symbol, PRICE - CENT, PRICE + CENT, self.now_ns, PRICE, self.now_ns, PRICE)
            for symbol in symbols
        }

    def activities(self, since_ns: int, *, after_id: str | None = None) -> Sequence[AccountActivity]:
        result = [line for line in self.lines if line.at_ns >= since_ns]
        names = [line.id for line in result]
        return result[names.index(after_id) + 1 :] if after_id in names else result

    def bars(
        self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int, *, feed: str | None = None
    ) -> Sequence[BarState]:
        return []

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Sequence[CorporateActionState]:
        return []

    def close(self) -> None:
        """It has no connection."""
