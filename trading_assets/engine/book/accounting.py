"""The book's ledger: opening positions, fills and adjustments from the journal, folded in time.

Positions are never stored as truth; this fold is what the desk says it holds, and reconciliation
compares it with what the broker says. A checkpoint keeps what came before today, so that a tick
folds today's entries only; it gives the same ledger bit for bit, or it is thrown away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from trading_assets.core.activities import ActivityKind
from trading_assets.core.ledger import (
    CashEntry,
    Entry,
    FillEntry,
    Holding,
    Ledger,
    QuantityEntry,
    ReplacementEntry,
    SpinOffEntry,
    SplitEntry,
    SurrenderEntry,
    fold,
    whole_if_close,
)
from trading_assets.log import get_logger
from trading_assets.market.settlement import Sale
from trading_assets.store.journal import Journal
from trading_assets.store.ledger_checkpoints import LedgerEvidence
from trading_assets.store.records import (
    AdjustmentRecord,
    CheckpointRecord,
    FillRecord,
    OpeningPositionRecord,
)

log = get_logger(__name__)

CASH = ""
LEDGER = "ledger"  # the name of its checkpoints
STOPS = "stops"  # of those of the stops' costs, see engine.evidence.stop_costs


COST = "COST"
"""The kind of an entry that says what shares cost which came without: `cost_of_shares` names its id."""
CANCELED = ":canceled"
"""What the id of an entry ends in that undoes another one: neither counts."""
_COST_OF = ":cost"
_FROM = " from "
GIVEN_UP = frozenset({ActivityKind.NAME_CHANGE, ActivityKind.REORGANISATION})


class ExDate(NamedTuple):
    """The morning of an ex-date, in a fold by prices, not by bookings (`engine.evidence.stop_costs`)."""

    at_ns: int
    symbol: str
    split_ratio: float  # of the shares and of the cost of each
    cash_usd: float  # off the cost of each old share
    spun_off: float = 0.0  # off the cost of each old share after that, as a fraction of it
    booked_qty: float | None = None  # shares that the split's lines brought in all; None: not booked yet


class CarriedFrom(NamedTuple):
    """Whose cost the shares of a line carry on."""

    symbol: str
    share: float  # of it; all of what waits where the old shares were given up


def carrying(type_name: str, source: str, share: float = 1.0) -> str:
    """The reason of an adjustment whose shares carry on a cost: "NC from FB", "SPIN from GE at 0.125"."""
    at = "" if share == 1.0 else f" at {share!r}"
    return f"{type_name}{_FROM}{source}{at}"


def carried_from(record: AdjustmentRecord) -> CarriedFrom | None:
    """What `carrying` said. Only a broker's line carries a cost on; a person's reason is free text."""
    if record.author != "broker" or _FROM not in record.reason:
        return None
    source, _, share = record.reason.partition(_FROM)[2].partition(" at ")
    return CarriedFrom(source, float(share) if share else 1.0)


def cost_of_shares(of: AdjustmentRecord, cost_usd: Decimal) -> AdjustmentRecord:
    """The entry that gives the shares of `of` their whole cost, USD, from the moment they came."""
    return replace(
        of,
        adjustment_id=of.adjustment_id + _COST_OF,
        kind=COST,
        qty_delta=Decimal(0),
        cash_delta=Decimal(0),
        author="broker",
        reason=f"cost of {of.adjustment_id}",
        reverses="",
        cost_delta=cost_usd,
    )


def without_cost(adjustments: Iterable[AdjustmentRecord]) -> list[AdjustmentRecord]:
    """Those that brought shares and nobody has said at what cost."""
    listed = list(adjustments)
    ids = {entry.adjustment_id for entry in listed}
    return [
        entry
        for entry in listed
        if entry.qty_delta > 0
        and entry.cost_delta is None
        and not entry.reverses
        and entry.kind != ActivityKind.SPLIT
        and carried_from(entry) is None
        and not entry.adjustment_id.endswith(CANCELED)
        and ids.isdisjoint((entry.adjustment_id + _COST_OF, entry.adjustment_id + CANCELED))
    ]


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


def folded(evidence: LedgerEvidence, ex_dates: Iterable[ExDate] = ()) -> Ledger:
    """The ledger that the evidence comes to, with `ex_dates` among its entries. A split or spin-off that is
    among them must not be among the evidence's adjustments too."""
    if evidence.checkpoint is None:
        return fold_records(evidence.opening, evidence.fills, evidence.adjustments, ex_dates)
    start = ledger_from(evidence.checkpoint.state)
    return _fold_onto(start, evidence.fills, evidence.adjustments, ex_dates)


