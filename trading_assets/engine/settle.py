"""After the orders: fills taken in, the ledger reconciled, and both projected into the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import isnan

from trading_assets.core.prices import mark
from trading_assets.engine.catch_up import take_activities
from trading_assets.engine.desk import Desk
from trading_assets.engine.projection import ProjectionReport, project_orders, project_positions
from trading_assets.engine.reconcile import ReconcileReport, reconcile


def settle_fills(desk: Desk, session: date, tick_ns: int) -> ProjectionReport:
    """Journal the broker's activities, then project the tick. Raises BrokerError and HistoryLocked."""
    desk.clock.sync()
    take_activities(desk)
    return project_orders(desk, session, tick_ns)


def settle_positions(desk: Desk, session: date, tick_ns: int) -> ReconcileReport:
    """Reconcile, then project orders, positions, equity and breaks as they stand. Raises as above."""
    report = reconcile(desk)
    project_orders(desk, session, tick_ns)
    project_positions(desk, session, tick_ns, report, _marks(desk, report))
    return report


def _marks(desk: Desk, report: ReconcileReport) -> dict[str, float]:
    held = {symbol for symbol, holding in report.ledger.holdings.items() if holding.qty}
    return marks(desk, sorted(report.positions.keys() | held))


def marks(desk: Desk, symbols: Sequence[str]) -> dict[str, float]:
    """USD a share at which a position is valued now; a symbol without any price is left out."""
    found = {
        symbol: float(
            mark(
                float(quote.bid or 0),
                float(quote.ask or 0),
                float(quote.last_trade or 0),
                float(quote.previous_close or 0),
            )
        )
        for symbol, quote in (desk.broker.quotes(symbols) if symbols else {}).items()
    }
    return {symbol: value for symbol, value in found.items() if not isnan(value)}
