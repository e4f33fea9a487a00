"""Protection as on the live desk: breakers, what they cancel, timeouts, stops, exits left unfilled.

This module finds the exits that are due; `core.walk.passes` decides and sends them.
"""

from __future__ import annotations

from math import inf, nan

from trading_assets.core.backoff import Share, is_due, spread_wait_ns
from trading_assets.core.breakers import stop_hit
from trading_assets.core.compiled import inlined
from trading_assets.core.decision.columns import Candidates, Row
from trading_assets.core.gate import symbol_exit_cap
from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import WORKING, Book, Ended, Sheet, Terms, WalkedOrder
from trading_assets.core.walk.figures import look
from trading_assets.core.walk.orders import end
from trading_assets.core.walk.scratch import WalkedDesk

_DAILY_LOSS = 1  # in `losses.Losses`


@inlined
def due_exits(
    now_ns: int, terms: Terms, limits: Limits, book: Book, sheet: Sheet, desk: WalkedDesk
) -> Candidates:
    """Latch breakers, cancel what a breaker, a timeout or a stop ends, look at stops. Returns the exits then
    due."""
    look(now_ns, limits, book, sheet, desk)
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if book.latched[_DAILY_LOSS] and not sheet.proposals.rows[row]["reducing"]:
            end(row, WalkedOrder.CANCELED, Ended.DAILY_LOSS, now_ns, sheet)
        elif now_ns - sheet.orders[row]["at_ns"] >= terms.patience_ns:
            end(row, WalkedOrder.CANCELED, Ended.TIMEOUT, now_ns, sheet)
        else:
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept
    _see_stops(now_ns, terms, limits, book, sheet, desk)
    _end_what_is_in_the_way(now_ns, book, sheet, desk)
    return _forced_exits(now_ns, terms, limits, book, sheet, desk)


