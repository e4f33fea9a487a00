"""Checks of what a tick was decided on: bars, features, signals. They read history and nothing else.

A failed blocking check vetoes the tick's entries and never an exit. What checks there are is the table in
`engine.checks.table`; checks of orders and limits are `engine.checks.orders` and `engine.checks.book_limits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from trading_assets.engine.book.desk import Desk, holding_history
from trading_assets.engine.checks.table import PROBLEMS_SHOWN, CheckOutcome, outcome
from trading_assets.engine.market_data.feature_rows import earliest_daily_ns
from trading_assets.engine.market_data.incomplete_bars import MAX_GAP_MINUTES, vetoes_all
from trading_assets.features.daily import DAILY
from trading_assets.features.window import Window, window_from_bars
from trading_assets.market.bars import Bars, Interval
from trading_assets.market.sessions import MINUTE_NS, new_york_time
from trading_assets.store.bar_history import actions_until, newest_bars

_DAY_NS = 86_400_000_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# One interval since a time: what others have imported beside it is not looked at, however much it is.
_TWICE = """
SELECT symbol, "interval", start_ns FROM bars
WHERE symbol IN (SELECT unnest(?)) AND "interval" = ? AND start_ns >= ?
GROUP BY symbol, "interval", start_ns, version HAVING count(*) > 1 ORDER BY ALL
"""
# Received before their end, as if the future were known. Imported bars whose end is yet to come on a virtual
# clock count as received at their end: no decision sees them before.
_FROM_THE_FUTURE = """
SELECT symbol, "interval", start_ns FROM bars
WHERE symbol IN (SELECT unnest(?)) AND "interval" = ? AND start_ns >= ?
  AND received_at_ns < available_at_ns ORDER BY ALL
"""
_FEATURES = """
SELECT symbol, feature_set, "values" AS row, computed_at_ns FROM features
WHERE book = ? AND session = ? AND tick_ns = ? ORDER BY symbol
"""
_SIGNALS = """
SELECT symbol, value, as_of_ns, source FROM signals
WHERE book = ? AND session = ? AND tick_ns = ? ORDER BY symbol
"""


def data_checks(desk: Desk, session: date, tick_ns: int) -> list[CheckOutcome]:
    """Every check of bars, features and signals at one tick."""
    return [
        *bar_checks(desk, session, tick_ns),
        *feature_checks(desk, session, tick_ns),
        *signal_checks(desk, session, tick_ns),
    ]


@holding_history
def bar_checks(desk: Desk, session: date, tick_ns: int) -> list[CheckOutcome]:
    """The bars that the tick's features are made of, as stored by now."""
    now_ns = desk.now_ns()
    expected = _lookback(desk, session)
    share = desk.settings.max_incomplete_share
    first_ns, open_ns = desk.sessions.open_ns(expected[0]), desk.sessions.open_ns(session)
    symbols = list(desk.settings.symbols)
    with desk.history.reading():  # one opening of the file for all queries
        daily = _bars_at(desk, Interval.DAY, first_ns, tick_ns, now_ns)
        minutes = _bars_at(desk, Interval.MINUTE, open_ns, tick_ns, now_ns)
        twice, future = [], []
        for interval, since_ns in ((Interval.DAY, first_ns), (Interval.MINUTE, open_ns)):
            of_interval = (symbols, str(interval), since_ns)
            twice += desk.history.query(_TWICE, of_interval).to_pylist()
            future += desk.history.query(_FROM_THE_FUTURE, of_interval).to_pylist()
    gaps = [
        *gaps_of_days(daily, expected),
        *gaps_of_minutes(minutes, open_ns, tick_ns),
    ]
    incomplete = sorted({symbol for symbol, _ in gaps})
    limit_s = desk.limits.stale_signal_seconds
    newest_ns = max((int(bars.end_ns[-1]) for bars in minutes.values() if len(bars.end_ns)), default=0)
    age_s = (tick_ns - newest_ns) / 1e9
    return [
        outcome(
            "bars.complete",
            passed=not vetoes_all(len(incomplete), len(symbols), share),
            measured=len(incomplete) / len(symbols),
            limit=share,
            detail=f"{len(expected)} sessions and the minutes since the open, {len(daily)} symbols, "
            f"incomplete: {_some(incomplete)}",
        ),
        outcome("bars.no_symbol_incomplete", [f"{symbol} {why}" for symbol, why in gaps], symbols=incomplete),
        outcome(
            "bars.sane",
            [
                *(f"{symbol} {why}" for bars in (daily, minutes) for symbol, why in _insane(bars)),
                *(
                    f"{row['symbol']} {row['interval']} at {new_york_time(row['start_ns'])} is stored twice"
                    for row in twice
                ),
            ],
        ),
        outcome(
            "bars.fresh",
            passed=age_s <= limit_s,
            measured=age_s,
            limit=limit_s,
            detail="seconds from the newest minute bar's end to the tick"
            if newest_ns
            else "no minute bar at all",
        ),
        outcome(
            "bars.no_symbol_behind",
            [
                f"{symbol} is {late_s:.0f} s behind the feed"
                for symbol, late_s in _lags(minutes, newest_ns)
                if late_s > limit_s
            ],
        ),
        outcome(
            "bars.not_from_the_future",
            [f"{row['symbol']} {row['interval']} at {new_york_time(row['start_ns'])}" for row in future],
        ),
    ]


