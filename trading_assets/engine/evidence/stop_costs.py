"""The cost that a stop is measured from: the ledger's average cost, adjusted for splits, dividends, capital
gains and spin-offs.

The account's activities say when cash and shares were booked; prices move on the ex-date. Here the broker's
announcements take their place among the entries: a split or spin-off counts on its ex-date, however early,
late, in however many lines and by whichever type the broker books it. When a stop fires is `core.breakers`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from trading_assets.broker.port import CorporateActionState
from trading_assets.core.activities import ActivityKind
from trading_assets.core.ledger import Holding
from trading_assets.engine.book.accounting import (
    CANCELED,
    GIVEN_UP,
    STOPS,
    ExDate,
    before,
    carried_from,
    folded,
    ledger_state,
)
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.ledger_checkpoints import LedgerEvidence
from trading_assets.store.records import AdjustmentRecord, CheckpointRecord

BOOKED_WITHIN = timedelta(days=60)
"""How far from its ex-date, before or after it, a line may be booked and still be that announcement's."""
ANNOUNCED_AHEAD = timedelta(days=15)
"""How long before its ex-date a split is asked for: one that is booked by then waits for its ex-date."""

SpunOff = Mapping[tuple[str, date], float]
"""(parent, ex-date) → the fraction of the parent's value that went to new shares."""


class _Announced(NamedTuple):
    """The announcements in a fold's terms."""

    ex_dates: dict[str, list[ExDate]]
    apart: dict[str, int]  # id → time of the booked lines that the announcements stand for
    moved: list[AdjustmentRecord]  # booked spin-offs, at their ex-date


def began_on(journal: Journal, book: str) -> date:
    """The day of the book's opening entry: corporate actions count from the day after."""
    return Sessions().new_york_date(_began_ns(journal, book))


def asked_until(today: date) -> date:
    """The last ex-date of the announcements that the stops of `today` need."""
    return today + ANNOUNCED_AHEAD


def with_earlier_symbols(journal: Journal, book: str, symbols: Collection[str]) -> frozenset[str]:
    """These symbols and those whose shares theirs took the place of: what was paid or split off before a
    symbol changed counts after it too."""
    known = frozenset(symbols)
    replaced = [
        (entry.symbol, source.symbol)
        for kind in sorted(GIVEN_UP)
        for entry in journal.adjustments(book, kind=kind)
        if (source := carried_from(entry)) is not None
    ]
    while True:
        wider = known.union(old for new, old in replaced if new in known)
        if wider == known:
            return known
        known = wider


def held_by_ex_dates(
    journal: Journal,
    book: str,
    symbols: Collection[str],
    actions: Sequence[CorporateActionState],
    today: date,
    spun_off: SpunOff | None = None,
) -> dict[str, Holding]:
    """What is held of each of these symbols, as an owner since then sees it: shares and cost (USD a share)
    after every ex-date up to today.

    actions:  all of these symbols since the book began, and those ahead (`asked_until`)
    spun_off: what each spin-off took, where it is known: one that is not changes nothing until it is booked

    Whether an announcement is true is `engine.evidence.ex_dates`'s to say: these count.

    What came before today is kept as a checkpoint with the announcements that it was folded with, and folded
    again where these, or what the broker booked of them, have changed meanwhile.
    """
    announced = _announced(journal, book, symbols, actions, today, spun_off or {})
    evidence = journal.evidence(book, STOPS)
    if evidence.checkpoint is not None and not _holds(evidence.checkpoint, announced):
        evidence = journal.evidence(book)
    since = 0 if evidence.checkpoint is None else evidence.checkpoint.through_ns
    midnight_ns = new_york_midnight_ns(today)
    new = [ex for of in announced.ex_dates.values() for ex in of if since <= ex.at_ns <= midnight_ns]
    rest = _instead(evidence, announced, since)
    if since < midnight_ns:
        past = folded(before(rest, midnight_ns), [ex for ex in new if ex.at_ns < midnight_ns])
        state = {
            **ledger_state(past),
            "ex_dates": _until(announced.ex_dates, midnight_ns),
            "apart": _apart(announced, midnight_ns),
        }
        journal.keep_checkpoint(CheckpointRecord(book, STOPS, midnight_ns, state), evidence.newest)
    held = folded(rest, new).holdings
    return {symbol: held[symbol] for symbol in symbols if symbol in held and held[symbol].qty}


def booked_ex_dates(
    journal: Journal, book: str, actions: Sequence[CorporateActionState], today: date
) -> frozenset[tuple[str, date]]:
    """(symbol, ex-date) of the splits and spin-offs up to today of which the broker has booked a line."""
    past = [action for action in actions if action.ex_date <= today]
    splits = [action for action in past if action.split_ratio != 1.0]
    parents = [action for action in past if action.spin_offs]
    on_the_books = [action for _, action in split_lines(journal, book, splits)]
    for line, action in _matched(_lines(journal, book, ActivityKind.SPIN_OFF) if parents else [], parents):
        if _gives(action, line):
            on_the_books.append(action)
    return frozenset((action.symbol, action.ex_date) for action in on_the_books)


