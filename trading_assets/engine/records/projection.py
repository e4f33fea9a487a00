"""From the journal into the history: what a tick meant, sent, filled and held, for queries.

The journal stays the truth: every row here can be made again from it, and is, whenever a tick is
projected again. A locked history file loses nothing; the next projection brings it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from math import isnan
from typing import Any

from trading_assets.core.ledger import Ledger
from trading_assets.engine.book.accounting import fold_records, verify_checkpoint
from trading_assets.engine.book.desk import Desk, holding_history
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import DecisionInput, Phase, SignalInput
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import BreakRecord, EquityRecord, FillRecord, OrderRecord, VerdictRecord
from trading_assets.store.tick_history import set_outcomes, ticks_held, verdicts_held

log = get_logger(__name__)

Keys = dict[str, object]


@dataclass(frozen=True, slots=True)
class ProjectionReport:
    """What the history now holds of the session's orders and of this tick's verdicts."""

    session: str
    tick_ns: int
    verdicts: int
    orders: int
    fills: tuple[FillRecord, ...]


@holding_history
def project_orders(desk: Desk, session: date, tick_ns: int) -> ProjectionReport:
    """The verdicts of the tick and of what nobody has projected yet, and the session's
    orders and fills as they stand now.

    Raises store.history.HistoryLocked; then nothing of it is written, and the next projection does.
    """
    day = session.isoformat()
    verdicts = desk.journal.verdicts(desk.book, session=day)
    held = verdicts_held(desk.history, desk.book, session)
    given = Counter(verdict.tick_ns for verdict in verdicts)
    ticks = sorted({tick_ns} | {tick for tick, count in given.items() if count != held.get(tick)})
    orders = desk.journal.orders(desk.book, session=day)
    fills = desk.journal.fills(desk.book, session=day)
    of_order = {record.intent.client_order_id: record.intent.tick_ns for record in orders}
    desk.history.replace_many(
        [
            *(
                (
                    "gate_verdicts",
                    {"book": desk.book, "session": session, "tick_ns": tick},
                    [verdict_row(session, verdict) for verdict in verdicts if verdict.tick_ns == tick],
                )
                for tick in ticks
            ),
            ("orders", {"book": desk.book, "session": session}, [_order_row(session, o) for o in orders]),
            (
                "fills",
                {"book": desk.book, "session": session},
                [_fill_row(session, fill, of_order) for fill in fills],
            ),
        ]
    )
    for tick in ticks:
        outcomes = signal_outcomes(desk.journal, desk.book, day, tick)
        if outcomes:
            set_outcomes(desk.history, desk.book, session, tick, outcomes)
    log.info("projected", session=day, verdicts=given[tick_ns], orders=len(orders), fills=len(fills))
    return ProjectionReport(day, tick_ns, given[tick_ns], len(orders), tuple(fills))


def signal_outcomes(journal: Journal, book: str, day: str, tick_ns: int) -> dict[str, str]:
    """Decision id → what became of the signal, by `Decision.outcomes`. Deciding is pure: it is derived
    again instead of being kept twice."""
    outcomes: dict[str, str] = {}
    for stored in journal.tick_inputs(book, session=day, tick_ns=tick_ns):
        again = decide(DecisionInput.from_json(stored.payload)).outcomes
        outcomes |= {key: value for key, value in again.items() if outcomes.get(key, "HELD") == "HELD"}
    return outcomes


def project_positions(
    desk: Desk, session: date, tick_ns: int, report: ReconcileReport, marks: Mapping[str, float]
) -> None:
    """Positions of ledger and broker, equity and open breaks at the tick.

    marks: USD per share by symbol; a symbol without one has no market value.
    """
    keys: Keys = {"book": desk.book, "session": session, "tick_ns": tick_ns}
    theirs = {symbol: float(position.qty) for symbol, position in report.positions.items()}
    positions = _position_rows(keys, report.ledger, theirs, marks)
    gross = sum(abs(row["market_value"]) for row in positions if row["market_value"] is not None)
    equity = desk.journal.latest_equity(desk.book)
    desk.history.replace_many(
        [
            ("positions", keys, positions),
            ("breaks", keys, [_break_row(keys, record) for record in report.breaks]),
            ("equity", keys, [] if equity is None else [_equity_row(keys, equity, gross)]),
        ]
    )


def project_missed_close(desk: Desk, session: date) -> None:
    """A session's orders and fills, and positions and equity at its close, from the journal alone, after the
    next day has begun. The equity is the session's last reading, whenever it was; marks, gross exposure and
    the broker's side of then are not known."""
    close_ns, end_ns = desk.sessions.close_ns(session), new_york_midnight_ns(session + timedelta(days=1))
    project_orders(desk, session, close_ns)
    ledger = fold_records(
        desk.journal.opening(desk.book),
        [fill for fill in desk.journal.fills(desk.book) if fill.at_ns < end_ns],
        [entry for entry in desk.journal.adjustments(desk.book) if entry.at_ns < end_ns],
    )
    keys: Keys = {"book": desk.book, "session": session, "tick_ns": close_ns}
    equity = desk.journal.equity(desk.book, session=session.isoformat())
    desk.history.replace_many(
        [
            ("positions", keys, _position_rows(keys, ledger, None, {})),
            ("equity", keys, [_equity_row(keys, record, None) for record in equity[-1:]]),
        ]
    )


