"""Commands that look: `status`, `orders`, `positions`. They change nothing, and work without the broker."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_assets.cli.options import Config, Json, Session, opened, settings_of
from trading_assets.cli.output import plain, say, show_json, show_lines, show_table
from trading_assets.engine.book.desk import BookUnknown, Desk
from trading_assets.engine.book.halts import kill_switch_seen
from trading_assets.engine.book.place import kill_file
from trading_assets.engine.protection.sign_of_life import Life
from trading_assets.engine.records.explain import Explained, explained
from trading_assets.engine.records.status import BookStatus, book_status
from trading_assets.engine.records.status import positions as held_positions
from trading_assets.keyring import ENVIRON
from trading_assets.market.sessions import new_york_time
from trading_assets.roster import Presence, presence

Why = Annotated[
    bool, typer.Option("--why", help="Also show refusals and signals without an order, each with its reason.")
]


def status(config: Config = None, as_json: Json = False) -> None:
    """Show the state of the book: venue, halts and locks, equity and losses, orders, what waits.

    Also says which process runs the desk, or what a killed `up` has left. Exit status 0: the broker answers,
    the book is reconciled and ACTIVE, and there is no break or lock. 1: one of these does not hold, the
    watchdog is dead, or Dagster's definitions do not load; the output says which.
    """
    settings = settings_of(config)
    present = presence(Path(settings.data_dir))
    try:
        with Desk.open(settings) as desk:
            book = book_status(desk)
    except BookUnknown:
        if not as_json:
            killed = kill_switch_seen(ENVIRON, kill_file(settings))
            show_lines([("desk", present.summary), *([("kill", f"set in {killed}")] if killed else [])])
        raise
    if as_json:
        runs = {
            "process": present.process,
            "left": [{"name": name, "pid": pid} for name, pid in present.left],
        }
        show_json({**plain(book), "well": book.well, "desk": runs})
    else:
        show_lines(_status_lines(book, present))
    if not book.well:
        raise typer.Exit(1)


def orders(
    session: Session = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    why: Why = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the session's orders and their states; with --why also what was refused or held, and why."""
    with opened(config) as desk:
        day = desk.session_text() if session is None else session.isoformat()
        lines = explained(desk.journal, desk.book, day, symbol=symbol)
    if not why:
        lines = [line for line in lines if line.state is not None]
    if as_json:
        show_json({"session": day, "orders": lines})
        return
    show_table(
        ("tick", "symbol", "kind", "side", "qty", "limit", "verdict", "order", "filled"),
        [
            (
                new_york_time(line.tick_ns)[11:],
                line.symbol,
                line.kind,
                line.side,
                line.qty,
                line.limit_price,
                line.outcome,
                line.state,
                line.filled_qty,
            )
            for line in lines
        ],
        nothing=f"no {'decision' if why else 'order'} in the session {day}",
        title=f"session {day}",
    )
    if why:
        for line in lines:
            for text in _reasons(line):
                say(text)


def positions(config: Config = None, as_json: Json = False) -> None:
    """Compare the positions in the ledger with those at the broker.

    Exit status 1: they differ, or the broker does not answer. Average costs are shown for information only,
    as the broker computes them by another method.
    """
    with opened(config) as desk:
        holdings = held_positions(desk)
    agree = all(line.agrees for line in holdings.positions)
    if as_json:
        show_json({**plain(holdings), "agree": agree and not holdings.unreachable})
    else:
        show_table(
            ("symbol", "ledger", "broker", "average cost", "mark", "value", "unrealised", ""),
            [
                (
                    line.symbol,
                    line.qty,
                    line.broker_qty,
                    _average_costs(line.avg_cost, line.broker_avg_cost),
                    line.mark,
                    line.market_value,
                    line.unrealised,
                    "" if line.agrees else "DIFFERS",
                )
                for line in holdings.positions
            ],
            nothing="no position",
        )
        say(f"cash {holdings.cash:,.2f} USD in the ledger, {new_york_time(holdings.at_ns)}")
        if holdings.unreachable:
            say(f"the broker does not answer: {holdings.unreachable}")
    if holdings.unreachable or not agree:
        raise typer.Exit(1)


def _average_costs(ours: float, theirs: float | None) -> str:
    shown = [] if isnan(ours) else [f"{ours:,.4f}"]
    return " ".join(shown if theirs is None else [*shown, f"(broker {theirs:,.4f})"])


