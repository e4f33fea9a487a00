"""The two ends of a session: what must be right before the open, and what is put away after the close.

Both begin with protection, on journal and broker alone; what needs the history or the model comes after it
and cannot keep it from happening. Which sessions are owed their end is `engine.operation.ended_sessions`'s,
what Dagster shows of it is `defs.day`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading_assets.broker.port import BrokerError
from trading_assets.engine.book.accounting import verify_checkpoint
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.market_data.bars import store_bars
from trading_assets.engine.operation.ended_sessions import is_archived, owed
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.reconciliation.transient_causes import is_blocked
from trading_assets.engine.records.projection import project_missed_close, project_orders
from trading_assets.engine.signals.tick_signals import champion
from trading_assets.engine.ticks.books import reconcile_positions
from trading_assets.engine.ticks.tick import NotThisTick
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.store.session_history import session_figures

log = get_logger(__name__)

SNAPSHOT = "history-snapshot.duckdb"  # for notebooks, which would lock the history itself


@dataclass(frozen=True, slots=True)
class PremarketReport:
    """problems: what keeps the session from being traded as configured, one sentence each."""

    session: str
    problems: tuple[str, ...]
    daily_bars: int  # fetched before the open, so that the first tick does not wait for them


@dataclass(frozen=True, slots=True)
class DayReport:
    session: str
    agree: bool  # ledger and broker
    still_working: tuple[str, ...]  # client order ids of orders that the close did not end
    figures: Mapping[str, Mapping[str, float]]  # asset → what the history holds of it
    snapshot: Path


def premarket(desk: Desk) -> PremarketReport:
    """Protect, then look at everything that the session will need, the whole ledger included. Sends no
    entry.

    Raises NotThisTick on a day without session and after the open, LeaseHeld, BrokerError when the
    broker cannot be read.
    """
    session = _session_today(desk)
    if desk.now_ns() >= desk.sessions.open_ns(session):
        raise NotThisTick(f"{session} has opened: the premarket work is over")
    protection = protect_alone(desk, new_execution_id(), holder="premarket")
    problems = [f"entries wait for: {cause}" for cause in protection.transient]
    problems += [f"the book is {desk.halts().state.name}: {cause}" for cause in desk.halts().causes]
    if not protection.reconciliation.opened:
        problems.append("the account holds what this journal does not know: adopt it, with a reason")
    problems += [
        f"break {one.kind} {one.subject}: ours {one.ours}, broker's {one.theirs}"
        for one in protection.reconciliation.breaks
    ]
    problems += [f"{name} waits for a rearm" for name in desk.looser_waiting]
    if not verify_checkpoint(desk.journal, desk.book):
        problems.append("the ledger's checkpoint was not what the journal folds to: the journal holds")
    problems += _venue_problems(desk, session)
    if desk.settings.model.enabled:
        problems += _unless(lambda: champion(desk.settings), "the model cannot be used")
    bars = 0

    def fetch() -> None:
        nonlocal bars
        bars = store_bars(desk, session, desk.sessions.open_ns(session)).new_days

    problems += _unless(fetch, "daily bars were not stored")
    log.info("premarket", session=session.isoformat(), problems=len(problems), daily_bars=bars)
    return PremarketReport(session.isoformat(), tuple(problems), bars)


def end_of_day(desk: Desk) -> tuple[DayReport, ...]:
    """Reconcile by the whole ledger, project each session that is owed its end anew, copy the history for
    readers. A session that the next day has overtaken is projected from the journal alone: what the broker
    holds now is not what it held then.

    Raises NotThisTick where none is owed, before the close and on a day without session; LeaseHeld,
    BrokerError, HistoryLocked. Doing it again changes nothing.
    """
    ending = sessions_to_end(desk)
    protect_alone(desk, new_execution_id(), holder="end of day")
    verify_checkpoint(desk.journal, desk.book)
    agree = True
    for session in ending:
        close_ns = desk.sessions.close_ns(session)
        if session == desk.today():
            agree = reconcile_positions(desk, session, close_ns).clean
        else:
            project_missed_close(desk, session)
        key = session.isoformat()
        for tick_ns in sorted({verdict.tick_ns for verdict in desk.journal.verdicts(desk.book, session=key)}):
            project_orders(desk, session, tick_ns)
    if ending[-1] != desk.today():
        agree = reconcile(desk).clean
    snapshot = Path(desk.settings.data_dir) / SNAPSHOT
    desk.history.snapshot(snapshot)
    working = tuple(order.intent.client_order_id for order in desk.journal.open_orders(desk.book))
    days = [session.isoformat() for session in ending]
    log.info("end of day", sessions=days, agree=agree, still_working=len(working))
    return tuple(
        DayReport(session.isoformat(), agree, working, figures_of(desk, session), snapshot)
        for session in ending
    )


def sessions_to_end(desk: Desk) -> tuple[date, ...]:
    """The sessions that are owed their end, the earliest first; else today's, once more, after its close.

    Raises NotThisTick where there is none.
    """
    desk.clock.sync()
    now, today = desk.now_ns(), desk.today()
    ending = owed(desk.journal, desk.book, desk.sessions, now)
    closed = desk.sessions.is_session(today) and now >= desk.sessions.close_ns(today)
    again = not ending or not is_archived(desk.journal, desk.book, today.isoformat())
    if closed and again and today not in ending:
        ending = (*ending, today)
    if not ending:
        session = _session_today(desk)
        raise NotThisTick(f"{session} is still open: its end comes after the close")
    return ending


def figures_of(desk: Desk, session: date) -> Mapping[str, Mapping[str, float]]:
    """What the history holds of the session, asset by asset; nothing of one in which the desk was not up."""
    if not _was_up(desk, session.isoformat()):
        return {}
    return session_figures(desk.history, desk.book, session)


def _was_up(desk: Desk, session: str) -> bool:
    journal, book = desk.journal, desk.book
    return bool(
        journal.equity(book, session=session)
        or journal.orders(book, session=session)
        or journal.tick_inputs(book, session=session)
    )


def _session_today(desk: Desk) -> date:
    desk.clock.sync()
    today = desk.today()
    if not desk.sessions.is_session(today):
        raise NotThisTick(f"{today} is not an XNYS session")
    return today


def _venue_problems(desk: Desk, session: date) -> list[str]:
    account = desk.broker.account()
    problems = []
    if is_blocked(account):
        problems.append(f"the account is {account.status_word}, trading blocked: {account.trading_blocked}")
    theirs = desk.broker.calendar(session, session).get(session)
    ours = (desk.sessions.open_ns(session), desk.sessions.close_ns(session))
    if theirs != ours:
        problems.append(f"the broker's hours of {session} are {theirs}, the calendar's {ours}")
    desk.facts.read_anew(desk.broker)
    for symbol in desk.settings.symbols:
        try:
            asset = desk.facts.asset(desk.broker, symbol)
        except BrokerError as error:
            problems.append(f"{symbol}: {error}")
            continue
        if not asset.tradable or asset.halted:
            problems.append(f"{symbol} is not tradable")
    return problems


def _unless(act: Callable[[], object], otherwise: str) -> list[str]:
    """What went wrong in `act`: the rest of the premarket work is done all the same."""
    try:
        act()
    except TradingAssetsError as error:
        log.warning(otherwise, why=str(error))
        return [f"{otherwise}: {error}"]
    return []