@holding_history
def feature_checks(desk: Desk, session: date, tick_ns: int) -> list[CheckOutcome]:
    """The tick's stored feature rows, against rows computed again from the stored bars."""
    with desk.history.reading():
        lines = desk.history.query(_FEATURES, (desk.book, session, tick_ns)).to_pylist()
        as_of_ns = max((line["computed_at_ns"] for line in lines), default=desk.now_ns())
        windows = _windows_at(desk, session, tick_ns, as_of_ns)
    rows = {line["symbol"]: np.array(line["row"], dtype=np.float64) for line in lines}
    again = {symbol: DAILY.compute_last(*window) for symbol, window in windows.items()}
    young = sorted(symbol for symbol, window in windows.items() if len(window.bars.end_ns) < DAILY.lookback)
    return [
        outcome(
            "features.complete",
            [
                *(f"{symbol} has no row" for symbol in again if symbol not in rows),
                *(f"{symbol} is not configured" for symbol in rows if symbol not in again),
                *([] if len(lines) == len(rows) else [f"{len(lines)} rows for {len(rows)} symbols"]),
                *(
                    f"{line['symbol']} is of {line['feature_set']}"
                    for line in lines
                    if line["feature_set"] != DAILY.identity
                ),
                *(
                    f"{symbol} has {len(row)} values"
                    for symbol, row in rows.items()
                    if len(row) != len(DAILY.names)
                ),
            ],
            detail=f"{len(rows)} of {len(again)} symbols, {DAILY.identity}",
        ),
        outcome(
            "features.finite",
            [
                f"{symbol} {', '.join(_not_finite(row))}"
                for symbol, row in rows.items()
                if not np.isfinite(row).all() and not (symbol in young and np.isnan(row).all())
            ],
            detail=f"without the {DAILY.lookback} bars of a row: {', '.join(young) or 'none'}",
        ),
        outcome(
            "features.point_in_time",
            [
                f"{symbol} differs from what was available at the tick"
                for symbol, row in rows.items()
                if symbol not in again or not _same_bits(row, again[symbol])
            ],
            detail=f"{len(rows)} rows computed again",
        ),
    ]


@holding_history
def signal_checks(desk: Desk, session: date, tick_ns: int) -> list[CheckOutcome]:
    """The tick's stored signals. None at all is in range: the desk then holds."""
    rows = desk.history.query(_SIGNALS, (desk.book, session, tick_ns)).to_pylist()
    known, limit_s = set(desk.settings.symbols), desk.limits.stale_signal_seconds
    ages = {row["symbol"]: (tick_ns - row["as_of_ns"]) / 1e9 for row in rows}
    return [
        outcome(
            "signals.in_range",
            [
                *(
                    f"{row['symbol']} {row['value']} from {row['source']}"
                    for row in rows
                    if row["value"] is None or not -1.0 <= row["value"] <= 1.0
                ),
                *(f"{row['symbol']} is not configured" for row in rows if row["symbol"] not in known),
            ],
            detail=f"{len(rows)} signals",
        ),
        outcome(
            "signals.fresh",
            [f"{symbol} is {age:.1f} s old" for symbol, age in ages.items() if not 0.0 <= age <= limit_s],
            measured=max(ages.values(), key=abs, default=0.0),
            limit=limit_s,
        ),
    ]


def _lookback(desk: Desk, session: date) -> list[date]:
    """The completed sessions that a row at `session` needs, ascending."""
    days, day = [], session
    for _ in range(DAILY.lookback - 1):
        day = desk.sessions.previous(day)
        days.append(day)
    return days[::-1]


