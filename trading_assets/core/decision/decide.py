"""One pass of a tick's decisions over all its symbols: sized, priced, gated, each order after the other.

This is the decision path of the desk: `engine.decision.decide` calls it for a tick, live or derived again,
and `core.walk.session` calls it for every tick of a replay. It reads and writes the columns of
`core.decision.columns`; `core.decision.orders` gates one order after those before it.
"""

from __future__ import annotations

from math import nan

from trading_assets.core.compiled import allocation_free, inlined
from trading_assets.core.decision.columns import (
    BookState,
    Bytes,
    Candidates,
    Outcome,
    Pass,
    Proposals,
    Row,
    Rows,
    Running,
)
from trading_assets.core.decision.entry_order import strongest_first
from trading_assets.core.decision.orders import PassColumns, propose
from trading_assets.core.limits import Limits
from trading_assets.core.prices import mark, round_down_to_tick, round_up_to_tick
from trading_assets.core.sizing import (
    NO_SLICE,
    Slices,
    available_funds,
    cut,
    entry_limit_price,
    exit_limit_price,
    order_quantity,
    order_side,
    target_weights,
)
from trading_assets.core.tolerance import at_least
from trading_assets.core.words import Side


@allocation_free
def decide_pass(
    a_pass: int,
    state: BookState,
    symbols: Rows,
    candidates: Candidates,
    limits: Limits,
    no_trade_band: float,
    first: int,
    out: Proposals,
    outcomes: Bytes,
    running: Running,
) -> int:
    """Fill `out` from row `first` on with the pass's orders and verdicts, and `outcomes` (m,) by candidate.

    Returns the number of rows used, or −1 when `out` has no room for all: then call it again with more
    room. `no_trade_band` is a fraction of the target (`sizing.NO_TRADE_BAND`); `running` is room for
    the pass's own figures, one row for each symbol, and need not be cleared.
    """
    _begin(symbols, running)
    columns = PassColumns(state, symbols, candidates, limits, first, out, outcomes, running)
    if a_pass != Pass.PROTECT:
        _weigh(columns, a_pass == Pass.ENTRIES)
    by_strength = a_pass == Pass.ENTRIES and state.by_strength
    if by_strength:
        strongest_first(candidates.rows, running.order, running.merged)
    at = first
    for place in range(candidates.rows.size):
        row = running.order[place] if by_strength else place
        outcomes[row] = Outcome.NONE
        if a_pass == Pass.PROTECT:
            side, price, slices = _forced_exit(row, columns)
        else:
            side, price, slices = _trade(row, a_pass == Pass.EXITS, no_trade_band, columns)
        at = propose(row, side, price, slices, at, columns)
        if at < 0:
            return at
    return at - first


@inlined
def _begin(symbols: Rows, running: Running) -> None:
    """Before the pass's first order: what is held and worked."""
    gross, without = 0.0, 0
    for i in range(symbols.size):
        symbol = symbols[i]
        exposure = symbol["open_entry_usd"]
        if symbol["qty"] != 0.0:
            exposure = abs(symbol["qty"]) * mark_of(symbol) + exposure
        if exposure != 0.0:
            gross += exposure
        if symbol["qty"] != 0.0 and symbol["exits_today"] == 0:
            without += 1
        running.exposure[i], running.reserved[i] = exposure, symbol["reserved_qty"]
        running.orders[i], running.exits[i] = 0, 0
        running.sells[i], running.buys[i] = symbol["lowest_sell_limit"], symbol["highest_buy_limit"]
    running.usd[0], running.usd[1] = 0.0, gross
    running.passed[0], running.passed[1], running.passed[2] = 0, 0, without


@inlined
def _weigh(columns: PassColumns, entering: bool) -> None:
    """Each symbol's target share of equity. One that is not entered on takes no room from the others."""
    running = columns.running
    for i in range(columns.symbols.size):
        running.value[i], running.volatility[i] = nan, nan
    for row in range(columns.candidates.rows.size):
        candidate = columns.candidates.rows[row]
        i = candidate["symbol"]
        if not (entering and columns.symbols[i]["incomplete"]):
            running.value[i], running.volatility[i] = candidate["value"], candidate["volatility"]
    equity = columns.state.equity_usd
    target_weights(
        running.value, running.volatility, running.exposure, equity, columns.limits, running.weight
    )


