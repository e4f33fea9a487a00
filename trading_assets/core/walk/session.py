"""A session of a replay, compiled: its ticks in order, each like a live tick: protect, exits, entries,
through `decision.decide_pass`, `matching`, `ledger.apply_fill` and `losses`.

Between ticks minute bars fill resting orders and protection goes on; at the close DAY orders expire. It
reads, keeps and writes the columns of `core.walk.columns`. The caller does what happens overnight: dividends,
splits, delistings, rearming.
"""

from __future__ import annotations

from math import inf

import numpy as np

from trading_assets.core.compiled import allocation_free, inlined
from trading_assets.core.decision.columns import Candidates, Outcome, Pass, Rows
from trading_assets.core.limits import Limits
from trading_assets.core.tolerance import at_least
from trading_assets.core.walk.columns import (
    ORDERS,
    VERDICTS,
    WORKING,
    Book,
    Day,
    Ended,
    Schedule,
    Sheet,
    Terms,
    WalkedOrder,
)
from trading_assets.core.walk.figures import look, write_state
from trading_assets.core.walk.orders import end, match_resting
from trading_assets.core.walk.passes import execute
from trading_assets.core.walk.protect import due_exits, is_in_turn
from trading_assets.core.walk.scratch import WalkedDesk, open_desk, price_symbols


def walk_session(
    day: Day,
    schedule: Schedule,
    signals: Rows,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
) -> bool:
    """Take the book through one session and fill its sheet, both in place.

    False when the sheet has no room for all verdicts. Book and sheet are then unusable: walk the session
    again on a copy of the book with a larger sheet.
    """
    most = int(np.diff(schedule.first_signal).max(initial=0))
    desk = open_desk(day, most, sheet.orders.size)
    return walk_compiled(day, schedule, signals, terms, limits, book, sheet, desk)


@allocation_free
def walk_compiled(
    day: Day,
    schedule: Schedule,
    signals: Rows,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: WalkedDesk,
) -> bool:
    for k in range(schedule.at_ns.size):
        now_ns, tick = schedule.at_ns[k], schedule.tick[k]
        if tick < 0 and not _is_exposed(book, sheet):
            continue
        price_symbols(now_ns, day, terms, desk)
        match_resting(now_ns, day, terms, book, sheet, desk)
        if tick < 0 and not ((now_ns - terms.open_ns) % terms.protect_ns == 0 and _is_exposed(book, sheet)):
            continue
        if not _act(now_ns, tick, schedule, signals, terms, limits, book, sheet, desk):
            return False
    price_symbols(terms.close_ns, day, terms, desk)
    match_resting(terms.close_ns, day, terms, book, sheet, desk)
    for place in range(sheet.counts[WORKING]):
        end(desk.working[place], WalkedOrder.EXPIRED, Ended.CLOSE, terms.close_ns, sheet)
    sheet.counts[WORKING] = 0
    look(terms.close_ns, limits, book, sheet, desk)
    write_state(terms.close_ns, book, sheet, desk)
    return True


@inlined
def _is_exposed(book: Book, sheet: Sheet) -> bool:
    """There is a position or an order at work."""
    exposed = bool(sheet.counts[WORKING] > 0)
    for i in range(book.holdings.size):
        exposed = exposed or bool(book.holdings[i]["qty"] != 0.0)
    return exposed


