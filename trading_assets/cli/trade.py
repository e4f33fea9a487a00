"""Commands that trade: `tick` runs one, `signal` puts signals into the inbox."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from trading_assets.cli.options import Config, Json, nanoseconds, opened, settings_of
from trading_assets.cli.output import note, plain, progress, say, show_json, show_table, waiting
from trading_assets.core.gate import reason
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.errors import InvalidInput
from trading_assets.market.sessions import new_york_time
from trading_assets.store.leases import when_free
from trading_assets.store.records import OrderRecord, VerdictRecord


def tick(config: Config = None, as_json: Json = False) -> None:
    """Run one whole tick now: bars, features, signals, checks, gated orders, fills, reconciliation.

    When signals wait in the inbox, the tick decides on them now. Otherwise it is the latest tick that is due;
    running that again sends nothing twice. Without bars, features, model or history, protection and exits go
    on and entries do not. Exit status 1: a step or a check of severity ERROR failed, or the market is closed.
    """
    from trading_assets.engine.checks.table import Severity
    from trading_assets.engine.operation.directories import close_places
    from trading_assets.engine.protection.protect import new_execution_id
    from trading_assets.engine.ticks.whole_tick import TickReport, run_tick, tick_now

    for change in close_places(settings_of(config)):
        note(change)
    with progress("tick") as step, opened(config) as desk:

        def run_now() -> TickReport:
            session, tick_ns = tick_now(desk)
            return run_tick(desk, session, tick_ns, new_execution_id(), holder="tick by hand", progress=step)

        report = when_free(run_now, waiting(step))
        halts = desk.halts()
    done = report.execution
    failed = [failure for failure in report.failed_checks if failure.check.severity is Severity.ERROR]
    if as_json:
        show_json(
            {
                "session": done.session,
                "tick_ns": done.tick_ns,
                "execution_id": done.execution_id,
                "halt_state": halts.state.name,
                "halt_causes": halts.causes,
                "vetoed": done.vetoed,
                "no_entries_because": (*done.vetoed, *done.protection.transient),
                "verdicts": [verdict_line(verdict) for verdict in done.verdicts],
                "orders": [order_line(order) for order in done.orders],
                "outcomes": done.outcomes,
                "passed_over": [plain(signal) for signal in done.passed_over],
                "failed_checks": [
                    {
                        "check": failure.check.key,
                        "severity": failure.check.severity,
                        "measured": failure.measured,
                        "limit": failure.limit,
                        "detail": failure.detail,
                    }
                    for failure in report.failed_checks
                ],
                "problems": report.problems,
                "agree": report.reconciliation is not None and report.reconciliation.clean,
            }
        )
    else:
        say(f"tick of {new_york_time(done.tick_ns)}, execution {done.execution_id}: {halts.state.name}")
        show_verdicts(done.verdicts, done.orders)
        for signal in done.passed_over:
            say(str(signal))
        for failure in report.failed_checks:
            say(f"check failed: {failure.check.key} ({failure.check.severity}): {failure.detail}")
        for problem in report.problems:
            say(f"step failed: {problem}")
        if done.vetoed:
            say("no entries: not every blocking check passed")
    if report.problems or failed:
        raise typer.Exit(1)


def signal(
    signals: Annotated[
        list[str],
        typer.Argument(metavar="SYMBOL=VALUE...", help="Such as AAPL=0.15; the value is in [-1, 1]."),
    ],
    price: Annotated[
        str | None,
        typer.Option(help="Price at which the signal was made, USD (default: the close of its last bar)."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(help="Worst acceptable price, USD; it can only tighten the desk's limit price."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the signal was made, with a zone (default: now).")
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--id", help="Id from the producer; the desk decides on an id once.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name of the producer.")] = "person",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Put signals into the inbox, all or none. The next tick decides on them.

    `trading-assets signal AAPL=0.15 IBM=-0.4`

    The inbox's sensor runs that tick, or `trading-assets tick` does. By then the signal may be at most
    `stale_signal_seconds` old; the gate refuses an older one.
    """
    from trading_assets.engine.signals import tick_signals

    values = dict(_split(text) for text in signals)
    if len(values) > 1 and not (price is None and limit is None):
        raise typer.BadParameter("--price and --limit are for a single signal")
    if len(values) != len(signals):
        raise typer.BadParameter("a symbol is given twice")
    as_of_ns = None if as_of is None else nanoseconds(as_of)
    prices = _usd("--price", price), _usd("--limit", limit)
    with opened(config) as desk:
        _refuse_untradable(desk, list(values))
        records = [
            tick_signals.external_signal(
                desk,
                symbol,
                value,
                as_of_ns=as_of_ns,
                reference_price=prices[0],
                limit_price=prices[1],
                source=source,
                producer_id=identity,
            )
            for symbol, value in values.items()
        ]
        new = tick_signals.receive_all(desk, records)
    if as_json:
        show_json([{**plain(record), "new": record in new} for record in records])
        return
    for record in records:
        known = "" if record in new else " (known already)"
        say(f"{record.symbol}={record.value:g} as of {new_york_time(record.as_of_ns)} is in the inbox{known}")


