"""What a session of a replay measured against every limit, made again from what was sent and held.

No verdict is taken's word for it. A result bears the name of its limit in the configuration, or of the
rule that has none (`no_short`). Limits of what a person may decide at once, such as the volatility
target, are the sizer's and are not listed. A limit that a replay has lifted is infinite and holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.gate import exit_count
from trading_assets.core.tolerance import at_least, at_most
from trading_assets.core.walk_columns import (
    FACT_GROSS_BOUGHT,
    FACT_GROSS_MARK,
    FACT_LOWEST_CASH,
    FACT_POSITION_BOUGHT,
    FACT_POSITION_MARK,
)
from trading_assets.core.words import Limits, Side
from trading_assets.engine.replay.limit_groups import Group
from trading_assets.engine.replay.session_sheet import SessionSheet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LIMITS, DRIFT = Group.LIMITS, Group.DRIFT


class LimitResult(NamedTuple):
    """NaN measured: there was nothing to measure."""

    name: str
    group: Group
    passed: bool
    measured: float
    limit: float
    worst: str  # where the measure was taken

    @property
    def key(self) -> str:
        """Its name in the history's table of checks."""
        return f"{self.group}.{self.name}"


def session_results(sheet: SessionSheet, limits: Limits, *, next_open: bool = False) -> list[LimitResult]:
    """Every limit of one session, in one order for all sessions.

    next_open: fills are at the next bar's open whatever the order's limit price, which then bounds nothing
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = _Orders(sheet)
        facts, largest = sheet.sheet.facts.tolist(), sheet.sheet.largest.tolist()
        at_mark, bought = ("" if row < 0 else sheet.symbols[row] for row in largest)
        held = sheet.book.holdings
        unsold = np.flatnonzero((held["stopped_ns"] != 0) & (held["qty"] != 0.0))
        short = np.flatnonzero(sheet.sheet.short)
        unlimited = inf if next_open else 0.0
        return [
            *_order_results(sheet, orders, limits),
            *_count_results(sheet, orders, limits),
            orders.most("fill_price", orders.filled, orders.beyond, unlimited),
            _result("max_position_pct", LIMITS, facts[FACT_POSITION_BOUGHT], bought, limits.max_position_pct),
            _result("max_gross_exposure", LIMITS, facts[FACT_GROSS_BOUGHT], "", limits.max_gross_exposure),
            _at_least("buying_power", facts[FACT_LOWEST_CASH], "USD of cash", 0.0),
            _named("no_short", sheet, short),
            *_loss_results(facts, limits),
            _named("stop_loss", sheet, unsold),
            _result("position_drift", DRIFT, facts[FACT_POSITION_MARK], at_mark, limits.max_position_pct),
            _result("exposure_drift", DRIFT, facts[FACT_GROSS_MARK], "", limits.max_gross_exposure),
        ]


class _Orders:
    """What was sent, as columns with a row for each order; measures are columns beside them."""

    def __init__(self, sheet: SessionSheet) -> None:
        self._sheet = sheet
        self.verdict = sheet.sent
        proposals, orders = sheet.proposals[self.verdict], sheet.orders[self.verdict]
        self.symbol, self.at_ns = orders["symbol"], orders["at_ns"]
        self.qty, self.limit, self.side = proposals["qty"], proposals["limit_price"], proposals["side"]
        self.bid, self.ask = orders["bid"], orders["ask"]
        self.quote_ns, self.signal_ns = orders["quote_ns"], orders["signal_ns"]
        self.reference = orders["reference_price"]
        self.previous_close = sheet.day.symbols["previous_close"][self.symbol]
        reducing = proposals["reducing"]
        self.entries, self.exits = np.flatnonzero(~reducing), np.flatnonzero(reducing)
        usable = (self.bid > 0.0) & (self.ask > 0.0) & (self.bid <= self.ask)
        fallback = np.where(reducing, orders["last_trade"], nan)
        self.mid = np.where(usable, (self.bid + self.ask) / 2.0, fallback)
        decided = np.append(sheet.signals.rows["value"], nan)  # −1 and below: not decided on a signal
        self.value = decided[np.maximum(orders["decision"], -1)]
        self.fill_price = np.full(len(self.verdict), nan)
        of_order = np.searchsorted(self.verdict, sheet.fills["order"])
        self.fill_price[of_order] = sheet.fills["price"]
        self.filled = np.flatnonzero(~np.isnan(self.fill_price))

    @property
    def notional(self) -> Floats:
        found: Floats = self.qty * self.limit
        return found

    @property
    def offset(self) -> Floats:
        """How far the limit price reaches beyond the far side; negative where it does not reach it."""
        buys: Floats = self.limit / self.ask - 1.0
        return np.where(self.side == Side.BUY, buys, 1.0 - self.limit / self.bid)

    @property
    def collar(self) -> Floats:
        found: Floats = np.abs(self.limit / self.mid - 1.0)
        return found

    @property
    def beyond(self) -> Floats:
        """USD a share by which a fill is worse than its order's limit price."""
        found: Floats = (self.fill_price - self.limit) * self.side
        return found

    def most(self, name: str, rows: Ints, measure: Floats, limit: float) -> LimitResult:
        """The largest measure of the rows against an upper limit; one that is NaN is the worst."""
        if not len(rows):
            return LimitResult(name, LIMITS, True, nan, limit, "")
        found = measure[rows]
        worst = int(np.argmax(np.where(np.isnan(found), inf, found)))
        return _result(name, LIMITS, float(found[worst]), self.name(rows[worst]), limit)

    def least(self, name: str, measure: Floats, limit: float) -> LimitResult:
        """The smallest measure of the entries against a lower limit; one that is NaN is the worst."""
        if not len(self.entries):
            return LimitResult(name, LIMITS, True, nan, limit, "")
        found = measure[self.entries]
        worst = int(np.argmin(np.where(np.isnan(found), -inf, found)))
        return _at_least(name, float(found[worst]), self.name(self.entries[worst]), limit)

    def name(self, row: int) -> str:
        symbol = self._sheet.symbols[self.symbol[row]]
        return f"{symbol} {self._sheet.client_ids[row]}"


