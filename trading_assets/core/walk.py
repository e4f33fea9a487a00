"""A session of a replay, compiled: its ticks in their order, each as the live tick goes: protect, exits,
entries, through `decision.decide_pass`, `matching`, `ledger.apply_fill` and `losses`.

Between ticks minute bars fill what rests and protection goes on; at the close DAY orders expire. What is
read, kept and written are the columns of `core.walk_columns`; how orders trade is `core.walk_orders`. What
happens overnight (dividends, splits, delistings, rearming) is the caller's.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np

from trading_assets.core.breakers import is_tripped, stop_hit
from trading_assets.core.compiled import compiled
from trading_assets.core.decision import WISH, Flags, Outcome, Pass, Row, Rows, Standing, Wishes, decide_pass
from trading_assets.core.losses import LossFigures, losses_of, observe
from trading_assets.core.walk_columns import (
    CASH,
    E0,
    EQUITY,
    EVENTS,
    EXITS,
    FACT_GROSS_BOUGHT,
    FACT_GROSS_MARK,
    FACT_LOWEST_CASH,
    FACT_POSITION_BOUGHT,
    FACT_POSITION_MARK,
    ORDERS,
    POSITIONS,
    SESSION_PEAK,
    STATES,
    UNIT_PEAK,
    UNIT_VALUE,
    VERDICTS,
    WORKING,
    Book,
    Bytes,
    Day,
    Ended,
    OrderState,
    Schedule,
    Sheet,
    Terms,
)
from trading_assets.core.walk_orders import (
    Desk,
    accept,
    end,
    forget_purchases,
    match_resting,
    open_desk,
    price_symbols,
    show_symbols,
    trade_or_rest,
    whole_micros,
)
from trading_assets.core.words import Limits

_DAILY_LOSS = 1  # in `losses.Losses`


@compiled
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

    False when the sheet has no room for all verdicts: then both are spoilt, and the session is to be done
    again on a copy of the book with a larger sheet.
    """
    desk = open_desk(day, sheet)
    for k in range(schedule.at_ns.size):
        now_ns, tick = schedule.at_ns[k], schedule.tick[k]
        if tick < 0 and not _is_exposed(book, sheet):
            continue
        price_symbols(now_ns, day, terms, desk)
        match_resting(now_ns, day, terms, book, sheet, desk)
        if tick >= 0:
            if not _tick(now_ns, tick, day, schedule, signals, terms, limits, book, sheet, desk):
                return False
            continue
        due = (now_ns - terms.open_ns) % terms.protect_ns == 0 and _is_exposed(book, sheet)
        if due and _protect(now_ns, day, terms, limits, book, sheet, desk) < 0:
            return False
    price_symbols(terms.close_ns, day, terms, desk)
    match_resting(terms.close_ns, day, terms, book, sheet, desk)
    for place in range(sheet.counts[WORKING]):
        end(desk.working[place], OrderState.EXPIRED, Ended.CLOSE, terms.close_ns, sheet)
    sheet.counts[WORKING] = 0
    forget_purchases(desk)
    _look(terms.close_ns, limits, book, sheet, desk)
    _write_state(terms.close_ns, book, sheet, desk)
    return True


@compiled
def _is_exposed(book: Book, sheet: Sheet) -> bool:
    """There is a position or an order at work."""
    return sheet.counts[WORKING] > 0 or bool(np.any(book.holdings["qty"] != 0.0))


