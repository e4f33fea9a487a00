"""A live book that is not armed and holds positions: nothing protects them, and a person hears of it, at the
first look and then once a session.
"""

from __future__ import annotations

from collections.abc import Collection

from trading_assets.core.breakers import stop_price
from trading_assets.engine.book.arming import TOLD_MARK
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.owned_shares import owned_by_ex_dates
from trading_assets.engine.evidence.reads import Look
from trading_assets.engine.evidence.stop_costs import costs_of
from trading_assets.engine.protection.stops import beyond_the_ledger
from trading_assets.engine.reconciliation.reconcile import ReconcileReport
from trading_assets.log import get_logger

log = get_logger(__name__)

_NEXT = (
    "Nothing of this book is sent, stops and flattens included. `trading-assets arm --reason …` lets it "
    "trade; `trading-assets flatten --reason …` then sells every position. Else sell at the broker"
)


def tell_unarmed(desk: Desk, report: ReconcileReport, stopped: Collection[str]) -> None:
    """Tell a person of what is held without a stop that could fire. stopped: symbols that are at theirs now,
    which is told at once."""
    held = {symbol: position for symbol, position in sorted(report.positions.items()) if position.qty}
    if not held:
        return
    session = desk.session_text()
    if stopped:
        names = ", ".join(sorted(stopped))
        desk.alert(
            f"unarmed_stop:{session}:{names}",
            f"{names}: the stop does not fire, the live book is not armed",
            f"{names} would be sold now. {_NEXT}",
        )
    if desk.journal.mark(desk.book, TOLD_MARK) == session:
        return
    sight = Look(desk)
    quotes = sight.quotes(list(held))
    owned = owned_by_ex_dates(desk, held, sight, positions=report.positions, quotes=quotes)
    costs = costs_of(owned.held, held)
    costs |= beyond_the_ledger(held, report, costs)
    stops = {symbol: f"stop at {stop_price(cost, desk.limits):.2f} USD" for symbol, cost in costs.items()}
    lines = [
        f"{symbol}: {position.qty:f} shares, {stops.get(symbol, 'no stop price')}"
        for symbol, position in held.items()
    ]
    desk.alert(
        f"unarmed:{desk.now_ns()}",
        f"The live book is not armed: {len(held)} positions have no stop that fires",
        "; ".join(lines) + f". {_NEXT}",
    )
    desk.journal.set_mark(desk.book, TOLD_MARK, session, desk.now_ns())