def _order_results(sheet: SessionSheet, orders: _Orders, limits: Limits) -> Iterator[LimitResult]:
    def most(name: str, rows: Ints, measure: Floats) -> LimitResult:
        return orders.most(name, rows, measure, getattr(limits, name))

    def least(name: str, measure: Floats) -> LimitResult:
        return orders.least(name, measure, getattr(limits, name))

    everything = np.arange(len(orders.verdict))
    # One share is not cut any smaller.
    cuttable = np.concatenate([orders.entries, orders.exits[orders.qty[orders.exits] > 1.0]])
    drift = np.abs(orders.mid / orders.reference - 1.0)
    yield most("limit_offset", everything, orders.offset)
    yield most("max_slip_pct", orders.entries, np.maximum(orders.collar, drift))
    yield most("exit_collar_pct", orders.exits, orders.collar)
    yield most("max_spread_bps", orders.entries, (orders.ask - orders.bid) / orders.mid * 10_000.0)
    yield most("max_symbol_move", orders.entries, np.abs(orders.mid / orders.previous_close - 1.0))
    yield most("stale_signal_seconds", orders.entries, (orders.at_ns - orders.signal_ns) / 1e9)
    yield most("stale_quote_seconds", orders.entries, (orders.at_ns - orders.quote_ns) / 1e9)
    yield most("stale_account_seconds", orders.entries, np.zeros(len(everything)))  # read as it is decided
    yield least("no_entry_seconds_after_open", (orders.at_ns - sheet.open_ns) / 1e9)
    yield least("no_entry_minutes_before_close", (sheet.close_ns - orders.at_ns) / 60e9)
    yield least("min_order_notional", orders.notional)
    yield most("max_order_notional", cuttable, orders.notional)
    yield least("threshold", np.abs(orders.value))
    yield orders.most("fractional", orders.entries, orders.qty % 1.0, 1.0 if limits.fractional else 0.0)


def _count_results(sheet: SessionSheet, orders: _Orders, limits: Limits) -> Iterator[LimitResult]:
    def counted(groups: Ints) -> tuple[float, int]:
        values, counts = np.unique(groups, return_counts=True)
        return (float(counts.max()), int(values[counts.argmax()])) if len(values) else (0.0, -1)

    def result(name: str, count: float, of: str) -> LimitResult:
        return _result(name, LIMITS, count, of, getattr(limits, name))

    count, symbol = counted(orders.symbol[orders.entries])
    yield result("max_orders_per_symbol_per_day", count, sheet.symbols[symbol] if symbol >= 0 else "")
    yield result("max_orders_per_day", float(len(orders.entries)), "all symbols")
    count, at_ns = counted(orders.at_ns[orders.entries])
    yield result("max_orders_per_execution", count, str(at_ns) if at_ns >= 0 else "")
    count, symbol = counted(orders.symbol[orders.exits])
    exits, cap = exit_count(len(orders.exits), int(count), 0, limits.max_exit_orders_per_day)
    of = "all symbols" if cap == limits.max_exit_orders_per_day else sheet.symbols[symbol]
    yield _result("max_exit_orders_per_day", LIMITS, float(exits), of if symbol >= 0 else "", float(cap))


def _loss_results(facts: list[float], limits: Limits) -> Iterator[LimitResult]:
    """A loss that reaches its limit is a breach; one that cannot be measured as well."""
    for name, measured, limit in zip(
        ("session_drawdown", "max_daily_loss", "max_drawdown"),
        facts[:3],
        (limits.session_drawdown, limits.max_daily_loss, limits.max_drawdown),
        strict=True,
    ):
        kept = not isnan(measured) and not at_least(measured, limit)
        yield LimitResult(name, Group.LOSSES, kept, measured, limit, "")


def _named(name: str, sheet: SessionSheet, rows: Ints) -> LimitResult:
    """Symbols that there should be none of."""
    symbols = ", ".join(sheet.symbols[row] for row in rows)
    return _result(name, LIMITS, float(len(rows)), symbols, 0.0)


def _result(name: str, group: Group, measured: float, worst: str, limit: float) -> LimitResult:
    return LimitResult(name, group, bool(at_most(measured, limit)), measured, limit, worst)


def _at_least(name: str, measured: float, worst: str, limit: float) -> LimitResult:
    return LimitResult(name, LIMITS, bool(at_least(measured, limit)), measured, limit, worst)
