"""Protect: the first thing in every tick and in every reconciliation, on journal and broker alone.

It owns halts, recovery, breakers, stops, execution timeouts and repricing. Nothing here touches the
history, a feature or a model, so none of them can keep a position from being protected.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from trading_assets.broker.port import BrokerError, OrderState
from trading_assets.core.orders import Kind, is_ours
from trading_assets.core.words import HaltState
from trading_assets.engine.absorb import alert
from trading_assets.engine.desk import Desk
from trading_assets.engine.follow import cancel, cancel_astray
from trading_assets.engine.forced_exits import flatten_exits, force_exits, stop_exits, unfilled_exits
from trading_assets.engine.halts import Cause, end_session_drawdown
from trading_assets.engine.reconcile import ReconcileReport, reconcile
from trading_assets.engine.risk import keep_close_equity, observe, transient_causes
from trading_assets.engine.stops import stops_in_force
from trading_assets.engine.submit import NS, recover, see_kill_switch
from trading_assets.log import get_logger
from trading_assets.store.journal import Lease
from trading_assets.store.records import OrderRecord, VerdictRecord

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProtectReport:
    reconciliation: ReconcileReport
    transient: tuple[Cause, ...]  # what forbids entries as long as it lasts
    recovered: tuple[OrderRecord, ...]
    cancelled: tuple[OrderRecord, ...]
    stopped: tuple[str, ...]  # symbols whose stop is in force
    verdicts: tuple[VerdictRecord, ...]
    orders: tuple[OrderRecord, ...]


def protect(desk: Desk, lease: Lease, *, tick_ns: int, execution_id: str) -> ProtectReport:
    """Kill, recover, reconcile, breakers, halts' effects, timeouts, stops, unfilled exits: in this order.

    The clock has been read just before; reconciling reads it again. Raises broker.port.BrokerError when
    the broker cannot be read; a kill that is set has been latched by then.
    """
    see_kill_switch(desk)
    # Before anything that a failing read could keep from happening.
    cancelled = cancel_for_halts(desk) if desk.halts().state is HaltState.HALTED else []
    recovered = tuple(recover(desk))
    report = reconcile(desk)
    cancel_astray(desk, report.astray)
    end_session_drawdown(desk.journal, desk.book, at_ns=desk.now_ns(), session=desk.session_text())
    observe(desk, report.account)
    keep_close_equity(desk, report.account)
    transient = transient_causes(desk, report.account, report.clock)
    cancelled += [*cancel_for_halts(desk), *_cancel_overdue(desk)]
    stopped = stops_in_force(desk, report) if report.opened else ()
    exits = stop_exits(desk, stopped)
    killed = killed_ns(desk)
    if killed is not None and desk.settings.flatten_on_kill:
        exits += flatten_exits(desk, report, killed)
    exits += unfilled_exits(desk, report, {forced.symbol for forced in exits} | set(stopped))
    verdicts, orders = force_exits(desk, lease, exits, tick_ns=tick_ns, execution_id=execution_id)
    return ProtectReport(report, transient, recovered, tuple(cancelled), stopped, verdicts, orders)


def protect_alone(desk: Desk, execution_id: str, *, holder: str = "protect") -> ProtectReport:
    """Protect and reconcile between ticks, under the book's lease. Raises LeaseHeld and BrokerError."""
    see_kill_switch(desk)
    desk.begin()
    with desk.journal.lease(desk.book, holder) as lease:
        return protect(desk, lease, tick_ns=desk.now_ns(), execution_id=execution_id)


def cancel_for_halts(desk: Desk) -> list[OrderRecord]:
    """HALTED cancels every working order but a flatten's: of ours, foreign ones with our prefix included, and
    under a kill of the whole account; a daily loss every working entry."""
    halts = desk.halts()
    working = desk.journal.open_orders(desk.book)
    if halts.state is HaltState.HALTED:
        known = {
            name for record in working for name in (record.intent.client_order_id, record.broker_order_id)
        }
        killed = Cause.KILL in halts.causes
        cancel_at_broker(
            desk,
            lambda order: (
                known.isdisjoint((order.client_order_id, order.id))
                and (killed or is_ours(order.client_order_id))
            ),
        )
        return cancel(desk, [record for record in working if record.intent.kind != Kind.FLATTEN])
    if Cause.DAILY_LOSS in halts.causes:
        return cancel(desk, [record for record in working if not record.intent.reducing])
    return []


def cancel_at_broker(desk: Desk, which: Callable[[OrderState], bool]) -> None:
    """Ask for a cancel of open orders by the broker's list; what cannot be asked is told to a person."""
    try:
        orders = [order for order in desk.broker.open_orders() if which(order)]
    except BrokerError as error:
        alert(desk, f"cancel_all:{desk.now_ns()}", "Open orders could not be read to cancel them", str(error))
        return
    for order in orders:
        try:
            desk.broker.cancel(order.id)
        except BrokerError as error:
            alert(desk, f"cancel:{order.id}", f"{order.symbol}: cancel could not be asked", str(error))
            continue
        if not is_ours(order.client_order_id):
            alert(
                desk,
                f"cancelled:{order.id}",
                f"{order.symbol}: a person's order is cancelled",
                f"order {order.client_order_id}: the book is killed, and nothing but a flatten may work",
            )


def killed_ns(desk: Desk) -> int | None:
    """When the kill in force was latched."""
    return next((act.at_ns for act in desk.journal.latched(desk.book) if act.cause == Cause.KILL), None)


def _cancel_overdue(desk: Desk) -> list[OrderRecord]:
    """What has worked longer than the execution timeout, and what is stuck being cancelled."""
    now = desk.now_ns()
    patience = int(desk.settings.timeout_seconds * NS)
    overdue = [
        record
        for record in desk.journal.open_orders(desk.book)
        if record.submitted_ns is not None and now - record.submitted_ns >= patience
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
