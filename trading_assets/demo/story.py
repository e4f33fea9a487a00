"""What the demonstration plays: training, the gate at work, and two whole sessions of the model.

Each step is a Dagster run or an act of the operator through the engine, never a shortcut past them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from trading_assets.core.gate import reason
from trading_assets.demo.demo_desk import DemoDesk
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.replay import COMPILING, must_compile
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import TradingAssetsError
from trading_assets.store.records import OrderRecord, VerdictRecord

CONTROLS_SESSION = date(2012, 9, 11)
MODEL_SESSIONS = (date(2012, 9, 12), date(2012, 9, 13))
REPLAYED = (date(2011, 1, 3), date(2012, 12, 31))
SECOND_NS = 1_000_000_000
AFTER_CLOSE_NS = 600 * SECOND_NS
STALE_SECONDS = 130
RESTING_DISCOUNT = Decimal("0.996")  # inside the price collar, far enough from the market to rest


class DemoFailed(TradingAssetsError):
    """Something of the demonstration did not go as it must."""


def train(demo: DemoDesk, console: Console) -> None:
    """Load the bundled bars, build the training set of 2000–2010 and train, as Dagster assets."""
    with console.status("training on the bundled daily bars of 2000–2010 …"):
        result = demo.run(
            "train",
            ops={"model": {"config": {"promote_because": "trained by the demonstration"}}},
        )
    _require(result.success, "the training run failed; its log is in the Dagster instance")
    for event in result.get_asset_materialization_events():
        console.print(f"  materialized [bold]{'/'.join(event.asset_key.path)}[/]" if event.asset_key else "")


def controls(demo: DemoDesk, console: Console) -> None:
    """A stale signal is refused, the same fresh passes; a kill cancels what rests and refuses the rest."""
    session = CONTROLS_SESSION
    ticks = demo.sessions.ticks(session, 30)
    _at(demo, ticks[0])
    with _desk(demo) as desk:
        old = desk.now_ns() - STALE_SECONDS * SECOND_NS
        tick_signals.receive(desk, "AAPL", 0.15, as_of_ns=old, source="demo")
    verdict = _one_verdict(_tick(demo, console, session, ticks[0], demo.outside_config))
    _must_be(verdict, "STALE_SIGNAL")
    console.print(
        f"  signal AAPL=0.15, {STALE_SECONDS} s old: PRETRADE_GATE_REJECT: {reason(verdict.failed)}"
    )

    _at(demo, ticks[1])
    with _desk(demo) as desk:
        tick_signals.receive(desk, "AAPL", 0.15, source="demo")
    verdict = _one_verdict(_tick(demo, console, session, ticks[1], demo.outside_config))
    _require(not verdict.failed, f"AAPL=0.15 was refused: {reason(verdict.failed, verdict.cause)}")
    with _desk(demo) as desk:
        order = desk.journal.order(verdict.client_order_id)
        _require(order.state == "FILLED", f"AAPL=0.15 was not filled: {order.state}")
        console.print(f"  the same, fresh: passed, accepted, filled {order.filled_qty} share(s), reconciled")

    _at(demo, ticks[2])
    with _desk(demo) as desk:
        quote = desk.broker.quotes(["MSFT"])["MSFT"]
        assert quote.bid is not None
        tick_signals.receive(desk, "MSFT", 0.5, limit_price=quote.bid * RESTING_DISCOUNT, source="demo")
    verdict = _one_verdict(_tick(demo, console, session, ticks[2], demo.outside_config))
    with _desk(demo) as desk:
        resting = desk.journal.order(verdict.client_order_id)
        _require(resting.state == "ACCEPTED", f"the MSFT order does not rest: {resting.state}")
        console.print(
            f"  an order for {resting.intent.qty} MSFT rests at {resting.intent.limit_price}; kill …"
        )
        cancelled = operator.kill(desk, reason="shown by the demonstration", author="demo")
        _require(_states(cancelled) == {"CANCELED"}, f"the kill left {_states(cancelled)}")
        console.print("  killed: the resting order is cancelled")

    _at(demo, ticks[3])
    with _desk(demo) as desk:
        tick_signals.receive(desk, "GOOG", 0.5, source="demo")
    verdict = _one_verdict(_tick(demo, console, session, ticks[3], demo.outside_config))
    _must_be(verdict, "KILL_SWITCH_ACTIVE")
    console.print(f"  a later signal: PRETRADE_GATE_REJECT: {reason(verdict.failed, verdict.cause)}")
    with _desk(demo) as desk:
        cleared = operator.rearm(desk, reason="the demonstration goes on", author="demo")
        console.print(f"  rearmed by a person, with a reason: {', '.join(cleared)} cleared")
    close(demo, console, session)


def trade(demo: DemoDesk, console: Console, session: date) -> None:
    """One whole session of the model, a Dagster run at every tick, and the reconciliation after it."""
    for tick_ns in demo.sessions.ticks(session, demo.settings(demo.model_config).tick_minutes):
        _at(demo, tick_ns)
        _tick(demo, console, session, tick_ns, demo.model_config)
    close(demo, console, session)


def replay(demo: DemoDesk, console: Console) -> None:
    """Two years of daily bars through the same decisions, as one Dagster run over the range."""
    if must_compile():
        console.print(f"  {COMPILING}")
    with console.status(f"replaying {REPLAYED[0]} to {REPLAYED[1]} …"):
        result = demo.run(
            "replay", over=REPLAYED, ops={"replay__replay": {"config": {"name": "demo", "rearm_daily": True}}}
        )
    _require(result.success, f"the replay run {result.run_id} failed; see it in the Dagster UI")
    last = result.get_asset_materialization_events()[-1].materialization.metadata
    for name in ("sessions", "sessions_in_sample", "closing_equity_usd", "report"):
        console.print(f"  {name.replace('_', ' '):20s} {last[name].value}")
    for check in result.get_asset_check_evaluations():
        outcome = "passed" if check.passed else f"failed in {check.metadata['failing_sessions'].value}"
        console.print(f"  check {check.check_name:14s} {outcome}")


def close(demo: DemoDesk, console: Console, session: date) -> None:
    """Reconcile after the close."""
    _at(demo, demo.sessions.close_ns(session) + AFTER_CLOSE_NS)
    result = demo.run("reconcile")
    _require(result.success, f"the reconciliation after {session} failed")
    console.print(f"  {session} closed and reconciled")


def _tick(
    demo: DemoDesk, console: Console, session: date, tick_ns: int, config_path: Path
) -> list[VerdictRecord]:
    result = demo.run("trading_tick", session=session, tick_ns=tick_ns, config_path=config_path)
    _require(result.success, f"the run {result.run_id} of {session} failed; see it in the Dagster UI")
    evaluations = result.get_asset_check_evaluations()
    failed = [evaluation.check_name for evaluation in evaluations if not evaluation.passed]
    with _desk(demo) as desk:
        verdicts = desk.journal.verdicts(desk.book, session=session.isoformat(), tick_ns=tick_ns)
        minutes = (tick_ns - demo.sessions.open_ns(session)) // (60 * SECOND_NS)
        shown = ", ".join(
            f"{'buy' if verdict.side > 0 else 'sell'} {verdict.qty:f} {verdict.symbol} "
            f"{reason(verdict.failed, verdict.cause)}"
            for verdict in verdicts
        )
        console.print(
            f"  {session} open+{minutes:3d} min  checks {len(evaluations) - len(failed)}/{len(evaluations)}"
            f"  {shown or 'no order'}"
        )
    return verdicts


@contextmanager
def _desk(demo: DemoDesk) -> Iterator[Desk]:
    with Desk.open(demo.settings(demo.outside_config)) as desk:
        yield desk


def _at(demo: DemoDesk, now_ns: int) -> None:
    demo.keeper.move_to(now_ns)


def _one_verdict(verdicts: list[VerdictRecord]) -> VerdictRecord:
    _require(len(verdicts) == 1, f"one order was to be judged, not {len(verdicts)}")
    return verdicts[0]


def _must_be(verdict: VerdictRecord, code: str) -> None:
    first = reason(verdict.failed).split()[0]
    _require(first == code, f"{verdict.symbol}: {code} was to be the reason, not {first}")


def _states(records: list[OrderRecord]) -> set[str]:
    return {str(record.state) for record in records}


def _require(held: bool, otherwise: str) -> None:
    if not held:
        raise DemoFailed(otherwise)