def rebuild(desk: Desk) -> list[date]:
    """Project everything that the journal holds and the history does not, as after the loss of its file; the
    sessions. The ledger's checkpoint is compared with the whole fold first.

    What the journal does not hold either stays unknown: marks, gross exposure, the broker's side of a
    position, past breaks, a model's score. Bars, features and models come from where they came from before.
    """
    verify_checkpoint(desk.journal, desk.book)
    inputs, equity = desk.journal.tick_inputs(desk.book), desk.journal.equity(desk.book)
    sessions = sorted({stored.session for stored in inputs} | {record.session for record in equity})
    for day in sessions:
        session = date.fromisoformat(day)
        decided = {
            stored.tick_ns: DecisionInput.from_json(stored.payload).signals
            for stored in inputs
            if stored.session == day and stored.phase == Phase.EXITS
        }
        for tick_ns in decided.keys() - ticks_held(desk.history, "signals", desk.book, session):
            keys: Keys = {"book": desk.book, "session": session, "tick_ns": tick_ns}
            outcomes = signal_outcomes(desk.journal, desk.book, day, tick_ns)
            rows = [
                _signal_row(keys, signal, outcomes.get(signal.decision_id)) for signal in decided[tick_ns]
            ]
            desk.history.replace("signals", keys, rows)
        project_orders(desk, session, max(decided, default=0))
        if desk.sessions.is_session(session):
            _rebuild_positions(desk, session, [record for record in equity if record.session == day])
    log.info("history rebuilt from the journal", sessions=len(sessions))
    return [date.fromisoformat(day) for day in sessions]


def _rebuild_positions(desk: Desk, session: date, equity: Sequence[EquityRecord]) -> None:
    """Positions and equity at each of the session's ticks that has figures, from what was known by the
    next one."""
    opening, adjustments = desk.journal.opening(desk.book), desk.journal.adjustments(desk.book)
    fills = desk.journal.fills(desk.book)
    held = ticks_held(desk.history, "equity", desk.book, session)
    rows: list[tuple[str, Keys, list[dict[str, Any]]]] = []
    ticks = desk.sessions.ticks(session, desk.settings.tick_minutes)
    for tick_ns, next_ns in pairwise([*ticks, new_york_midnight_ns(session + timedelta(days=1))]):
        first = next((record for record in equity if tick_ns <= record.at_ns < next_ns), None)
        if first is None or tick_ns in held:
            continue
        keys: Keys = {"book": desk.book, "session": session, "tick_ns": tick_ns}
        ledger = fold_records(
            opening,
            [fill for fill in fills if fill.received_ns < next_ns],
            [entry for entry in adjustments if entry.at_ns < next_ns],
        )
        rows.append(("positions", keys, _position_rows(keys, ledger, None, {})))
        rows.append(("equity", keys, [_equity_row(keys, first, None)]))
    if rows:
        desk.history.replace_many(rows)