def _status_lines(book: BookStatus, present: Presence) -> Iterator[tuple[str, Any]]:
    yield "book", f"{book.book} ({book.mode} on {book.venue})"
    yield "desk", present.summary
    yield "venue", f"DOES NOT ANSWER: {book.unreachable}" if book.unreachable else "answers"
    market = "open" if book.market_open else "closed"
    time = f"{new_york_time(book.now_ns)}{f' {book.time_source}' if book.time_source else ''}"
    yield "time", f"{time}, {market}, session {book.session or 'none today'}"
    yield "state", book.halt_state
    for halt in book.halts:
        yield "  halted", f"{halt.cause} since {new_york_time(halt.at_ns)} by {halt.author}: {halt.reason}"
    if book.flatten:
        since = new_york_time(book.flatten.at_ns)
        yield "  flatten", f"in force since {since} by {book.flatten.author}: {book.flatten.reason}"
    for held in book.held:
        yield "  held", held.summary
    if book.kill_switch:
        yield "  kill", f"set in {book.kill_switch}"
    for lock in book.locks:
        yield "  locked", f"{lock.symbol}: {lock.cause} since {new_york_time(lock.at_ns)}: {lock.reason}"
    if book.not_armed:
        yield "  not armed", book.not_armed
    if book.limits_waiting:
        yield "  limits", f"looser or new ones wait for rearm: {', '.join(book.limits_waiting)}"
    if not book.opened:
        yield "ledger", "not opened: reconcile once; an account that is not empty needs `adopt --reason`"
    elif book.reconciled_ns is not None:
        yield "reconciled", new_york_time(book.reconciled_ns)
    for record in book.breaks:
        differ = f"ours {record.ours}, theirs {record.theirs}, seen {record.sightings} times"
        yield "  break", f"{record.kind} {record.subject}: {differ}"
    if book.equity is None:
        yield "figures", "none yet: the first reconciliation measures them"
    else:
        yield "equity", f"{book.equity.equity:,.2f} USD, previous close {book.equity.e0:,.2f}"
    for loss in book.losses:
        yield f"  {loss.name}", f"{loss.measured:.3%} of {loss.limit:.3%}"
    yield "orders", f"{book.open_orders} open, {book.sent_today} sent today"
    if book.last_tick_ns is not None:
        passed = (
            f"checks not passed: {', '.join(book.vetoed)}" if book.vetoed else "every blocking check passed"
        )
        yield "last tick", f"{new_york_time(book.last_tick_ns)}, {passed}"
    yield "waiting", f"{book.pending_signals} signals, {book.pending_alerts} alerts"
    if book.lease:
        yield "running", book.lease
    if book.watchdog.life is not Life.NONE:
        yield "watchdog", _WATCHDOG[book.watchdog.life]
    if book.watchdog.not_loaded:
        yield "dagster", f"NO RUN BEGINS: {book.watchdog.not_loaded}; `dg check defs` says why"


_WATCHDOG = {
    Life.WATCHES: "watches",
    Life.SILENT: "HANGS: end its process, `make up` starts it again; `trading-assets listen` runs it alone",
    Life.DIED: "DIED: `make up` starts it again; `trading-assets listen` runs it alone",
}


def _reasons(line: Explained) -> Iterator[str]:
    head = f"{new_york_time(line.tick_ns)[11:]} {line.symbol}"
    if line.side is None:
        yield f"{head}: {_UNPROPOSED.get(line.outcome, line.outcome)} (signal {line.signal:g})"
    for code in line.failed:
        measured = f"measured {code.measured:.10g}, limit {code.limit:.10g}"
        yield f"{head}: {code.code} (check {code.check}): {measured}"
    if line.detail:
        yield f"{head}: order {line.state}: {line.detail}"


_UNPROPOSED = {
    "BELOW_THRESHOLD": "BELOW_THRESHOLD: too weak to act on",
    "HELD": "HELD: the position is where the signal wants it",
    "NO_PRICE": "NO_PRICE: no price to trade at",
    "SUPERSEDED": "SUPERSEDED: a newer signal of the symbol came with it",
    "INCOMPLETE_BARS": "INCOMPLETE_BARS: nothing is bought while its bars have gaps",
}