@inlined
def _see_stops(now_ns: int, terms: Terms, limits: Limits, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """A stop that is hit holds its symbol until it is flat, and for the session in which it was sold."""
    for i in range(book.holdings.size):
        held, shown = book.holdings[i], desk.shown[i]
        if held["stopped_ns"]:
            if held["qty"] == 0.0 and not desk.symbols[i]["traded"] and held["stopped_on"] < terms.session:
                held["stopped_ns"], held["stop_attempt"] = 0, 0
        elif held["qty"] != 0.0:
            cost, trade_ns, last = held["stop_cost"], shown["quote_ns"], shown["last_trade"]
            if stop_hit(shown["bid"], shown["ask"], trade_ns, last, trade_ns, cost, now_ns, limits):
                held["stopped_ns"], held["stopped_on"], held["stop_attempt"] = now_ns, terms.session, 0


@inlined
def _end_what_is_in_the_way(now_ns: int, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """What works beside a stop ends, and what could buy in a symbol whose last signal sells."""
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        i = sheet.orders[row]["symbol"]
        if book.holdings[i]["stopped_ns"]:
            ends, why = book.holdings[i]["qty"] != 0.0 and sheet.orders[row]["decision"] != -1 - i, Ended.STOP
        else:
            ends, why = desk.symbols[i]["sells"] and not sheet.proposals.rows[row]["reducing"], Ended.EXIT
        if ends:
            end(row, WalkedOrder.CANCELED, why, now_ns, sheet)
        else:
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept


@inlined
def _forced_exits(
    now_ns: int, terms: Terms, limits: Limits, book: Book, sheet: Sheet, desk: WalkedDesk
) -> Candidates:
    """The next attempt for each stopped position without an order at work; then, for each symbol, for what
    its last decision of the session was to sell and did not. Either only when its turn has come again."""
    used = 0
    for i in range(book.holdings.size):
        held = book.holdings[i]
        if not held["stopped_ns"] or held["qty"] == 0.0 or _is_at_work(i, sheet, desk):
            continue
        if _is_due(i, True, now_ns, terms, limits, sheet, desk):
            _want_exit(desk.exits[used], i, -1 - i, held["stop_attempt"] + 1, inf)
            used += 1
    for i in range(book.holdings.size):
        if book.holdings[i]["qty"] == 0.0 or book.holdings[i]["stopped_ns"] or _is_at_work(i, sheet, desk):
            continue
        decision, leaves = desk.symbols[i]["last_signal"], _unsold(i, sheet, desk)
        if leaves > 0.0 and _is_due(i, False, now_ns, terms, limits, sheet, desk):
            _want_exit(desk.exits[used], i, decision, _attempts(i, decision, sheet, desk) + 1, leaves)
            used += 1
    return Candidates(desk.exits[:used], desk.unsent)


@inlined
def _is_at_work(symbol: int, sheet: Sheet, desk: WalkedDesk) -> bool:
    for place in range(sheet.counts[WORKING]):
        if sheet.orders[desk.working[place]]["symbol"] == symbol:
            return True
    return False


@inlined
def is_in_turn(
    symbol: int, now_ns: int, terms: Terms, limits: Limits, sheet: Sheet, desk: WalkedDesk
) -> bool:
    """Whether a signal may sell the symbol now, given how many of the session's exits filled nothing."""
    return _is_due(symbol, False, now_ns, terms, limits, sheet, desk)


@inlined
def _is_due(
    symbol: int, stop: bool, now_ns: int, terms: Terms, limits: Limits, sheet: Sheet, desk: WalkedDesk
) -> bool:
    """Whether the symbol's exit may be tried again, after the attempts of the session that filled nothing:
    those of its stop, or of all its signals."""
    orders, row = sheet.orders, desk.symbols[symbol]["last_order"]
    tries, tried_ns, slices, filled = 0, 0, 1, False
    decision, attempt = -1, 0
    while row >= 0 and not filled:
        order = orders[row]
        if sheet.proposals.rows[row]["reducing"] and (order["decision"] < 0) == stop:
            if order["decision"] != decision or order["attempt"] != attempt or tries == 0:
                decision, attempt = order["decision"], order["attempt"]
                tries += 1
            elif tries == 1:
                slices += 1
            tried_ns = max(tried_ns, order["at_ns"])
            if order["state"] == WalkedOrder.FILLED:
                tries, filled = tries - 1, True
        row = order["previous"]
    share = symbol_exit_cap(limits.max_exit_orders_per_day)
    left = share - desk.symbols[symbol]["exits"]
    wait = spread_wait_ns(tries, Share(terms.close_ns - tried_ns, slices, left, share))
    return is_due(wait, tried_ns, now_ns)


@inlined
def _want_exit(row: Row, symbol: int, decision: int, attempt: int, most: float) -> None:
    row["symbol"], row["decision"], row["attempt"], row["qty"] = symbol, decision, attempt, most
    row["value"], row["reference_price"], row["limit_price"], row["volatility"] = nan, nan, nan, nan


@inlined
def _attempts(symbol: int, decision: int, sheet: Sheet, desk: WalkedDesk) -> int:
    """How many attempts the decision has had."""
    row = desk.symbols[symbol]["last_order"]
    while row >= 0 and sheet.orders[row]["decision"] != decision:
        row = sheet.orders[row]["previous"]
    return sheet.orders[row]["attempt"] if row >= 0 else 0


@inlined
def _unsold(symbol: int, sheet: Sheet, desk: WalkedDesk) -> float:
    """Shares that the symbol's last signal was to sell and did not: of its whole position, or of a part."""
    near, orders = desk.symbols[symbol], sheet.orders
    decision, row = near["last_signal"], near["last_order"]
    leaves: float = near["to_sell"]
    if decision < 0:  # no signal of this session; a stop's number is negative too
        return 0.0
    while row >= 0:
        if orders[row]["decision"] == decision and orders[row]["state"] == WalkedOrder.FILLED:
            leaves -= sheet.proposals.rows[row]["qty"] if sheet.proposals.rows[row]["reducing"] else 0.0
        row = orders[row]["previous"]
    return leaves
