"""Protect: the first thing in every tick and in every reconciliation, on journal and broker alone.

It owns halts, recovery, breakers, stops, execution timeouts and repricing. Nothing here touches the
history, a feature or a model, so none of them can keep a position from being protected.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trading_assets.broker.port import BrokerError
from trading_assets.broker.purpose import Purpose, for_purpose
from trading_assets.core.orders import Kind, is_ours
from trading_assets.core.words import HaltState
from trading_assets.engine.book.arming import arming_causes, holds_exits
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, end_session_drawdown
from trading_assets.engine.evidence.reads import Read
from trading_assets.engine.orders.follow import cancel, cancel_astray
from trading_assets.engine.orders.obstacles import cancel_account, cancel_others, tell_own_stuck
from trading_assets.engine.orders.submit import NS, recover, see_kill_switch
from trading_assets.engine.protection.exits_over import end_all_exits, end_exits
from trading_assets.engine.protection.flattens import begin_flatten, end_when_flat, tell_still_held
from trading_assets.engine.protection.forced_exits import (
    flatten_exits,
    force_exits,
    free_for,
    stop_exits,
    unfilled_exits,
)
from trading_assets.engine.protection.protected import note_protected
from trading_assets.engine.protection.stops import stops_in_force
from trading_assets.engine.protection.unarmed import tell_unarmed
from trading_assets.engine.reconciliation.closing_equity import keep_missing_at_close
from trading_assets.engine.reconciliation.equity import keep_close_equity, observe
from trading_assets.engine.reconciliation.reconcile import AnotherAccount, ReconcileReport, look
from trading_assets.engine.reconciliation.transient_causes import transient_causes
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.store.journal import Lease
from trading_assets.store.records import FlattenRecord, OrderRecord, VerdictRecord

log = get_logger(__name__)

PATIENCE_SECONDS = 40.0  # of a protection, for reads that no exit needs; its run ends after 120
KILLED = "the book is killed, and nothing but a flatten may work"


@dataclass(frozen=True, slots=True)
class ProtectReport:
    reconciliation: ReconcileReport
    transient: tuple[Cause, ...]  # what forbids entries as long as it lasts
    recovered: tuple[OrderRecord, ...]
    cancelled: tuple[OrderRecord, ...]
    stopped: tuple[str, ...]  # symbols whose stop is in force
    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]


@for_purpose(Purpose.PROTECT)
def protect(
    desk: Desk, lease: Lease, *, tick_ns: int, execution_id: str, at_once: bool = False
) -> ProtectReport:
    """Kill, recover, reconcile, breakers, halts' effects, timeouts, then exits: those of the flatten in
    force, else of stops and of what was not sold. In this order.

    at_once: a flatten is tried now, whenever its turn would be. The clock has been read just before;
    reconciling reads it again. With a slow broker, reads that no exit needs are left out after
    PATIENCE_SECONDS, so that the exits leave within the run's time. Raises broker.port.BrokerError when the
    positions cannot be read; a kill that is set has been latched by then, and what was to be cancelled has
    been asked to. What else fails (`engine.evidence.reads`) keeps no exit back.
    """
    with desk.hurrying_after(PATIENCE_SECONDS):
        return _protect(desk, lease, tick_ns=tick_ns, execution_id=execution_id, at_once=at_once)


def _protect(desk: Desk, lease: Lease, *, tick_ns: int, execution_id: str, at_once: bool) -> ProtectReport:
    see_kill_switch(desk)
    # Before anything that a failing read could keep from happening.
    cancelled = cancel_for_halts(desk) if desk.halts().state is HaltState.HALTED else []
    recovered = tuple(recover(desk))
    cancelled += _cancel_for_flatten(desk, cancelled, at_once=at_once)
    try:
        report = look(desk)
    except AnotherAccount:
        raise
    except BrokerError:
        cancelled += cancel_for_halts(desk, cancelled)
        _cancel_overdue(desk, cancelled)
        raise
    desk.journal.renew_lease(
        lease
    )  # a slow broker may have taken most of it, and the exits are still to come
    cancel_astray(desk, report.astray)
    end_session_drawdown(desk.journal, desk.book, at_ns=desk.now_ns(), session=desk.session_text())
    if report.account_read is not None:
        # a withdrawal that has not been read yet is no loss; entries wait for the activities in any case
        held = None if report.unknown else [*report.positions.values(), *report.others]
        if not report.catching_up and Read.ACTIVITIES not in report.missed:
            observe(desk, report.account_read, held)
        keep_close_equity(desk, report.account_read)
        keep_missing_at_close(desk, held)
    transient = transient_causes(desk, report.account_read, report.clock, report.waiting)
    if report.catching_up:
        transient += (Cause.CATCHING_UP,)
    transient += arming_causes(desk)
    cancelled += cancel_for_halts(desk, cancelled)
    cancelled += _cancel_overdue(desk, cancelled)
    end_exits(desk, report)
    stopped = stops_in_force(desk, report) if report.opened else ()
    flatten = _flatten_of(desk, report)
    if holds_exits(desk):  # what it sent would be dropped before the wire
        tell_unarmed(desk, report, stopped)
        exits = []
    elif flatten is not None:
        exits = flatten_exits(desk, report, flatten, at_once=at_once)
    else:
        exits = stop_exits(desk, stopped)
        exits += unfilled_exits(desk, report, set(stopped))
        free_for(desk, exits)
    tell_own_stuck(desk, desk.journal.open_orders(desk.book))
    verdicts, orders = force_exits(desk, lease, exits, tick_ns=tick_ns, execution_id=execution_id)
    if flatten is not None:
        if end_when_flat(desk, flatten):
            end_all_exits(desk)
        else:
            tell_still_held(desk, flatten)
    note_protected(desk.journal, desk.book, now_ns=system_now_ns())
    return ProtectReport(report, transient, recovered, tuple(cancelled), stopped, verdicts, orders)


@for_purpose(Purpose.PROTECT)
def protect_alone(desk: Desk, execution_id: str, *, holder: str = "protect") -> ProtectReport:
    """Protect and reconcile between ticks, under the book's lease. Raises LeaseHeld and BrokerError."""
    see_kill_switch(desk)
    desk.begin()
    with desk.journal.lease(desk.book, holder) as lease:
        return protect(desk, lease, tick_ns=desk.now_ns(), execution_id=execution_id)


