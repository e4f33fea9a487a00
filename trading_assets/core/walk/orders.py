"""How a replayed session's orders trade: accepted, matched with quotes and minute bars, filled, ended.

Compiled, on columns. `core.walk.scratch` knows the symbols' prices at an instant; the pass makes the orders.
"""

from __future__ import annotations

from math import floor

from trading_assets.core.compiled import allocation_free, inlined
from trading_assets.core.decision.columns import Candidates
from trading_assets.core.ledger import apply_fill
from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.core.walk.columns import (
    CASH,
    EXITS,
    FACT_COSTS_USD,
    FACT_FEES_USD,
    FILLS,
    ORDERS,
    SOLD,
    WORKING,
    Book,
    Day,
    Sheet,
    Terms,
    WalkedOrder,
)
from trading_assets.core.walk.scratch import WalkedDesk

_MICROS = 1e6  # a dollar


@allocation_free
def whole_micros(usd: float) -> float:
    """`usd` to the nearest millionth, below 9·10⁹: the sum that decimals give, when they are no finer."""
    if not abs(usd) < 9e9:
        return usd
    return floor(usd * _MICROS + 0.5) / _MICROS


@inlined
def accept(
    row: int, now_ns: int, a_pass: int, candidates: Candidates, book: Book, sheet: Sheet, desk: WalkedDesk
) -> None:
    """Complete a verdict's row, and make an order of it where it passed."""
    proposal, order = sheet.proposals.rows[row], sheet.orders[row]
    candidate = candidates.rows[proposal["candidate"]]
    i = candidate["symbol"]
    near, shown = desk.symbols[i], desk.shown[i]
    order["symbol"], order["decision"], order["attempt"] = i, candidate["decision"], candidate["attempt"]
    order["at_ns"], order["updated_ns"], order["decided_pass"] = now_ns, now_ns, a_pass
    order["bid"], order["ask"] = shown["bid"], shown["ask"]
    order["last_trade"], order["quote_ns"] = shown["last_trade"], shown["quote_ns"]
    order["signal_ns"], order["reference_price"] = candidate["as_of_ns"], candidate["reference_price"]
    if proposal["failed"] != 0:
        return
    order["state"], order["previous"] = WalkedOrder.ACCEPTED, near["last_order"]
    near["last_order"] = row
    near["sent"] += 1
    sheet.counts[ORDERS] += 1
    if proposal["reducing"]:
        sheet.counts[EXITS] += 1
        near["exits"] += 1
    if candidate["decision"] < 0:
        book.holdings[i]["stop_attempt"] = candidate["attempt"]


@inlined
def trade_or_rest(row: int, now_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """A new order takes the far side of a quote that is fresh, or works."""
    if not terms.next_open and _takes_quote(row, now_ns, terms, book, sheet, desk):
        return
    desk.working[sheet.counts[WORKING]] = row
    sheet.counts[WORKING] += 1


@inlined
def _takes_quote(row: int, now_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk) -> bool:
    shown, proposal = desk.shown[sheet.orders[row]["symbol"]], sheet.proposals.rows[row]
    if shown["quote_ns"] == 0 or now_ns - shown["quote_ns"] > terms.last_price_ns:
        return False
    price = fill_price_at_quote(proposal["side"], proposal["limit_price"], shown["bid"], shown["ask"])
    if price != price:
        return False
    _fill(row, price, now_ns, terms, book, sheet, desk)
    return True


@inlined
def match_resting(now_ns: int, day: Day, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """Resting orders meet the minute bar that ended now; an order sent within that bar meets the quote after
    it."""
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if not _meets_bar(row, now_ns, day, terms, book, sheet, desk):
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept


@inlined
def _meets_bar(
    row: int, now_ns: int, day: Day, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk
) -> bool:
    i = sheet.orders[row]["symbol"]
    last = desk.symbols[i]["ended"] - 1
    if last < day.first[i] or day.bars[last]["end_ns"] != now_ns:
        return False
    bar, proposal = day.bars[last], sheet.proposals.rows[row]
    sent_within = sheet.orders[row]["at_ns"] > bar["start_ns"]
    if terms.next_open:
        if not sent_within:
            _fill(row, bar["open"], bar["start_ns"], terms, book, sheet, desk)
        return not sent_within
    if sent_within:
        return _takes_quote(row, now_ns, terms, book, sheet, desk)
    price = fill_price_in_bar(proposal["side"], proposal["limit_price"], bar["open"], bar["high"], bar["low"])
    if price != price:
        return False
    _fill(row, price, now_ns, terms, book, sheet, desk)
    return True


@inlined
def _fill(
    row: int, price: float, at_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: WalkedDesk
) -> None:
    """Trade the whole order at `price`."""
    proposal, order, fill = sheet.proposals.rows[row], sheet.orders[row], sheet.fills[sheet.counts[FILLS]]
    side, qty, held = proposal["side"], proposal["qty"], book.holdings[order["symbol"]]
    order["state"], order["updated_ns"] = WalkedOrder.FILLED, at_ns
    _, stop_cost, _, _ = apply_fill(held["qty"], held["stop_cost"], side, qty, price)
    after, avg_cost, realized, cash = apply_fill(held["qty"], held["avg_cost"], side, qty, price)
    held["qty"], held["avg_cost"], held["stop_cost"] = after, avg_cost, stop_cost
    held["realized_usd"] += realized
    paid = qty * terms.usd_per_share + qty * price * terms.usd_per_usd
    if side < 0:
        by_share = qty * terms.sale_usd_per_share
        by_share = by_share if by_share < terms.sale_most_usd else terms.sale_most_usd
        fees = whole_micros(qty * price * terms.sale_usd_per_usd + by_share)
        sheet.facts[FACT_FEES_USD] += fees
        paid += fees
    book.figures[CASH] = whole_micros(book.figures[CASH] + cash - paid)
    if side < 0:
        book.figures[SOLD] += qty * price
    desk.symbols[order["symbol"]]["traded"] = True
    fill["order"], fill["price"], fill["at_ns"], fill["cost_usd"] = row, price, at_ns, paid
    sheet.facts[FACT_COSTS_USD] += paid
    sheet.counts[FILLS] += 1


@inlined
def end(row: int, state: int, why: int, at_ns: int, sheet: Sheet) -> None:
    """An order ends unfilled."""
    order = sheet.orders[row]
    order["state"], order["ended"], order["updated_ns"] = state, why, at_ns