def before(evidence: LedgerEvidence, at_ns: int) -> LedgerEvidence:
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
    timeline: list[tuple[int, int, bool, str, FillRecord | AdjustmentRecord | ExDate]] = []
    timeline += [(fill.at_ns, 2, False, fill.activity_id, fill) for fill in fills]
    timeline += [
        # of one moment, shares are given up before others take their place
        (
            a.at_ns,
            0 if a.kind == ActivityKind.SPLIT else 2,
            a.kind in GIVEN_UP and a.qty_delta > 0,
            a.adjustment_id,
            a,
        )
        for a in adjustments
    ]
    timeline += [(ex_date.at_ns, 1, False, ex_date.symbol, ex_date) for ex_date in ex_dates]
    timeline.sort(key=lambda line: line[:4])
    ready: list[Entry] = []
    for *_, record in timeline:
        if isinstance(record, FillRecord):
            ready.append(FillEntry(record.symbol, record.side, float(record.qty), float(record.price)))
            continue
        # What these entries say depends on what is held by then.
        ledger = fold(ledger, ready)
        held = ledger.holdings.get(record.symbol, Holding())
        ready = _ex_date(held, record) if isinstance(record, ExDate) else _adjustment(ledger, held, record)
    return fold(ledger, ready)


def _as_corrected(
    fills: Iterable[FillRecord], adjustments: Iterable[AdjustmentRecord]
) -> tuple[list[FillRecord], list[AdjustmentRecord]]:
    """The fills as they hold now, and the entries that are no change of one of them, as they hold now: those
    that were cancelled are gone, and those whose cost was told later have it."""
    known = {fill.activity_id: fill for fill in fills}
    changes: dict[str, list[AdjustmentRecord]] = defaultdict(list)
    by_id = {}
    for entry in adjustments:
        if entry.reverses in known:
            changes[entry.reverses].append(entry)
        else:
            by_id[entry.adjustment_id] = entry
    others = []
    for name, entry in by_id.items():
        undone = name.removesuffix(CANCELED) in by_id if name.endswith(CANCELED) else name + CANCELED in by_id
        cost_told = by_id.get(name + _COST_OF)
        if undone or (entry.kind == COST and name.removesuffix(_COST_OF) in by_id):
            continue
        others.append(entry if cost_told is None else replace(entry, cost_delta=cost_told.cost_delta))
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
    entries: list[Entry] = []
    if ex.cash_usd:
        entries.append(QuantityEntry(ex.symbol, 0.0, -ex.cash_usd * held.qty))
    cost = held.avg_cost - ex.cash_usd
    if ex.spun_off:
        entries.append(QuantityEntry(ex.symbol, 0.0, -ex.spun_off * cost * held.qty))
        cost *= 1.0 - ex.spun_off
    if ex.split_ratio != 1.0:
        entries.append(SplitEntry(ex.symbol, ex.split_ratio))
        after = whole_if_close(held.qty * ex.split_ratio)
        if ex.booked_qty is not None:
            fraction = whole_if_close(held.qty + ex.booked_qty) - after
            if fraction and abs(fraction) < 1.0:  # paid in cash; more than that is a line still to come
                entries.append(QuantityEntry(ex.symbol, fraction, fraction * cost / ex.split_ratio))
    return entries


