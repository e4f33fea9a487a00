"""What was sent, as columns, and what each limit on a single order measures of it afterwards.

Live checks make the columns from journaled records, a replay from its walk; both measure with the functions
here, and `core.limits` names the measure beside each limit. Nothing here comes from the gate or from a
verdict: this is the second opinion on what the gate let through.

Prices in USD, quantities in shares, times in nanoseconds since the epoch (float64, NaN: not known). A
value that cannot be measured is NaN and never within a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.limits import FUTURE_SIGNAL_SECONDS, LimitCheck, LimitRow, Looser
from trading_assets.core.tolerance import ABSOLUTE, RELATIVE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_quietly = np.errstate(divide="ignore", invalid="ignore")  # what is not a number comes out as NaN


@dataclass(frozen=True)
class SentOrders:
    """Orders in the order of sending, a row each; every column has shape (n,)."""

    symbol: Ints  # a number for each symbol
    execution: Ints  # a number for each execution
    side: Ints  # core.words.Side
    qty: Floats
    limit_price: Floats
    reducing: Bools
    flatten: Bools
    journaled_ns: Floats
    decided_ns: Floats
    open_ns: Floats  # of the session
    close_ns: Floats
    judged: Bools  # what it was decided on is kept: the columns from here on
    bid: Floats  # of the quote that was decided on
    ask: Floats
    last_trade: Floats
    previous_close: Floats
    quote_ns: Floats
    account_ns: Floats
    signal_ns: Floats
    reference_price: Floats  # that the signal saw
    signal: Floats  # its value; NaN: not decided on one

    @cached_property
    def entries(self) -> Ints:
        return np.flatnonzero(~self.reducing)

    @cached_property
    def judged_entries(self) -> Ints:
        return np.flatnonzero(self.judged & ~self.reducing)

    @cached_property
    def judged_exits(self) -> Ints:
        return np.flatnonzero(self.judged & self.reducing)

    @cached_property
    def cuttable(self) -> Ints:
        """Entries, and exits of more than one share, which no slicing makes smaller."""
        return np.flatnonzero(~self.reducing | (self.qty > 1.0))

    @cached_property
    def entries_after_open(self) -> Ints:
        """The check `market_hours` finds orders before the open."""
        return self.entries[~(self.seconds_after_open[self.entries] < 0.0)]

    @cached_property
    def entries_before_close(self) -> Ints:
        """The check `market_hours` finds orders after the close."""
        return self.entries[~(self.minutes_before_close[self.entries] < 0.0)]

    @cached_property
    def usable(self) -> Bools:
        """Both sides of the quote are there and not crossed."""
        return (self.bid > 0.0) & (self.bid <= self.ask) & np.isfinite(self.ask)

    @cached_property
    @_quietly
    def mid(self) -> Floats:
        """Of a usable quote; the last trade stands in for an exit's."""
        fallback = np.where(self.reducing, _price(self.last_trade), nan)
        return np.where(self.usable, (self.bid + self.ask) / 2.0, fallback)

    @cached_property
    def notional(self) -> Floats:
        return self.qty * self.limit_price

    @cached_property
    def fraction(self) -> Floats:
        """Of a share."""
        return self.qty % 1.0

    @cached_property
    def strength(self) -> Floats:
        """|signal|."""
        return np.abs(self.signal)

    @cached_property
    @_quietly
    def reach(self) -> Floats:
        """How far the limit price reaches beyond the far side, fraction of it; negative short of it."""
        far = np.where(self.side > 0, self.ask, self.bid)
        return self.side * (self.limit_price - far) / _price(far)

    @cached_property
    def collar(self) -> Floats:
        """|limit − mid|/mid."""
        return _apart(self.limit_price, self.mid)

    @cached_property
    def drift(self) -> Floats:
        """|mid − reference price|/reference price."""
        return _apart(self.mid, self.reference_price)

    @cached_property
    def move(self) -> Floats:
        """|mid − previous close|/previous close."""
        return _apart(self.mid, self.previous_close)

    @cached_property
    @_quietly
    def spread_bps(self) -> Floats:
        return np.where(self.usable, (self.ask - self.bid) / self.mid * 10_000.0, nan)

    @cached_property
    def signal_age(self) -> Floats:
        """Seconds; too far ahead is infinitely old."""
        age = (self.decided_ns - self.signal_ns) / 1e9
        return np.where(age < -FUTURE_SIGNAL_SECONDS, inf, age)

    @cached_property
    def quote_age(self) -> Floats:
        """Seconds."""
        return (self.decided_ns - self.quote_ns) / 1e9

    @cached_property
    def account_age(self) -> Floats:
        """Seconds."""
        return (self.decided_ns - self.account_ns) / 1e9

    @cached_property
    def seconds_after_open(self) -> Floats:
        return (self.journaled_ns - self.open_ns) / 1e9

    @cached_property
    def minutes_before_close(self) -> Floats:
        return (self.close_ns - self.journaled_ns) / 60e9

    @cached_property
    def place_in_symbol(self) -> Floats:
        """The number of the order among those of its symbol, exits counted, from 1."""
        return _places(self.symbol)

    @cached_property
    def place_in_session(self) -> Floats:
        return np.arange(1.0, len(self.qty) + 1.0)

    @cached_property
    def place_in_execution(self) -> Floats:
        return _places(self.execution)

    def exits_sent(self, most: float) -> Measured:
        """The session's last exit among all of them, or the last of the symbol that sent the most among that
        symbol's tenth, whichever has less left. The operator's flatten is outside both."""
        exits = np.flatnonzero(self.reducing & ~self.flatten)
        if not len(exits):
            return self.at_most(exits, self.qty, most)
        places = _places(self.symbol[exits])
        busiest, share = int(np.argmax(places)), max(np.floor(most / 10.0), 1.0)
        rows, values = exits[[busiest]], places[[busiest]]
        if most - len(exits) <= share - values[0]:
            rows, values, share = exits[[-1]], np.array([float(len(exits))]), most
        return Measured(rows, values, float(share), is_upper=True)

    def measured(self, row: LimitRow, check: LimitCheck, limit: float) -> Measured:
        """What `check` measures of the orders, against the limit of `row`."""
        counts = getattr(self, check.measure)
        if callable(counts):
            measured: Measured = counts(limit)
            return measured
        hold = self.at_most if row.looser is Looser.HIGHER else self.at_least
        return hold(getattr(self, check.of), counts, float(limit))

    def at_most(self, rows: Ints, measure: Floats, limit: float) -> Measured:
        """`measure` (n,) of the rows against an upper limit."""
        return Measured(rows, measure[rows], limit, is_upper=True)

    def at_least(self, rows: Ints, measure: Floats, limit: float) -> Measured:
        """`measure` (n,) of the rows against a lower limit."""
        return Measured(rows, measure[rows], limit, is_upper=False)


