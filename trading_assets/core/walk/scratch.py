"""What the walk of one session keeps at hand: symbols at an instant, open orders, room for its passes.

The quote model is that of the embedded exchange: half the spread to each side of the last price, outward to
the tick, stamped with that price's time. So where bars are missing the quote grows stale, and nobody trades.
`core.walk.orders` trades the orders.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np

from trading_assets.core.compiled import allocation_free, inlined
from trading_assets.core.decision.columns import CANDIDATE, SYMBOL, Bytes, Flags, Ints, Row, Rows, Running
from trading_assets.core.prices import round_down_to_tick, round_up_to_tick
from trading_assets.core.sizing import MAX_SLICES
from trading_assets.core.walk.columns import WORKING, Book, Day, Sheet, Terms
from trading_assets.core.words import Side

_NOISE = 1e-12  # relative: what is meant to lie on a tick lies on it

# Beside each SYMBOL, what a pass is not shown of it.
_AT_HAND = np.dtype(
    [
        ("ended", np.int64),  # the row of the first minute bar that has not ended
        ("mark", np.float64),  # what a holding is worth a share, as the embedded exchange values it
        ("last_order", np.int64),  # the symbol's last order of the session, −1: none
        ("sent", np.int64),  # orders of the session
        ("exits", np.int64),  # of these, exits
        ("last_signal", np.int64),  # the session's newest whose |value| reaches the threshold, −1: none
        ("sells", np.bool_),  # that one takes the position to zero
        ("to_sell", np.float64),  # shares: held when it came, and what working entries could still buy; of
        # one that does not sell all, what its tick was to sell
        ("exposure", np.float64),
        ("traded", np.bool_),
    ],
    align=True,
)


class WalkedDesk(NamedTuple):
    """What the walk of one session keeps at hand."""

    symbols: Rows  # (n,)
    shown: Rows  # SYMBOL (n,): as a pass sees them; the quote's stamp is that of the last price, 0: none yet
    working: Ints  # (room,): rows of open orders, as they were accepted
    candidates: Rows  # CANDIDATE: room for the signals of a tick
    exits: Rows  # CANDIDATE (2n,): room for forced exits
    outcomes: Bytes  # room for those of a pass
    sent: Flags  # room for the slices of a pass's candidates that were sent before
    unsent: Flags  # (0, 0): none was
    running: Running


def open_desk(day: Day, signals: int, room: int) -> WalkedDesk:
    """A desk at the session's open, with room for that many signals a tick and that many verdicts."""
    count = day.symbols.size
    most = max(signals, 2 * count)
    symbols, shown = np.zeros(count, _AT_HAND), np.zeros(count, SYMBOL)
    symbols["ended"], symbols["last_order"] = day.first[:-1], -1
    symbols["last_signal"] = -1
    shown["previous_close"], shown["tradable"] = day.symbols["previous_close"], day.symbols["listed"]
    shown["fractionable"] = True
    return WalkedDesk(
        symbols,
        shown,
        np.zeros(room, np.int64),
        np.zeros(signals, CANDIDATE),
        np.zeros(2 * count, CANDIDATE),
        np.zeros(most, np.int8),
        np.zeros((most, MAX_SLICES), np.bool_),
        np.zeros((0, 0), np.bool_),
        Running.of(count),
    )


@allocation_free
def quote_around(price: float, half_spread: float) -> tuple[float, float]:
    """Bid and ask: price ∓ price × `half_spread` (a fraction), rounded outward to the tick."""
    half = price * half_spread
    bid = round_down_to_tick((price - half) * (1.0 + _NOISE))
    ask = round_up_to_tick((price + half) * (1.0 - _NOISE))
    return bid, ask


@allocation_free
def price_symbols(now_ns: int, day: Day, terms: Terms, desk: WalkedDesk) -> None:
    """Set the desk's prices to those at `now_ns`: the last bar that ended, else the session's open from the
    open on, else none. The mark is then the previous close. Instants must ascend."""
    for i in range(day.symbols.size):
        near, shown, of_day, bar = desk.symbols[i], desk.shown[i], day.symbols[i], desk.symbols[i]["ended"]
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
        shown["last_trade"], shown["quote_ns"] = last, trade_ns
        near["mark"] = last if trade_ns else of_day["previous_close"]
        shown["bid"], shown["ask"] = quote_around(last, terms.half_spread)


@inlined
def show_orders(book: Book, sheet: Sheet, desk: WalkedDesk) -> None:
    """Bring what a pass sees of the symbols up to date: holdings, locks, orders sent, open orders."""
    for i in range(desk.shown.size):
        symbol, held = desk.shown[i], book.holdings[i]
        symbol["qty"], symbol["locked"] = held["qty"], held["stopped_ns"] != 0
        symbol["orders_today"], symbol["in_flight"] = desk.symbols[i]["sent"], 0
        symbol["exits_today"] = desk.symbols[i]["exits"]
        symbol["reserved_qty"], symbol["open_entry_usd"] = 0.0, 0.0
        symbol["lowest_sell_limit"], symbol["highest_buy_limit"] = nan, nan
    for place in range(sheet.counts[WORKING]):
        row = desk.working[place]
        _show_order(sheet.proposals.rows[row], desk.shown[sheet.orders[row]["symbol"]])


@inlined
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
