"""The cost that a stop is measured from: the ledger's average cost, adjusted for splits and dividends.

The account's activities say when cash and shares were booked; prices move on the ex-date. Here the
broker's corporate actions take their place among the entries. When a stop fires is `core.breakers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from trading_assets.broker.port import CorporateActionState
from trading_assets.engine.accounting import STOPS, ExDate, before, folded, ledger_state
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import CheckpointRecord

SPLIT_BOOKED_WITHIN_DAYS = 5


def began_on(journal: Journal, book: str) -> date:
    """The day of the book's opening entry: corporate actions count from the day after."""
    return Sessions().new_york_date(_began_ns(journal, book))


def stop_costs(
    journal: Journal,
    book: str,
    symbols: Collection[str],
    actions: Sequence[CorporateActionState],
    today: date,
) -> dict[str, float]:
    """Average cost of each of these symbols that is held, USD a share, adjusted for splits and dividends.

    actions: all of these symbols since the book began; a split that the broker has booked counts once

    What came before today is kept as a checkpoint with the ex-dates that it was folded with, and folded
    again where these have changed meanwhile.
    """
    ex_dates = _ex_dates(journal, book, symbols, actions)
    evidence = journal.evidence(book, STOPS)
    if evidence.checkpoint is not None and not _holds(evidence.checkpoint, ex_dates):
        evidence = journal.evidence(book)
    since = 0 if evidence.checkpoint is None else evidence.checkpoint.through_ns
    new = [ex for of in ex_dates.values() for ex in of if ex.at_ns >= since]
    midnight_ns = new_york_midnight_ns(today)
    if since < midnight_ns:
        past = folded(before(evidence, midnight_ns), [ex for ex in new if ex.at_ns < midnight_ns])
        state = {**ledger_state(past), "ex_dates": _until(ex_dates, midnight_ns)}
        journal.keep_checkpoint(CheckpointRecord(book, STOPS, midnight_ns, state), evidence.newest)
    held = folded(evidence, new).holdings
    return {symbol: held[symbol].avg_cost for symbol in symbols if symbol in held and held[symbol].qty}


def _holds(checkpoint: CheckpointRecord, ex_dates: Mapping[str, Sequence[ExDate]]) -> bool:
    """Whether what was held at the checkpoint was folded with these ex-dates; others change nothing."""
    held = {symbol for symbol, (qty, *_) in checkpoint.state["holdings"].items() if qty}
    known = checkpoint.state["ex_dates"]
    wanted = _until(ex_dates, checkpoint.through_ns)
    return all(known.get(symbol) == dates for symbol, dates in wanted.items() if symbol in held)


def _until(ex_dates: Mapping[str, Sequence[ExDate]], at_ns: int) -> dict[str, list[list[Any]]]:
    """Those before `at_ns`, as a checkpoint keeps them."""
    return {symbol: [list(ex) for ex in of if ex.at_ns < at_ns] for symbol, of in ex_dates.items()}


def _ex_dates(
    journal: Journal, book: str, symbols: Collection[str], actions: Sequence[CorporateActionState]
) -> dict[str, list[ExDate]]:
    booked: set[tuple[str, date]] = set()
    if any(action.split_ratio != 1.0 for action in actions):
        day_of = Sessions().new_york_date
        booked = {(entry.symbol, day_of(entry.at_ns)) for entry in journal.adjustments(book, kind="SPLIT")}
    began_ns = _began_ns(journal, book)
    found: dict[str, list[ExDate]] = {symbol: [] for symbol in symbols}
    for action in actions:
        at_ns = new_york_midnight_ns(action.ex_date)
        window = (action.ex_date + timedelta(days=days) for days in range(SPLIT_BOOKED_WITHIN_DAYS))
        is_booked = any((action.symbol, day) in booked for day in window)
        if at_ns > began_ns and action.symbol in found:
            ratio = 1.0 if is_booked else action.split_ratio
            found[action.symbol].append(ExDate(at_ns, action.symbol, ratio, action.cash_usd))
    return found


def _began_ns(journal: Journal, book: str) -> int:
    return min((record.at_ns for record in journal.opening(book)), default=0)
