"""The jobs: what is run together, in which pool, in one process. When is a schedule's or a sensor's."""

import dagster as dg

from trading_assets.defs import assets_desk, assets_replay, assets_training
from trading_assets.defs.clean_steps import shows_no_secret
from trading_assets.defs.lanes import PROTECT, PROTECT_POOL, REPLAY, TICK, TRAIN
from trading_assets.defs.resources import TICK_TAG, DeskResource
from trading_assets.market.clock import system_now_ns

trading_tick = dg.define_asset_job(
    "trading_tick",
    selection=dg.AssetSelection.assets(*assets_desk.CHAIN),
    executor_def=dg.in_process_executor,
    tags=TICK,
    description="One tick: bars to reconciled positions with every check, for the session that is under way.",
)

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets(*assets_training.CHAIN),
    executor_def=dg.in_process_executor,
    tags=TRAIN,
    description="Bundled bars, features and labels, and a model with its figures out of sample.",
)

replay = dg.define_asset_job(
    "replay",
    selection=dg.AssetSelection.assets(assets_replay.replay),
    executor_def=dg.in_process_executor,
    tags=REPLAY,
    description="A range of sessions through the live decisions on a book of its own, without a broker.",
)


@dg.op(pool=PROTECT_POOL)
@shows_no_secret
def protect_book(context: dg.OpExecutionContext, desk: DeskResource) -> None:
    """Recovery, reconciliation, breakers, timeouts and stops, under the book's lease. What a tick or a person
    does under it is waited for; where that takes longer, this ends, and the sensor asks again.

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
    executor_def=dg.in_process_executor,
    tags=PROTECT,
    description="Protection and reconciliation between ticks: an exit waits for no bar, model or history.",
)
def reconcile() -> None:
    protect_book()


JOBS = (trading_tick, train, replay, reconcile)


def tick_tags(tick_ns: int) -> dict[str, str]:
    """The run tags of one tick of `trading_tick`, for whoever launches it for the session's partition."""
    return {TICK_TAG: str(tick_ns), **TICK}
