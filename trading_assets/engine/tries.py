"""The tries of one exit: how often in a row it was sent without a fill, and when its turn comes again.

The rule is `core.backoff`; a replay's walk counts its tries on its own columns.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from trading_assets.core.backoff import is_due, wait_ns
from trading_assets.core.orders import OPEN_STATES, State
from trading_assets.engine.desk import Desk
from trading_assets.store.records import OrderRecord


class Tries(NamedTuple):
    """Where a decision's attempts stand."""

    last: OrderRecord | None  # its latest order
    next_attempt: int
    is_open: bool  # an order of it has not ended: no other attempt may be sent
    in_a_row: int  # attempts of this session since the last one that filled anything
    sent_ns: int  # when the latest of these was sent, 0: there is none

    @property
    def due_ns(self) -> int:
        """When the next one is due."""
        return self.sent_ns + wait_ns(self.in_a_row)

    def is_due(self, now_ns: int) -> bool:
        return is_due(self.in_a_row, self.sent_ns, now_ns)


def tries_of(desk: Desk, decision: str) -> Tries:
    """The attempts at a decision, by the journal. A new session begins anew."""
    orders = desk.journal.orders(desk.book, decision_id=decision)
    newest_first = sorted(orders, key=lambda order: -order.intent.attempt)
    today, in_a_row, sent_ns = desk.session_text(), 0, 0
    sent = [o for o in newest_first if o.intent.session == today and o.submitted_ns is not None]
    for _, slices in groupby(sent, lambda order: order.intent.attempt):
        attempt = list(slices)
        if any(order.filled_qty for order in attempt):
            break
        in_a_row += 1
        sent_ns = max(sent_ns, *(order.submitted_ns or 0 for order in attempt))
    return Tries(
        newest_first[0] if orders else None,
        1 + (newest_first[0].intent.attempt if orders else 0),
        any(State(order.state) in OPEN_STATES for order in orders),
        in_a_row,
        sent_ns,
    )
