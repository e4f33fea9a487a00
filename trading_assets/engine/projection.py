"""From the journal into the history: what a tick meant, sent, filled and held, for queries.

The journal stays the truth: every row here can be made again from it, and is, whenever a tick is
projected again. A locked history file loses nothing; the next projection brings it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from trading_assets.core.codes import CHECK_OF, Code
from trading_assets.engine.decide import decide
from trading_assets.engine.desk import Desk
from trading_assets.engine.inputs import DecisionInput
from trading_assets.engine.reconcile import ReconcileReport
from trading_assets.log import get_logger
from trading_assets.store.records import FillRecord, OrderRecord, VerdictRecord
from trading_assets.store.tick_history import set_outcomes

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectionReport:
    """Rows now in the history for the session's orders and this tick's verdicts."""

    session: str
    tick_ns: int
    verdicts: int
    orders: int
    fills: tuple[FillRecord, ...]


def project_orders(desk: Desk, session: date, tick_ns: int) -> ProjectionReport:
    """The tick's verdicts code by code, and the session's orders and fills as they stand now.

    Raises store.history.HistoryLocked; then nothing of it is written.
    """
    day = session.isoformat()
    verdicts = desk.journal.verdicts(desk.book, session=day, tick_ns=tick_ns)
    orders = desk.journal.orders(desk.book, session=day)
    fills = desk.journal.fills(desk.book, session=day)
    of_order = {record.intent.client_order_id: record.intent.tick_ns for record in orders}
    desk.history.replace_many(
        [
            (
                "verdicts",
                {"book": desk.book, "session": session, "tick_ns": tick_ns},
                [row for verdict in verdicts for row in _verdict_rows(session, verdict)],
            ),
            ("orders", {"book": desk.book, "session": session}, [_order_row(session, o) for o in orders]),
            (
                "fills",
                {"book": desk.book, "session": session},
                [_fill_row(session, fill, of_order) for fill in fills],
            ),
        ]
    )
    outcomes: dict[str, str] = {}
    for stored in desk.journal.tick_inputs(desk.book, session=day, tick_ns=tick_ns):
        # Deciding is pure: what became of each signal is derived again instead of being kept twice.
        found = decide(DecisionInput.from_json(stored.payload)).outcomes
        outcomes |= {key: value for key, value in found.items() if outcomes.get(key, "HELD") == "HELD"}
    set_outcomes(desk.history, desk.book, session, tick_ns, outcomes)
    log.info("projected", session=day, verdicts=len(verdicts), orders=len(orders), fills=len(fills))
    return ProjectionReport(day, tick_ns, len(verdicts), len(orders), tuple(fills))


def project_positions(
    desk: Desk, session: date, tick_ns: int, report: ReconcileReport, marks: Mapping[str, float]
) -> None:
    """Positions of ledger and broker, equity and open breaks at the tick.

    marks: USD per share by symbol; a symbol without one has no market value.
    """
    keys: dict[str, object] = {"book": desk.book, "session": session, "tick_ns": tick_ns}
    equity = desk.journal.latest_equity(desk.book)
    held = sorted(
        {symbol for symbol, holding in report.ledger.holdings.items() if holding.qty}
        | report.positions.keys()
    )
    positions: list[dict[str, Any]] = []
    gross = 0.0
    for symbol in held:
        holding = report.ledger.holdings.get(symbol)
        qty = holding.qty if holding is not None else 0.0
        mark = marks.get(symbol)
        gross += abs(qty) * mark if mark is not None else 0.0
        positions.append(
            {
                **keys,
                "symbol": symbol,
                "qty": qty,
                "avg_cost": holding.avg_cost if holding is not None else None,
                "mark": mark,
                "market_value": None if mark is None else qty * mark,
                "broker_qty": float(report.positions[symbol].qty) if symbol in report.positions else 0.0,
            }
        )
    rows: list[tuple[str, dict[str, object], list[dict[str, Any]]]] = [
        ("positions", keys, positions),
        (
            "breaks",
            keys,
            [
                {
                    **keys,
                    "kind": record.kind,
                    "subject": record.subject,
                    "ours": record.ours,
                    "theirs": record.theirs,
                    "sightings": record.sightings,
                    "resolved": record.resolved_ns is not None,
                }
                for record in report.breaks
            ],
        ),
    ]
    if equity is not None:
        figures = {
            "at_ns": equity.at_ns,
            "equity": float(equity.equity),
            "e0": float(equity.e0),
            "cash": float(equity.cash),
            "session_peak": float(equity.session_peak),
            "unit_value": equity.unit_value,
            "unit_peak": equity.unit_peak,
            "gross_exposure": gross / float(equity.equity) if equity.equity else None,
        }
        rows.append(("equity", keys, [{**keys, **figures}]))
    desk.history.replace_many(rows)


def _verdict_rows(session: date, verdict: VerdictRecord) -> list[dict[str, Any]]:
    return [
        {
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
            "code": code.name,
            "check": int(CHECK_OF[code]),
            "measured": verdict.measured[code],
            "limit": verdict.limits[code],
            "failed": bool(verdict.failed >> code & 1),
        }
        for code in Code
    ]


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
