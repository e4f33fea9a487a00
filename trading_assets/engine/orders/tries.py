"""The tries of one exit: how often in a row it was sent without a fill, and when its turn comes again.

A stop's and a flatten's tries are counted by their one decision. The exits that signals ask for are counted
by symbol: a producer that says "sell" at every tick begins no new row of tries with each new signal. A try
that fills a part ends the row. Once half the symbol's share of the day's exits is used, the next one waits as
after one that filled nothing, or a thin market would use up the share, and leave none to a stop.

The rule is `core.backoff`; a replay's walk counts its tries on its own columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from trading_assets.core.backoff import NO_SHARE, Share, is_due, spread_wait_ns
from trading_assets.core.gate import symbol_exit_cap
from trading_assets.core.orders import OPEN_STATES, Kind, State
from trading_assets.engine.book.desk import Desk
from trading_assets.store.records import OrderRecord

FORCED = frozenset({Kind.STOP, Kind.FLATTEN})


class Tries(NamedTuple):
    """Where a decision's attempts stand."""

    last: OrderRecord | None  # its latest order
    next_attempt: int
    is_open: bool  # an order of it has not ended: no other attempt may be sent
    in_a_row: int  # attempts of this session since the last one that filled anything
    sent_ns: int  # when the latest of these was sent, 0: there is none
    share: Share = NO_SHARE
    partly: bool = False  # before these, or as the latest, one filled a part of what it was to sell

    @property
    def due_ns(self) -> int:
        """When the next one is due."""
        return self.sent_ns + self._wait_ns

    def is_due(self, now_ns: int) -> bool:
        return is_due(self._wait_ns, self.sent_ns, now_ns)

    @property
    def _wait_ns(self) -> int:
        tries = self.in_a_row
        if self.partly and 2.0 * self.share.left < self.share.share:
            tries = max(tries, 2)  # a part at each try would use the share up within the hour
        return spread_wait_ns(tries, self.share)


def tries_of(desk: Desk, kind: str, symbol: str, decision: str) -> Tries:
    """The attempts at a decision, by the journal. A new session begins anew."""
    today = desk.session_text()
    orders = desk.journal.orders(desk.book, decision_id=decision)
    if kind in FORCED:
        row = [order for order in orders if order.intent.session == today]
    else:
        of_symbol = desk.journal.orders(desk.book, session=today, symbol=symbol)
        row = [o for o in of_symbol if o.intent.reducing and o.intent.kind not in FORCED]
    in_a_row, sent_ns, slices, partly = _unfilled_in_a_row(row)
    last = max(orders, key=lambda order: order.intent.attempt, default=None)
    return Tries(
        last,
        1 + (last.intent.attempt if last else 0),
        any(State(order.state) in OPEN_STATES for order in orders),
        in_a_row,
        sent_ns,
        NO_SHARE if kind == Kind.FLATTEN else _share(desk, symbol, sent_ns, slices),
        partly,
    )


def _unfilled_in_a_row(oldest_first: Sequence[OrderRecord]) -> tuple[int, int, int, bool]:
    """The tries since the last one that filled anything, when the latest was sent, and its slices; and
    whether that last one filled a part only. Where that is the latest itself, it says when it was sent."""
    sent = [order for order in reversed(oldest_first) if order.submitted_ns is not None]
    in_a_row, sent_ns, slices = 0, 0, 1
    for _, cut in groupby(sent, lambda order: (order.intent.decision_id, order.intent.attempt)):
        attempt = list(cut)
        latest_ns = max(order.submitted_ns or 0 for order in attempt)
        if any(order.filled_qty for order in attempt):
            partly = any(order.filled_qty < order.intent.qty for order in attempt)
            if partly and not in_a_row:
                slices, sent_ns = len(attempt), latest_ns
            return in_a_row, sent_ns, slices, partly
        in_a_row += 1
        if in_a_row == 1:
            slices = len(attempt)
        sent_ns = max(sent_ns, latest_ns)
    return in_a_row, sent_ns, slices, False


def _share(desk: Desk, symbol: str, sent_ns: int, slices: int) -> Share:
    """What is left of the symbol's exits, and for how long they have to do."""
    today = desk.today()
    if not sent_ns or not desk.sessions.is_session(today):
        return NO_SHARE
    share = float(symbol_exit_cap(float(desk.limits.max_exit_orders_per_day)))
    count = desk.journal.sent_counts(desk.book, today.isoformat()).get(symbol)
    left = share - (count.exits if count is not None else 0)
    return Share(desk.sessions.close_ns(today) - sent_ns, slices, left, share)
