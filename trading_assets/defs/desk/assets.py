"""The live chain of one tick: bars → features → signals → gated_orders → fills → reconciled_positions.

Each asset calls one step of the engine, which reads what the step before it stored; nothing travels
in memory from one to the next, so there is no IO manager. They take the current session and no other
partition (`runs.resources`), and no automation launches them: a tick is a run of `trading_tick`.

A step that fails of the data, the model or the history (`engine.ticks.failures`) shows that in its
materialization and does not keep the run from the orders' protection and exits; the step of its checks then
fails in its place, so that the run ends as failed when all else is done.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg

from trading_assets.core.codes import failed_codes
from trading_assets.core.orders import State
from trading_assets.core.words import Side
from trading_assets.defs.sources.assets import broker_account, broker_feed, imported_files, signal_inbox
from trading_assets.defs.training.assets import champion_model
from trading_assets.engine.ticks.failures import StepFailed, attempt
from trading_assets.engine.ticks.steps import check_step, still_done_without
from trading_assets.market.sessions import new_york_time
from trading_assets.runs.decorators import asset
from trading_assets.runs.lanes import BOOK_POOL
from trading_assets.runs.partitions import LIVE_SESSIONS
from trading_assets.runs.presentation import table, tick_metadata
from trading_assets.runs.resources import DeskAt, DeskResource
from trading_assets.store.records import BreakRecord, FillRecord, OrderRecord, VerdictRecord

GROUP = "desk"
OWNERS = ["team:desk"]
ONE_RUN = dg.BackfillPolicy.single_run()  # of a range, which is refused whole, once

_POSITIONS = """
SELECT symbol, qty AS ledger, broker_qty AS broker, avg_cost AS "average cost", mark, market_value AS value
FROM positions WHERE book = ? AND session = ? AND tick_ns = ? ORDER BY symbol
"""


_live_asset = partial(
    asset,
    group_name=GROUP,
    partitions_def=LIVE_SESSIONS,
    backfill_policy=ONE_RUN,
    owners=OWNERS,
    pool=BOOK_POOL,
)


@_live_asset("market", "engine/market_data/bars.py", deps=[broker_feed], kinds={"alpaca", "duckdb"})
def bars(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Fetch the bars that closed since the last stored one, and corporate actions, and keep them as
    received.
    """
    from trading_assets.engine.market_data.bars import store_bars

    at = desk.at(context)

    def work() -> Mapping[str, Any]:
        report = store_bars(at.desk, at.session, at.tick_ns)
        held = [
            {"symbol": symbol, "minute bars": count, "last close": report.last_close.get(symbol)}
            for symbol, count in report.minutes_held.items()
        ]
        return {
            "new_minute_bars": report.new_minutes,
            "new_daily_bars": report.new_days,
            "revised": report.revised,
            "not_closed_yet": report.not_closed,
            "held": table(held),
        }

    return _step(context, at, work)