def _refuse_untradable(desk: Desk, symbols: list[str]) -> None:
    """Where it can be told at once: the model trades, the venue is silent, or does not know the symbol."""
    from trading_assets.broker.port import NotFound

    if desk.settings.model.enabled:
        raise InvalidInput(
            "the model is enabled, and then signals from outside are not traded",
            where="configuration `model.enabled`",
            remedy="Set it to false, or name a configuration in which it is: --config.",
        )
    for symbol in symbols:
        if symbol not in desk.settings.symbols:
            continue  # said better by what takes it
        try:
            desk.broker.asset(symbol)
        except NotFound as error:
            raise InvalidInput(
                f"{desk.settings.venue} does not know it ({error})",
                where=f"signal {symbol}",
                remedy="Correct the name here and in `symbols` of the configuration.",
            ) from error


def _split(text: str) -> tuple[str, float]:
    symbol, equals, value = text.partition("=")
    try:
        return symbol.strip(), float(value)
    except ValueError:
        pass
    what = "has no number after the =" if equals else "has no ="
    raise typer.BadParameter(f"{text!r} {what}: write SYMBOL=VALUE, such as AAPL=0.15")


def _usd(name: str, text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no price in USD", param_hint=name) from None


def verdict_line(verdict: VerdictRecord) -> dict[str, object]:
    """A verdict for a program: what was asked, and the reason."""
    return {
        "symbol": verdict.symbol,
        "side": Side(verdict.side).name.lower(),
        "qty": verdict.qty,
        "limit_price": verdict.limit_price,
        "kind": verdict.kind,
        "reducing": verdict.reducing,
        "verdict": reason(verdict.failed, verdict.cause),
        "client_order_id": verdict.client_order_id,
        "decision_id": verdict.decision_id,
    }


def order_line(order: OrderRecord) -> dict[str, object]:
    """An order for a program."""
    return {
        "symbol": order.intent.symbol,
        "side": Side(order.intent.side).name.lower(),
        "qty": order.intent.qty,
        "limit_price": order.intent.limit_price,
        "state": order.state,
        "filled_qty": order.filled_qty,
        "detail": order.detail,
        "client_order_id": order.intent.client_order_id,
        "broker_order_id": order.broker_order_id,
    }


def show_verdicts(verdicts: tuple[VerdictRecord, ...], orders: tuple[OrderRecord, ...]) -> None:
    """Each proposal, the gate's word, and where its order stands."""
    of = {order.intent.client_order_id: order for order in orders}
    show_table(
        ("symbol", "side", "qty", "limit", "kind", "verdict", "order", "filled"),
        [
            (
                verdict.symbol,
                Side(verdict.side).name.lower(),
                verdict.qty,
                verdict.limit_price,
                verdict.kind,
                reason(verdict.failed, verdict.cause),
                of[verdict.client_order_id].state if verdict.client_order_id in of else "",
                of[verdict.client_order_id].filled_qty if verdict.client_order_id in of else "",
            )
            for verdict in verdicts
        ],
        nothing="no order was proposed",
    )
