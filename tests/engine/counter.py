"""A broker over the counter: the port in memory, at one moment of one session, that fills what meets its
quote at once. For tests that need hundreds of accounts; what the wire does is the real exchange's to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from support.broker_words import activity, restated, stated

from trading_assets.broker.port import (
    AccountActivity,
    AccountState,
    AssetState,
    BarState,
    ClockState,
    CorporateActionState,
    NewOrder,
    NotFound,
    OrderState,
    PositionState,
    Quotes,
    QuoteState,
    Rows,
)
from trading_assets.config import Settings
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.market.sessions import Sessions

SESSION = date(2012, 9, 11)
TICK_NS = Sessions().ticks(SESSION, 30)[3]
NS = 10**9
PRICE = Decimal(100)


class Counter:
    """Every symbol is quoted at 99.99 to 100.01 unless `bids` says else.

    held: shares by symbol with their cost a share
    """

    def __init__(self, held: Mapping[str, tuple[int, int]]) -> None:
        self.now_ns = TICK_NS
        self.cash = Decimal(1_000_000)
        self.shares = {symbol: (Decimal(qty), Decimal(cost)) for symbol, (qty, cost) in held.items()}
        self.orders: dict[str, OrderState] = {}
        self.lines: list[AccountActivity] = []

    def account(self) -> AccountState:
        equity = self.cash + sum((qty * PRICE for qty, _ in self.shares.values()), Decimal(0))
        return AccountState("C1", "ACTIVE", True, equity, equity, self.cash, self.cash, False, self.cash)

    def clock(self) -> ClockState:
        sessions = Sessions()
        return ClockState(
            self.now_ns,
            True,
            sessions.open_ns(sessions.next(SESSION)),
            sessions.close_ns(SESSION),
        )

    def calendar(self, first: date, last: date) -> Mapping[date, tuple[int, int]]:
        return {SESSION: (Sessions().open_ns(SESSION), Sessions().close_ns(SESSION))}

    def asset(self, symbol: str) -> AssetState:
        return AssetState(symbol, tradable=True, fractionable=True, halted=False)

    def assets(self) -> Sequence[AssetState]:
        return [self.asset(symbol) for symbol in self.shares]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        bid, ask = PRICE - Decimal("0.01"), PRICE + Decimal("0.01")
        at = self.now_ns - NS
        return Quotes({symbol: QuoteState(symbol, bid, ask, at, PRICE, at, PRICE) for symbol in symbols})

    def positions(self) -> Sequence[PositionState]:
        held = {order.symbol: Decimal(0) for order in self.orders.values()}
        for order in self.open_orders():
            if order.side == Side.SELL:
                held[order.symbol] += order.qty - order.filled_qty
        return Rows(
            PositionState(
                symbol,
                qty,
                cost,
                qty - held.get(symbol, Decimal(0)),
                market_value=qty * PRICE,
                current_price=PRICE,
                last_close=PRICE,
            )
            for symbol, (qty, cost) in self.shares.items()
            if qty
        )

    def open_orders(self) -> Sequence[OrderState]:
        return Rows(order for order in self.orders.values() if order.status_word == "new")

    def orders_since(self, since_ns: int) -> Sequence[OrderState]:
        return Rows(order for order in self.orders.values() if order.submitted_ns >= since_ns)

    def order(self, order_id: str) -> OrderState:
        if order_id not in self.orders:
            raise NotFound(404, 40410000, "order not found")
        return self.orders[order_id]

    def order_by_client_id(self, client_order_id: str) -> OrderState | None:
        result = (order for order in self.orders.values() if order.client_order_id == client_order_id)
        return next(result, None)

    def submit(self, order: NewOrder) -> OrderState:
        """Fill it at 100 where its limit allows that, else let it rest."""
        number = f"o{len(self.orders)}"
        meets = order.limit_price <= PRICE if order.side == Side.SELL else order.limit_price >= PRICE
        state = stated(
            id=number,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            qty=order.qty,
            limit_price=order.limit_price,
            status="filled" if meets else "new",
            filled_qty=order.qty if meets else Decimal(0),
            filled_avg_price=PRICE if meets else None,
            submitted_ns=self.now_ns,
            updated_ns=self.now_ns,
        )
        self.orders[number] = state
        if meets:
            qty, cost = self.shares.get(order.symbol, (Decimal(0), PRICE))
            self.shares[order.symbol] = (qty + order.side * order.qty, cost)
            self.cash -= order.side * order.qty * PRICE
            self.lines.append(
                activity(
                    f"a{len(self.lines)}",
                    "FILL",
                    self.now_ns,
                    order.symbol,
                    order.side,
                    order.qty,
                    PRICE,
                    cum_qty=order.qty,
                    order_id=number,
                )
            )
        return state

    def cancel(self, order_id: str) -> None:
        self.orders[order_id] = restated(self.order(order_id), status="canceled")

    def cancel_all(self) -> Mapping[str, int]:
        statuses = {order.id: 200 for order in self.open_orders()}
        for order_id in statuses:
            self.cancel(order_id)
        return statuses

    def activities(self, since_ns: int, *, after_id: str | None = None) -> Sequence[AccountActivity]:
        return Rows(line for line in self.lines if line.at_ns >= since_ns)

    def bars(
        self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int, *, feed: str | None = None
    ) -> Sequence[BarState]:
        return []

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        return Rows()

    def close(self) -> None:
        """There is nothing to release."""


def desk_at(counter: Counter, data_dir: Path, *symbols: str) -> Desk:
    """A desk at the counter, as a new process would open it."""
    settings = Settings(data_dir=data_dir, tick_minutes=30, symbols=symbols or tuple(counter.shares))
    return Desk.open(settings, {}, connect=lambda *_: counter)
