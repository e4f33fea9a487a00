"""Lines of an account's history, and a desk whose broker says more of them than it has."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from support.planted import Altered

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.port import (
    AccountActivity,
    CorporateActionState,
    PositionState,
    QuoteState,
    Rows,
    Unreachable,
)
from trading_assets.core.ledger import Holding
from trading_assets.engine.book.accounting import ledger_of, whole_ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.reconciliation.reconcile import ReconcileReport, reconcile

SESSION = date(2012, 7, 5)


SHARES = {"SPLIT", "NC", "SPIN", "MA", "REO", "REORG", "VOF", "JNL", "JNLS", "ACATS", "FOPT", "OPTRD"}


TRANSFERS = {"TRANS", "CSD", "CSW", "ACATC", "ACATS", "JNL", "JNLC", "JNLS", "FOPT", "MEM", "OCT"}


COST = 600.0  # of the ten AAPL that are held


class Books:
    """A desk whose broker says more lines, other positions and other announcements than it has."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lines: list[AccountActivity] = []
        self.at_broker: dict[str, tuple[str, str]] = {}  # symbol → (quantity, average entry price)
        self.announced: list[CorporateActionState] = []
        self.unknown: set[str] = set()  # symbols that nobody quotes
        self.late_fails = False  # the second reading of a look
        self._told_before: set[str] = set()
        self._real = desk.broker
        desk.broker = Altered(
            self._real,
            activities=self._activities,
            positions=self._positions,
            corporate_actions=lambda symbols, first, last: Rows.of(
                one for one in self.announced if one.symbol in symbols and first <= one.ex_date <= last
            ),
            quotes=self._quotes,
        )

    def _activities(self, since: int) -> list[AccountActivity]:
        if self.late_fails and since < self.desk.now_ns() - 3600 * 10**9:
            raise Unreachable("the late ones are not readable")
        return [*self._real.activities(since), *self.lines]

    def _positions(self) -> list[PositionState]:
        true = {position.symbol: position for position in self._real.positions()}
        for symbol, (qty, price) in self.at_broker.items():
            true[symbol] = PositionState(symbol, Decimal(qty), Decimal(price), Decimal(qty))
        return [position for position in true.values() if position.qty]

    def _quotes(self, symbols: list[str]) -> Any:
        if self.unknown & set(symbols):
            raise Unreachable("a symbol that nobody quotes")
        return self._real.quotes(symbols)

    def say(self, *lines: AccountActivity) -> ReconcileReport:
        """More lines, and a reconciliation."""
        self.lines += lines
        return reconcile(self.desk)

    def held(self, symbol: str = "AAPL") -> Holding:
        ledger = ledger_of(self.desk.journal, self.desk.book)
        assert ledger == whole_ledger_of(self.desk.journal, self.desk.book)
        return ledger.holdings.get(symbol, Holding())

    @property
    def cash(self) -> float:
        return ledger_of(self.desk.journal, self.desk.book).cash_usd

    def titles(self) -> list[str]:
        """What a person has been told since the beginning of the test."""
        alerts = self.desk.journal.pending_alerts()
        return [alert.title for alert in alerts if alert.key not in self._told_before]

    def begin(self) -> None:
        self._told_before = {alert.key for alert in self.desk.journal.pending_alerts()}


def line(desk: Desk, type_: str, name: str, **fields: object) -> AccountActivity:
    """A line as the broker's JSON says it."""
    row = {
        "activity_type": type_,
        "id": name,
        "date": SESSION.isoformat(),
        "created_at": parsing.stamp(desk.now_ns()),
        "status": "executed",
        **fields,
    }
    return parsing.activity({name: value for name, value in row.items() if value is not None})


def mid_of(quote: QuoteState) -> float:
    assert quote.bid is not None
    assert quote.ask is not None
    return float(quote.bid + quote.ask) / 2


def bought(desk: Desk, symbol: str, qty: int, price: float = COST) -> AccountActivity:
    return line(
        desk,
        "FILL",
        f"fill-{symbol}",
        symbol=symbol,
        qty=str(qty),
        cum_qty=str(qty),
        price=str(price),
        side="buy",
        order_id=f"order-{symbol}",
        transaction_time=parsing.stamp(desk.now_ns() - 10**8),
    )
