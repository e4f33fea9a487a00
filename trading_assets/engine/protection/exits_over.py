"""Exits that are over. A stop, and what a signal sells, last until their symbol is flat. Shares that come
after that are no longer theirs to sell: a person's purchase, a transfer.

Flat is what broker and books agree on while no order of ours could still bring shares: one list of positions
that shows nothing ends nothing. A flatten is over where its row in the journal has ended
(`engine.protection.flattens`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.split_lines import booked_since, dated_since
from trading_assets.engine.orders.signal_exits import last_signals
from trading_assets.engine.orders.tries import FORCED
from trading_assets.engine.protection.snapshot import gaps
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.log import get_logger
from trading_assets.store.records import LockRecord

log = get_logger(__name__)

STOP_LOCK = "STOP"
EXITS_OVER = "exits_over"  # JSON: decision → when its symbol was seen flat


def stop_locks(desk: Desk) -> dict[str, LockRecord]:
    """By symbol: each holds its symbol to reducing orders for the rest of the stop's session."""
    return {lock.symbol: lock for lock in desk.journal.locks(desk.book) if lock.cause == STOP_LOCK}


def stop_decision(lock: LockRecord) -> str:
    """The decision whose attempts sell a stopped position."""
    return decision_id(lock.book, Kind.STOP, lock.symbol, lock.at_ns)


def locks_in_force(desk: Desk) -> dict[str, LockRecord]:
    """Those of the stops that still sell, by symbol."""
    over = exits_over(desk)
    return {
        symbol: lock
        for symbol, lock in stop_locks(desk).items()
        if not is_over(desk, over, symbol, stop_decision(lock))
    }


def exits_over(desk: Desk) -> dict[str, int]:
    """Decision → when its symbol was seen flat."""
    return dict(json.loads(desk.journal.mark(desk.book, EXITS_OVER) or "{}"))


def is_over(desk: Desk, over: Mapping[str, int], symbol: str, decision: str) -> bool:
    """Whether the exit sells nothing more. Shares that a split brings later in the same session are still its
    own: it had sold the position before it was booked."""
    flat_ns = over.get(decision)
    if flat_ns is None:
        return False
    if desk.sessions.new_york_date(flat_ns) < desk.today():
        return True
    return not (booked_since(desk, symbol, flat_ns) or dated_since(desk, symbol, flat_ns))


def end_exits(desk: Desk, report: ReconcileReport) -> None:
    """End the exits of the symbols that this look found flat."""
    under_way = _under_way(desk)
    bringing = {order.symbol for order in report.astray}
    flat = {symbol for symbol in under_way if report.is_flat(symbol) and symbol not in bringing}
    end_exits_of(desk, flat)


def end_exits_of(desk: Desk, flat: Iterable[str]) -> None:
    """End the exits of symbols of which the broker shows nothing, or of which orders of ours have just sold
    all that it showed, where our books agree and no order of ours is at work."""
    under_way, over = _under_way(desk), exits_over(desk)
    flat = {symbol for symbol in flat if under_way.get(symbol, set()) - over.keys()}
    if flat:
        flat -= {record.intent.symbol for record in desk.journal.open_orders(desk.book)}
        flat -= gaps(desk, desk.journal.orders(desk.book, session=desk.session_text()), {}).keys()
    _end(desk, under_way, over, flat)


def end_all_exits(desk: Desk) -> None:
    """End every exit: a flatten has sold all that there was."""
    under_way = _under_way(desk)
    _end(desk, under_way, exits_over(desk), set(under_way))


def _end(desk: Desk, under_way: Mapping[str, set[str]], over: dict[str, int], flat: set[str]) -> None:
    now = desk.now_ns()
    kept = {decision: over[decision] for of_it in under_way.values() for decision in of_it & over.keys()}
    for symbol in sorted(flat):
        for decision in sorted(under_way[symbol] - kept.keys()):
            log.info("exit over", symbol=symbol, decision_id=decision)
            kept[decision] = now
    if kept != over:
        desk.journal.set_mark(desk.book, EXITS_OVER, json.dumps(kept), now)


def _under_way(desk: Desk) -> dict[str, set[str]]:
    """The decisions by which something may still be sold, by symbol, those that are over among them."""
    under_way: dict[str, set[str]] = {}
    for symbol, lock in stop_locks(desk).items():
        under_way.setdefault(symbol, set()).add(stop_decision(lock))
    for symbol, signal in last_signals(desk).items():
        if not (signal.sells or signal.shares):
            continue
        under_way.setdefault(symbol, set()).add(signal.decision_id)
    for order in desk.journal.orders(desk.book, session=desk.session_text()):
        if order.intent.reducing and order.intent.kind not in FORCED:
            under_way.setdefault(order.intent.symbol, set()).add(order.intent.decision_id)
    return under_way