@compiled
def _tick(
    now_ns: int,
    tick: int,
    day: Day,
    schedule: Schedule,
    signals: Rows,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: Desk,
) -> bool:
    """False when there is no room."""
    sent = _protect(now_ns, day, terms, limits, book, sheet, desk)
    if sent < 0:
        return False
    begin, stop = schedule.first_signal[tick], schedule.first_signal[tick + 1]
    forget_purchases(desk)
    if stop > begin:
        wishes = _signals_at(begin, stop, signals, desk)
        found = np.zeros(stop - begin, np.int8)
        for a_pass in (Pass.EXITS, Pass.ENTRIES):
            passed = _execute(now_ns, a_pass, wishes, sent, found, day, terms, limits, book, sheet, desk)
            if passed < 0:
                return False
            sent += passed
            for row in range(stop - begin):
                # What an exit ordered or refused is not undone by the entries' pass holding.
                before = sheet.outcomes[begin + row]
                if found[row] != 0 and (before == Outcome.NONE or before == Outcome.HELD):
                    sheet.outcomes[begin + row] = found[row]
    _look(now_ns, limits, book, sheet, desk)
    _write_state(now_ns, book, sheet, desk)
    return True


@compiled
def _signals_at(begin: int, stop: int, signals: Rows, desk: Desk) -> Wishes:
    """The tick's signals as wishes; one without a reference price takes the last price, and keeps it."""
    rows = np.zeros(stop - begin, WISH)
    for number in range(begin, stop):
        row, i = number - begin, signals[number]["symbol"]
        reference = signals[number]["reference_price"]
        if reference != reference:
            reference = desk.symbols[i]["last"]
            signals[number]["reference_price"] = reference
        rows[row]["symbol"], rows[row]["decision"], rows[row]["attempt"] = i, number, 1
        rows[row]["value"], rows[row]["as_of_ns"] = signals[number]["value"], signals[number]["as_of_ns"]
        rows[row]["reference_price"] = reference
        rows[row]["limit_price"] = signals[number]["limit_price"]
        rows[row]["volatility"] = signals[number]["volatility"]
        rows[row]["qty"] = inf
    return Wishes(rows, np.zeros((stop - begin, 0), np.bool_))


@compiled
def _protect(
    now_ns: int, day: Day, terms: Terms, limits: Limits, book: Book, sheet: Sheet, desk: Desk
) -> int:
    """Breakers, what they cancel, timeouts, stops, unfilled exits. The number of orders sent; −1: no room."""
    forget_purchases(desk)
    _look(now_ns, limits, book, sheet, desk)
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if book.latched[_DAILY_LOSS] and not sheet.proposals.rows[row]["reducing"]:
            end(row, OrderState.CANCELED, Ended.DAILY_LOSS, now_ns, sheet)
        elif now_ns - sheet.orders[row]["at_ns"] >= terms.patience_ns:
            end(row, OrderState.CANCELED, Ended.TIMEOUT, now_ns, sheet)
        else:
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept
    _see_stops(now_ns, terms, limits, book, sheet, desk)
    exits = _forced_exits(book, sheet, desk)
    if exits.rows.size == 0:
        return 0
    outcomes = np.zeros(exits.rows.size, np.int8)
    return _execute(now_ns, Pass.PROTECT, exits, 0, outcomes, day, terms, limits, book, sheet, desk)


@compiled
def _see_stops(now_ns: int, terms: Terms, limits: Limits, book: Book, sheet: Sheet, desk: Desk) -> None:
    """A stop that is hit holds its symbol until it is flat, and for the session in which it was sold."""
    for i in range(book.holdings.size):
        held, near = book.holdings[i], desk.symbols[i]
        if held["stopped_ns"]:
            if held["qty"] == 0.0 and not near["traded"] and held["stopped_on"] < terms.session:
                held["stopped_ns"], held["stop_attempt"] = 0, 0
        elif held["qty"] != 0.0:
            cost, trade_ns = held["stop_cost"], near["trade_ns"]
            if stop_hit(near["bid"], near["ask"], trade_ns, near["last"], trade_ns, cost, now_ns, limits):
                held["stopped_ns"], held["stopped_on"], held["stop_attempt"] = now_ns, terms.session, 0
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        i = sheet.orders[row]["symbol"]
        if (
            book.holdings[i]["stopped_ns"]
            and book.holdings[i]["qty"] != 0.0
            and not sheet.proposals.rows[row]["reducing"]
        ):
            end(row, OrderState.CANCELED, Ended.STOP, now_ns, sheet)
        else:
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept


