"""What a case leaves as evidence: the exchange's journal, folded, and the desk's tables as they are.

The exchange's journal is folded with the exchange's state, the desk's journal is read with plain SQL;
nothing of the desk's own accounting, gate or sizing is used. What must hold of them is `judge`.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from scenario import sessions, tape_view
from split_tape import Split

from trading_assets.core.words import Side
from trading_assets.exchange import events as ev
from trading_assets.exchange.account import VenueHolding
from trading_assets.exchange.orders import VenueOrder
from trading_assets.exchange.quotes import around, mark_of
from trading_assets.exchange.state import VenueState

TICK = Decimal("0.01")
SPREAD_BPS = Decimal(2)
ACCOUNT_AGE_NS = 60_000_000_000  # as old may the account be that an entry is judged by
Row = Mapping[str, Any]


class Exposure(NamedTuple):
    """What the account was when it took an order, USD."""

    exposure: Decimal  # of the order's symbol, with this order
    gross: Decimal
    equity: Decimal
    slack: Decimal  # half a tick of each share held: what quotes and marks are apart


@dataclass
class Accepted:
    """One order as the exchange took it."""

    order: VenueOrder
    number: int  # of its event in the exchange's journal
    at_ns: int
    exposures: Sequence[Exposure]  # at that moment, and as it was before lines of a split of the last minute
    cost: Decimal  # of a share of its symbol that is held, in today's shares and after dividends
    lowest_bid: Decimal  # that the session's tape has shown since shares are held
    ended: int | None = None  # the event that ended or filled it


class Exchange:
    """The exchange's journal, folded, and every order as it was accepted."""

    def __init__(self, journal: str, split: Split | None = None, looked_ns: Sequence[int] = ()) -> None:
        self.state = VenueState()
        self.equities: list[tuple[int, Decimal]] = []  # after each event, and when the desk looked
        self._looks = sorted(looked_ns)
        self._split = split
        self._before_lines: list[tuple[int, Decimal]] = []  # when, and the position before it
        self._held_since: dict[str, int] = {}
        self._dividends: dict[str, Decimal] = defaultdict(Decimal)  # of what is held
        self._view = tape_view(split)
        self.accepted: dict[str, Accepted] = {}
        self.fills: dict[str, list[tuple[Decimal, Decimal, Decimal]]] = defaultdict(list)
        self.problems: list[str] = []
        for number, line in enumerate(journal.splitlines()):
            _, kind, payload = line.split("\t", 2)
            self._take(number, ev.decode(kind, payload))

    def _take(self, number: int, event: ev.Event) -> None:
        while self._looks and self._looks[0] < event.at_ns:
            self._see(self._looks.pop(0))
        if isinstance(event, ev.PositionSplit):
            self._before_lines.append((event.at_ns, self.state.account.position_qty(event.symbol)))
        self.state.apply(event)
        self._see(event.at_ns)
        account = self.state.account if self.state.accounts_opened else None
        match event:
            case ev.OrderAccepted(order_id=order_id):
                self._accept(number, event.at_ns, order_id)
            case ev.DividendPaid(symbol=symbol, amount=amount):
                self._dividends[symbol] += amount
            case ev.OrderFilled(order_id=order_id, qty=qty, price=price):
                self._hold(event.at_ns, self.state.account.orders[order_id].symbol)
                filled = self.state.account.orders[order_id]
                self.fills[order_id].append((filled.filled_qty, qty, price))
                if not filled.is_open:
                    self._end(order_id, number)
            case ev.OrderEnded(order_id=order_id):
                self._end(order_id, number)
        if account is not None and account.cash < 0:
            self.problems.append(f"cash is {account.cash} after event {number}")
        for symbol, holding in account.holdings.items() if account is not None else ():
            if holding.qty < 0:
                self.problems.append(f"short {holding.qty} {symbol} after event {number}")

    def _see(self, at_ns: int) -> None:
        if self.state.accounts_opened:
            account = self.state.account
            equity = account.cash + account.long_market_value(lambda symbol: self._mark(symbol, at_ns))
            self.equities.append((at_ns, equity))

    def _end(self, order_id: str, number: int) -> None:
        """The end of an order is the end of those that it replaced, one after the other."""
        ended: str | None = order_id
        while ended is not None:
            self.accepted[ended].ended = number
            ended = self.accepted[ended].order.replaces

    def filled_qty(self, order_id: str) -> Decimal:
        """What an order and those that replaced it have filled."""
        orders, filled = self.state.account.orders, Decimal(0)
        following: str | None = order_id
        while following is not None:
            filled += orders[following].filled_qty
            following = orders[following].replaced_by
        return filled

    def _accept(self, number: int, at_ns: int, order_id: str) -> None:
        order = self.state.account.orders[order_id]
        cost, lowest = Decimal(0), Decimal(0)
        if order.side is Side.SELL:
            cost, lowest = self._cost(order.symbol), self._lowest_bid(order.symbol, at_ns)
        self.accepted[order_id] = Accepted(
            order, number, at_ns, list(self._exposures(order, at_ns)), cost, lowest
        )

    def _hold(self, at_ns: int, symbol: str) -> None:
        if symbol not in self.state.account.holdings:
            self._held_since.pop(symbol, None)
            self._dividends.pop(symbol, None)
        self._held_since.setdefault(symbol, at_ns)

    def _cost(self, symbol: str) -> Decimal:
        """Of what is held and what a split's lines are still to bring."""
        account = self.state.account
        holding = account.holdings.get(symbol, VenueHolding(Decimal(0), Decimal(0)))
        qty, cost = holding.qty, holding.cost - self._dividends[symbol]
        due = account.splits.get(symbol)
        if due is not None and self._split is not None:
            cost += due.cost
            qty += due.coming
            if self._split.today:
                qty += due.qty * (due.ratio - 1)
            else:
                qty -= (due.booked + due.coming) * (1 - 1 / due.ratio)
        return cost / qty if qty else Decimal(0)

    def _lowest_bid(self, symbol: str, at_ns: int) -> Decimal:
        session = sessions().session_at(at_ns)
        assert session is not None
        bars = self._view.minutes(symbol, session).until(at_ns)
        since = bars.end_ns >= self._held_since.get(symbol, at_ns)
        prints = [Decimal(str(price)) for price in bars.close[since]]
        last = self._view.last_print(symbol, at_ns)
        lowest = min(prints + ([] if last is None else [last.price]))
        return around(lowest, SPREAD_BPS, at_ns).bid

    def _exposures(self, order: VenueOrder, at_ns: int) -> Iterator[Exposure]:
        held = {symbol: holding.qty for symbol, holding in self.state.account.holdings.items()}
        yield self._exposure(order, at_ns, held)
        for line_ns, qty in self._before_lines:
            if self._split is not None and line_ns >= at_ns - ACCOUNT_AGE_NS:
                yield self._exposure(order, at_ns, held | {self._split.symbol: qty})

    def _exposure(self, order: VenueOrder, at_ns: int, held: Mapping[str, Decimal]) -> Exposure:
        account = self.state.account
        marks = {symbol: self._mark(symbol, at_ns) for symbol in held}
        exposure: dict[str, Decimal] = defaultdict(Decimal)
        slack = Decimal(0)
        for symbol, qty in held.items():
            exposure[symbol] += qty * marks[symbol]
            slack += qty * TICK
        for working in account.open_orders():
            if working.side is Side.BUY:
                exposure[working.symbol] += working.leaves_qty * (working.limit_price or Decimal(0))
        equity = account.cash + sum((held[symbol] * marks[symbol] for symbol in held), Decimal(0))
        return Exposure(exposure[order.symbol], sum(exposure.values(), Decimal(0)), equity, slack)

    def _mark(self, symbol: str, at_ns: int) -> Decimal:
        return mark_of(symbol, self.state, self._view, at_ns)


