"""The book's ledger: opening positions, fills and adjustments from the journal, folded in time.

Positions are never stored as truth; this fold is what the desk says it holds, and reconciliation
compares it with what the broker says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
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
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

CASH = ""


class ExDividend(NamedTuple):
    """A cash dividend on the morning of its ex-date: it lowers the cost that a stop is measured from."""

    at_ns: int
    symbol: str
    cash_usd: float  # a share


def ledger_of(journal: Journal, book: str) -> Ledger:
    """Fold everything that is journaled for the book."""
    return fold_records(journal.opening(book), journal.fills(book), journal.adjustments(book))


def stop_costs(journal: Journal, book: str, dividends: Sequence[ExDividend]) -> dict[str, float]:
    """Average cost of each held symbol, USD a share, adjusted for splits and dividends."""
    ledger = fold_records(journal.opening(book), journal.fills(book), journal.adjustments(book), dividends)
    return {symbol: held.avg_cost for symbol, held in ledger.holdings.items() if held.qty}


def fold_records(
    opening: Iterable[OpeningPositionRecord],
    fills: Iterable[FillRecord],
    adjustments: Iterable[AdjustmentRecord],
    dividends: Iterable[ExDividend] = (),
) -> Ledger:
    """Opening entry first, then all else by time; a split before what else bears its stamp."""
    cash = 0.0
    holdings: dict[str, Holding] = {}
    for start in opening:
        if start.symbol == CASH:
            cash += float(start.qty)
        else:
            holdings[start.symbol] = Holding(float(start.qty), float(start.avg_cost), 0.0)
    timeline: list[tuple[int, int, str, FillRecord | AdjustmentRecord | ExDividend]] = []
    timeline += [(fill.at_ns, 2, fill.activity_id, fill) for fill in fills]
    timeline += [(a.at_ns, 0 if a.kind == "SPLIT" else 2, a.adjustment_id, a) for a in adjustments]
    timeline += [(dividend.at_ns, 1, dividend.symbol, dividend) for dividend in dividends]
    timeline.sort(key=lambda line: line[:3])
    ledger = Ledger(cash, holdings)
    ready: list[Entry] = []
    for _, _, _, record in timeline:
        if isinstance(record, FillRecord):
            ready.append(FillEntry(record.symbol, record.side, float(record.qty), float(record.price)))
            continue
        # What these entries say depends on what is held by then.
        ledger = fold(ledger, ready)
        held = ledger.holdings.get(record.symbol, Holding())
        ready = _ex_dividend(held, record) if isinstance(record, ExDividend) else _adjustment(held, record)
    return fold(ledger, ready)


def _ex_dividend(held: Holding, dividend: ExDividend) -> list[Entry]:
    return [QuantityEntry(dividend.symbol, 0.0, -dividend.cash_usd * held.qty)]


def _adjustment(held: Holding, record: AdjustmentRecord) -> list[Entry]:
    entries: list[Entry] = []
    if record.qty_delta and record.kind == "SPLIT" and held.qty:
        entries.append(SplitEntry(record.symbol, (held.qty + float(record.qty_delta)) / held.qty))
    elif record.qty_delta:
        entries.append(QuantityEntry(record.symbol, float(record.qty_delta), 0.0))
    if record.cash_delta:
        entries.append(CashEntry(record.symbol, float(record.cash_delta), record.kind))
    return entries


def transfers_on(journal: Journal, book: str, first_ns: int) -> Decimal:
    """Net cash transferred in since `first_ns`, USD."""
    return sum(
        (
            record.cash_delta
            for record in journal.adjustments(book)
            if record.kind == "TRANSFER" and record.at_ns >= first_ns
        ),
        Decimal(0),
    )
