"""After the orders: fills taken in, the ledger reconciled, and both projected into the history."""

from __future__ import annotations

from datetime import date

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.catch_up import take_activities
from trading_assets.engine.evidence.marks import marks
from trading_assets.engine.reconciliation.reconcile import ReconcileReport, reconcile
from trading_assets.engine.records.projection import ProjectionReport, project_orders, project_positions


def book_fills(desk: Desk, session: date, tick_ns: int) -> ProjectionReport:
    """Journal the broker's activities, then project the tick. Raises BrokerError and HistoryLocked."""
    if not desk.clock.synced:
        desk.clock.sync()
    take_activities(desk)
    return project_orders(desk, session, tick_ns)


def reconcile_positions(desk: Desk, session: date, tick_ns: int) -> ReconcileReport:
    """Reconcile, then project orders, positions, equity and breaks as they stand. Raises as above."""
    report = reconcile(desk)
    project_orders(desk, session, tick_ns)
    project_positions(desk, session, tick_ns, report, _marks(desk, report))
    return report


def _marks(desk: Desk, report: ReconcileReport) -> dict[str, float]:
    held = {symbol for symbol, holding in report.ledger.holdings.items() if holding.qty}
    return marks(desk, sorted(report.positions.keys() | held))
