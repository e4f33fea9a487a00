"""What a person does to the book: kill, flatten, rearm. Each is recorded with author and reason.

A kill needs no lease and takes precedence over a running tick; loosening is always a person's act.
"""

from __future__ import annotations

import os
from decimal import Decimal

from trading_assets import config
from trading_assets.broker.port import BrokerError
from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.absorb import alert
from trading_assets.engine.desk import Desk, store_limits
from trading_assets.engine.follow import cancel
from trading_assets.engine.halts import Cause, clear_all, latch
from trading_assets.engine.inputs import ForcedExit
from trading_assets.engine.protect import force_exits, new_execution_id, next_attempt
from trading_assets.engine.reconcile import BREAK_LOCK, reconcile
from trading_assets.engine.risk import new_drawdown_base
from trading_assets.engine.submit import recover
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.store.records import OrderRecord, VerdictRecord

log = get_logger(__name__)


def kill(desk: Desk, *, reason: str, author: str) -> list[OrderRecord]:
    """HALTED, durable before anything else; then every working order is cancelled.

    Works without the lease and while a tick runs: the tick reads the halt state again before each
    order it sends. With the broker out of reach the halt holds and the cancels follow at the next
    protect. Returns the orders that were asked to cancel, as they stand.
    """
    latch(
        desk.journal,
        desk.book,
        Cause.KILL,
        at_ns=desk.now_ns(),
        session=desk.session_text(),
        reason=reason,
        author=author,
    )
    cancelled = cancel(desk, desk.journal.open_orders(desk.book))
    try:
        for order in desk.broker.open_orders():
            desk.broker.cancel(order.id)
    except BrokerError as error:
        alert(desk, f"kill_cancel:{desk.now_ns()}", "Kill: not every cancel could be asked", str(error))
    log.warning("killed", book=desk.book, cancelled=len(cancelled), reason=reason, author=author)
    if desk.settings.flatten_on_kill:
        flatten(desk, reason=f"flatten_on_kill: {reason}", author=author)
    return cancelled


def flatten(
    desk: Desk, *, reason: str, author: str
) -> tuple[tuple[VerdictRecord, ...], tuple[OrderRecord, ...]]:
    """Sell (or buy back) every position by the broker's quantities; all that a kill lets through."""
    with desk.journal.lease(desk.book, f"flatten:{author}") as lease:
        recover(desk)
        cancel(desk, desk.journal.open_orders(desk.book))
        report = reconcile(desk)
        now = desk.now_ns()
        desk.journal.set_mark(desk.book, f"flatten:{now}", f"{author}: {reason}", now)
        exits = []
        for symbol, position in sorted(report.positions.items()):
            identity = decision_id(desk.book, Kind.FLATTEN, symbol, now)
            attempt = next_attempt(desk, identity)
            if position.qty != Decimal(0) and attempt:
                exits.append(ForcedExit(symbol, Kind.FLATTEN, identity, attempt))
        log.warning("flatten", book=desk.book, positions=len(exits), reason=reason, author=author)
        if not exits:
            return (), ()
        return force_exits(desk, lease, exits, tick_ns=now, execution_id=new_execution_id())


def rearm(desk: Desk, *, reason: str, author: str) -> tuple[Cause, ...]:
    """Clear every latched cause and break lock, take up looser limits, and say which causes those were.

    Raises InvalidInput without a reason, and while the kill switch is still set in the environment or
    as a file: it would latch again at once.
    """
    if not reason.strip():
        raise InvalidInput("a rearm needs a reason", where="rearm", remedy="Say why it is safe: --reason.")
    seen = desk.kill_switch()
    if seen is not None:
        raise InvalidInput(f"the kill is still set in {seen}", where="rearm", remedy="Remove it first.")
    now = desk.now_ns()
    cleared = clear_all(
        desk.journal, desk.book, at_ns=now, session=desk.session_text(), reason=reason, author=author
    )
    for record in desk.journal.locks(desk.book):
        if record.cause in (BREAK_LOCK, "ORDER_STATE"):
            desk.journal.unlock(
                desk.book, record.symbol, record.cause, at_ns=now, author=author, reason=reason
            )
    if Cause.MAX_DRAWDOWN in cleared:
        new_drawdown_base(desk)
    wanted = config.limits(desk.settings)
    if wanted != desk.limits:
        store_limits(desk.journal, desk.book, wanted, at_ns=now)
        log.warning("limits in force changed by rearm", book=desk.book, looser=list(desk.looser_waiting))
        desk.limits, desk.looser_waiting = wanted, ()
    return cleared


def person() -> str:
    """Who acts: the operating system's user."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"
