"""Exits that no signal decides: of stops, of a flatten, and of what an exit before did not fill. Which may be
sent now, as which attempt, and their way through gate, journal and broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trading_assets.core.orders import OPEN_STATES, Kind, State, decision_id
from trading_assets.core.words import HaltState
from trading_assets.engine.absorb import alert
from trading_assets.engine.decide import decide
from trading_assets.engine.desk import Desk
from trading_assets.engine.follow import cancel, follow
from trading_assets.engine.inputs import ForcedExit, Phase
from trading_assets.engine.reconcile import ReconcileReport
from trading_assets.engine.send import send_approved, store_input
from trading_assets.engine.snapshot import take_snapshot
from trading_assets.engine.stops import STOP_LOCK
from trading_assets.engine.submit import UNSENT, remaining
from trading_assets.log import get_logger
from trading_assets.store.journal import Lease
from trading_assets.store.records import OrderRecord, VerdictRecord

log = get_logger(__name__)

ATTEMPTS_BEFORE_ALERT = 3
_UNFILLED = frozenset({State.CANCELED, State.EXPIRED})


def force_exits(
    desk: Desk, lease: Lease, exits: Sequence[ForcedExit], *, tick_ns: int, execution_id: str
) -> tuple[tuple[VerdictRecord, ...], tuple[OrderRecord, ...]]:
    """Gate, journal, send and follow the sale of positions whatever the signals say."""
    if not exits:
        return (), ()
    session = desk.today()
    snapshot = take_snapshot(desk, session, tick_ns, execution_id, Phase.PROTECT, forced_exits=exits)
    store_input(desk, snapshot)
    decision = decide(snapshot)
    records = follow(desk, send_approved(desk, lease, decision))
    return decision.verdicts, tuple(records)


def flatten_exits(desk: Desk, report: ReconcileReport, decided_ns: int) -> list[ForcedExit]:
    """The next attempt to close each position at the broker, where none is at work."""
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    exits = []
    for symbol in sorted(symbol for symbol, position in report.positions.items() if position.qty):
        identity = decision_id(desk.book, Kind.FLATTEN, symbol, decided_ns)
        if attempt := next_attempt(desk, identity):
            exits.append(ForcedExit(symbol, Kind.FLATTEN, identity, attempt))
    return exits


def stop_exits(desk: Desk, stopped: Sequence[str]) -> list[ForcedExit]:
    """The next attempt for every stopped position that has no order of ours at work."""
    if not stopped:
        return []
    if desk.halts().state is HaltState.HALTED:
        log.error("HALTED: stops do not fire", symbols=list(stopped), book=desk.book)
        alert(
            desk,
            f"stops_held:{desk.session_text()}:{','.join(stopped)}",
            "Stops do not fire while the book is HALTED",
            f"{', '.join(stopped)} would be sold now; flatten or rearm",
        )
        return []
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    exits = []
    locks = {record.symbol: record for record in desk.journal.locks(desk.book) if record.cause == STOP_LOCK}
    open_orders = desk.journal.open_orders(desk.book)
    for symbol in stopped:
        # An entry at work would hold the exit back (ORDER_IN_FLIGHT), and buy what is being sold.
        cancel(desk, [o for o in open_orders if o.intent.symbol == symbol and not o.intent.reducing])
        identity = decision_id(desk.book, Kind.STOP, symbol, locks[symbol].at_ns)
        if attempt := next_attempt(desk, identity):
            exits.append(ForcedExit(symbol, Kind.STOP, identity, attempt))
    return exits


def unfilled_exits(desk: Desk, report: ReconcileReport, taken: set[str]) -> list[ForcedExit]:
    """The next attempt for the shares that a symbol's last decision of the session was to sell, and did not,
    because the market was not there, or because the desk died before it had sent them all.

    taken: symbols that a stop or a flatten sells already
    """
    today = desk.session_text()
    if not desk.sessions.is_open(desk.now_ns()):
        return []
    halted = desk.halts().state is HaltState.HALTED
    orders = desk.journal.orders(desk.book, session=today)
    last = {record.intent.symbol: record.intent for record in orders}
    exits = []
    for symbol, intent in sorted(last.items()):
        position = report.positions.get(symbol)
        if position is None or symbol in taken or not intent.reducing:
            continue
        if intent.kind == Kind.STOP or (halted and intent.kind != Kind.FLATTEN):
            continue
        leaves = sum(
            (
                remaining(record)
                for record in orders
                if record.intent.decision_id == intent.decision_id
                and record.intent.attempt == intent.attempt
                and (State(record.state) in _UNFILLED or record.detail == UNSENT)
            ),
            Decimal(0),
        )
        if leaves and (attempt := next_attempt(desk, intent.decision_id)):
            exits.append(ForcedExit(symbol, intent.kind, intent.decision_id, attempt, qty=float(leaves)))
    return exits


def next_attempt(desk: Desk, identity: str) -> int:
    """The attempt that may be sent now for a decision, 0 while an earlier one is not terminal."""
    earlier = desk.journal.orders(desk.book, decision_id=identity)
    if any(State(record.state) in OPEN_STATES for record in earlier):
        return 0
    attempt = 1 + max((record.intent.attempt for record in earlier), default=0)
    if attempt > ATTEMPTS_BEFORE_ALERT:
        symbol = earlier[0].intent.symbol
        alert(
            desk,
            f"attempts:{identity}:{attempt}",
            f"{symbol}: exit attempt {attempt}",
            "earlier attempts did not fill",
        )
    return attempt
