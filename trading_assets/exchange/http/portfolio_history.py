"""The account's equity over time: which instants a request asks for, and what it was worth at each.

Daily points are the closes, with the equity stored then. Points within a day are recomputed from the
account's activities and the tape's prices, so they do not show a quote by hand. Profit and loss is a
difference of equities, so it includes deposits.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from trading_assets.exchange.account import VenueAccount
from trading_assets.exchange.amounts import ZERO
from trading_assets.exchange.http.query import Query
from trading_assets.exchange.refusals import malformed, unprocessable
from trading_assets.exchange.tape_view import TapeView
from trading_assets.exchange.times import midnight_ns
from trading_assets.market.sessions import MINUTE_NS, Sessions

_STEPS = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60}  # minutes
_DAILY = "1D"
_PERIOD = re.compile(r"(\d{1,4})([DWMA])")
_DAY_NS = 1440 * MINUTE_NS
_REPORTING = ("market_hours", "extended_hours", "continuous")


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """`cashflow`: activity types to add up; None: all."""

    timeframe: str
    start_ns: int
    end_ns: int
    reporting: str
    reset_daily: bool
    cashflow: tuple[str, ...] | None


def read_history(query: Query, sessions: Sessions, now_ns: int) -> HistoryRequest:
    """Raises ApiRefusal 422 for unknown words and for impossible spans."""
    start_ns, end_ns, period = query.time_ns("start"), query.time_ns("end"), query.text("period")
    if (day := query.day("date_end")) is not None and end_ns is None:
        end_ns = midnight_ns(day) + _DAY_NS - 1
    if start_ns is not None and end_ns is not None and period is not None:
        raise unprocessable("period cannot be used with both start and end")
    if start_ns is not None and end_ns is None and period is not None:
        end_ns = _moved(start_ns, period, sessions, ahead=True)
    end_ns = now_ns if end_ns is None else min(end_ns, now_ns)
    if start_ns is None:
        start_ns = _moved(end_ns, period or "1M", sessions, ahead=False)
    span = end_ns - start_ns
    default = "1Min" if span < 7 * _DAY_NS else "15Min" if span < 30 * _DAY_NS else _DAILY
    timeframe = query.word("timeframe", (*_STEPS, _DAILY), default)
    if timeframe != _DAILY and span > 31 * _DAY_NS:
        raise unprocessable("timeframe must be 1D for more than 30 days")
    extended = query.word("extended_hours", ("true", "false", "True", "False"), "false").lower() == "true"
    kinds = query.text("cashflow_types") or "NONE"
    return HistoryRequest(
        timeframe=timeframe,
        start_ns=start_ns,
        end_ns=end_ns,
        reporting=query.word("intraday_reporting", _REPORTING, _REPORTING[extended]),
        reset_daily=query.word("pnl_reset", ("per_day", "no_reset"), "per_day") == "per_day",
        cashflow=None if kinds == "ALL" else () if kinds == "NONE" else tuple(kinds.split(",")),
    )


def portfolio_history(
    wanted: HistoryRequest, account: VenueAccount, view: TapeView, now_ns: int
) -> dict[str, Any]:
    """The JSON form: as many stamps (epoch seconds, where a window begins) as equities (at its end)."""
    sessions, opening_cash = view.sessions, account.cash - sum(a.cash_change for a in account.activities)
    windows = [
        (start_ns, end_ns)
        for start_ns, end_ns in _windows(wanted, sessions)
        if account.opened_ns <= end_ns <= min(wanted.end_ns, now_ns)
    ]
    if wanted.timeframe == _DAILY:
        closings = dict(account.closings)
        windows = [window for window in windows if window[1] in closings]
        equities = [closings[end_ns] for _, end_ns in windows]
    else:
        equities = list(_equities([end_ns for _, end_ns in windows], opening_cash, account, view))
    first_ns = windows[0][0] if windows else wanted.start_ns

    def basis_at(at_ns: int) -> tuple[Decimal, int | None]:
        """The equity of the last close before an instant, and when that was."""
        row = bisect_left(account.closings, at_ns, key=lambda closing: closing[0])
        return (opening_cash, None) if row == 0 else account.closings[row - 1][::-1]

    base, base_ns = basis_at(first_ns)
    daily_reset = wanted.reset_daily and wanted.timeframe != _DAILY
    bases = [basis_at(start_ns)[0] if daily_reset else base for start_ns, _ in windows]
    gains = [equity - basis for equity, basis in zip(equities, bases, strict=True)]
    as_of = {} if base_ns is None else {"base_value_asof": sessions.new_york_date(base_ns).isoformat()}
    return {
        "timestamp": [start_ns // 1_000_000_000 for start_ns, _ in windows],
        "equity": [round(float(equity), 2) for equity in equities],
        "profit_loss": [round(float(gain), 2) for gain in gains],
        "profit_loss_pct": [
            round(float(gain / basis), 4) if basis else 0.0 for gain, basis in zip(gains, bases, strict=True)
        ],
        "base_value": round(float(base), 2),
        "timeframe": wanted.timeframe,
        "cashflow": _cashflow(wanted.cashflow, [end_ns for _, end_ns in windows], first_ns, account),
    } | as_of


def _moved(ns: int, period: str, sessions: Sessions, *, ahead: bool) -> int:
    """The instant a period away: days are sessions, and a month and a year those of the calendar."""
    match = _PERIOD.fullmatch(period)
    if match is None or not int(match[1]):
        raise malformed(f"invalid period: {period!r}; a whole number and D, W, M or A")
    count, unit = int(match[1]), match[2]
    day = sessions.new_york_date(ns)
    if unit == "D":
        for _ in range(count - 1):
            day = sessions.next(day) if ahead else sessions.previous(day)
        return midnight_ns(day) + (_DAY_NS - 1 if ahead else 0)
    if unit == "W":
        return ns + (count if ahead else -count) * 7 * _DAY_NS
    months = day.year * 12 + day.month - 1 + (count if ahead else -count) * (12 if unit == "A" else 1)
    first = date(max(months // 12, 1), months % 12 + 1, 1)
    last_day = ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).day
    return ns + (first.replace(day=min(day.day, last_day)) - day).days * _DAY_NS


def _windows(wanted: HistoryRequest, sessions: Sessions) -> Iterator[tuple[int, int]]:
    """(start, end) of each, ascending. Daily: the close, twice."""
    first, last = sessions.new_york_date(wanted.start_ns), sessions.new_york_date(wanted.end_ns)
    if wanted.timeframe == _DAILY:
        for session in sessions.between(first, last):
            yield sessions.close_ns(session), sessions.close_ns(session)
        return
    step_ns = _STEPS[wanted.timeframe] * MINUTE_NS
    if wanted.reporting == "continuous":
        spans = [(wanted.start_ns - wanted.start_ns % step_ns, wanted.end_ns)]
    elif wanted.reporting == "extended_hours":
        spans = [sessions.extended_hours(session) for session in sessions.between(first, last)]
    else:
        days = sessions.between(first, last)
        spans = [(sessions.open_ns(session), sessions.close_ns(session)) for session in days]
    for begin_ns, end_ns in spans:
        for start_ns in range(begin_ns, end_ns, step_ns):
            if start_ns + step_ns > wanted.start_ns:
                yield start_ns, min(start_ns + step_ns, end_ns)


def _equities(
    instants: Sequence[int], cash: Decimal, account: VenueAccount, view: TapeView
) -> Iterator[Decimal]:
    """What the account was worth at ascending instants (ns)."""
    held: dict[str, Decimal] = {}
    row = 0
    for at_ns in instants:
        while row < len(account.activities) and account.activities[row].at_ns <= at_ns:
            activity = account.activities[row]
            cash += activity.cash_change
            if activity.symbol is not None and activity.qty_change:
                held[activity.symbol] = held.get(activity.symbol, ZERO) + activity.qty_change
            row += 1
        yield cash + sum((qty * view.mark(symbol, at_ns) for symbol, qty in held.items() if qty), ZERO)


def _cashflow(
    kinds: Sequence[str] | None, ends: Sequence[int], first_ns: int, account: VenueAccount
) -> dict[str, list[float]]:
    """By activity type, what came or went in each window and since the one before."""
    flows: dict[str, list[float]] = {}
    for activity in account.activities:
        wanted = activity.order is None and (kinds is None or activity.type in kinds)
        row = bisect_left(ends, activity.at_ns)
        if wanted and activity.cash_change and activity.at_ns >= first_ns and row < len(ends):
            flow = flows.setdefault(activity.type, [0.0] * len(ends))
            flow[row] = round(flow[row] + float(activity.cash_change), 2)
    return flows
