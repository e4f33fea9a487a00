"""The check of stop_loss: whether a position is still held that its stop should have sold.

The stop is made again from the ledger's cost and the broker's quote, whether protection saw it or not. The
market may reach it after protection has looked, so a stop counts from its second sighting on, or where it was
in force: a protection since then left the position standing. Selling is `engine.protection.protect`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import nan

from trading_assets.broker.port import PositionState, QuoteState
from trading_assets.core.ledger import Ledger
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.table import CheckOutcome, outcome
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.owned_shares import owned_by_ex_dates
from trading_assets.engine.evidence.stop_costs import costs_of
from trading_assets.engine.protection.exits_over import locks_in_force
from trading_assets.engine.protection.stops import at_its_stop

SIGHTINGS_MARK = "stops_hit"  # since when the checks have seen each position at its stop


def stop_check(
    desk: Desk,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    ledger: Ledger,
) -> CheckOutcome:
    """Raises broker.port.BrokerError when corporate actions are needed and cannot be read."""
    # The broker's positions may lag behind the sale, the ledger behind a purchase.
    held = [
        symbol
        for symbol, holding in ledger.holdings.items()
        if holding.qty > QUANTITY_TOLERANCE and symbol in positions and positions[symbol].qty > 0
    ]
    now = desk.now_ns()
    locked = {symbol: lock.at_ns for symbol, lock in locks_in_force(desk).items() if symbol in held}
    seen = json.loads(desk.journal.mark(desk.book, SIGHTINGS_MARK) or "{}")
    hit = {symbol: seen.get(symbol, now) for symbol in _hit(desk, held, positions, quotes, ledger)}
    if hit != seen:
        desk.journal.set_mark(desk.book, SIGHTINGS_MARK, json.dumps(hit), now)
    latest = desk.journal.latest_equity(desk.book)
    protected_ns = latest.at_ns if latest is not None else 0
    since = {symbol: min(hit.get(symbol, now), locked.get(symbol, now)) for symbol in hit | locked}
    return outcome(
        "reconciled_positions.stop_loss",
        [
            f"{symbol}: its stop is {'in force' if symbol in locked else 'hit'} and the position is held"
            for symbol, at_ns in sorted(since.items())
            if at_ns < protected_ns
        ],
        detail=f"at their stop: {', '.join(sorted(since)) or 'none'} of {len(held)} positions",
    )


def _hit(
    desk: Desk,
    held: Sequence[str],
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    ledger: Ledger,
) -> list[str]:
    """The positions at or below their stop. Corporate actions are asked for only where the ledger's own
    cost says so: a dividend lowers the stop, and a split may not be booked yet."""
    near = [
        symbol
        for symbol in held
        if symbol in quotes and at_its_stop(desk, quotes[symbol], ledger.holdings[symbol].avg_cost)
    ]
    if not near or not desk.sessions.is_open(desk.now_ns()):
        return []
    owned = owned_by_ex_dates(desk, near, positions=positions, quotes=quotes)
    adjusted = costs_of(owned.held, near)
    return [symbol for symbol in near if at_its_stop(desk, quotes[symbol], adjusted.get(symbol, nan))]
