"""What a case leaves as evidence: the exchange's journal, folded, and the desk's tables as they are.

The exchange's journal is folded with the exchange's state, the desk's journal is read with plain SQL;
nothing of the desk's own accounting, gate or sizing is used. What must hold of them is `judge`.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from scenario import sessions

from trading_assets.core.words import Side
from trading_assets.exchange import events as ev
from trading_assets.exchange.orders import Order
from trading_assets.exchange.quotes import mark_of
from trading_assets.exchange.state import State
from trading_assets.exchange.tape_view import TapeView
from trading_assets.market.bundle import BundledTape

TICK = Decimal("0.01")
Row = Mapping[str, Any]


@dataclass
class Accepted:
    """One order as the exchange took it, with what the account was at that moment."""

    order: Order
    number: int  # of its event in the exchange's journal
    at_ns: int
    exposure: Decimal  # of its symbol, with this order
    gross: Decimal
    equity: Decimal
    slack: Decimal  # half a tick of each share held: what quotes and marks are apart
    ended: int | None = None  # the event that ended or filled it


class Exchange:
    """The exchange's journal, folded, and every order as it was accepted."""

    def __init__(self, journal: str) -> None:
        self.state = State()
        self.accepted: dict[str, Accepted] = {}
        self.fills: dict[str, list[tuple[Decimal, Decimal, Decimal]]] = defaultdict(list)
        self.problems: list[str] = []
        for number, line in enumerate(journal.splitlines()):
            _, kind, payload = line.split("\t", 2)
            self._take(number, ev.decode(kind, payload))

    def _take(self, number: int, event: ev.Event) -> None:
        self.state.apply(event)
        account = self.state.account if self.state.accounts_opened else None
        match event:
            case ev.OrderAccepted(order_id=order_id):
                self._accept(number, event.at_ns, order_id)
            case ev.OrderFilled(order_id=order_id, qty=qty, price=price):
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
        account, order = self.state.account, self.state.account.orders[order_id]
        marks = {symbol: self._mark(symbol, at_ns) for symbol in account.holdings}
        exposure: dict[str, Decimal] = defaultdict(Decimal)
        slack = Decimal(0)
        for symbol, holding in account.holdings.items():
            exposure[symbol] += holding.qty * marks[symbol]
            slack += holding.qty * TICK
        for working in account.open_orders():
            if working.side is Side.BUY:
                exposure[working.symbol] += working.leaves_qty * (working.limit_price or Decimal(0))
        equity = account.cash + sum(account.holdings[s].qty * marks[s] for s in marks)
        self.accepted[order_id] = Accepted(
            order, number, at_ns, exposure[order.symbol], sum(exposure.values(), Decimal(0)), equity, slack
        )

    def _mark(self, symbol: str, at_ns: int) -> Decimal:
        return mark_of(symbol, self.state, _view(), at_ns)


@cache
def _view() -> TapeView:
    return TapeView(BundledTape(), sessions())


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
