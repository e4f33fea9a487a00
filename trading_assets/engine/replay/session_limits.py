"""What a session of a replay measured against every limit, recomputed from what was sent and held.

No verdict's word is taken. A result bears the name of its limit in the configuration, or of the
rule that has none (`no_short`). Limits of what a person may decide at once, such as the volatility
target, are the sizer's and are not listed. A limit that a replay has lifted is infinite and holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_assets.core.limits import LIMIT_ROWS, Limits
from trading_assets.core.sent_orders import Measured, SentOrders
from trading_assets.core.tolerance import at_least, at_most
from trading_assets.core.walk.columns import (
    FACT_GROSS_ENTERED,
    FACT_GROSS_MARK,
    FACT_LOWEST_FUNDS,
    FACT_POSITION_ENTERED,
    FACT_POSITION_MARK,
)
from trading_assets.engine.replay.limit_groups import Group
from trading_assets.engine.replay.session_sheet import SessionSheet

Ints = NDArray[np.int64]
LIMITS, DRIFT = Group.LIMITS, Group.DRIFT
MOST_NAMED = 10


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
        sent = _Sent(sheet)
        facts, largest = sheet.sheet.facts.tolist(), sheet.sheet.largest.tolist()
        at_mark, entered = ("" if row < 0 else sheet.symbols[row] for row in largest)
        held = sheet.book.holdings
        unsold = np.flatnonzero((held["stopped_ns"] != 0) & (held["qty"] != 0.0))
        short = np.flatnonzero(sheet.sheet.short)
        return [
            *sent.results(limits),
            sent.fill_price(inf if next_open else 0.0),
            _result(
                "max_position_pct", LIMITS, facts[FACT_POSITION_ENTERED], entered, limits.max_position_pct
            ),
            _result("max_gross_exposure", LIMITS, facts[FACT_GROSS_ENTERED], "", limits.max_gross_exposure),
            _funds_left(facts[FACT_LOWEST_FUNDS]),
            _named("no_short", sheet, short),
            *_loss_results(facts, limits),
            _named("stop_loss", sheet, unsold),
            _result("position_drift", DRIFT, facts[FACT_POSITION_MARK], at_mark, limits.max_position_pct),
            _result("exposure_drift", DRIFT, facts[FACT_GROSS_MARK], "", limits.max_gross_exposure),
        ]


class _Sent:
    """What the session sent, as the columns that limits measure, with a name for each order."""

    def __init__(self, sheet: SessionSheet) -> None:
        self._sheet = sheet
        verdict = sheet.sent
        proposals, orders = sheet.proposals[verdict], sheet.orders[verdict]
        at_ns, count = orders["at_ns"].astype(np.float64), len(verdict)
        of_signal = np.append(sheet.signals.rows["value"], nan)  # −1 and below: not decided on a signal
        self.orders = SentOrders(
            symbol=orders["symbol"],
            execution=orders["at_ns"],
            side=proposals["side"],
            qty=proposals["qty"],
            limit_price=proposals["limit_price"],
            reducing=proposals["reducing"],
            flatten=np.zeros(count, np.bool_),
            journaled_ns=at_ns,
            open_ns=np.full(count, float(sheet.open_ns)),
            close_ns=np.full(count, float(sheet.close_ns)),
            judged=np.ones(count, np.bool_),
            decided_ns=at_ns,
            bid=orders["bid"],
            ask=orders["ask"],
            last_trade=orders["last_trade"],
            previous_close=sheet.day.symbols["previous_close"][orders["symbol"]],
            quote_ns=orders["quote_ns"].astype(np.float64),
            account_ns=at_ns,  # read as it is decided
            signal_ns=orders["signal_ns"].astype(np.float64),
            reference_price=orders["reference_price"],
            signal=of_signal[np.maximum(orders["decision"], -1)],
        )
        self._fill_price = np.full(count, nan)
        self._fill_price[np.searchsorted(verdict, sheet.fills["order"])] = sheet.fills["price"]

    def results(self, limits: Limits) -> Iterator[LimitResult]:
        """One for each limit that is measured of single orders: the worst of its measures."""
        for name, row in LIMIT_ROWS.items():
            limit = getattr(limits, name)
            measured = [self.orders.measured(row, check, limit) for check in row.checks if check.measure]
            if measured:
                yield self._result(name, measured, limit)

    def fill_price(self, unlimited: float) -> LimitResult:
        """USD a share by which a fill is worse than its order's limit price."""
        beyond = (self._fill_price - self.orders.limit_price) * self.orders.side
        filled = np.flatnonzero(~np.isnan(self._fill_price))
        return self._result("fill_price", [self.orders.at_most(filled, beyond, unlimited)], unlimited)

    def _result(self, name: str, measured: list[Measured], limit: float) -> LimitResult:
        worst, within = None, True
        for one in measured:
            if one.worst is not None:
                within = within and bool(one.within[one.worst])
                if worst is None or one.excess(one.worst) > worst.excess(worst.worst or 0):
                    worst = one
        if worst is None or worst.worst is None:
            return LimitResult(name, LIMITS, True, nan, float(limit), "")
        value, order = float(worst.values[worst.worst]), int(worst.rows[worst.worst])
        return LimitResult(name, LIMITS, within, value, worst.limit, self._name(order))

    def _name(self, order: int) -> str:
        return f"{self._sheet.symbols[self.orders.symbol[order]]} {self._sheet.client_ids[order]}"


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
    symbols = ", ".join(sheet.symbols[row] for row in rows[:MOST_NAMED])
    symbols += f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
    return _result(name, LIMITS, float(len(rows)), symbols, 0.0)


def _result(name: str, group: Group, measured: float, worst: str, limit: float) -> LimitResult:
    return LimitResult(name, group, bool(at_most(measured, limit)), measured, limit, worst)


def _funds_left(usd: float) -> LimitResult:
    """What entries left of the funds that they may spend; infinite: there was none."""
    if usd == inf:
        return LimitResult("buying_power", LIMITS, True, nan, 0.0, "")
    return LimitResult("buying_power", LIMITS, bool(at_least(usd, 0.0)), usd, 0.0, "USD left by an entry")