@compiled
def _forced_exits(book: Book, sheet: Sheet, desk: Desk) -> Wishes:
    """The next attempt for each stopped position without an order at work; then, for each symbol, for what
    its last decision of the session was to sell and did not."""
    count = book.holdings.size
    at_work = np.zeros(count, np.bool_)
    for place in range(sheet.counts[WORKING]):
        at_work[sheet.orders[desk.working[place]]["symbol"]] = True
    rows, used = np.zeros(2 * count, WISH), 0
    for i in range(count):
        if book.holdings[i]["stopped_ns"] and book.holdings[i]["qty"] != 0.0 and not at_work[i]:
            _want_exit(rows[used], i, -1 - i, book.holdings[i]["stop_attempt"] + 1, inf)
            used += 1
    for i in range(count):
        last = desk.symbols[i]["last_order"]
        if last < 0 or book.holdings[i]["qty"] == 0.0 or book.holdings[i]["stopped_ns"]:
            continue
        if sheet.proposals.rows[last]["reducing"] and sheet.orders[last]["decision"] >= 0:
            leaves = _unfilled(last, sheet)
            if leaves > 0.0:
                order = sheet.orders[last]
                _want_exit(rows[used], i, order["decision"], order["attempt"] + 1, leaves)
                used += 1
    return Wishes(rows[:used], np.zeros((used, 0), np.bool_))


@compiled
def _want_exit(row: Row, symbol: int, decision: int, attempt: int, most: float) -> None:
    row["symbol"], row["decision"], row["attempt"], row["qty"] = symbol, decision, attempt, most
    row["value"], row["reference_price"], row["limit_price"], row["volatility"] = nan, nan, nan, nan


@compiled
def _unfilled(last: int, sheet: Sheet) -> float:
    """Shares that the attempt of order `last` did not sell; 0 while a slice of it works."""
    orders, leaves, row = sheet.orders, 0.0, last
    while (
        row >= 0
        and orders[row]["decision"] == orders[last]["decision"]
        and orders[row]["attempt"] == orders[last]["attempt"]
    ):
        if orders[row]["state"] == OrderState.ACCEPTED:
            return 0.0
        if orders[row]["state"] != OrderState.FILLED:
            leaves += sheet.proposals.rows[row]["qty"]
        row = orders[row]["previous"]
    return leaves


@compiled
def _execute(
    now_ns: int,
    a_pass: int,
    wishes: Wishes,
    sent: int,
    outcomes: Bytes,
    day: Day,
    terms: Terms,
    limits: Limits,
    book: Book,
    sheet: Sheet,
    desk: Desk,
) -> int:
    """Decide one pass and send what passed: it trades with the quote, or rests. −1: no room, else the number
    sent."""
    symbols = show_symbols(day, book, sheet, desk)
    first = sheet.counts[VERDICTS]
    used = decide_pass(
        a_pass,
        _standing(now_ns, sent, terms, book, sheet, desk, symbols),
        symbols,
        _with_sent(wishes, a_pass, book, sheet, desk),
        limits,
        terms.no_trade_band,
        first,
        sheet.proposals,
        outcomes,
    )
    if used < 0:
        return -1
    sheet.counts[VERDICTS] += used
    passed = 0
    for row in range(first, first + used):
        if accept(row, now_ns, a_pass, wishes, book, sheet, desk):
            passed += 1
    for row in range(first, first + used):
        if sheet.orders[row]["state"] == OrderState.ACCEPTED:
            trade_or_rest(row, now_ns, terms, book, sheet, desk)
    return passed


