"""The job that protects the book between ticks."""

import dagster as dg

from trading_assets.market.clock import system_now_ns
from trading_assets.runs.decorators import op
from trading_assets.runs.lanes import PROTECT, PROTECT_POOL
from trading_assets.runs.resources import DeskResource


@op(pool=PROTECT_POOL)
def protect_book(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Resolve orders of unknown outcome, reconcile with the broker, and apply breakers, timeouts and stops,
    under the book's lease. A tick or a person who holds the lease goes first; if that takes too long, this
    run ends and the sensor requests the next.

    Raises LeaseHeld where the book has gone without protection for too long.
    """
    from trading_assets.engine.protection.protect import new_execution_id, protect_alone
    from trading_assets.engine.protection.protected import OVERDUE_NS, protected_ago_ns
    from trading_assets.store.leases import LeaseHeld, when_free

    opened, holder = desk.open_to_protect(context), f"run {context.run.run_id}"
    try:
        report = when_free(lambda: protect_alone(opened, new_execution_id(), holder=holder))
    except LeaseHeld as held:
        ago_ns = protected_ago_ns(opened.journal, opened.book, now_ns=system_now_ns())
        if ago_ns is None or ago_ns > OVERDUE_NS:
            raise
        context.log.info(f"left to the next request: {held}")
        return
    reconciled = report.reconciliation
    context.log.info(
        f"ledger and broker agree: {reconciled.clean}; {len(reconciled.breaks)} breaks, "
        f"{len(report.recovered)} orders recovered, {len(report.cancelled)} cancelled, "
        f"stops in force: {', '.join(report.stopped) or 'none'}"
    )


@dg.job(
    tags=PROTECT,
    description="Protect and reconcile the book between ticks. Exits wait for no bar, model or history.",
)
def reconcile() -> None:
    protect_book()
