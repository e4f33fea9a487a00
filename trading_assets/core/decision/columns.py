"""What one pass of a tick's decisions reads and writes: the book at the tick, symbols, candidates, proposals.

Arrays of records and NamedTuples, so that a pass compiles; symbols and decisions are numbers.
`core.decision.decide` decides on them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.codes import CODE_COUNT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]
Rows = NDArray[np.void]
Row = np.void


class Pass(IntEnum):
    """The passes of one execution, in their order."""

    PROTECT = 0
    EXITS = 1
    ENTRIES = 2


class Outcome(IntEnum):
    """What happened to a candidate. NONE: this pass did not deal with it."""

    NONE = 0
    ORDERED = 1
    REFUSED = 2
    BELOW_THRESHOLD = 3
    HELD = 4
    NO_PRICE = 5
    INCOMPLETE_BARS = 6


class BookState(NamedTuple):
    """The figures of the book at the tick that belong to no single symbol."""

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
    by_strength: bool  # entries go by the strength of their signals; False: by symbol
    exits_spread: bool  # each held symbol keeps a first exit of the session's


# One symbol that is held, worked or a candidate; see `engine.decision.inputs.SymbolInput`.
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
        ("exits_today", np.int64),
        ("tradable", np.bool_),
        ("fractionable", np.bool_),
        ("halted", np.bool_),
        ("locked", np.bool_),
        ("incomplete", np.bool_),  # its bars have gaps: it is not entered on
    ],
    align=True,
)

# A signal, or a forced exit. `symbol` is a row of the symbols; equal `decision`s are one decision; `qty`
# (shares at most) and `flatten` (the operator's) are a forced exit's, the five before them a signal's. A
# signal whose `qty` is 0 sells nothing now.
CANDIDATE = np.dtype(
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
        ("candidate", np.int64),
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
        ("symbol_exits", np.int64),
        ("exits_kept", np.int64),
        ("reducing", np.bool_),
        ("decision_sent", np.bool_),
    ],
    align=True,
)


class Candidates(NamedTuple):
    """What a pass is to decide on: signals, at most one a symbol, or forced exits. The pass evaluates them in
    their order, entries by strength (`core.decision.entry_order`).

    rows: CANDIDATE, shape (m,)
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


class Running(NamedTuple):
    """What a pass has used up so far: by symbol (n,), in USD and in orders."""

    exposure: Floats
    reserved: Floats
    sells: Floats  # the lowest limit of open sells
    buys: Floats  # the highest limit of open buys
    orders: Ints
    exits: Ints  # a flatten's left out
    value: Floats
    volatility: Floats
    weight: Floats
    usd: Floats  # (2,): funds taken, gross exposure
    passed: Ints  # (3,): orders, exits but a flatten's, held symbols that have had no such exit today
    order: Ints  # (n,): rows of signals as they are evaluated
    merged: Ints  # (n,): room for sorting them

    @staticmethod
    def of(count: int) -> Running:
        """Room for `count` symbols."""
        usd, passed = np.zeros(2), np.zeros(3, np.int64)
        exposure, reserved, sells, buys, value, volatility, weight = np.zeros((7, count))
        orders, exits, order, merged = np.zeros((4, count), np.int64)
        return Running(
            exposure,
            reserved,
            sells,
            buys,
            orders,
            exits,
            value,
            volatility,
            weight,
            usd,
            passed,
            order,
            merged,
        )