class DeskTables:
    """The desk's tables, by plain SQL."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            self._tables: dict[str, list[Row]] = {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
                for name in (
                    "intents",
                    "orders",
                    "order_events",
                    "fills",
                    "verdicts",
                    "opening_positions",
                    "adjustments",
                    "halts",
                    "locks",
                    "leases",
                    "breaks",
                )
            }
        self.intents = {row["client_order_id"]: row for row in self._tables["intents"]}
        self.orders = {row["client_order_id"]: row for row in self._tables["orders"]}
        self.execution_of = {row["verdict_id"]: row["execution_id"] for row in self._tables["verdicts"]}

    def rows(self, table: str) -> list[Row]:
        return self._tables[table]

    def events(self, client_order_id: str) -> list[Row]:
        return [row for row in self._tables["order_events"] if row["client_order_id"] == client_order_id]

    def latched(self) -> set[str]:
        last = {row["cause"]: row["action"] for row in self._tables["halts"]}
        return {cause for cause, action in last.items() if action == "latch"}

    def locks(self) -> set[tuple[str, str, str]]:
        """Symbol, cause and reason of each that holds."""
        held = (row for row in self._tables["locks"] if row["released_ns"] is None)
        return {(row["symbol"], row["cause"], row["reason"]) for row in held}
