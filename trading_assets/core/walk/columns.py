"""The columns that a replay's walk reads, keeps and writes: the book, a session's prices, signals, sheet.

Arrays of records; symbols are rows 0…n−1 in ascending order of their names. USD, shares, int64 UTC
nanoseconds; NaN: not known. `core.walk.session` changes them.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf, nan
from typing import NamedTuple

import numpy as np

from trading_assets.core.decision.columns import Bytes, Flags, Floats, Ints, Proposals, Rows

HOLDING = np.dtype(
    [
        ("qty", np.float64),
        ("avg_cost", np.float64),
        ("realized_usd", np.float64),
        ("stop_cost", np.float64),  # average cost less dividends since: what stops are measured against
        ("stopped_ns", np.int64),  # when the stop was hit, 0: not stopped
        ("stopped_on", np.int64),  # ordinal of the session in which it was hit
        ("stop_attempt", np.int64),
    ],
    align=True,
)


class Book(NamedTuple):
    """What lasts from session to session."""

    holdings: Rows  # HOLDING (n,)
    figures: Floats  # (10,): cash, the five `losses.LossFigures`, sale proceeds of the last four sessions
    latched: Flags  # (3,): as `losses.Losses`

    @staticmethod
    def opened(count: int, cash_usd: float) -> Book:
        """An empty book of `count` symbols."""
        figures = np.array([cash_usd, cash_usd, nan, nan, 1.0, nan, 0.0, 0.0, 0.0, 0.0])
        return Book(np.zeros(count, HOLDING), figures, np.zeros(3, np.bool_))

    def copied(self) -> Book:
        return Book._make(column.copy() for column in self)


CASH, E0, EQUITY, SESSION_PEAK, UNIT_VALUE, UNIT_PEAK, SOLD = range(7)
SOLD_SESSIONS = 4  # from SOLD on: what was sold in this session, in the one before it, …; USD

SYMBOL_DAY = np.dtype(
    [
        ("open", np.float64),  # the session's first price
        ("close", np.float64),
        ("close_ns", np.int64),  # when the daily bar ended, 0: there is none
        ("previous_close", np.float64),  # in today's shares
        ("listed", np.bool_),
    ],
    align=True,
)
MINUTE_BAR = np.dtype(
    [("start_ns", np.int64), ("end_ns", np.int64)]
    + [(name, np.float64) for name in ("open", "high", "low", "close")]
)


class Day(NamedTuple):
    """One session's prices. The minute bars of symbol i are rows first[i] … first[i + 1] − 1, ascending; a
    replay of daily ticks has none."""

    symbols: Rows  # SYMBOL_DAY (n,)
    first: Ints  # (n + 1,)
    bars: Rows  # MINUTE_BAR


class Schedule(NamedTuple):
    """When the walk looks, ascending; tick t decides on signals first_signal[t] … first_signal[t + 1] − 1."""

    at_ns: Ints  # (k,)
    tick: Ints  # (k,): the tick's number in the session, −1: between two ticks
    first_signal: Ints  # (ticks + 1,)
    incomplete: Flags  # (ticks, n), or (0, n) for none: the symbol's bars have gaps at the tick
    vetoed: Flags  # (ticks,): too many have, nothing is entered on


# A session's signals by tick and symbol, at most one of each. `reference_price` NaN: the last price then.
SIGNAL = np.dtype(
    [("symbol", np.int64), ("as_of_ns", np.int64)]
    + [(name, np.float64) for name in ("value", "reference_price", "limit_price", "volatility")]
)


class Terms(NamedTuple):
    """What stays the same all session."""

    session: int  # its ordinal, ascending over sessions
    open_ns: int
    close_ns: int
    patience_ns: int  # an order that has worked so long is cancelled at the next look
    protect_ns: int  # between ticks
    last_price_ns: int  # an older price trades with nobody: no bar has ended since
    half_spread: float
    next_open: bool  # what passes trades at the next bar's open, whatever its limit
    usd_per_share: float  # costs of a fill
    usd_per_usd: float
    sale_usd_per_usd: float  # fees of a sale
    sale_usd_per_share: float
    sale_most_usd: float  # of what goes by the share, for one sale
    no_trade_band: float
    unsettled_sessions: int = 0  # of how many sessions, this one included, sales have not settled; 0: all


class WalkedOrder(IntEnum):
    """NONE: refused by the gate, there is no order."""

    NONE = 0
    ACCEPTED = 1
    FILLED = 2
    CANCELED = 3
    EXPIRED = 4


class Ended(IntEnum):
    """Why an order ended otherwise than by its fill."""

    NOT = 0
    CLOSE = 1
    DAILY_LOSS = 2
    TIMEOUT = 3
    STOP = 4
    EXIT = 5  # an entry: the symbol's last signal sells


# Beside each proposal: which decision it is of, the order that came of it, the symbol when it was decided.
ORDER = np.dtype(
    [
        ("symbol", np.int64),
        ("decision", np.int64),  # ≥ 0: the session's signal of that number; −1 − symbol: the symbol's stop
        ("attempt", np.int64),
        ("at_ns", np.int64),
        ("updated_ns", np.int64),
        ("previous", np.int64),  # the symbol's order before it in the session, −1: none
        ("quote_ns", np.int64),
        ("signal_ns", np.int64),
        ("bid", np.float64),
        ("ask", np.float64),
        ("last_trade", np.float64),
        ("reference_price", np.float64),
        ("decided_pass", np.int8),
        ("state", np.int8),
        ("ended", np.int8),
    ],
    align=True,
)
FILL = np.dtype([("order", np.int64), ("at_ns", np.int64), ("price", np.float64), ("cost_usd", np.float64)])
POSITION = np.dtype(
    [("state", np.int64), ("symbol", np.int64)] + [(name, np.float64) for name in ("qty", "avg_cost", "mark")]
)
STATE = np.dtype(
    [("at_ns", np.int64)]
    + [
        (name, np.float64)
        for name in ("equity", "e0", "cash", "session_peak", "unit_value", "unit_peak", "gross_exposure")
    ]
)
# A breaker that tripped: which (as `losses.Losses`), when, at what.
EVENT = np.dtype([("cause", np.int64), ("at_ns", np.int64), ("measured", np.float64), ("equity", np.float64)])


class Sheet(NamedTuple):
    """Everything that a session leaves, with room for a number of verdicts; `counts` says how much is
    used."""

    proposals: Proposals
    orders: Rows  # ORDER, beside the proposals
    fills: Rows  # FILL
    outcomes: Bytes  # (w,): decision.Outcome of each signal
    positions: Rows  # POSITION, for each of the states
    states: Rows  # STATE (ticks + 1,): at each tick and at the close
    events: Rows  # EVENT
    facts: Floats  # by FACT constants
    largest: Ints  # symbols of the largest position at the mark and as an entry is made, −1: none
    short: Flags  # (n,)
    counts: Ints  # by COUNT constants

    @staticmethod
    def of(room: int, symbols: int, signals: int, ticks: int) -> Sheet:
        """Room for `room` verdicts in a session of so many ticks."""
        return Sheet(
            Proposals.of(room),
            np.zeros(room, ORDER),
            np.zeros(room, FILL),
            np.zeros(signals, np.int8),
            np.zeros((ticks + 1) * symbols, POSITION),
            np.zeros(ticks + 1, STATE),
            np.zeros(3, EVENT),
            np.array([-inf, -inf, -inf, inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            np.full(2, -1),
            np.zeros(symbols, np.bool_),
            np.zeros(8, np.int64),
        )


VERDICTS, ORDERS, EXITS, FILLS, POSITIONS, STATES, EVENTS, WORKING = range(8)
# Worst losses (three), funds left by entries, shares of equity at the mark and as an entry is made, costs,
# the fees of sales among them.
(
    FACT_SESSION_DRAWDOWN,
    FACT_DAILY_LOSS,
    FACT_MAX_DRAWDOWN,
    FACT_LOWEST_FUNDS,
    FACT_POSITION_MARK,
    FACT_GROSS_MARK,
    FACT_POSITION_ENTERED,
    FACT_GROSS_ENTERED,
    FACT_COSTS_USD,
    FACT_FEES_USD,
) = range(10)
