"""Equity and the loss breakers: one reading of the account, its figures, and what it trips.

The formulas are `core.breakers`, composed in `core.losses`; here they get their inputs from the broker and
the journal, and what trips is latched. What a latched breaker does to working orders is
`engine.protection.protect`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import date
from decimal import Decimal
from math import isfinite, nan
from typing import NamedTuple

from trading_assets.broker.port import (
    US_EQUITY,
    AccountState,
    BrokerError,
    PositionState,
    unread_of,
)
from trading_assets.core.breakers import is_tripped
from trading_assets.core.losses import LossFigures, losses_of
from trading_assets.core.losses import observe as figures_after
from trading_assets.engine.book.accounting import transfers_since
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, latch
from trading_assets.engine.evidence.activities import journal_activities
from trading_assets.engine.reconciliation.closing_equity import right_e0, see_missed_close
from trading_assets.engine.reconciliation.explained_equity import (
    keep_unexplained,
    newly_unexplained_usd,
    unexplained_usd,
)
from trading_assets.engine.reconciliation.split_equity import missing_usd, see_splits, see_what_moved
from trading_assets.log import get_logger
from trading_assets.store.records import EquityRecord

log = get_logger(__name__)

CLOSE_EQUITY_MARK = "close_equity"
LOSS_BASE_MARK = "loss_base"
DOUBT_MARK = "equity_in_doubt"
CONFIRMED_AFTER_NS = 5 * 10**9
TRANSFERS_REREAD_NS = 15 * 60 * 10**9
UNEXPLAINED_AT_MOST_NS = 10 * 60 * 10**9
RISE = "RISE"
UNEXPLAINED = "UNEXPLAINED"
SPLIT = "SPLIT"
STARTING = "STARTING"  # E0, that a split may have misstated


def observe(
    desk: Desk, account: AccountState, held: Collection[PositionState] | None = None
) -> EquityRecord | None:
    """Journal the account's equity with its peaks, and latch the loss breakers that two readings trip.

    account: as read just before the activities were: its transfers are known
    held:    every position of the account; None: not all could be read, and nothing is explained by them

    A reading that would latch a loss, or that has risen so far that a reading as usual would be one, is in
    doubt: it is not journaled, entries wait (EQUITY_UNCONFIRMED), and the first reading at least five seconds
    later decides. Waiting is the next look's: no exit waits for it. Where the venue's time stands it follows
    at once.

    So is one that a split misstates (`engine.reconciliation.split_equity`), for as long as it does: it
    latches only what the right equity would latch too, or where that is not known surely, the highest that it
    may be. Where it is known, the right equity is journaled in its place, and its peaks with it. So is one
    whose E0 a split may have misstated (`engine.reconciliation.closing_equity`). So is one that neither
    prices nor fills nor listed activities explain (`engine.reconciliation.explained_equity`): cash that was
    transferred and is not listed yet. It latches only what the explained equity would latch too, until the
    doubt has lasted ten minutes; then the equity counts as the broker states it. Returns None while the
    equity is in doubt.
    """
    now = desk.now_ns()
    known = _doubted(desk)
    if held is not None:
        see_what_moved(desk, {one.symbol: one for one in held if one.asset_class == US_EQUITY})
    see_missed_close(desk, account, held)
    waited = _waited(known, now)
    seen = _seen(desk, account, held, waited=waited)
    if seen.doubts and held is not None:
        see_splits(desk, {one.symbol: one for one in held if one.asset_class == US_EQUITY}, in_doubt=True)
        seen = _seen(desk, account, held, waited=waited)
    if seen.doubts and desk.clock.stands:
        known = _Doubt(now - CONFIRMED_AFTER_NS, seen.doubts, _unexplained_since(known, seen, now))
        try:
            account = desk.broker.account()
            held = None if held is None else _all_held(desk)
            journal_activities(desk, desk.broker.activities(now - TRANSFERS_REREAD_NS))
        except BrokerError as error:
            log.warning("equity not readable a second time", book=desk.book, why=str(error))
            known = _Doubt(now, frozenset(), known.unexplained_ns)
        else:
            seen = _seen(desk, account, held, waited=waited)
    elapsed = known is not None and now - known.since_ns >= CONFIRMED_AFTER_NS
    confirmed = seen.doubts & known.about if known is not None and elapsed else frozenset()
    unexplained_ns = _unexplained_since(known, seen, now)
    if unexplained_ns and not waited:
        if elapsed:
            _tell_unexplained(desk, seen, unexplained_ns)
        confirmed &= seen.explained
    elif not seen.doubts.isdisjoint((SPLIT, STARTING)):
        confirmed &= seen.explained
    measured_on = seen.right if SPLIT in seen.doubts else seen.record
    for cause, measured, limit in measured_losses(desk, measured_on):
        if cause in confirmed:
            latch(
                desk.journal,
                desk.book,
                cause,
                at_ns=now,
                session=measured_on.session,
                reason=f"measured {measured:.6f}, limit {limit:g}; "
                f"equity {measured_on.equity:.2f}, E0 {measured_on.e0:.2f}",
            )
    left = seen.doubts - confirmed
    if left:
        # Looks that follow one another faster are one reading.
        since_ns, about = (now, left) if known is None or elapsed else (known.since_ns, known.about | left)
        _doubt(desk, _Doubt(since_ns, about, unexplained_ns))
        log.warning(
            "equity in doubt until it is read again", equity=str(seen.record.equity), about=sorted(left)
        )
        if seen.is_right_known and left.isdisjoint(seen.explained) and (waited or not seen.change):
            desk.journal.record_equity(seen.right)
        return None
    if known is not None:
        _doubt(desk, None)
    keep_unexplained(desk, seen.unexplained)
    desk.journal.record_equity(seen.record)
    return seen.record


class _Seen(NamedTuple):
    """One reading of the equity."""

    record: EquityRecord
    right: EquityRecord  # the same without what is not explained, and with what splits take
    doubts: frozenset[str]
    unexplained: float | None  # USD of the equity, all of it; None: not known
    change: float  # USD of it that is new
    explained: frozenset[str]  # what the right equity is in doubt about by itself: the breakers that it trips
    is_right_known: bool = False  # that a split misstates it, and by how much


def _waited(known: _Doubt | None, now_ns: int) -> bool:
    """Whether an equity that nothing explains has been waited for long enough: it counts as stated."""
    began_ns = 0 if known is None else known.unexplained_ns
    return bool(began_ns) and now_ns - began_ns >= UNEXPLAINED_AT_MOST_NS


def _seen(
    desk: Desk, account: AccountState, held: Collection[PositionState] | None, *, waited: bool
) -> _Seen:
    """waited: what nothing explains counts"""
    record = _reading(desk, account)
    explained = doubts = _doubts(desk, record)
    if not right_e0(desk, account).is_sure:
        doubts |= {STARTING}
    unexplained = None if held is None else unexplained_usd(desk, account, held)
    change = newly_unexplained_usd(desk, account, unexplained)
    missing = missing_usd(desk, held)
    if not change and missing == (0.0, 0.0):
        return _Seen(record, record, doubts, unexplained, 0.0, explained)
    if not isfinite(missing.most):
        return _Seen(record, record, doubts | {SPLIT}, unexplained, change, frozenset())
    put_right = missing.most if waited else missing.most - change
    right = _reading(desk, replace(account, equity=account.equity + Decimal(repr(put_right))))
    explained = _doubts(desk, right)
    if change:
        doubts |= {UNEXPLAINED}
    if missing != (0.0, 0.0):  # it may hide a loss as well
        doubts |= {SPLIT} | explained
    known = missing.is_sure and bool(missing.least) and STARTING not in doubts
    return _Seen(record, right, doubts, unexplained, change, explained, known)


def _all_held(desk: Desk) -> Collection[PositionState] | None:
    """Every position of the account; None where one cannot be read."""
    held = desk.broker.positions()
    return None if unread_of(held) else held


def _unexplained_since(known: _Doubt | None, seen: _Seen, now_ns: int) -> int:
    """When the equity was first seen that nothing explains, 0 while all is explained."""
    if not seen.change:
        return 0
    return known.unexplained_ns if known is not None and known.unexplained_ns else now_ns


def _tell_unexplained(desk: Desk, seen: _Seen, since_ns: int) -> None:
    desk.alert(
        f"equity_unexplained:{since_ns}",
        f"The account's equity moved by {seen.change:+.2f} USD that nothing explains",
        "Neither prices nor fills nor listed activities account for it: a transfer that the broker has not "
        "listed yet looks like this. Entries wait; unless it is explained, it counts as profit or loss "
        f"{UNEXPLAINED_AT_MOST_NS // (60 * 10**9)} minutes after it was first seen. Compare with the "
        "broker's activities; `trading-assets status` says what is latched.",
    )


class _Doubt(NamedTuple):
    """What a reading would latch, RISE, UNEXPLAINED, SPLIT or STARTING, and when it was first read."""

    since_ns: int
    about: frozenset[str]
    unexplained_ns: int = 0  # when UNEXPLAINED was first read; 0: it is not in it


def _doubted(desk: Desk) -> _Doubt | None:
    kept = json.loads(desk.journal.mark(desk.book, DOUBT_MARK) or "null")
    if kept is None:
        return None
    return _Doubt(int(kept["since_ns"]), frozenset(kept["about"]), int(kept.get("unexplained_ns", 0)))


def is_in_doubt(desk: Desk) -> bool:
    """Whether the last reading of the equity is not believed yet."""
    return _doubted(desk) is not None


def _doubt(desk: Desk, doubt: _Doubt | None) -> None:
    kept = None if doubt is None else {**doubt._asdict(), "about": sorted(doubt.about)}
    desk.journal.set_mark(desk.book, DOUBT_MARK, json.dumps(kept), desk.now_ns())


def _doubts(desk: Desk, record: EquityRecord) -> frozenset[str]:
    """The breakers that the reading trips and that are not latched; RISE where its peaks would make losses of
    the readings before it."""
    latched = desk.halts().causes
    losses = measured_losses(desk, record)
    causes = {str(cause) for cause, measured, limit in losses if is_tripped(measured, limit)} - set(latched)
    before = desk.journal.latest_equity(desk.book)
    if before is not None and before.unit_value > 0:
        fall_back = 1.0 - before.unit_value / record.unit_value if record.unit_value > 0 else 0.0
        if is_tripped(fall_back, min(limit for _, _, limit in losses)):
            causes.add(RISE)
    return frozenset(causes)


def _reading(desk: Desk, account: AccountState) -> EquityRecord:
    """The figures after the account was read, with the transfers that are known by now."""
    today = desk.today()
    transfers = transfers_of(desk, today)
    before = desk.journal.latest_equity(desk.book)
    e0 = right_e0(desk, account).usd
    figures, moved = LossFigures(float(e0)), 0.0
    if before is not None:
        moved = float(transfers_of(desk, date.fromisoformat(before.session)) - before.transfers_today)
        in_session = before.session == today.isoformat()
        figures = figures_of(before)._replace(
            e0=figures.e0, session_peak=float(before.session_peak) if in_session else nan
        )
    figures = figures_after(figures, float(account.equity), moved, float(transfers))
    return EquityRecord(
        book=desk.book,
        at_ns=desk.now_ns(),
        session=today.isoformat(),
        equity=account.equity,
        e0=e0,
        cash=account.cash,
        transfers_today=transfers,
        unit_value=figures.unit_value,
        session_peak=Decimal(repr(figures.session_peak)),
        unit_peak=figures.unit_peak,
    )


def figures_of(record: EquityRecord) -> LossFigures:
    """The figures as the journal has them."""
    return LossFigures(
        float(record.e0),
        float(record.equity),
        float(record.session_peak),
        record.unit_value,
        record.unit_peak,
    )


def measured_losses(desk: Desk, record: EquityRecord) -> list[tuple[Cause, float, float]]:
    """Each loss breaker with what it measures on these figures, and its limit: fractions.

    The daily loss counts since E0, or since the rearm of that session by which a person took the loss
    before it.
    """
    figures, transfers = figures_of(record), float(record.transfers_today)
    rearmed = desk.journal.mark(desk.book, f"{LOSS_BASE_MARK}:{record.session}")
    if rearmed is not None:
        base = json.loads(rearmed)
        figures = figures._replace(e0=float(base["equity"]))
        transfers -= float(base["transfers"])
    losses = losses_of(figures, transfers)
    limits = desk.limits
    return [
        (Cause.SESSION_DRAWDOWN, losses.session_drawdown, limits.session_drawdown),
        (Cause.DAILY_LOSS, losses.daily_loss, limits.max_daily_loss),
        (Cause.MAX_DRAWDOWN, losses.max_drawdown, limits.max_drawdown),
    ]


def transfers_of(desk: Desk, session: date) -> Decimal:
    """Net cash transferred in since the close before `session`, where its E0 was struck."""
    struck_ns = desk.sessions.close_ns(desk.sessions.previous(session))
    return transfers_since(desk.journal, desk.book, struck_ns)


def keep_close_equity(desk: Desk, account: AccountState) -> None:
    """At the first look after the close, keep the equity that the broker's next `last_equity` is checked
    against. Later ones hold the marks of the evening."""
    today, now = desk.today(), desk.now_ns()
    if not desk.sessions.is_session(today) or now < desk.sessions.close_ns(today):
        return
    if _doubted(desk) is not None:  # the next look knows better
        return
    name = f"{CLOSE_EQUITY_MARK}:{today.isoformat()}"
    if desk.journal.mark(desk.book, name) is None:
        moved = transfers_since(desk.journal, desk.book, desk.sessions.close_ns(today))
        desk.journal.set_mark(desk.book, name, str(account.equity - moved), now)


def new_loss_bases(desk: Desk, cleared: Collection[Cause]) -> None:
    """A rearm takes the losses that were latched: what is measured from now on begins at the last reading.

    Else the next reading would latch the same loss again.
    """
    before = desk.journal.latest_equity(desk.book)
    lost = {Cause.MAX_DRAWDOWN, Cause.SESSION_DRAWDOWN, Cause.DAILY_LOSS} & set(cleared)
    if before is None or not lost:
        return
    now = desk.now_ns()
    desk.journal.record_equity(
        replace(
            before,
            at_ns=max(now, before.at_ns),  # in place of the figures of this moment
            unit_peak=before.unit_value if Cause.MAX_DRAWDOWN in lost else before.unit_peak,
            session_peak=before.equity if Cause.SESSION_DRAWDOWN in lost else before.session_peak,
        )
    )
    if Cause.DAILY_LOSS in lost:
        base = {"equity": str(before.equity), "transfers": str(before.transfers_today)}
        desk.journal.set_mark(desk.book, f"{LOSS_BASE_MARK}:{before.session}", json.dumps(base), now)
    log.warning(
        "losses are measured anew",
        book=desk.book,
        causes=sorted(lost),
        equity=str(before.equity),
        unit_value=before.unit_value,
    )