@inlined
def _act(
    now_ns: int,
    tick: int,
    schedule: Schedule,
    signals: Rows,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: WalkedDesk,
) -> bool:
    """Protection; at a tick (≥ 0) then what its signals sell, and what they buy. False: there is no room."""
    begin, passes, sent_before = 0, 1, sheet.counts[ORDERS]
    if tick >= 0:
        begin, passes = schedule.first_signal[tick], 3
    vetoed = False
    candidates = due_exits(now_ns, terms, limits, book, sheet, desk)
    for a_pass in range(passes):
        if a_pass == Pass.EXITS:
            vetoed = schedule.vetoed[tick]
            if schedule.incomplete.size > 0:
                _show_gaps(tick, schedule, desk)
            candidates = _signals_at(
                now_ns, begin, schedule.first_signal[tick + 1], signals, terms, limits, book, sheet, desk
            )
        if candidates.rows.size == 0:
            continue
        first = sheet.counts[VERDICTS]
        if not execute(now_ns, a_pass, candidates, sent_before, vetoed, terms, limits, book, sheet, desk):
            return False
        if a_pass == Pass.EXITS:
            _keep_reductions(first, sheet, desk)
        if a_pass != Pass.PROTECT:
            _keep_outcomes(begin, candidates.rows.size, sheet, desk)
    if tick >= 0:
        look(now_ns, limits, book, sheet, desk)
        write_state(now_ns, book, sheet, desk)
    return True


@inlined
def _show_gaps(tick: int, schedule: Schedule, desk: WalkedDesk) -> None:
    """Whose bars are incomplete at the tick."""
    for i in range(desk.shown.size):
        desk.shown[i]["incomplete"] = schedule.incomplete[tick, i]


@inlined
def _signals_at(
    now_ns: int,
    begin: int,
    stop: int,
    signals: Rows,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: WalkedDesk,
) -> Candidates:
    """The tick's signals as candidates; one without a reference price takes the last price, and keeps it.
    Each that reaches the threshold becomes its symbol's last signal; one that sells waits for the symbol's
    turn.
    """
    for number in range(begin, stop):
        signal, candidate = signals[number], desk.candidates[number - begin]
        i = signal["symbol"]
        if signal["reference_price"] != signal["reference_price"]:
            signal["reference_price"] = desk.shown[i]["last_trade"]
        candidate["symbol"], candidate["decision"], candidate["attempt"], candidate["qty"] = i, number, 1, inf
        candidate["value"], candidate["as_of_ns"] = signal["value"], signal["as_of_ns"]
        candidate["reference_price"], candidate["limit_price"] = (
            signal["reference_price"],
            signal["limit_price"],
        )
        candidate["volatility"] = signal["volatility"]
        if not at_least(abs(signal["value"]), limits.threshold):
            continue
        near, sells = desk.symbols[i], signal["value"] < 0.0
        if near["last_signal"] < 0 or signals[near["last_signal"]]["as_of_ns"] <= signal["as_of_ns"]:
            near["last_signal"], near["sells"] = number, sells
            near["to_sell"] = abs(book.holdings[i]["qty"]) + _still_to_buy(i, sheet, desk) if sells else 0.0
        if sells and not is_in_turn(i, now_ns, terms, limits, sheet, desk):
            candidate["qty"] = 0.0
    return Candidates(desk.candidates[: stop - begin], desk.unsent)


@inlined
def _still_to_buy(symbol: int, sheet: Sheet, desk: WalkedDesk) -> float:
    """Shares of the symbol's entries at work."""
    shares = 0.0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if sheet.orders[row]["symbol"] == symbol and not sheet.proposals.rows[row]["reducing"]:
            shares += sheet.proposals.rows[row]["qty"]
    return shares


@inlined
def _keep_reductions(first: int, sheet: Sheet, desk: WalkedDesk) -> None:
    """What the exits of the pass, from verdict `first` on, are to sell by signals that leave a part of the
    position, whether the gate let it pass or not."""
    for row in range(first, sheet.counts[VERDICTS]):
        candidate = desk.candidates[sheet.proposals.rows[row]["candidate"]]
        near = desk.symbols[candidate["symbol"]]
        if near["last_signal"] == candidate["decision"] and not near["sells"]:
            near["to_sell"] += sheet.proposals.rows[row]["qty"]


@inlined
def _keep_outcomes(begin: int, count: int, sheet: Sheet, desk: WalkedDesk) -> None:
    """What an exit ordered or refused is not undone by the entries' pass holding."""
    for row in range(count):
        outcome, before = desk.outcomes[row], sheet.outcomes[begin + row]
        if outcome != Outcome.NONE and (before == Outcome.NONE or before == Outcome.HELD):
            sheet.outcomes[begin + row] = outcome