@_live_asset(
    "features",
    "core",
    "engine/market_data/feature_rows.py",
    deps=[bars, imported_files],
    kinds={"numba", "duckdb"},
)
def features(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Compute one row of features for each symbol from the bars that the desk had received by the tick."""
    from trading_assets.engine.market_data.feature_rows import store_features

    at = desk.at(context)

    def work() -> Mapping[str, Any]:
        report = store_features(at.desk, at.session, at.tick_ns)
        rows = [
            {"feature": name} | {symbol: row[index] for symbol, row in report.rows.items()}
            for index, name in enumerate(report.names)
        ]
        return {
            "rows": len(report.rows),
            "feature_set": report.feature_set,
            "without_enough_bars": ", ".join(report.incomplete) or "none",
            "features": table(rows),
        }

    return _step(context, at, work)


@_live_asset(
    "model/signal.py",
    "model/registry.py",
    "engine/signals/tick_signals.py",
    deps=[features, champion_model, signal_inbox],
    kinds={"xgboost", "duckdb"},
)
def signals(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Take the tick's signals, each between −1 and 1: from the champion model where `model.enabled` is true,
    else from the inbox. Signals from outside need no model."""
    from trading_assets.engine.signals.tick_signals import store_signals

    at = desk.at(context)

    def work() -> Mapping[str, Any]:
        report = store_signals(at.desk, at.session, at.tick_ns)
        rows = [
            {
                "symbol": signal.symbol,
                "signal": signal.value,
                "score": report.scores.get(signal.symbol),
                "as of": new_york_time(signal.as_of_ns),
                "reference price": signal.reference_price,
                "kind": signal.kind,
                "newest": signal not in report.passed_over,
            }
            for signal in report.signals
        ]
        return {
            "source": report.source,
            "model_version": report.model_version or "none",
            "count": len(rows),
            "passed_over": ", ".join(f"{one.symbol}={one.value:g}" for one in report.passed_over) or "none",
            "signals": table(rows),
        }

    return _step(context, at, work)


@_live_asset("core", "engine", deps=[signals, broker_feed, broker_account], kinds={"alpaca", "sqlite"})
def gated_orders(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Protect the book, then send exits, then entries. The gate decides on each order; the journal keeps it
    before it is sent, and the desk follows it until it ends.

    The desk sends no entry unless every blocking data check of the tick is stored as passed.
    """
    from trading_assets.engine.ticks.tick import execute
    from trading_assets.store.leases import when_free

    at = desk.at(context)
    report = when_free(lambda: execute(at.desk, at.session, at.tick_ns, context.run.run_id))
    halts = at.desk.halts()
    return _result(
        at,
        {
            "execution_id": report.execution_id,
            "passed": sum(not verdict.failed for verdict in report.verdicts),
            "refused": sum(bool(verdict.failed) for verdict in report.verdicts),
            "filled": sum(order.state == State.FILLED for order in report.orders),
            "halt_state": halts.state.name,
            "halt_causes": ", ".join(halts.causes) or "none",
            "no_entries_because": ", ".join((*report.vetoed, *report.protection.transient)) or "nothing",
            "passed_over": "; ".join(map(str, report.passed_over)) or "none",
            "stops_in_force": ", ".join(report.protection.stopped) or "none",
            "recovered": len(report.protection.recovered),
            "cancelled": len(report.protection.cancelled),
            "verdicts": table([_verdict_row(verdict) for verdict in report.verdicts]),
            "orders": table([_order_row(order) for order in report.orders]),
        },
    )


@_live_asset("core", "store", "engine", deps=[gated_orders, broker_account], kinds={"alpaca", "duckdb"})
def fills(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Copy the session's activities from the broker into the journal, and orders, verdicts and fills from the
    journal into the history."""
    from trading_assets.engine.ticks.books import book_fills

    at = desk.at(context)

    def work() -> Mapping[str, Any]:
        report = book_fills(at.desk, at.session, at.tick_ns)
        return {
            "fills_of_the_session": len(report.fills),
            "orders_of_the_session": report.orders,
            "verdicts_of_the_tick": report.verdicts,
            "fills": table([_fill_row(fill) for fill in report.fills]),
        }

    return _step(context, at, work)


@_live_asset(
    "core/ledger.py",
    "engine/reconciliation/reconcile.py",
    "engine/ticks/books.py",
    "engine/records/projection.py",
    deps=[fills, broker_account],
    kinds={"alpaca", "duckdb"},
)
def reconciled_positions(context: dg.AssetExecutionContext, desk: DeskResource) -> dg.MaterializeResult[None]:
    """Compute positions from the ledger, compare them and the cash with the broker, and lock every symbol
    that differs. Shows positions, breaks and equity."""
    from trading_assets.engine.ticks.books import reconcile_positions

    at = desk.at(context)

    def work() -> Mapping[str, Any]:
        report = reconcile_positions(at.desk, at.session, at.tick_ns)
        positions = at.desk.history.query(_POSITIONS, (at.desk.book, at.session, at.tick_ns))
        return {
            "equity_usd": float(report.account.equity),
            "cash_usd": float(report.account.cash),
            "agree": report.clean,
            "breaks": table([_break_row(one) for one in report.breaks]),
            "positions": table(positions.to_pylist()),
        }

    return _step(context, at, work)


CHAIN: Sequence[dg.AssetsDefinition] = (bars, features, signals, gated_orders, fills, reconciled_positions)


def _step(
    context: dg.AssetExecutionContext, at: DeskAt, work: Callable[[], Mapping[str, Any]]
) -> dg.MaterializeResult[None]:
    """What `work` shows of the step, or that it failed and why.

    Raises dagster.Failure where nothing is left in the run to be done all the same, or no step of its
    checks to say so.
    """
    step = context.asset_key.to_user_string()
    try:
        return _result(at, attempt(at.desk, at.tick_ns, step, work))
    except StepFailed as error:
        in_run = context.run.step_keys_to_execute or [node.name for node in context.job_def.nodes]
        if not {still_done_without(step), check_step(step)} <= set(in_run):
            raise dg.Failure(description=str(error), allow_retries=False) from error
        context.log.error(f"{step} could not be done: {error}")
        return _result(at, {"failed": str(error)})


def _result(at: DeskAt, metadata: Mapping[str, Any]) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={**tick_metadata(at.session, at.tick_ns), **metadata})


def _verdict_row(verdict: VerdictRecord) -> dict[str, Any]:
    """One verdict; what was measured and its limit are those of the first failed code."""
    from trading_assets.core.gate import reason

    first = next(iter(failed_codes(verdict.failed)), None)
    return {
        "symbol": verdict.symbol,
        "side": Side(verdict.side).name,
        "qty": verdict.qty,
        "limit price": verdict.limit_price,
        "kind": verdict.kind,
        "reducing": verdict.reducing,
        "verdict": reason(verdict.failed, verdict.cause),
        "measured": "" if first is None else verdict.measured[first],
        "limit": "" if first is None else verdict.limits[first],
    }


def _order_row(order: OrderRecord) -> dict[str, Any]:
    intent = order.intent
    return {
        "symbol": intent.symbol,
        "side": Side(intent.side).name,
        "qty": intent.qty,
        "limit price": intent.limit_price,
        "state": order.state,
        "filled": order.filled_qty,
        "client order id": intent.client_order_id,
    }


def _fill_row(fill: FillRecord) -> dict[str, Any]:
    return {
        "at": new_york_time(fill.at_ns),
        "symbol": fill.symbol,
        "side": Side(fill.side).name,
        "qty": fill.qty,
        "price": fill.price,
        "client order id": fill.client_order_id or "not ours",
    }


def _break_row(record: BreakRecord) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "subject": record.subject,
        "ours": record.ours,
        "theirs": record.theirs,
        "sightings": record.sightings,
    }
