"""The book's ledger: opening positions, fills and adjustments from the journal, folded in time.

Positions are never stored as truth; this fold is what the desk says it holds, and reconciliation
compares it with what the broker says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from trading_assets.broker.port import CorporateActionState
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
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

CASH = ""
SPLIT_BOOKED_WITHIN_DAYS = 5


class ExDate(NamedTuple):
    """The morning of an ex-date, as far as the account's activities do not say it: a dividend lowers the
    cost that a stop is measured from, a split may not be booked yet."""

    at_ns: int
    symbol: str
    split_ratio: float
    cash_usd: float  # for each old share


def ledger_of(journal: Journal, book: str) -> Ledger:
    """Fold everything that is journaled for the book."""
    return fold_records(journal.opening(book), journal.fills(book), journal.adjustments(book))


def stop_costs(journal: Journal, book: str, actions: Sequence[CorporateActionState]) -> dict[str, float]:
    """Average cost of each held symbol, USD a share, adjusted for splits and dividends.

    actions: those since the book began count; a split that the broker has booked counts once
    """
    opening, adjustments = journal.opening(book), journal.adjustments(book)
    began_ns = min((record.at_ns for record in opening), default=0)
    day_of = Sessions().new_york_date
    booked = {(entry.symbol, day_of(entry.at_ns)) for entry in adjustments if entry.kind == "SPLIT"}
    ex_dates = []
    for action in actions:
        at_ns = new_york_midnight_ns(action.ex_date)
        window = (action.ex_date + timedelta(days=days) for days in range(SPLIT_BOOKED_WITHIN_DAYS))
        is_booked = any((action.symbol, day) in booked for day in window)
        if at_ns > began_ns:
            ratio = 1.0 if is_booked else action.split_ratio
            ex_dates.append(ExDate(at_ns, action.symbol, ratio, action.cash_usd))
    ledger = fold_records(opening, journal.fills(book), adjustments, ex_dates)
    return {symbol: held.avg_cost for symbol, held in ledger.holdings.items() if held.qty}


def fold_records(
    opening: Iterable[OpeningPositionRecord],
    fills: Iterable[FillRecord],
    adjustments: Iterable[AdjustmentRecord],
    ex_dates: Iterable[ExDate] = (),
) -> Ledger:
    """Opening entry first, then all else by time; a split before what else bears its stamp."""
    cash = 0.0
    holdings: dict[str, Holding] = {}
    for start in opening:
        if start.symbol == CASH:
            cash += float(start.qty)
        else:
            holdings[start.symbol] = Holding(float(start.qty), float(start.avg_cost), 0.0)
    timeline: list[tuple[int, int, str, FillRecord | AdjustmentRecord | ExDate]] = []
    timeline += [(fill.at_ns, 2, fill.activity_id, fill) for fill in fills]
    timeline += [(a.at_ns, 0 if a.kind == "SPLIT" else 2, a.adjustment_id, a) for a in adjustments]
    timeline += [(ex_date.at_ns, 1, ex_date.symbol, ex_date) for ex_date in ex_dates]
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
        ready = _ex_date(held, record) if isinstance(record, ExDate) else _adjustment(held, record)
    return fold(ledger, ready)


def _ex_date(held: Holding, ex: ExDate) -> list[Entry]:
    if not held.qty:
        return []
    entries: list[Entry] = [QuantityEntry(ex.symbol, 0.0, -ex.cash_usd * held.qty)]
    if ex.split_ratio != 1.0:
        entries.append(SplitEntry(ex.symbol, ex.split_ratio))
    return entries


def _adjustment(held: Holding, record: AdjustmentRecord) -> list[Entry]:
    entries: list[Entry] = []
    if record.qty_delta and record.kind == "SPLIT" and held.qty:
        entries.append(SplitEntry(record.symbol, (held.qty + float(record.qty_delta)) / held.qty))
    elif record.qty_delta:
        entries.append(QuantityEntry(record.symbol, float(record.qty_delta), 0.0))
    if record.cash_delta:
        entries.append(CashEntry(record.symbol, float(record.cash_delta), record.kind))
    return entries


def transfers_since(journal: Journal, book: str, since_ns: int) -> Decimal:
    """Net cash transferred in at or after `since_ns`, USD."""
    return sum(
        (
            record.cash_delta
            for record in journal.adjustments(book)
            if record.kind == "TRANSFER" and record.at_ns >= since_ns
        ),
        Decimal(0),
    )
