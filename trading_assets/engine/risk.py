"""Equity and the loss breakers: one reading of the account, its figures, and what it trips.

The formulas are `core.breakers`; here they get their inputs from the broker and the journal, and
what trips is latched. What a latched breaker does to working orders is `engine.protect`.
"""

from __future__ import annotations

from decimal import Decimal
from math import isnan, nan

from trading_assets.broker.port import AccountState, ClockState
from trading_assets.core.breakers import (
    daily_loss,
    drawdown,
    e0_agrees,
    higher_peak,
    is_tripped,
    unit_value,
)
from trading_assets.engine.accounting import transfers_on
from trading_assets.engine.desk import Desk
from trading_assets.engine.halts import Cause, latch
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import EquityRecord

log = get_logger(__name__)

MAX_CLOCK_SKEW_NS = 2_000_000_000
CLOSE_EQUITY_MARK = "close_equity"


def observe(desk: Desk, account: AccountState) -> EquityRecord:
    """Journal the account's equity with its peaks, and latch the loss breakers that it trips."""
    now = desk.now_ns()
    today = desk.today()
    equity = float(account.equity)
    e0 = float(account.last_equity)
    transfers = transfers_on(desk.journal, desk.book, new_york_midnight_ns(today))
    before = desk.journal.latest_equity(desk.book)
    if before is not None and before.session == today.isoformat():
        moved = float(transfers - before.transfers_today)
        peak = higher_peak(float(before.session_peak) + moved, equity)
    else:
        moved = float(transfers)
        peak = higher_peak(e0 + float(transfers), equity)
    unit = unit_value(before.unit_value, float(before.equity), equity, moved) if before else 1.0
    if isnan(unit):
        unit = before.unit_value if before else 1.0
    unit_peak = higher_peak(before.unit_peak if before else nan, unit)
    record = EquityRecord(
        book=desk.book,
        at_ns=now,
        session=today.isoformat(),
        equity=account.equity,
        e0=account.last_equity,
        cash=account.cash,
        transfers_today=transfers,
        unit_value=unit,
        session_peak=Decimal(repr(peak)),
        unit_peak=unit_peak,
    )
    desk.journal.record_equity(record)
    limits = desk.limits
    for cause, measured, limit in (
        (Cause.SESSION_DRAWDOWN, drawdown(peak, equity), limits.session_drawdown),
        (Cause.DAILY_LOSS, daily_loss(e0, equity, float(transfers)), limits.max_daily_loss),
        (Cause.MAX_DRAWDOWN, drawdown(unit_peak, unit), limits.max_drawdown),
    ):
        if is_tripped(measured, limit):
            latch(
                desk.journal,
                desk.book,
                cause,
                at_ns=now,
                session=today.isoformat(),
                reason=f"measured {measured:.6f}, limit {limit:g}; equity {equity:.2f}, E0 {e0:.2f}",
            )
    return record


def transient_causes(desk: Desk, account: AccountState, clock: ClockState) -> tuple[Cause, ...]:
    """What forbids entries as long as it lasts: clock skew, calendars that disagree, an E0 that does
    not fit our stored close. The embedded exchange's clock is virtual and is not held to the machine's."""
    causes = []
    now = clock.now_ns
    today = desk.today()
    if not desk.clock.stands and abs(now - system_now_ns()) > MAX_CLOCK_SKEW_NS:
        causes.append(Cause.CLOCK_SKEW)
    if desk.sessions.is_open(now) != clock.is_open or (
        clock.is_open and clock.next_close_ns != desk.sessions.close_ns(today)
    ):
        causes.append(Cause.CALENDARS_DISAGREE)
    previous = desk.sessions.previous(today).isoformat()
    stored = desk.journal.mark(desk.book, f"{CLOSE_EQUITY_MARK}:{previous}")
    if stored is not None:
        transfers = transfers_on(desk.journal, desk.book, new_york_midnight_ns(today))
        if not e0_agrees(float(account.last_equity), float(stored), float(transfers)):
            causes.append(Cause.EQUITY_MISMATCH)
    for cause in causes:
        log.warning("no entries", cause=str(cause), book=desk.book)
    return tuple(causes)


def keep_close_equity(desk: Desk, account: AccountState) -> None:
    """After the close, keep the equity that the broker's next `last_equity` is checked against."""
    today = desk.today()
    if desk.sessions.is_session(today) and desk.now_ns() >= desk.sessions.close_ns(today):
        desk.journal.set_mark(
            desk.book, f"{CLOSE_EQUITY_MARK}:{today.isoformat()}", str(account.equity), desk.now_ns()
        )


def new_drawdown_base(desk: Desk) -> None:
    """A rearm after a maximum drawdown: the peak starts again at the next reading."""
    now = desk.now_ns()
    before = desk.journal.latest_equity(desk.book)
    if before is not None:
        desk.journal.record_equity(
            EquityRecord(
                **{
                    **{name: getattr(before, name) for name in EquityRecord.__slots__},
                    "at_ns": max(now, before.at_ns + 1),
                    "unit_peak": before.unit_value,
                }
            )
        )
        log.warning("new drawdown base", book=desk.book, unit_value=before.unit_value)