@inlined
def _trade(row: int, exits: bool, no_trade_band: float, columns: PassColumns) -> tuple[int, float, Slices]:
    """Side, limit price and shares by which signal `row` sells (`exits`) or buys; no slice where it does not,
    with its outcome."""
    state, limits, outcomes, running = columns.state, columns.limits, columns.outcomes, columns.running
    candidate = columns.candidates.rows[row]
    i = candidate["symbol"]
    symbol, weight, exposure = columns.symbols[i], running.weight[i], running.exposure[i]
    if exits and candidate["qty"] == 0.0:  # its turn has not come: protection tries it again
        outcomes[row] = Outcome.HELD
        return 0, nan, NO_SLICE
    if not exits and symbol["incomplete"] and at_least(candidate["value"], limits.threshold):
        outcomes[row] = Outcome.INCOMPLETE_BARS
        return 0, nan, NO_SLICE
    if weight != weight:
        below = not at_least(abs(candidate["value"]), limits.threshold)
        outcomes[row] = Outcome.BELOW_THRESHOLD if below else Outcome.HELD
        return 0, nan, NO_SLICE
    if not exits and weight == 0.0 and symbol["qty"] >= 0.0:  # the exits' pass had it
        outcomes[row] = Outcome.HELD
        return 0, nan, NO_SLICE
    held, reserved, value = symbol["qty"], symbol["reserved_qty"], mark_of(symbol)
    side = order_side(weight, held, reserved, exposure, value, state.equity_usd)
    covering = side == Side.BUY and held < 0.0  # there should be no short: it is bought back
    exiting = side == Side.SELL or covering
    if side == 0 or exiting != exits:
        if not covering:
            outcomes[row] = Outcome.HELD
        return 0, nan, NO_SLICE
    price = defined_limit_price(symbol, side, exiting, candidate["limit_price"], limits)
    if price != price:
        outcomes[row] = Outcome.NO_PRICE
        return 0, nan, NO_SLICE
    funds = available_funds(state.buying_power_usd, state.settled_cash_usd, limits)
    quantity = order_quantity(
        weight,
        held,
        reserved,
        exposure,
        running.usd[1],
        price,
        value,
        state.equity_usd,
        funds - running.usd[0],
        limits,
        symbol["fractionable"],
        no_trade_band,
    )
    if quantity == 0.0:
        outcomes[row] = Outcome.HELD
        return 0, nan, NO_SLICE
    slices = Slices(1, quantity, quantity)
    if exiting:
        slices = cut(quantity, price, limits.max_order_notional, symbol["fractionable"])
    return side, price, slices


@inlined
def _forced_exit(row: int, columns: PassColumns) -> tuple[int, float, Slices]:
    """The whole free position, cut into slices, at an exit's price: its side, limit price and shares."""
    candidate, limits = columns.candidates.rows[row], columns.limits
    symbol, most = columns.symbols[candidate["symbol"]], candidate["qty"]
    held = symbol["qty"]
    side = -1 if held > 0.0 else 1
    price = defined_limit_price(symbol, side, True, nan, limits)
    quantity = order_quantity(
        0.0,
        held,
        symbol["reserved_qty"],
        0.0,
        0.0,
        price,
        mark_of(symbol),
        columns.state.equity_usd,
        0.0,
        limits,
        symbol["fractionable"],
        0.0,
    )
    if abs(quantity) > most:
        quantity = most if quantity > 0.0 else -most
    return side, price, cut(quantity, price, limits.max_order_notional, symbol["fractionable"])


@allocation_free
def defined_limit_price(symbol: Row, side: int, exiting: bool, own_limit: float, limits: Limits) -> float:
    """The defined limit price, no worse than the producer's own limit where it gave one (not NaN).

    symbol: a row of SYMBOL
    """
    bid, ask = symbol["bid"], symbol["ask"]
    if exiting:
        price = exit_limit_price(side, bid, ask, symbol["last_trade"], limits)
    else:
        price = entry_limit_price(side, bid, ask, limits)
    if own_limit != own_limit or price != price:
        return price
    if side == Side.BUY:
        own = round_down_to_tick(own_limit)
        return own if own < price else price
    own = round_up_to_tick(own_limit)
    return own if own > price else price


@inlined
def mark_of(symbol: Row) -> float:
    return mark(symbol["bid"], symbol["ask"], symbol["last_trade"], symbol["previous_close"])