@for_purpose(Purpose.PROTECT)
def cancel_for_halts(desk: Desk, before: Sequence[OrderRecord] = ()) -> list[OrderRecord]:
    """HALTED cancels every working order but a flatten's: of ours, foreign ones with our prefix included, and
    under a kill of the whole account; a daily loss every working entry.

    asked: whose cancel has been asked and waited for already, as an order that does not end takes seconds
    """
    halts = desk.halts()
    working = desk.journal.open_orders(desk.book)
    waited = _names(before)
    spare = [r for r in working if r.intent.kind == Kind.FLATTEN or r.intent.client_order_id in waited]
    if Cause.KILL in halts.causes:
        return cancel_account(desk, spare=spare, why=KILLED)
    if halts.state is HaltState.HALTED:
        known = {
            name for record in working for name in (record.intent.client_order_id, record.broker_order_id)
        }
        cancel_others(
            desk,
            lambda order: (
                is_ours(order.client_order_id) and known.isdisjoint((order.client_order_id, order.id))
            ),
            why="no intent of this desk stands behind it",
        )
        return cancel(desk, [record for record in working if record not in spare])
    if Cause.DAILY_LOSS in halts.causes:
        return cancel(desk, [r for r in working if not r.intent.reducing and r not in spare])
    return []


def _names(records: Iterable[OrderRecord]) -> set[str]:
    return {record.intent.client_order_id for record in records}


def _cancel_for_flatten(desk: Desk, before: Sequence[OrderRecord], *, at_once: bool) -> list[OrderRecord]:
    """What works in the account beside the flatten's own exits goes: it holds the shares, or buys new ones.
    at_once: its own exits too, which are sent again at today's price"""
    if desk.journal.flatten_in_force(desk.book) is None:
        return cancel_of_flatten(desk)
    if Cause.KILL in desk.halts().causes and not at_once:
        return []  # what halts cancel was all of it
    waited = _names(before)
    spare = [
        record
        for record in desk.journal.open_orders(desk.book)
        if record.intent.client_order_id in waited or (record.intent.kind == Kind.FLATTEN and not at_once)
    ]
    return cancel_account(desk, spare=spare, why="a flatten is in force, and sells everything")


@for_purpose(Purpose.PROTECT)
def cancel_of_flatten(desk: Desk) -> list[OrderRecord]:
    """Cancel what a flatten that has ended has still at work: whoever ended it keeps what is held."""
    working = desk.journal.open_orders(desk.book)
    return cancel(desk, [record for record in working if record.intent.kind == Kind.FLATTEN])


def _flatten_of(desk: Desk, report: ReconcileReport) -> FlattenRecord | None:
    """The flatten in force; under `flatten_on_kill` a kill begins one wherever something is held."""
    flatten = desk.journal.flatten_in_force(desk.book)
    if flatten is None and desk.settings.flatten_on_kill:
        act = next((act for act in desk.journal.latched(desk.book) if act.cause == Cause.KILL), None)
        if act is not None and any(position.qty for position in report.positions.values()):
            return begin_flatten(desk, reason=f"flatten_on_kill: {act.reason}", author=act.author)
    return flatten


def _cancel_overdue(desk: Desk, before: Sequence[OrderRecord]) -> list[OrderRecord]:
    """What has worked longer than the execution timeout, and what is stuck being cancelled."""
    now = desk.now_ns()
    patience = int(desk.settings.timeout_seconds * NS)
    waited = _names(before)
    overdue = [
        record
        for record in desk.journal.open_orders(desk.book)
        if record.submitted_ns is not None
        and now - record.submitted_ns >= patience
        and record.intent.client_order_id not in waited
    ]
    if not overdue:
        return []
    for record in overdue:
        log.warning(
            "execution timeout",
            symbol=record.intent.symbol,
            client_order_id=record.intent.client_order_id,
            state=record.state,
        )
    return cancel(desk, overdue)


def new_execution_id() -> str:
    """Names one execution in verdicts and inputs; nothing is decided on it."""
    return uuid.uuid4().hex[:16]
