"""A symbol's price at an instant of a replayed session, and how its orders trade. Compiled, on columns.

The quote model is the embedded exchange's: half the spread to each side of the last price, outward to the
tick, stamped with that price's time. So where bars are missing the quote grows stale, and nobody trades.
"""

from __future__ import annotations

from math import floor, nan
from typing import NamedTuple

import numpy as np

from trading_assets.core.compiled import compiled
from trading_assets.core.decision import SYMBOL, Ints, Row, Rows, Wishes
from trading_assets.core.ledger import apply_fill
from trading_assets.core.matching import fill_price_at_quote, fill_price_in_bar
from trading_assets.core.prices import round_down_to_tick, round_up_to_tick
from trading_assets.core.walk_columns import (
    CASH,
    EXITS,
    FACT_COSTS_USD,
    FILLS,
    ORDERS,
    WORKING,
    Book,
    Day,
    OrderState,
    Sheet,
    Terms,
)
from trading_assets.core.words import Side

_NOISE = 1e-12  # relative: what is meant to lie on a tick lies on it
_MICROS = 1e6  # a dollar


_AT_HAND = np.dtype(
    [
        ("ended", np.int64),  # the row of the first minute bar that has not ended
        ("last", np.float64),
        ("trade_ns", np.int64),  # the stamp of `last`, 0: none yet
        ("bid", np.float64),
        ("ask", np.float64),
        ("mark", np.float64),  # what a holding is worth a share, as the embedded exchange values it
        ("last_order", np.int64),  # the symbol's last order of the session, −1: none
        ("sent", np.int64),  # orders of the session
        ("exposure", np.float64),
        ("traded", np.bool_),
        ("bought", np.bool_),  # an entry traded at once at this look
    ],
    align=True,
)


class Desk(NamedTuple):
    """What the walk of one session keeps at hand."""

    symbols: Rows  # (n,)
    working: Ints  # (room,): rows of open orders, as they were accepted


@compiled
def open_desk(day: Day, sheet: Sheet) -> Desk:
    """At the session's open."""
    symbols = np.zeros(day.symbols.size, _AT_HAND)
    for i in range(symbols.size):
        symbols[i]["ended"], symbols[i]["last_order"] = day.first[i], -1
    return Desk(symbols, np.zeros(sheet.orders.size, np.int64))


@compiled
def forget_purchases(desk: Desk) -> None:
    """No entry has traded at this look yet."""
    for i in range(desk.symbols.size):
        desk.symbols[i]["bought"] = False


@compiled
def whole_micros(usd: float) -> float:
    """`usd` to the nearest millionth, below 9·10⁹: the sum that decimals give, when they are no finer."""
    if not abs(usd) < 9e9:
        return usd
    return floor(usd * _MICROS + 0.5) / _MICROS


@compiled
def quote_around(price: float, half_spread: float) -> tuple[float, float]:
    """Bid and ask: price ∓ price × `half_spread` (a fraction), rounded outward to the tick."""
    half = price * half_spread
    bid = round_down_to_tick((price - half) * (1.0 + _NOISE))
    ask = round_up_to_tick((price + half) * (1.0 - _NOISE))
    return bid, ask


@compiled
def price_symbols(now_ns: int, day: Day, terms: Terms, desk: Desk) -> None:
    """Have the desk's prices at `now_ns`: the last bar that ended, else the session's open from the open on,
    else none. The mark is then the previous close. Instants must ascend."""
    for i in range(day.symbols.size):
        near, of_day, bar = desk.symbols[i], day.symbols[i], desk.symbols[i]["ended"]
        while bar < day.first[i + 1] and day.bars[bar]["end_ns"] <= now_ns:
            bar += 1
        near["ended"] = bar
        last, trade_ns = nan, 0
        if of_day["close_ns"] and now_ns >= of_day["close_ns"]:
            last, trade_ns = of_day["close"], of_day["close_ns"]
        elif bar > day.first[i]:
            last, trade_ns = day.bars[bar - 1]["close"], day.bars[bar - 1]["end_ns"]
        elif now_ns >= terms.open_ns and of_day["open"] == of_day["open"]:
            last, trade_ns = of_day["open"], terms.open_ns
        near["last"], near["trade_ns"] = last, trade_ns
        near["mark"] = last if trade_ns else of_day["previous_close"]
        near["bid"], near["ask"] = quote_around(last, terms.half_spread)


@compiled
def show_symbols(day: Day, book: Book, sheet: Sheet, desk: Desk) -> Rows:
    """The symbols as a pass decides on them."""
    shown = np.zeros(book.holdings.size, SYMBOL)
    for i in range(shown.size):
        symbol, held, of_day, near = shown[i], book.holdings[i], day.symbols[i], desk.symbols[i]
        symbol["qty"], symbol["locked"] = held["qty"], held["stopped_ns"] != 0
        symbol["bid"], symbol["ask"], symbol["quote_ns"] = near["bid"], near["ask"], near["trade_ns"]
        symbol["last_trade"], symbol["previous_close"] = near["last"], of_day["previous_close"]
        symbol["tradable"], symbol["fractionable"] = of_day["listed"], True
        symbol["orders_today"] = near["sent"]
        symbol["lowest_sell_limit"], symbol["highest_buy_limit"] = nan, nan
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        _show_order(sheet.proposals.rows[row], shown[sheet.orders[row]["symbol"]])
    return shown


