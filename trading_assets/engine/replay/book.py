"""What happens to a replay's book overnight: dividends, splits, delistings. By day: `core.walk.session`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from trading_assets.core.ledger import (
    CashEntry,
    Entry,
    FillEntry,
    Holding,
    Ledger,
    QuantityEntry,
    SplitEntry,
    fold,
)
from trading_assets.core.walk.columns import CASH, Book
from trading_assets.core.walk.orders import whole_micros
from trading_assets.market.bars import CorporateAction


class Delisting(NamedTuple):
    """A position that was closed at its symbol's last price, because the symbol has no bar any more."""

    symbol: str
    qty: float  # signed, as it was held
    price: float


def take_actions(book: Book, rows: Mapping[str, int], actions: Iterable[CorporateAction]) -> float:
    """The dividend for each old share, in whole cents, then the split. Returns the USD of the dividends.

    rows: symbol → its row in the book
    """
    dividends_usd = 0.0
    for action in actions:
        row = rows[action.symbol]
        qty = float(book.holdings[row]["qty"])
        if not qty:
            continue
        split = [SplitEntry(action.symbol, action.split_ratio)] if action.split_ratio != 1.0 else []
        paid = [CashEntry(action.symbol, round(qty * action.cash_usd, 2), "DIVIDEND")]
        lower = [QuantityEntry(action.symbol, 0.0, -action.cash_usd * qty)]  # a stop is no lower for it
        _enter(book, row, action.symbol, [*paid, *split], [*lower, *split])
        dividends_usd += sum(entry.amount_usd for entry in paid)
    return dividends_usd


def close_delisted(book: Book, rows: Mapping[str, int], last_prices: Mapping[str, float]) -> list[Delisting]:
    """Close what is held of symbols that have no bar any more.

    last_prices: of the symbols that are gone
    """
    closed = []
    for symbol, price in sorted(last_prices.items()):
        row = rows[symbol]
        qty = float(book.holdings[row]["qty"])
        if qty:
            sold: list[Entry] = [FillEntry(symbol, -1 if qty > 0 else 1, abs(qty), price)]
            _enter(book, row, symbol, sold, sold)
            closed.append(Delisting(symbol, qty, price))
    return closed


def _enter(book: Book, row: int, symbol: str, entries: list[Entry], for_stops: list[Entry]) -> None:
    """The entries into the book's row; `for_stops` into the costs that stops are measured against."""
    held = book.holdings[row]
    before = Holding(float(held["qty"]), float(held["avg_cost"]), float(held["realized_usd"]))
    after = fold(Ledger(float(book.figures[CASH]), {symbol: before}), entries)
    stops = fold(Ledger(0.0, {symbol: before._replace(avg_cost=float(held["stop_cost"]))}), for_stops)
    book.figures[CASH] = whole_micros(after.cash_usd)
    held["qty"], held["avg_cost"], held["realized_usd"], _ = after.holdings[symbol]
    held["stop_cost"] = stops.holdings[symbol].avg_cost