@compiled
def _standing(
    now_ns: int, sent: int, terms: Terms, book: Book, sheet: Sheet, desk: Desk, symbols: Rows
) -> Standing:
    """A cash account: its buying power is cash less what open buys may take."""
    cash, reserved = book.figures[CASH], 0.0
    for i in range(symbols.size):
        reserved += symbols[i]["open_entry_usd"]
    power = whole_micros(cash - reserved)
    is_open = terms.open_ns <= now_ns < terms.close_ns
    daily_loss, max_drawdown, session_drawdown = book.latched[1], book.latched[2], book.latched[0]
    return Standing(
        now_ns,
        _equity(book, desk),
        power if power > 0.0 else 0.0,
        cash - reserved,
        now_ns,
        terms.open_ns,
        terms.close_ns,
        is_open,
        is_open,
        1 if daily_loss or max_drawdown or session_drawdown else 0,
        False,
        daily_loss,
        max_drawdown,
        session_drawdown,
        sheet.counts[ORDERS],
        sent,
        sheet.counts[EXITS],
        0,
    )


@compiled
def _with_sent(wishes: Wishes, a_pass: int, book: Book, sheet: Sheet, desk: Desk) -> Wishes:
    """The wishes, with the slices of theirs that the session's orders have sent before."""
    slices, orders, near = 0, sheet.orders, desk.symbols
    for row in range(wishes.rows.size):
        last = near[wishes.rows[row]["symbol"]]["last_order"]
        if last >= 0 and not _is_before(orders[last]["decision"], wishes.rows[row]["decision"]):
            slices = max(slices, _mark_sent(row, wishes, a_pass, book, sheet, desk, wishes.sent))
    if slices == 0:
        return wishes
    sent = np.zeros((wishes.rows.size, slices), np.bool_)
    for row in range(wishes.rows.size):
        _mark_sent(row, wishes, a_pass, book, sheet, desk, sent)
    return Wishes(wishes.rows, sent)


@compiled
def _is_before(decision: int, other: int) -> bool:
    """A symbol's decisions on signals are numbered as they come."""
    return 0 <= decision < other


@compiled
def _mark_sent(
    row: int, wishes: Wishes, a_pass: int, book: Book, sheet: Sheet, desk: Desk, sent: Flags
) -> int:
    """Mark in `sent`, as far as it reaches; the highest slice that was sent."""
    wish, orders, highest = wishes.rows[row], sheet.orders, 0
    i = wish["symbol"]
    side = -1 if a_pass != Pass.ENTRIES and book.holdings[i]["qty"] > 0.0 else 1
    order = desk.symbols[i]["last_order"]
    while order >= 0 and not _is_before(orders[order]["decision"], wish["decision"]):
        same = (
            orders[order]["decision"] == wishes.rows[row]["decision"]
            and sheet.proposals.rows[order]["side"] == side
        )
        if same and orders[order]["attempt"] == wishes.rows[row]["attempt"]:
            number = sheet.proposals.rows[order]["slice"]
            highest = max(highest, number)
            if number <= sent.shape[1]:
                sent[row, number - 1] = True
        order = orders[order]["previous"]
    return highest


@compiled
def _equity(book: Book, desk: Desk) -> float:
    """Cash + Σ quantity × mark."""
    total = book.figures[CASH]
    for i in range(book.holdings.size):
        if book.holdings[i]["qty"] != 0.0:
            total += book.holdings[i]["qty"] * desk.symbols[i]["mark"]
    return whole_micros(total)