def _adjustment(ledger: Ledger, held: Holding, record: AdjustmentRecord) -> list[Entry]:
    entries: list[Entry] = []
    if record.qty_delta:
        entries += _moved_shares(ledger, held, record)
    elif record.cost_delta and held.qty:
        entries.append(QuantityEntry(record.symbol, 0.0, float(record.cost_delta)))
    if record.cash_delta:
        entries.append(CashEntry(record.symbol, float(record.cash_delta), record.kind))
    return entries


def _moved_shares(ledger: Ledger, held: Holding, record: AdjustmentRecord) -> list[Entry]:
    symbol, delta, cash = record.symbol, float(record.qty_delta), float(record.cash_delta)
    after = whole_if_close(held.qty + delta)
    if record.cost_delta is not None:
        return [QuantityEntry(symbol, delta, float(record.cost_delta))]
    if record.reverses:  # of a fill that is not in this journal: shares against cash
        return [QuantityEntry(symbol, delta, -cash)]
    source = carried_from(record)
    if record.kind == ActivityKind.SPLIT:
        if held.qty * after > 0.0:
            # The whole cost stays but for what was paid in lieu of a fraction.
            paid = min(max(cash, 0.0), held.qty * held.avg_cost) if held.qty > 0.0 else 0.0
            in_lieu = [QuantityEntry(symbol, 0.0, -paid)] if paid else []
            return [SplitEntry(symbol, after / held.qty), *in_lieu]
        if held.qty > 0.0 and after == 0.0:
            return [SurrenderEntry(symbol, held.qty, max(cash, 0.0))]
        if held.qty == 0.0 and delta > 0.0 and held.waiting_usd > 0.0:
            return [ReplacementEntry(symbol, delta, symbol)]
    elif record.kind in GIVEN_UP and delta < 0.0 < held.qty:
        gone = min(-delta, held.qty)
        missing = delta + gone  # more than is known to be held: reconciliation says what is missing
        beyond = [QuantityEntry(symbol, missing, 0.0)] if missing else []
        return [SurrenderEntry(symbol, gone, max(cash, 0.0)), *beyond]
    elif source is not None and delta > 0.0:
        giving = ledger.holdings.get(source.symbol, Holding())
        if record.kind in GIVEN_UP and giving.waiting_usd > 0.0:
            return [ReplacementEntry(symbol, delta, source.symbol)]
        if record.kind == ActivityKind.SPIN_OFF and giving.qty > 0.0:
            return [SpinOffEntry(symbol, delta, source.symbol, source.share)]
    # Shares that go take their part of the cost along; what those that come cost is told later.
    return [QuantityEntry(symbol, delta, (delta if held.qty * after >= 0.0 else after) * held.avg_cost)]


def worth_mark(adjustment_id: str) -> str:
    """The mark that says what transferred shares were worth when they came or went, signed USD."""
    return f"worth:{adjustment_id.removesuffix(CANCELED)}"


def listed_mark(adjustment_id: str) -> str:
    """The mark that says when a split's line was first read of which the broker tells the date alone."""
    return f"listed:{adjustment_id}"


def transfers_since(journal: Journal, book: str, since_ns: int) -> Decimal:
    """Net value transferred in at or after `since_ns`, USD: cash, and shares at what they were worth."""
    total = Decimal(0)
    for entry in journal.adjustments(book, since_ns=since_ns, kind=ActivityKind.TRANSFER):
        total += entry.cash_delta
        if entry.qty_delta:
            worth = Decimal(journal.mark(book, worth_mark(entry.adjustment_id)) or 0)
            total += -worth if entry.adjustment_id.endswith(CANCELED) else worth
    return total


def sales_since(journal: Journal, book: str, since_ns: int) -> list[Sale]:
    """What was sold at or after `since_ns`, as busts and corrections leave it."""
    fills = journal.fills(book, since_ns=since_ns)
    if all(fill.side > 0 for fill in fills):
        return []
    held, _ = _as_corrected(fills, journal.adjustments(book, since_ns=since_ns))
    return [Sale(date.fromisoformat(fill.session), fill.qty * fill.price) for fill in held if fill.side < 0]