def gaps_of_days(daily: Mapping[str, Bars], expected: Sequence[date]) -> Iterable[tuple[str, str]]:
    """(symbol, what it lacks) of the expected sessions. Before its first bar of them it was not listed."""
    wanted = np.array([day.toordinal() - _EPOCH_DAY for day in expected])
    for symbol, bars in daily.items():
        held = bars.start_ns // _DAY_NS  # a session opens on its own date, in UTC too
        lacks = wanted[~np.isin(wanted, held)]
        if len(held):
            lacks = lacks[lacks > held[0]]
        if len(lacks):
            first = date.fromordinal(int(lacks[0]) + _EPOCH_DAY)
            yield symbol, f"lacks {len(lacks)} daily bars, the first of {first}"


def gaps_of_minutes(minutes: Mapping[str, Bars], open_ns: int, tick_ns: int) -> Iterable[tuple[str, str]]:
    for symbol, bars in minutes.items():
        ends = np.concatenate(([open_ns], bars.end_ns, [tick_ns]))
        longest = int(np.diff(ends).max()) / MINUTE_NS
        if longest > MAX_GAP_MINUTES:
            yield symbol, f"has no minute bar for {longest:.0f} minutes"


def _some(symbols: Sequence[str]) -> str:
    more = [f"and {len(symbols) - PROBLEMS_SHOWN} more"] if len(symbols) > PROBLEMS_SHOWN else []
    return ", ".join([*symbols[:PROBLEMS_SHOWN], *more]) or "none"


def _lags(minutes: Mapping[str, Bars], newest_ns: int) -> Iterable[tuple[str, float]]:
    """Seconds by which symbols are behind the newest bar of all: those that had a bar in every minute of a
    while before. One that trades now and then says nothing by a pause."""
    for symbol, bars in minutes.items():
        before = bars.end_ns[-MAX_GAP_MINUTES:]
        if len(before) == MAX_GAP_MINUTES and int(before[-1] - before[0]) == (len(before) - 1) * MINUTE_NS:
            yield symbol, (newest_ns - int(before[-1])) / 1e9


def _insane(of_symbol: Mapping[str, Bars]) -> Iterable[tuple[str, str]]:
    for symbol, bars in of_symbol.items():
        prices = np.array((bars.open, bars.high, bars.low, bars.close))
        right = (
            np.isfinite(prices).all(axis=0)
            & (prices > 0.0).all(axis=0)
            & (bars.low <= prices.min(axis=0))
            & (bars.high >= prices.max(axis=0))
            & (bars.volume >= 0.0)
        )
        for index in np.flatnonzero(~right)[:5]:
            yield symbol, f"bar at {new_york_time(int(bars.start_ns[index]))} cannot be right"


def _bars_at(desk: Desk, interval: Interval, since_ns: int, tick_ns: int, as_of_ns: int) -> dict[str, Bars]:
    """Each symbol's bars since then: received by `as_of_ns` and available at the tick."""
    newest = newest_bars(desk.history, desk.settings.symbols, interval, since_ns=since_ns, as_of_ns=as_of_ns)
    return {symbol: bars.until(tick_ns) for symbol, bars in newest.items()}


def _windows_at(desk: Desk, session: date, tick_ns: int, as_of_ns: int) -> dict[str, Window]:
    """Each symbol's bars of a row, put together apart from `engine.market_data.feature_rows`."""
    open_ns = desk.sessions.open_ns(session)
    # a symbol whose days have gaps reaches further back than the sessions of the look-back
    first_ns = earliest_daily_ns(open_ns)
    daily = _bars_at(desk, Interval.DAY, first_ns, tick_ns, as_of_ns)
    minutes = _bars_at(desk, Interval.MINUTE, open_ns, tick_ns, as_of_ns)
    actions = actions_until(desk.history, desk.settings.symbols, session, as_of_ns=as_of_ns)
    return {
        symbol: window_from_bars(daily[symbol], minutes[symbol], actions[symbol], tick_ns, DAILY.lookback)
        for symbol in desk.settings.symbols
    }


def _not_finite(row: NDArray[np.float64]) -> list[str]:
    return [
        f"{name} is {value}"
        for name, value in zip(DAILY.names, row.tolist(), strict=False)
        if not isfinite(value)
    ]


def _same_bits(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Equal to the last bit; a NaN is a NaN."""
    return np.array_equal(np.isnan(one), np.isnan(other)) and (
        one[~np.isnan(one)].tobytes() == other[~np.isnan(other)].tobytes()
    )