@dataclass(frozen=True)
class Measured:
    """Measures of some of the orders against one limit. NaN is beyond every limit, and the worst."""

    rows: Ints  # into the orders, shape (m,)
    values: Floats  # (m,)
    limit: float
    is_upper: bool  # what is greater is beyond it

    @cached_property
    def within(self) -> Bools:
        """(m,): which measures keep the limit, as `core.tolerance` has it."""
        if self.is_upper:
            return np.isfinite(self.values) & (self.values <= self.limit * (1.0 + RELATIVE) + ABSOLUTE)
        return np.isfinite(self.values) & (self.values >= self.limit * (1.0 - RELATIVE) - ABSOLUTE)

    @cached_property
    def worst(self) -> int | None:
        """The index among `rows` of the worst measure; None where nothing was measured. Where it is within
        the limit, all are."""
        if not len(self.rows):
            return None
        ordered = self.values if self.is_upper else -self.values
        return int(ordered.argmax())  # the first NaN, where there is one

    def excess(self, place: int) -> float:
        """How far a measure goes towards its limit or beyond it, for comparing two of one limit."""
        value = float(self.values[place])
        return inf if value != value else value if self.is_upper else -value


def _price(values: Floats) -> Floats:
    return np.where(values > 0.0, values, nan)


@_quietly
def _apart(price: Floats, anchor: Floats) -> Floats:
    """|price − anchor|/anchor."""
    return np.abs(price - anchor) / _price(anchor)


def _places(groups: Ints) -> Floats:
    """Which one of its group each row is, from 1."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(groups) else order
    sizes = np.diff(np.append(first, len(groups)))
    places = np.empty(len(groups))
    places[order] = np.arange(len(groups)) - np.repeat(first, sizes) + 1.0
    return places
