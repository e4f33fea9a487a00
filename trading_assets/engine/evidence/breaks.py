"""What differs between our books and the broker's at one moment: each difference with its kind. Concludes
nothing and changes nothing; when one counts, and what it stops, is `engine.reconciliation.reconcile`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_assets.broker.port import AccountState, OrderState, PositionState
from trading_assets.core.ledger import Ledger
from trading_assets.core.orders import OPEN_STATES, TERMINAL_STATES, State
from trading_assets.engine.book.accounting import corrected
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import REARMED_MARK
from trading_assets.engine.evidence.reads import Look
from trading_assets.store.records import OrderRecord

QUANTITY_TOLERANCE = 1e-6
CASH_TOLERANCE_USD = 1.0
WORKING = frozenset({State.ACCEPTED, State.PARTIALLY_FILLED, State.PENDING_CANCEL})


class BreakKind(StrEnum):
    """How ledger and broker can differ."""

    MISSING_FILL = "MISSING_FILL"
    ORPHAN_ORDER = "ORPHAN_ORDER"
    MISSING_ORDER = "MISSING_ORDER"
    ORDER_STATUS = "ORDER_STATUS"
    QUANTITY = "QUANTITY"
    UNEXPECTED_POSITION = "UNEXPECTED_POSITION"
    CASH = "CASH"
    CORPORATE_ACTION = "CORPORATE_ACTION"


@dataclass(frozen=True, slots=True)
class BookDifference:
    """One break as seen in one reconciliation. `symbol` is empty for cash."""

    kind: BreakKind
    subject: str  # symbol, client order id, or "cash"
    symbol: str
    ours: str
    theirs: str

    def sighting(self) -> tuple[str, str, str, str]:
        return self.kind, self.subject, self.ours, self.theirs


def find_differences(
    desk: Desk,
    ledger: Ledger,
    account: AccountState,
    positions: Mapping[str, PositionState],
    orders: Sequence[OrderState],
    ours: Mapping[str, OrderRecord],
    unread: Collection[str] = (),
) -> list[BookDifference]:
    """Everything that differs now. unread: client order ids that could not be looked up."""
    differences = _order_differences(desk, orders, ours, unread)
    differences += _quantity_differences(desk, ledger, positions)
    if abs(ledger.cash_usd - float(account.cash)) > CASH_TOLERANCE_USD:
        differences.append(
            BookDifference(BreakKind.CASH, "cash", "", f"{ledger.cash_usd:.2f}", f"{account.cash:.2f}")
        )
    return differences


def _order_differences(
    desk: Desk, orders: Sequence[OrderState], ours: Mapping[str, OrderRecord], unread: Collection[str]
) -> list[BookDifference]:
    differences = []
    filled = desk.journal.filled(desk.book, [order.id for order in orders if order.filled_qty])
    opening_ns = min((record.at_ns for record in desk.journal.opening(desk.book)), default=0)
    known_ns = max(opening_ns, int(desk.journal.mark(desk.book, REARMED_MARK) or 0))
    continued = {record.broker_order_id for record in ours.values()}
    for order in orders:
        record = ours.get(order.client_order_id)
        if order.replaced_by is not None or (record is None and order.id in continued):
            continue  # a person replaced our order: what stands for it was taken in above
        if record is None:
            # Somebody else trades here, even where the fill explains the position; a rearm takes note.
            if order.state in OPEN_STATES or (order.filled_qty and order.updated_ns > known_ns):
                differences.append(
                    BookDifference(
                        BreakKind.ORPHAN_ORDER, order.client_order_id, order.symbol, "none", order.status_word
                    )
                )
        elif State(record.state) is not order.state and not _agree(State(record.state), order.state):
            differences.append(
                BookDifference(
                    BreakKind.ORDER_STATUS,
                    order.client_order_id,
                    order.symbol,
                    record.state,
                    order.status_word,
                )
            )
        counted = filled.get(order.id, Decimal(0))
        agrees = counted == order.filled_qty or _left_of(desk, order.id) == order.filled_qty
        if not agrees and order.submitted_ns > opening_ns:
            differences.append(
                BookDifference(
                    BreakKind.MISSING_FILL,
                    order.client_order_id,
                    order.symbol,
                    str(counted),
                    str(order.filled_qty),
                )
            )
    seen = {name for order in orders for name in (order.client_order_id, order.id)}.union(unread)
    for client_id, record in ours.items():
        if seen.isdisjoint((client_id, record.broker_order_id)) and State(record.state) in WORKING:
            differences.append(
                BookDifference(
                    BreakKind.MISSING_ORDER,
                    client_id,
                    record.intent.symbol,
                    record.state,
                    "not at the broker",
                )
            )
    return differences


def _left_of(desk: Desk, order_id: str) -> Decimal:
    """What the busts and corrections of its fills leave of an order: the broker's quantity may be either."""
    left = Decimal(0)
    for fill in desk.journal.fills(desk.book, broker_order_id=order_id):
        known = desk.journal.changed_fill(desk.book, fill.activity_id)
        left += corrected(*known).qty if known is not None else fill.qty
    return left


def _agree(ours: State, theirs: State) -> bool:
    """A cancel that we asked for and the broker has not taken up yet is no difference, and neither is the end
    of what we have given up."""
    if ours is State.PENDING_CANCEL:
        return theirs in OPEN_STATES
    return ours is State.ABANDONED and theirs in TERMINAL_STATES - {State.FILLED}


def _quantity_differences(
    desk: Desk, ledger: Ledger, positions: Mapping[str, PositionState]
) -> list[BookDifference]:
    quantities = {
        symbol: (
            ledger.holdings[symbol].qty if symbol in ledger.holdings else 0.0,
            float(positions[symbol].qty) if symbol in positions else 0.0,
        )
        for symbol in sorted(ledger.holdings.keys() | positions.keys())
    }
    apart = [
        symbol for symbol, (ours, theirs) in quantities.items() if abs(ours - theirs) > QUANTITY_TOLERANCE
    ]
    if not apart:
        return []
    today = desk.today()
    actions = Look(desk).corporate_actions(apart, today, today)
    split = {action.symbol for action in actions if action.split_ratio != 1.0}
    differences = []
    for symbol in apart:
        ours, theirs = quantities[symbol]
        kind = BreakKind.QUANTITY if ours else BreakKind.UNEXPECTED_POSITION
        if symbol in split:
            kind = BreakKind.CORPORATE_ACTION
        differences.append(BookDifference(kind, symbol, symbol, f"{ours:g}", f"{theirs:g}"))
    return differences
