"""A replay's book: cash and holdings, the session's orders, stops, and the decision's input made of them.

It stands where broker and journal stand for a live tick: a cash account whose buying power is cash less
what open buys may take, as the embedded exchange's is. What is decided on it is `engine.decide`'s, what
fills `core.matching`'s, in which order things happen `engine.replay.walk`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import nan
from typing import NamedTuple

from trading_assets.core.ledger import (
    CashEntry,
    Entry,
    FillEntry,
    Holding,
    Ledger,
    QuantityEntry,
    SplitEntry,
    apply,
)
from trading_assets.core.orders import OPEN_STATES, State
from trading_assets.core.words import Limits, Side
from trading_assets.engine.halts import HaltView
from trading_assets.engine.inputs import DecisionInput, ForcedExit, Phase, SignalInput, SymbolInput
from trading_assets.engine.replay.tape import DayPrices, Price
from trading_assets.market.bars import CorporateAction
from trading_assets.store.records import VerdictRecord


@dataclass(slots=True)
class ReplayOrder:
    """An approved order. What fills fills in full: leaves are the quantity or nothing."""

    verdict: VerdictRecord
    qty: float
    limit_price: float
    price: Price  # the symbol as it was when the order was sent
    state: State = State.ACCEPTED
    updated_ns: int = 0
    detail: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_filled(self) -> bool:
        return self.state is State.FILLED

    def end(self, state: State, at_ns: int, detail: str) -> None:
        self.state, self.updated_ns, self.detail = state, at_ns, detail


class ReplayFill(NamedTuple):
    order: ReplayOrder
    price: float
    at_ns: int


class Instant(NamedTuple):
    """Where the walk stands."""

    session: date
    open_ns: int
    close_ns: int
    tick_ns: int
    now_ns: int


@dataclass(slots=True)
class ReplayBook:
    """The book. `orders` and `fills` are the session's."""

    key: str
    limits: Limits
    ledger: Ledger
    costs: Ledger  # the ledger with ex-dividends taken off the average cost, for stops
    orders: list[ReplayOrder] = field(default_factory=list)
    fills: list[ReplayFill] = field(default_factory=list)
    stopped: dict[str, tuple[int, date]] = field(default_factory=dict)  # symbol → when its stop was hit

    @classmethod
    def open(cls, key: str, limits: Limits, cash_usd: float) -> ReplayBook:
        return cls(key, limits, Ledger(cash_usd), Ledger(cash_usd))

    @property
    def held(self) -> dict[str, Holding]:
        """Symbol → holding, those that are not flat, ascending."""
        return {s: holding for s, holding in sorted(self.ledger.holdings.items()) if holding.qty}

    @property
    def working(self) -> list[ReplayOrder]:
        return [order for order in self.orders if order.is_open]

    def equity(self, prices: DayPrices, now_ns: int) -> float:
        """Cash + Σ quantity × mark, USD."""
        total = self.ledger.cash_usd
        for symbol, holding in self.held.items():
            total += holding.qty * prices.mark(symbol, now_ns)
        return total

    def exposure(self, prices: DayPrices, now_ns: int) -> dict[str, float]:
        """|quantity| × mark + Σ open entries' quantity × limit, USD, by symbol."""
        found = {s: abs(held.qty) * prices.mark(s, now_ns) for s, held in self.held.items()}
        for order in self.working:
            if not order.verdict.reducing:
                symbol = order.verdict.symbol
                found[symbol] = found.get(symbol, 0.0) + order.qty * order.limit_price
        return found

    def begin_session(self, actions: Iterable[CorporateAction]) -> None:
        """The orders are the next day's, and what happens to holders overnight happens: the dividend for
        each old share, in whole cents, then the split."""
        self.orders, self.fills = [], []
        for action in actions:
            held = self.ledger.holdings.get(action.symbol, Holding())
            if not held.qty:
                continue
            if action.cash_usd:
                amount = round(held.qty * action.cash_usd, 2)
                self.ledger = apply(self.ledger, CashEntry(action.symbol, amount, "DIVIDEND"))
                lower = QuantityEntry(action.symbol, 0.0, -action.cash_usd * held.qty)
                self.costs = apply(self.costs, lower)
            if action.split_ratio != 1.0:
                self._both(SplitEntry(action.symbol, action.split_ratio))

    def release_stops(self, session: date) -> None:
        """A stop holds its symbol until it is flat, and for the session in which it was sold."""
        held, traded = self.held, {fill.order.verdict.symbol for fill in self.fills}
        for symbol, (_, hit_on) in list(self.stopped.items()):
            if symbol not in held.keys() | traded and hit_on < session:
                del self.stopped[symbol]

    def accept(self, verdict: VerdictRecord, price: Price) -> ReplayOrder:
        order = ReplayOrder(
            verdict, float(verdict.qty), float(verdict.limit_price), price, updated_ns=verdict.at_ns
        )
        self.orders.append(order)
        return order

    def fill(self, order: ReplayOrder, price: float, at_ns: int) -> None:
        """Trade the whole order at `price`, USD."""
        order.end(State.FILLED, at_ns, "")
        self.fills.append(ReplayFill(order, price, at_ns))
        self._both(FillEntry(order.verdict.symbol, order.verdict.side, order.qty, price))

    def decision_input(
        self,
        at: Instant,
        phase: Phase,
        prices: DayPrices,
        halts: HaltView,
        execution_id: str,
        *,
        signals: Sequence[SignalInput] = (),
        forced_exits: Sequence[ForcedExit] = (),
        execution_orders: int = 0,
    ) -> DecisionInput:
        """What `engine.snapshot` reads from broker and journal, from the book."""
        working, held = self.working, self.held
        symbols = sorted(
            {signal.symbol for signal in signals}
            | {forced.symbol for forced in forced_exits}
            | held.keys()
            | {order.verdict.symbol for order in working}
        )
        views = tuple(self._view(symbol, prices.at(symbol, at.now_ns), working) for symbol in symbols)
        cash = self.ledger.cash_usd
        reserved = sum((view.open_entry_usd for view in views), 0.0)
        exits = sum(order.verdict.reducing for order in self.orders)
        is_open = at.open_ns <= at.now_ns < at.close_ns
        return DecisionInput(
            book=self.key,
            session=at.session.isoformat(),
            tick_ns=at.tick_ns,
            execution_id=execution_id,
            phase=phase,
            now_ns=at.now_ns,
            equity_usd=self.equity(prices, at.now_ns),
            buying_power_usd=max(0.0, cash - reserved),
            settled_cash_usd=cash - reserved,
            account_ns=at.now_ns,
            open_ns=at.open_ns,
            close_ns=at.close_ns,
            calendar_open=is_open,
            broker_open=is_open,
            halt_state=int(halts.state),
            halt_causes=tuple(str(cause) for cause in halts.causes),
            reconciling=False,
            orders_today=len(self.orders),
            execution_orders=execution_orders,
            exit_orders_today=exits,
            reject_streak=0,
            symbols=views,
            signals=tuple(signals),
            forced_exits=tuple(forced_exits),
            sent_ids=tuple(order.verdict.client_order_id for order in self.orders),
            limits=self.limits,
        )

    def _view(self, symbol: str, price: Price, working: Sequence[ReplayOrder]) -> SymbolInput:
        own = [order for order in working if order.verdict.symbol == symbol]
        sells = [order.limit_price for order in own if order.verdict.side == Side.SELL]
        buys = [order.limit_price for order in own if order.verdict.side == Side.BUY]
        return SymbolInput(
            symbol=symbol,
            qty=self.ledger.holdings.get(symbol, Holding()).qty,
            reserved_qty=sum((order.qty for order in own if order.verdict.reducing), 0.0),
            open_entry_usd=sum((o.qty * o.limit_price for o in own if not o.verdict.reducing), 0.0),
            bid=price.bid,
            ask=price.ask,
            quote_ns=price.quote_ns,
            last_trade=price.last_trade,
            previous_close=price.previous_close,
            tradable=price.listed,
            fractionable=True,
            halted=False,
            locked=symbol in self.stopped,
            in_flight=len(own),
            lowest_sell_limit=min(sells, default=nan),
            highest_buy_limit=max(buys, default=nan),
            orders_today=sum(order.verdict.symbol == symbol for order in self.orders),
        )

    def _both(self, entry: Entry) -> None:
        self.ledger, self.costs = apply(self.ledger, entry), apply(self.costs, entry)
