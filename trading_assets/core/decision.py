"""One pass of a tick's decisions over all its symbols: sized, priced, gated, each order after the other.

This is the decision path of the desk: `engine.decide` calls it for a tick, live or derived again, and
`core.walk` for every tick of a replay. It composes `core.sizing` and `core.gate` and adds what the
orders passed so far in the execution have taken: exposure, funds, shares, counts. It knows symbols and
decisions by number; their names and ids are the caller's.
"""

from __future__ import annotations

from enum import IntEnum
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.codes import CODE_COUNT
from trading_assets.core.compiled import compiled
from trading_assets.core.gate import evaluate, is_reducing
from trading_assets.core.prices import mark, round_down_to_tick, round_up_to_tick
from trading_assets.core.sizing import (
    available_funds,
    entry_limit_price,
    exit_limit_price,
    order_quantity,
    order_side,
    slice_quantities,
    target_weights,
)
from trading_assets.core.tolerance import at_least
from trading_assets.core.words import (
    Account,
    Activity,
    Halt,
    Limits,
    Order,
    Position,
    Quote,
    Session,
    Side,
    Signal,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Pass(IntEnum):
    """The passes of one execution, in their order."""

    PROTECT = 0
    EXITS = 1
    ENTRIES = 2


class Outcome(IntEnum):
    """What became of a wish. NONE: this pass had nothing to say of it."""

    NONE = 0
    ORDERED = 1
    REFUSED = 2
    BELOW_THRESHOLD = 3
    HELD = 4
    NO_PRICE = 5


class Standing(NamedTuple):
    """The book at the tick, as far as it is no symbol's."""

    now_ns: int
    equity_usd: float
    buying_power_usd: float
    settled_cash_usd: float
    account_ns: int
    open_ns: int
    close_ns: int
    calendar_open: bool
    broker_open: bool
    halt_state: int
    reconciling: bool
    daily_loss: bool
    max_drawdown: bool
    session_drawdown: bool
    orders_today: int
    execution_orders: int
    exit_orders_today: int
    reject_streak: int


Rows = NDArray[np.void]
Row = np.void

# One symbol that is held, worked or wished for; see `engine.inputs.SymbolInput`.
SYMBOL = np.dtype(
    [
        ("qty", np.float64),
        ("reserved_qty", np.float64),
        ("open_entry_usd", np.float64),
        ("bid", np.float64),
        ("ask", np.float64),
        ("quote_ns", np.int64),
        ("last_trade", np.float64),
        ("previous_close", np.float64),
        ("lowest_sell_limit", np.float64),
        ("highest_buy_limit", np.float64),
        ("in_flight", np.int64),
        ("orders_today", np.int64),
        ("tradable", np.bool_),
        ("fractionable", np.bool_),
        ("halted", np.bool_),
        ("locked", np.bool_),
    ],
    align=True,
)

# A signal, or a forced exit. `symbol` is a row of the symbols; equal `decision`s are one decision; `qty`
# (shares at most) and `flatten` (the operator's) are a forced exit's, the five before them a signal's.
WISH = np.dtype(
    [
        ("symbol", np.int64),
        ("decision", np.int64),
        ("attempt", np.int64),
        ("value", np.float64),
        ("as_of_ns", np.int64),
        ("reference_price", np.float64),
        ("limit_price", np.float64),
        ("volatility", np.float64),
        ("qty", np.float64),
        ("flatten", np.bool_),
    ],
    align=True,
)

# An order with its verdict. From `buying_power_usd` on: what the gate was shown that orders before it in the
# pass had changed.
PROPOSAL = np.dtype(
    [
        ("wish", np.int64),
        ("side", np.int64),
        ("slice", np.int64),
        ("qty", np.float64),
        ("limit_price", np.float64),
        ("failed", np.uint64),
        ("buying_power_usd", np.float64),
        ("settled_cash_usd", np.float64),
        ("reserved_qty", np.float64),
        ("exposure_usd", np.float64),
        ("gross_exposure_usd", np.float64),
        ("opposite_limit", np.float64),
        ("in_flight", np.int64),
        ("symbol_orders", np.int64),
        ("orders", np.int64),
        ("execution_orders", np.int64),
        ("exit_orders", np.int64),
        ("reducing", np.bool_),
        ("decision_sent", np.bool_),
    ],
    align=True,
)

_RUNNING = np.dtype(
    [
        ("exposure", np.float64),
        ("reserved", np.float64),
        ("sells", np.float64),  # the lowest limit of open sells
        ("buys", np.float64),  # the highest limit of open buys
        ("orders", np.int64),
    ],
    align=True,
)


class Wishes(NamedTuple):
    """What a pass is asked, in the order of its evaluation: signals, at most one a symbol, or forced exits.

    rows: WISH, shape (m,)
    sent: shape (m, slices): this decision's slice, on the side that the pass trades, was sent before in this
          attempt; slices past the last column were not
    """

    rows: Rows
    sent: Flags


class Proposals(NamedTuple):
    """Room for orders with their verdicts: PROPOSAL (room,), and for each what every code measured and its
    limit, (room, codes)."""

    rows: Rows
    measured: Floats
    limit: Floats

    @staticmethod
    def of(room: int) -> Proposals:
        """Room for `room` proposals."""
        return Proposals(np.zeros(room, PROPOSAL), np.zeros((room, CODE_COUNT)), np.zeros((room, CODE_COUNT)))


class _Running(NamedTuple):
    """What the pass has used up so far: by symbol, in USD, and in orders."""

    symbols: Rows
    totals: Floats  # funds taken, gross exposure
    counts: Ints  # orders passed, exits passed


_FUNDS, _GROSS = 0, 1
_ORDERS, _EXITS = 0, 1


@compiled
def decide_pass(
    a_pass: int,
    standing: Standing,
    symbols: Rows,
    wishes: Wishes,
    limits: Limits,
    no_trade_band: float,
    first: int,
    out: Proposals,
    outcomes: NDArray[np.int8],
) -> int:
    """Fill `out` from row `first` on with the pass's orders and verdicts, and `outcomes` (m,) by wish.

    Returns the number of rows used, or −1 when `out` has no room for all: then it is to be done again
    with more. `no_trade_band` is a fraction of the target (`sizing.NO_TRADE_BAND`).
    """
    count = symbols.size
    running = _Running(np.zeros(count, _RUNNING), np.zeros(2), np.zeros(2, np.int64))
    for i in range(count):
        symbol, used = symbols[i], running.symbols[i]
        used["reserved"] = symbol["reserved_qty"]
        used["sells"], used["buys"] = symbol["lowest_sell_limit"], symbol["highest_buy_limit"]
        held_usd = abs(symbol["qty"]) * _mark(symbol) if symbol["qty"] != 0.0 else 0.0
        used["exposure"] = held_usd + symbol["open_entry_usd"]
        running.totals[_GROSS] += used["exposure"]
    outcomes[:] = np.int8(Outcome.NONE)
    if a_pass == Pass.PROTECT:
        return _forced_exits(standing, symbols, wishes, limits, first, out, running)
    return _signals(a_pass, standing, symbols, wishes, limits, no_trade_band, first, out, outcomes, running)


@compiled
def _signals(
    a_pass: int,
    standing: Standing,
    symbols: Rows,
    wishes: Wishes,
    limits: Limits,
    no_trade_band: float,
    first: int,
    out: Proposals,
    outcomes: NDArray[np.int8],
    running: _Running,
) -> int:
    weights = _weights(standing, symbols, wishes, limits, running)
    funds = available_funds(standing.buying_power_usd, standing.settled_cash_usd, limits)
    used = first
    for row in range(wishes.rows.size):
        wish = wishes.rows[row]
        i = wish["symbol"]
        symbol, weight, exposure = symbols[i], weights[i], running.symbols[i]["exposure"]
        if weight != weight:
            below = not at_least(abs(wish["value"]), limits.threshold)
            outcomes[row] = Outcome.BELOW_THRESHOLD if below else Outcome.HELD
            continue
        held, reserved, value = symbol["qty"], symbol["reserved_qty"], _mark(symbol)
        side = order_side(weight, held, reserved, exposure, value, standing.equity_usd)
        covering = side == Side.BUY and held < 0.0  # there should be no short: it is bought back
        exiting = side == Side.SELL or covering
        if side == 0 or exiting != (a_pass == Pass.EXITS):
            if not covering:
                outcomes[row] = Outcome.HELD
            continue
        price = wish_limit_price(symbol, side, exiting, wish["limit_price"], limits)
        quantity = order_quantity(
            weight,
            held,
            reserved,
            exposure,
            running.totals[_GROSS],
            price,
            value,
            standing.equity_usd,
            funds - running.totals[_FUNDS],
            limits,
            symbol["fractionable"],
            no_trade_band,
        )
        if price != price:
            outcomes[row] = Outcome.NO_PRICE
            continue
        if quantity == 0.0:
            outcomes[row] = Outcome.HELD
            continue
        signal = Signal(wish["as_of_ns"], wish["reference_price"])
        if exiting:
            slices = slice_quantities(quantity, price, limits.max_order_notional, symbol["fractionable"])
        else:
            slices = np.full(1, quantity)
        for number in range(slices.size):
            if used == out.rows.size:
                return -1
            failed = _judge(
                row, side, number, abs(slices[number]), price, signal, standing, symbols, wishes, limits,
                first, used, out, running,
            )  # fmt: skip
            outcomes[row] = Outcome.REFUSED if failed else Outcome.ORDERED
            used += 1
    return used - first


@compiled
def _forced_exits(
    standing: Standing,
    symbols: Rows,
    wishes: Wishes,
    limits: Limits,
    first: int,
    out: Proposals,
    running: _Running,
) -> int:
    """The whole free position, cut into slices, at an exit's price."""
    used = first
    signal = Signal(0, nan)
    for row in range(wishes.rows.size):
        symbol, most = symbols[wishes.rows[row]["symbol"]], wishes.rows[row]["qty"]
        held = symbol["qty"]
        side = -1 if held > 0.0 else 1
        price = wish_limit_price(symbol, side, True, nan, limits)
        quantity = order_quantity(
            0.0,
            held,
            symbol["reserved_qty"],
            0.0,
            0.0,
            price,
            _mark(symbol),
            standing.equity_usd,
            0.0,
            limits,
            symbol["fractionable"],
            0.0,
        )
        if abs(quantity) > most:
            quantity = most if quantity > 0.0 else -most
        slices = slice_quantities(quantity, price, limits.max_order_notional, symbol["fractionable"])
        for number in range(slices.size):
            if used == out.rows.size:
                return -1
            _judge(
                row, side, number, abs(slices[number]), price, signal, standing, symbols, wishes, limits,
                first, used, out, running,
            )  # fmt: skip
            used += 1
    return used - first


@compiled
def _weights(standing: Standing, symbols: Rows, wishes: Wishes, limits: Limits, running: _Running) -> Floats:
    count = symbols.size
    values, volatility, exposure, weights = (
        np.full(count, nan),
        np.full(count, nan),
        np.empty(count),
        np.empty(count),
    )
    for i in range(count):
        exposure[i] = running.symbols[i]["exposure"]
    for row in range(wishes.rows.size):
        values[wishes.rows[row]["symbol"]] = wishes.rows[row]["value"]
        volatility[wishes.rows[row]["symbol"]] = wishes.rows[row]["volatility"]
    target_weights(values, volatility, exposure, standing.equity_usd, limits, weights)
    return weights


@compiled
def wish_limit_price(symbol: Row, side: int, exiting: bool, own_limit: float, limits: Limits) -> float:
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


@compiled
def _judge(
    row: int,
    side: int,
    number: int,
    qty: float,
    price: float,
    signal: Signal,
    standing: Standing,
    symbols: Rows,
    wishes: Wishes,
    limits: Limits,
    first: int,
    at: int,
    out: Proposals,
    running: _Running,
) -> bool:
    """Gate one order into row `at`, and count it where it passes. True when it is refused."""
    wish, proposal = wishes.rows[row], out.rows[at]
    i = wish["symbol"]
    symbol, used = symbols[i], running.symbols[i]
    funds, passed, exits = running.totals[_FUNDS], running.counts[_ORDERS], running.counts[_EXITS]
    sent = number < wishes.sent.shape[1] and wishes.sent[row, number]
    others = 0  # orders of other decisions in the symbol that passed before
    for earlier in range(first, at):
        other = wishes.rows[out.rows[earlier]["wish"]]
        if other["symbol"] != i or out.rows[earlier]["failed"] != 0:
            continue
        if other["decision"] != wish["decision"]:
            others += 1
        elif other["attempt"] == wish["attempt"] and out.rows[earlier]["slice"] == number + 1:
            sent = True
    order = Order(side, qty, price, wish["flatten"])
    position = Position(symbol["qty"], used["reserved"], used["exposure"])
    account = Account(
        standing.equity_usd,
        standing.buying_power_usd - funds,
        standing.settled_cash_usd - funds,
        standing.account_ns,
    )
    activity = Activity(
        sent,
        symbol["in_flight"] + others,
        used["sells"] if side == Side.BUY else used["buys"],
        running.totals[_GROSS],
        symbol["orders_today"] + used["orders"],
        standing.orders_today + passed,
        standing.execution_orders + passed,
        standing.exit_orders_today + exits,
        standing.reject_streak,
    )
    failed = evaluate(
        order,
        signal,
        account,
        position,
        Quote(
            symbol["bid"],
            symbol["ask"],
            symbol["last_trade"],
            symbol["previous_close"],
            symbol["quote_ns"],
        ),
        Session(
            standing.open_ns,
            standing.close_ns,
            standing.calendar_open,
            standing.broker_open,
            symbol["tradable"],
            symbol["halted"],
        ),
        activity,
        Halt(
            standing.halt_state,
            symbol["locked"],
            standing.reconciling,
            standing.daily_loss,
            standing.max_drawdown,
            standing.session_drawdown,
        ),
        limits,
        standing.now_ns,
        out.measured[at],
        out.limit[at],
    )
    reducing = is_reducing(order, position)
    proposal["wish"], proposal["side"], proposal["slice"] = row, side, number + 1
    proposal["qty"], proposal["limit_price"], proposal["failed"] = qty, price, failed
    proposal["reducing"], proposal["decision_sent"] = reducing, sent
    proposal["buying_power_usd"] = account.buying_power_usd
    proposal["settled_cash_usd"] = account.settled_cash_usd
    proposal["reserved_qty"], proposal["exposure_usd"] = position.reserved_qty, position.exposure_usd
    proposal["gross_exposure_usd"] = activity.gross_exposure_usd
    proposal["opposite_limit"], proposal["in_flight"] = activity.opposite_limit, activity.in_flight
    proposal["symbol_orders"], proposal["orders"] = activity.symbol_orders_today, activity.orders_today
    proposal["execution_orders"] = activity.execution_orders
    proposal["exit_orders"] = activity.exit_orders_today
    if failed != 0:
        return True
    _take(used, side, qty, price, reducing, running)
    return False


@compiled
def _take(used: Row, side: int, qty: float, price: float, reducing: bool, running: _Running) -> None:
    """What an order that passed leaves to those after it."""
    running.counts[_ORDERS] += 1
    used["orders"] += 1
    if reducing:
        running.counts[_EXITS] += 1
        used["reserved"] += qty
    else:
        notional = qty * price
        running.totals[_FUNDS] += notional
        running.totals[_GROSS] += notional
        used["exposure"] += notional
    if side == Side.BUY:
        if not used["buys"] >= price:  # NaN: none yet
            used["buys"] = price
    elif not used["sells"] <= price:
        used["sells"] = price


@compiled
def _mark(symbol: Row) -> float:
    return mark(symbol["bid"], symbol["ask"], symbol["last_trade"], symbol["previous_close"])