@compiled
def _show_order(proposal: Row, symbol: Row) -> None:
    qty, price = proposal["qty"], proposal["limit_price"]
    symbol["in_flight"] += 1
    if proposal["reducing"]:
        symbol["reserved_qty"] += qty
    else:
        symbol["open_entry_usd"] += qty * price
    if proposal["side"] == Side.SELL:
        if not symbol["lowest_sell_limit"] <= price:
            symbol["lowest_sell_limit"] = price
    elif not symbol["highest_buy_limit"] >= price:
        symbol["highest_buy_limit"] = price


@compiled
def accept(row: int, now_ns: int, a_pass: int, wishes: Wishes, book: Book, sheet: Sheet, desk: Desk) -> bool:
    """Complete a verdict's row, and make an order of it where it passed."""
    proposal, order = sheet.proposals.rows[row], sheet.orders[row]
    wish = wishes.rows[proposal["wish"]]
    i = wish["symbol"]
    near = desk.symbols[i]
    order["symbol"], order["decision"], order["attempt"] = i, wish["decision"], wish["attempt"]
    order["at_ns"], order["updated_ns"], order["decided_pass"] = now_ns, now_ns, a_pass
    order["bid"], order["ask"] = near["bid"], near["ask"]
    order["last_trade"], order["quote_ns"] = near["last"], near["trade_ns"]
    order["signal_ns"], order["reference_price"] = wish["as_of_ns"], wish["reference_price"]
    if proposal["failed"] != 0:
        return False
    order["state"], order["previous"] = OrderState.ACCEPTED, near["last_order"]
    near["last_order"] = row
    near["sent"] += 1
    sheet.counts[ORDERS] += 1
    if proposal["reducing"]:
        sheet.counts[EXITS] += 1
    if wish["decision"] < 0:
        book.holdings[i]["stop_attempt"] = wish["attempt"]
    return True


@compiled
def trade_or_rest(row: int, now_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: Desk) -> None:
    """A new order takes the far side of a quote that is fresh, or works."""
    if not terms.next_open and _takes_quote(row, now_ns, terms, book, sheet, desk):
        if not sheet.proposals.rows[row]["reducing"]:
            desk.symbols[sheet.orders[row]["symbol"]]["bought"] = True
        return
    desk.working[sheet.counts[WORKING]] = row
    sheet.counts[WORKING] += 1


@compiled
def _takes_quote(row: int, now_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: Desk) -> bool:
    near, proposal = desk.symbols[sheet.orders[row]["symbol"]], sheet.proposals.rows[row]
    if near["trade_ns"] == 0 or now_ns - near["trade_ns"] > terms.last_price_ns:
        return False
    price = fill_price_at_quote(proposal["side"], proposal["limit_price"], near["bid"], near["ask"])
    if price != price:
        return False
    _fill(row, price, now_ns, terms, book, sheet, desk)
    return True


@compiled
def match_resting(now_ns: int, day: Day, terms: Terms, book: Book, sheet: Sheet, desk: Desk) -> None:
    """What rests meets the minute bar that ended now; an order sent within it, the quote after it."""
    kept = 0
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        if not _meets_bar(row, now_ns, day, terms, book, sheet, desk):
            desk.working[kept] = row
            kept += 1
    sheet.counts[WORKING] = kept


@compiled
def _meets_bar(row: int, now_ns: int, day: Day, terms: Terms, book: Book, sheet: Sheet, desk: Desk) -> bool:
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


@compiled
def _fill(row: int, price: float, at_ns: int, terms: Terms, book: Book, sheet: Sheet, desk: Desk) -> None:
    """Trade the whole order at `price`."""
    proposal, order, fill = sheet.proposals.rows[row], sheet.orders[row], sheet.fills[sheet.counts[FILLS]]
    side, qty, held = proposal["side"], proposal["qty"], book.holdings[order["symbol"]]
    order["state"], order["updated_ns"] = OrderState.FILLED, at_ns
    _, stop_cost, _, _ = apply_fill(held["qty"], held["stop_cost"], side, qty, price)
    after, avg_cost, realized, cash = apply_fill(held["qty"], held["avg_cost"], side, qty, price)
    held["qty"], held["avg_cost"], held["stop_cost"] = after, avg_cost, stop_cost
    held["realized_usd"] += realized
    paid = qty * terms.usd_per_share + qty * price * terms.usd_per_usd
    book.figures[CASH] = whole_micros(book.figures[CASH] + cash - paid)
    desk.symbols[order["symbol"]]["traded"] = True
    fill["order"], fill["price"], fill["at_ns"], fill["cost_usd"] = row, price, at_ns, paid
    sheet.facts[FACT_COSTS_USD] += paid
    sheet.counts[FILLS] += 1


@compiled
def end(row: int, state: int, why: int, at_ns: int, sheet: Sheet) -> None:
    """An order ends unfilled."""
    order = sheet.orders[row]
    order["state"], order["ended"], order["updated_ns"] = state, why, at_ns