def _position_rows(
    keys: Keys, ledger: Ledger, theirs: Mapping[str, float] | None, marks: Mapping[str, float]
) -> list[dict[str, Any]]:
    held = {symbol for symbol, holding in ledger.holdings.items() if holding.qty} | set(theirs or ())
    rows = []
    for symbol in sorted(held):
        holding, mark = ledger.holdings.get(symbol), marks.get(symbol)
        qty = holding.qty if holding is not None else 0.0
        rows.append(
            {
                **keys,
                "symbol": symbol,
                "qty": qty,
                "avg_cost": holding.avg_cost if holding is not None else None,
                "mark": mark,
                "market_value": None if mark is None else qty * mark,
                "broker_qty": None if theirs is None else theirs.get(symbol, 0.0),
            }
        )
    return rows


def _equity_row(keys: Keys, record: EquityRecord, gross_usd: float | None) -> dict[str, Any]:
    return {
        **keys,
        "at_ns": record.at_ns,
        "equity": float(record.equity),
        "e0": float(record.e0),
        "cash": float(record.cash),
        "session_peak": float(record.session_peak),
        "unit_value": record.unit_value,
        "unit_peak": record.unit_peak,
        "gross_exposure": gross_usd / float(record.equity)
        if gross_usd is not None and record.equity
        else None,
    }


def _break_row(keys: Keys, record: BreakRecord) -> dict[str, Any]:
    return {
        **keys,
        "kind": record.kind,
        "subject": record.subject,
        "ours": record.ours,
        "theirs": record.theirs,
        "sightings": record.sightings,
        "resolved": record.resolved_ns is not None,
    }


def _signal_row(keys: Keys, signal: SignalInput, outcome: str | None) -> dict[str, Any]:
    prices = {"reference_price": signal.reference_price, "limit_price": signal.limit_price}
    return {
        **keys,
        **{name: None if isnan(price) else price for name, price in prices.items()},
        "symbol": signal.symbol,
        "value": signal.value,
        "as_of_ns": signal.as_of_ns,
        "kind": signal.kind,
        "decision_id": signal.decision_id,
        "outcome": outcome,
    }


def verdict_row(session: date, verdict: VerdictRecord) -> dict[str, Any]:
    """One verdict as the history has it."""
    return {
        "book": verdict.book,
        "session": session,
        "tick_ns": verdict.tick_ns,
        "execution_id": verdict.execution_id,
        "client_order_id": verdict.client_order_id,
        "decision_id": verdict.decision_id,
        "symbol": verdict.symbol,
        "side": verdict.side,
        "qty": float(verdict.qty),
        "limit_price": float(verdict.limit_price),
        "reducing": verdict.reducing,
        "at_ns": verdict.at_ns,
        "failed": verdict.failed,
        "measured": list(verdict.measured),
        "limits": list(verdict.limits),
    }


def _order_row(session: date, record: OrderRecord) -> dict[str, Any]:
    intent = record.intent
    return {
        "book": intent.book,
        "session": session,
        "tick_ns": intent.tick_ns,
        "client_order_id": intent.client_order_id,
        "broker_order_id": record.broker_order_id,
        "decision_id": intent.decision_id,
        "kind": intent.kind,
        "symbol": intent.symbol,
        "side": intent.side,
        "slice": intent.slice,
        "attempt": intent.attempt,
        "qty": float(intent.qty),
        "limit_price": float(intent.limit_price),
        "reducing": intent.reducing,
        "state": str(record.state),
        "filled_qty": float(record.filled_qty),
        "created_ns": intent.created_ns,
        "updated_ns": record.updated_ns,
        "detail": record.detail,
    }


def _fill_row(session: date, fill: FillRecord, tick_of_order: Mapping[str, int]) -> dict[str, Any]:
    return {
        "book": fill.book,
        "session": session,
        "tick_ns": tick_of_order.get(fill.client_order_id or ""),
        "broker_order_id": fill.broker_order_id,
        "client_order_id": fill.client_order_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "qty": float(fill.qty),
        "price": float(fill.price),
        "cum_qty": float(fill.cum_qty),
        "at_ns": fill.at_ns,
        "activity_id": fill.activity_id,
    }
