"""Checks of orders and fills: the journal held against the broker and against itself, after the fact.

They take no verdict's word for it: counts and amounts are made again from what was sent and filled.
What checks there are is the table in `engine.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading_assets.broker.port import AccountActivity, OrderState
from trading_assets.core.codes import CODE_COUNT
from trading_assets.core.orders import is_ours
from trading_assets.core.tolerance import at_most
from trading_assets.core.words import Side
from trading_assets.engine.checks import CheckOutcome, outcome
from trading_assets.engine.desk import Desk
from trading_assets.store.records import FillRecord, OrderRecord, VerdictRecord


@dataclass(frozen=True, slots=True)
class SessionOrders:
    """What journal and broker know of the session's orders, read once."""

    orders: tuple[OrderRecord, ...]
    verdicts: tuple[VerdictRecord, ...]
    fills: tuple[FillRecord, ...]
    at_broker: tuple[OrderState, ...]
    activities: tuple[AccountActivity, ...]  # of the type FILL

    @property
    def sent(self) -> list[OrderRecord]:
        """Orders that may have reached the broker."""
        return [order for order in self.orders if order.submitted_ns is not None]


def session_orders(desk: Desk, session: date) -> SessionOrders:
    """Raises broker.port.BrokerError when the broker's side cannot be read."""
    text = session.isoformat()
    since_ns = desk.sessions.close_ns(desk.sessions.previous(session))
    return SessionOrders(
        orders=tuple(desk.journal.orders(desk.book, session=text)),
        verdicts=tuple(desk.journal.verdicts(desk.book, session=text)),
        fills=tuple(desk.journal.fills(desk.book, session=text)),
        at_broker=tuple(desk.broker.orders_since(since_ns)),
        activities=tuple(
            activity
            for activity in desk.broker.activities(since_ns)
            if activity.type == "FILL" and desk.sessions.new_york_date(activity.at_ns) == session
        ),
    )


def order_checks(desk: Desk, session: date) -> list[CheckOutcome]:
    """The checks of gated_orders."""
    seen, limits = session_orders(desk, session), desk.limits
    entries = [order for order in seen.sent if not order.intent.reducing]
    exits = [order for order in seen.sent if order.intent.reducing]
    streak = desk.journal.reject_streak(desk.book)
    return [
        outcome(
            "gated_orders.each_has_a_verdict",
            list(_without_verdict(seen.orders, seen.verdicts)),
            detail=f"{len(seen.orders)} orders, {len(seen.verdicts)} verdicts",
        ),
        outcome(
            "gated_orders.no_foreign_order",
            list(_foreign(desk, seen)),
            detail=f"{len(seen.at_broker)} orders at the broker",
        ),
        outcome("gated_orders.order_notional", list(_wrong_notional(desk, seen.sent))),
        _counted(
            "gated_orders.orders_per_symbol",
            entries,
            lambda order: order.intent.symbol,
            limits.max_orders_per_symbol_per_day,
        ),
        _counted("gated_orders.orders_per_day", entries, lambda _: "all symbols", limits.max_orders_per_day),
        _counted(
            "gated_orders.orders_per_execution",
            entries,
            lambda order: order.intent.verdict_id.partition(":")[2],
            limits.max_orders_per_execution,
        ),
        _counted(
            "gated_orders.exit_orders_per_day", exits, lambda _: "all symbols", limits.max_exit_orders_per_day
        ),
        outcome(
            "gated_orders.reject_streak",
            passed=streak < limits.max_reject_streak,
            measured=float(streak),
            limit=limits.max_reject_streak,
            detail="broker rejections in a row",
        ),
    ]


def fill_checks(desk: Desk, session: date) -> list[CheckOutcome]:
    """The checks of fills."""
    seen = session_orders(desk, session)
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
        elif (verdict.symbol, verdict.side, verdict.qty, verdict.limit_price) != (
            intent.symbol,
            intent.side,
            intent.qty,
            intent.limit_price,
        ):
            yield f"{intent.client_order_id} differs from what was judged"
        elif not len(verdict.measured) == len(verdict.limits) == CODE_COUNT:
            yield f"{intent.client_order_id} was not measured in full"


def _foreign(desk: Desk, seen: SessionOrders) -> Iterable[str]:
    known = {order.intent.client_order_id: order.intent for order in seen.orders}
    for order in seen.at_broker:
        if not is_ours(order.client_order_id):
            continue
        intent = known.get(order.client_order_id)
        if intent is None:
            yield f"{order.client_order_id} has no intent of this session"
        elif (order.symbol, order.side, order.qty, order.limit_price) != (
            intent.symbol,
            intent.side,
            intent.qty,
            intent.limit_price,
        ):
            yield f"{order.client_order_id} differs from its intent"
        elif order.filled_qty > intent.qty:
            yield f"{order.client_order_id} filled {order.filled_qty} of {intent.qty}"


def _wrong_notional(desk: Desk, sent: Iterable[OrderRecord]) -> Iterable[str]:
    for order in sent:
        notional = float(order.intent.qty * order.intent.limit_price)
        too_small = not order.intent.reducing and not at_most(desk.limits.min_order_notional, notional)
        if too_small or not at_most(notional, desk.limits.max_order_notional):
            yield f"{order.intent.symbol} {order.intent.client_order_id} is ${notional:,.2f}"


def _counted(
    key: str, orders: Sequence[OrderRecord], group: Callable[[OrderRecord], str], limit: float
) -> CheckOutcome:
    name, count = max(Counter(map(group, orders)).items(), key=lambda item: item[1], default=("none", 0))
    return outcome(key, passed=count <= limit, measured=float(count), limit=limit, detail=f"most: {name}")


def _worse(fill: FillRecord, limit_price: Decimal) -> bool:
    return fill.price > limit_price if fill.side == Side.BUY else fill.price < limit_price
