"""The book's ledger: opening positions, fills and adjustments from the journal, folded in time.

Positions are never stored as truth; this fold is what the desk says it holds, and reconciliation
compares it with what the broker says. A checkpoint keeps what came before today, so that a tick
folds today's entries only; it gives the same ledger bit for bit, or it is thrown away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

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
from trading_assets.log import get_logger
from trading_assets.store.journal import Journal
from trading_assets.store.ledger_checkpoints import Evidence
from trading_assets.store.records import (
    AdjustmentRecord,
    CheckpointRecord,
    FillRecord,
    OpeningPositionRecord,
)

log = get_logger(__name__)

CASH = ""
LEDGER = "ledger"  # the name of its checkpoints
STOPS = "stops"  # of those of the stops' costs, see engine.stop_costs


class ExDate(NamedTuple):
    """The morning of an ex-date, as far as the account's activities do not say it: a dividend lowers the
    cost that a stop is measured from, a split may not be booked yet."""

    at_ns: int
    symbol: str
    split_ratio: float
    cash_usd: float  # for each old share


def ledger_of(journal: Journal, book: str, *, keep_before_ns: int | None = None) -> Ledger:
    """What everything that is journaled for the book comes to: from the newest checkpoint on.

    keep_before_ns: make a checkpoint of what came before, unless there is one
    """
    evidence = journal.evidence(book, LEDGER)
    kept = evidence.checkpoint
    if keep_before_ns is not None and (kept is None or kept.through_ns < keep_before_ns):
        state = ledger_state(folded(before(evidence, keep_before_ns)))
        journal.keep_checkpoint(CheckpointRecord(book, LEDGER, keep_before_ns, state), evidence.newest)
    return folded(evidence)


def whole_ledger_of(journal: Journal, book: str) -> Ledger:
    """The same from the opening on, by no checkpoint."""
    return folded(journal.evidence(book))


def verify_checkpoint(journal: Journal, book: str) -> bool:
    """Whether the checkpoint gives what the whole journal gives. One that does not is dropped, and logged.

    The stops' checkpoint, which also depends on the broker's corporate actions, begins anew in any case.
    """
    journal.drop_checkpoints(book, STOPS)
    # Twice: an entry may be written between the two readings.
    if any(ledger_of(journal, book) == whole_ledger_of(journal, book) for _ in range(2)):
        return True
    log.error("the ledger's checkpoint is not what the journal folds to: dropped", book=book)
    journal.drop_checkpoints(book, LEDGER)
    return False


def folded(evidence: Evidence, ex_dates: Iterable[ExDate] = ()) -> Ledger:
    """The ledger that the evidence comes to, with `ex_dates` among its entries."""
    if evidence.checkpoint is None:
        return fold_records(evidence.opening, evidence.fills, evidence.adjustments, ex_dates)
    start = ledger_from(evidence.checkpoint.state)
    return _fold_onto(start, evidence.fills, evidence.adjustments, ex_dates)


def before(evidence: Evidence, at_ns: int) -> Evidence:
    """The part of the evidence that takes effect before `at_ns`: a bust or correction with its fill."""
    fills = [fill for fill in evidence.fills if fill.at_ns < at_ns]
    time_of = {fill.activity_id: fill.at_ns for fill in evidence.fills}
    return evidence._replace(
        fills=fills,
        adjustments=[a for a in evidence.adjustments if time_of.get(a.reverses, a.at_ns) < at_ns],
    )


def ledger_state(ledger: Ledger) -> dict[str, Any]:
    """A ledger as a checkpoint keeps it."""
    return {
        "cash_usd": ledger.cash_usd,
        "holdings": {symbol: list(held) for symbol, held in ledger.holdings.items()},
    }


def ledger_from(state: Mapping[str, Any]) -> Ledger:
    """The ledger that `ledger_state` was given, bit for bit."""
    holdings = {symbol: Holding(*map(float, held)) for symbol, held in state["holdings"].items()}
    return Ledger(float(state["cash_usd"]), holdings)


def fold_records(
    opening: Iterable[OpeningPositionRecord],
    fills: Iterable[FillRecord],
    adjustments: Iterable[AdjustmentRecord],
    ex_dates: Iterable[ExDate] = (),
) -> Ledger:
    """Opening entry first, then all else by time; a split before what else bears its stamp. A fill counts
    as its busts and corrections leave it."""
    cash = 0.0
    holdings: dict[str, Holding] = {}
    for start in opening:
        if start.symbol == CASH:
            cash += float(start.qty)
        else:
            holdings[start.symbol] = Holding(float(start.qty), float(start.avg_cost), 0.0)
    return _fold_onto(Ledger(cash, holdings), fills, adjustments, ex_dates)


def _fold_onto(
    ledger: Ledger,
    fills: Iterable[FillRecord],
    adjustments: Iterable[AdjustmentRecord],
    ex_dates: Iterable[ExDate],
) -> Ledger:
    fills, adjustments = _as_corrected(fills, adjustments)
    timeline: list[tuple[int, int, str, FillRecord | AdjustmentRecord | ExDate]] = []
    timeline += [(fill.at_ns, 2, fill.activity_id, fill) for fill in fills]
    timeline += [(a.at_ns, 0 if a.kind == "SPLIT" else 2, a.adjustment_id, a) for a in adjustments]
    timeline += [(ex_date.at_ns, 1, ex_date.symbol, ex_date) for ex_date in ex_dates]
    timeline.sort(key=lambda line: line[:3])
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


def _as_corrected(
    fills: Iterable[FillRecord], adjustments: Iterable[AdjustmentRecord]
) -> tuple[list[FillRecord], list[AdjustmentRecord]]:
    """The fills as they hold now, and the entries that are no change of one of them."""
    known = {fill.activity_id: fill for fill in fills}
    changes: dict[str, list[AdjustmentRecord]] = defaultdict(list)
    others = []
    for entry in adjustments:
        if entry.reverses in known:
            changes[entry.reverses].append(entry)
        else:
            others.append(entry)
    for activity_id, entries in changes.items():
        known[activity_id] = corrected(known[activity_id], entries)
    return [fill for fill in known.values() if fill.qty], others


def corrected(fill: FillRecord, changes: Iterable[AdjustmentRecord]) -> FillRecord:
    """The fill after its busts and corrections; quantity 0: it was busted."""
    qty, cash = fill.qty, -fill.side * fill.qty * fill.price
    for entry in changes:
        qty += fill.side * entry.qty_delta
        cash += entry.cash_delta
    return replace(fill, qty=qty, price=-fill.side * cash / qty if qty else fill.price)


def _ex_date(held: Holding, ex: ExDate) -> list[Entry]:
    if not held.qty:
        return []
    entries: list[Entry] = [QuantityEntry(ex.symbol, 0.0, -ex.cash_usd * held.qty)]
    if ex.split_ratio != 1.0:
        entries.append(SplitEntry(ex.symbol, ex.split_ratio))
    return entries


def _adjustment(held: Holding, record: AdjustmentRecord) -> list[Entry]:
    entries: list[Entry] = []
    delta, ratio = float(record.qty_delta), 0.0
    if record.kind == "SPLIT" and held.qty:
        ratio = (held.qty + delta) / held.qty
    if delta and ratio > 0.0:
        entries.append(SplitEntry(record.symbol, ratio))
    elif delta:  # also a split of more than is known to be held: reconciliation says what is missing
        # A bust of a fill that is not in this journal moves shares against cash; all else has no cost.
        cost = -float(record.cash_delta) if record.reverses else 0.0
        entries.append(QuantityEntry(record.symbol, delta, cost))
    if record.cash_delta:
        entries.append(CashEntry(record.symbol, float(record.cash_delta), record.kind))
    return entries


def transfers_since(journal: Journal, book: str, since_ns: int) -> Decimal:
    """Net cash transferred in at or after `since_ns`, USD."""
    entries = journal.adjustments(book, since_ns=since_ns, kind="TRANSFER")
    return sum((entry.cash_delta for entry in entries), Decimal(0))