@compiled
def _look(now_ns: int, limits: Limits, book: Book, sheet: Sheet, desk: Desk) -> None:
    """The book's equity to the breakers, and what it measures to the session's facts."""
    equity, held = _equity(book, desk), book.figures
    figures = observe(
        LossFigures(held[E0], held[EQUITY], held[SESSION_PEAK], held[UNIT_VALUE], held[UNIT_PEAK]), equity
    )
    held[EQUITY], held[SESSION_PEAK] = equity, figures.session_peak
    held[UNIT_VALUE], held[UNIT_PEAK] = figures.unit_value, figures.unit_peak
    losses = losses_of(figures)
    _see_loss(0, losses.session_drawdown, limits.session_drawdown, now_ns, book, sheet)
    _see_loss(1, losses.daily_loss, limits.max_daily_loss, now_ns, book, sheet)
    _see_loss(2, losses.max_drawdown, limits.max_drawdown, now_ns, book, sheet)
    facts = sheet.facts
    if held[CASH] < facts[FACT_LOWEST_CASH]:
        facts[FACT_LOWEST_CASH] = held[CASH]
    for i in range(book.holdings.size):
        desk.symbols[i]["exposure"] = 0.0
        if book.holdings[i]["qty"] != 0.0:
            desk.symbols[i]["exposure"] = abs(book.holdings[i]["qty"]) * desk.symbols[i]["mark"]
            if book.holdings[i]["qty"] < 0.0:
                sheet.short[i] = True
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if not sheet.proposals.rows[row]["reducing"]:
            notional = sheet.proposals.rows[row]["qty"] * sheet.proposals.rows[row]["limit_price"]
            desk.symbols[sheet.orders[row]["symbol"]]["exposure"] += notional
    gross, bought = 0.0, False
    for i in range(book.holdings.size):
        gross += desk.symbols[i]["exposure"]
        share = desk.symbols[i]["exposure"] / equity if equity > 0.0 else inf
        if desk.symbols[i]["exposure"] > 0.0 and share >= facts[FACT_POSITION_MARK]:
            facts[FACT_POSITION_MARK], sheet.largest[0] = share, i
        if desk.symbols[i]["bought"]:
            bought = True
            if share >= facts[FACT_POSITION_BOUGHT]:
                facts[FACT_POSITION_BOUGHT], sheet.largest[1] = share, i
    gross = gross / equity if equity > 0.0 else inf
    facts[FACT_GROSS_MARK] = _worse(facts[FACT_GROSS_MARK], gross)
    if bought:
        facts[FACT_GROSS_BOUGHT] = _worse(facts[FACT_GROSS_BOUGHT], gross)


@compiled
def _see_loss(which: int, measured: float, limit: float, now_ns: int, book: Book, sheet: Sheet) -> None:
    """Latch a breaker that trips; the facts of the three lie in its order."""
    sheet.facts[which] = _worse(sheet.facts[which], measured)
    if not book.latched[which] and is_tripped(measured, limit):
        book.latched[which] = True
        event = sheet.counts[EVENTS]
        sheet.events[event]["cause"], sheet.events[event]["at_ns"] = which, now_ns
        sheet.events[event]["measured"], sheet.events[event]["equity"] = measured, book.figures[EQUITY]
        sheet.counts[EVENTS] += 1


@compiled
def _worse(a: float, b: float) -> float:
    """The larger; a NaN stays."""
    return a if a != a or a > b else b


@compiled
def _write_state(now_ns: int, book: Book, sheet: Sheet, desk: Desk) -> None:
    """Positions and equity as they stand."""
    state_row, gross = sheet.counts[STATES], 0.0
    for i in range(book.holdings.size):
        if book.holdings[i]["qty"] == 0.0:
            continue
        mark, row = desk.symbols[i]["mark"], sheet.counts[POSITIONS]
        gross += abs(book.holdings[i]["qty"]) * mark
        position = sheet.positions[row]
        position["state"], position["symbol"], position["mark"] = state_row, i, mark
        position["qty"], position["avg_cost"] = book.holdings[i]["qty"], book.holdings[i]["avg_cost"]
        sheet.counts[POSITIONS] += 1
    figures, state = book.figures, sheet.states[state_row]
    state["at_ns"], state["equity"], state["e0"] = now_ns, figures[EQUITY], figures[E0]
    state["cash"], state["session_peak"] = figures[CASH], figures[SESSION_PEAK]
    state["unit_value"], state["unit_peak"] = figures[UNIT_VALUE], figures[UNIT_PEAK]
    state["gross_exposure"] = gross / figures[EQUITY] if figures[EQUITY] != 0.0 else nan
    sheet.counts[STATES] += 1