def split_lines(
    journal: Journal, book: str, splits: Sequence[CorporateActionState]
) -> list[tuple[AdjustmentRecord, CorporateActionState]]:
    """The broker's lines of these splits, each with the one that it belongs to.

    A split's own lines; where it has none, those of a symbol change or reorganisation by which shares of the
    symbol go and come under the same symbol, in either order. Not where they come under another one, nor
    where they go for cash alone.
    """
    if not splits:
        return []
    matched = list(_matched(_lines(journal, book, ActivityKind.SPLIT), splits))
    booked = {(action.symbol, action.ex_date) for _, action in matched}
    others = [action for action in splits if (action.symbol, action.ex_date) not in booked]
    moved = [
        line
        for kind in sorted(GIVEN_UP)
        for line in (_lines(journal, book, kind) if others else [])
        if line.qty_delta and line.author == "broker"
    ]
    by_split: dict[tuple[str, date], list[tuple[AdjustmentRecord, CorporateActionState]]] = {}
    for line, action in _matched(moved, others):
        by_split.setdefault((action.symbol, action.ex_date), []).append((line, action))
    for (symbol, _), lines in by_split.items():
        goes_elsewhere = any(line.symbol != symbol for line, _ in lines)
        comes = any(line.qty_delta > 0 for line, _ in lines)
        if not goes_elsewhere and (comes or not any(line.cash_delta > 0 for line, _ in lines)):
            matched += lines
    return matched


def costs_of(held: Mapping[str, Holding], symbols: Collection[str]) -> dict[str, float]:
    """The average cost of those of the symbols that are held, USD a share."""
    return {symbol: held[symbol].avg_cost for symbol in symbols if symbol in held}


def _instead(evidence: LedgerEvidence, announced: _Announced, since: int) -> LedgerEvidence:
    """The evidence without the lines that the announcements stand for."""
    kept = [entry for entry in evidence.adjustments if entry.adjustment_id not in announced.apart]
    kept += [entry for entry in announced.moved if entry.at_ns >= since]
    return evidence._replace(adjustments=kept)


def _holds(checkpoint: CheckpointRecord, announced: _Announced) -> bool:
    """Whether what was held at the checkpoint was folded with these announcements; others change nothing."""
    held = {symbol for symbol, (qty, *_) in checkpoint.state["holdings"].items() if qty}
    known = checkpoint.state["ex_dates"]
    wanted = _until(announced.ex_dates, checkpoint.through_ns)
    return checkpoint.state.get("apart", []) == _apart(announced, checkpoint.through_ns) and all(
        known.get(symbol) == dates for symbol, dates in wanted.items() if symbol in held
    )


def _until(ex_dates: Mapping[str, Sequence[ExDate]], at_ns: int) -> dict[str, list[list[Any]]]:
    """Those before `at_ns`, as a checkpoint keeps them."""
    return {symbol: [list(ex) for ex in of if ex.at_ns < at_ns] for symbol, of in ex_dates.items()}


def _apart(announced: _Announced, at_ns: int) -> list[str]:
    return sorted(name for name, booked_ns in announced.apart.items() if booked_ns < at_ns)


def _announced(
    journal: Journal,
    book: str,
    symbols: Collection[str],
    actions: Sequence[CorporateActionState],
    today: date,
    spun_off: SpunOff,
) -> _Announced:
    began_ns = _began_ns(journal, book)
    counted = [
        action
        for action in actions
        if action.symbol in symbols and new_york_midnight_ns(action.ex_date) > began_ns
    ]
    splits = [action for action in counted if action.split_ratio != 1.0]
    parents = [action for action in counted if action.spin_offs]
    announced = _Announced({symbol: [] for symbol in symbols}, {}, [])
    booked: dict[tuple[str, date], float] = {}
    for entry, action in split_lines(journal, book, splits):
        announced.apart[entry.adjustment_id] = entry.at_ns
        key = (action.symbol, action.ex_date)
        booked[key] = booked.get(key, 0.0) + float(entry.qty_delta)
    given: set[tuple[str, date]] = set()
    for entry, action in _matched(_lines(journal, book, ActivityKind.SPIN_OFF) if parents else [], parents):
        if action.ex_date <= today and _gives(action, entry):
            given.add((action.symbol, action.ex_date))
            announced.apart[entry.adjustment_id] = entry.at_ns
            announced.moved.append(replace(entry, at_ns=new_york_midnight_ns(action.ex_date)))
    for action in sorted(counted, key=lambda action: action.ex_date):
        key = (action.symbol, action.ex_date)
        announced.ex_dates[action.symbol].append(
            ExDate(
                new_york_midnight_ns(action.ex_date),
                action.symbol,
                action.split_ratio,
                action.cash_usd,
                0.0 if key in given else spun_off.get(key, 0.0),
                booked.get(key),
            )
        )
    return announced


def _lines(journal: Journal, book: str, kind: ActivityKind) -> list[AdjustmentRecord]:
    """The broker's lines of a kind that hold."""
    lines = journal.adjustments(book, kind=kind)
    ids = {line.adjustment_id for line in lines}
    return [
        line
        for line in lines
        if not line.adjustment_id.endswith(CANCELED) and line.adjustment_id + CANCELED not in ids
    ]


def _matched(
    lines: Iterable[AdjustmentRecord], actions: Sequence[CorporateActionState]
) -> Iterable[tuple[AdjustmentRecord, CorporateActionState]]:
    """Each line with the announcement of its symbol (of its parent's) whose ex-date is nearest."""
    day_of = Sessions().new_york_date
    for line in lines:
        source = carried_from(line)
        symbol, day = line.symbol if source is None else source.symbol, day_of(line.at_ns)
        near = [
            action
            for action in actions
            if action.symbol == symbol and abs(action.ex_date - day) <= BOOKED_WITHIN
        ]
        if near:
            yield line, min(near, key=lambda action: abs(action.ex_date - day))


def _gives(action: CorporateActionState, line: AdjustmentRecord) -> bool:
    return any(one.new_symbol == line.symbol for one in action.spin_offs)


def _began_ns(journal: Journal, book: str) -> int:
    return min((record.at_ns for record in journal.opening(book)), default=0)
