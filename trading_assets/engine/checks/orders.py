"""Checks of orders and fills: the journal held against the broker and against itself, after the fact.

What was sent is held against the limits in `engine.checks.order_limits`. What checks there are is the
table in `engine.checks.table`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading_assets.broker.port import AccountActivity, MoreActivities, MoreOrders, OrderState, Unreachable
from trading_assets.core.activities import ActivityKind
from trading_assets.core.codes import FIRST_CODE_COUNT
from trading_assets.core.orders import is_ours
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks.order_limits import order_limit_checks
from trading_assets.engine.checks.table import CheckOutcome, outcome
from trading_assets.engine.evidence.order_states import same_terms
from trading_assets.store.records import FillRecord, OrderRecord, VerdictRecord

MOST_LOOKS = 10  # at each list: ten thousand activities of one session


@dataclass(frozen=True, slots=True)
class SessionOrders:
    """What journal and broker know of the session's orders, read once."""

    orders: tuple[OrderRecord, ...]
    fills: tuple[FillRecord, ...]
    at_broker: tuple[OrderState, ...]
    activities: tuple[AccountActivity, ...]  # of the type FILL

    @property
    def sent(self) -> list[OrderRecord]:
        """Orders that may have reached the broker."""
        return [order for order in self.orders if order.submitted_ns is not None]


def session_orders(
    desk: Desk, session: date, *, at_broker: bool = True, activities: bool = True
) -> SessionOrders:
    """`at_broker`, `activities`: whether that list of the broker's is read; without it, it is empty.

    Raises broker.port.BrokerError when the broker's side cannot be read, or is longer than `MOST_LOOKS`
    looks read: a check that has not seen all of it says nothing."""
    text = session.isoformat()
    since_ns = desk.sessions.close_ns(desk.sessions.previous(session))
    return SessionOrders(
        orders=tuple(desk.journal.orders(desk.book, session=text)),
        fills=tuple(desk.journal.fills(desk.book, session=text)),
        at_broker=_all_orders(desk, since_ns) if at_broker else (),
        activities=tuple(
            activity
            for activity in (_all_activities(desk, since_ns) if activities else ())
            if activity.type.kind is ActivityKind.FILL
            and desk.sessions.new_york_date(activity.at_ns) == session
        ),
    )


def _all_orders(desk: Desk, since_ns: int) -> tuple[OrderState, ...]:
    orders: dict[str, OrderState] = {}
    for _ in range(MOST_LOOKS):
        try:
            orders |= {order.id: order for order in desk.broker.orders_since(since_ns)}
        except MoreOrders as more:
            orders |= {order.id: order for order in more.read}
            since_ns = more.through_ns
        else:
            return tuple(orders.values())
    raise Unreachable(f"more orders than {MOST_LOOKS} looks read: {len(orders)} were read")


def _all_activities(desk: Desk, since_ns: int) -> tuple[AccountActivity, ...]:
    activities: dict[str, AccountActivity] = {}
    after: str | None = None
    for _ in range(MOST_LOOKS):
        try:
            read = (
                desk.broker.activities(since_ns)
                if after is None
                else desk.broker.activities(since_ns, after_id=after)
            )
        except MoreActivities as more:
            activities |= {one.id: one for one in more.read}
            after = more.after_id
        else:
            activities |= {one.id: one for one in read}
            return tuple(activities.values())
    raise Unreachable(f"more activities than {MOST_LOOKS} looks read: {len(activities)} were read")


def order_checks(desk: Desk, session: date) -> list[CheckOutcome]:
    """The checks of gated_orders."""
    seen = session_orders(desk, session, activities=False)
    verdicts = desk.journal.verdicts(desk.book, session=session.isoformat())
    return [
        outcome(
            "gated_orders.each_has_a_verdict",
            list(_without_verdict(seen.orders, verdicts)),
            detail=f"{len(seen.orders)} orders, {len(verdicts)} verdicts",
        ),
        outcome(
            "gated_orders.no_foreign_order",
            list(_foreign(desk, seen)),
            detail=f"{len(seen.at_broker)} orders at the broker",
        ),
        *order_limit_checks(desk, session, seen.sent, verdicts),
    ]


def fill_checks(desk: Desk, session: date) -> list[CheckOutcome]:
    """The checks of fills."""
    seen = session_orders(desk, session, at_broker=False)
    journaled = {(fill.broker_order_id, fill.cum_qty) for fill in seen.fills}
    orders = {order.intent.client_order_id: order for order in seen.sent}
    filled = dict.fromkeys(orders, Decimal(0))
    for fill in seen.fills:
        if fill.client_order_id in filled:
            filled[fill.client_order_id] += fill.qty
    return [
        outcome(
            "fills.each_belongs_to_an_order",
            [
                f"{fill.symbol} {fill.activity_id}"
                for fill in seen.fills
                if fill.client_order_id not in orders
            ],
            detail=f"{len(seen.fills)} fills",
        ),
        outcome(
            "fills.within_order_quantity",
            [
                f"{client_id}: fills {filled[client_id]}, order {order.intent.qty}, filled {order.filled_qty}"
                for client_id, order in orders.items()
                if not filled[client_id] == order.filled_qty <= order.intent.qty
            ],
        ),
        outcome(
            "fills.within_limit_price",
            [
                f"{fill.symbol} at {fill.price}, limit {orders[fill.client_order_id].intent.limit_price}"
                for fill in seen.fills
                if fill.client_order_id in orders
                and _worse(fill, orders[fill.client_order_id].intent.limit_price)
            ],
        ),
        outcome(
            "fills.all_received",
            [
                f"{activity.symbol} {activity.qty} at {activity.price} ({activity.id})"
                for activity in seen.activities
                if (activity.order_id, activity.cum_qty) not in journaled
            ],
            detail=f"{len(seen.activities)} at the broker",
        ),
    ]


def _without_verdict(orders: Iterable[OrderRecord], verdicts: Iterable[VerdictRecord]) -> Iterable[str]:
    of_id = {verdict.verdict_id: verdict for verdict in verdicts}
    for order in orders:
        intent = order.intent
        verdict = of_id.get(intent.verdict_id)
        if verdict is None:
            yield f"{intent.client_order_id} has none"
        elif verdict.failed:
            yield f"{intent.client_order_id} was refused"
        elif not same_terms(verdict, intent):
            yield f"{intent.client_order_id} differs from what was judged"
        elif not FIRST_CODE_COUNT <= len(verdict.measured) == len(verdict.limits):
            yield f"{intent.client_order_id} was not measured in full"


def _foreign(desk: Desk, seen: SessionOrders) -> Iterable[str]:
    known = {order.intent.client_order_id: order.intent for order in seen.orders}
    for order in seen.at_broker:
        if not is_ours(order.client_order_id):
            continue
        intent = known.get(order.client_order_id)
        if intent is None:
            yield f"{order.client_order_id} has no intent of this session"
        elif not same_terms(order, intent):
            yield f"{order.client_order_id} differs from its intent"
        elif order.filled_qty > intent.qty:
            yield f"{order.client_order_id} filled {order.filled_qty} of {intent.qty}"


def _worse(fill: FillRecord, limit_price: Decimal) -> bool:
    return fill.price > limit_price if fill.side == Side.BUY else fill.price < limit_price
