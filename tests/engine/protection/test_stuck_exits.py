"""Exits whose cancel does not go as asked: the broker's last word frees their shares, and they are sold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_ticks import buy_dear
from support.broker_words import restated
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, OrderState, Rejected
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.store.records import OrderRecord

ENDS = ("rejected", "canceled", "expired", "done_for_day")


class Contrary:
    """The broker says `status` of one order, whatever the exchange says; `None` lets the truth through."""

    def __init__(self, desk: Desk, order_id: str | None) -> None:
        self.real, self.order_id, self.status = desk.broker, order_id, "pending_cancel"
        desk.broker = Altered(
            self.real,
            order=lambda one: self.in_its_status(self.real.order(one)),
            order_by_client_id=lambda one: self.in_its_status(self.real.order_by_client_id(one)),
            orders_since=lambda ns: [self.in_its_status(one) for one in self.real.orders_since(ns)],
            open_orders=lambda: [self.in_its_status(one) for one in self.real.open_orders()],
            cancel=self.cancel,
        )

    def in_its_status(self, order: OrderState | None) -> OrderState | None:
        if order is None or order.id != self.order_id:
            return order
        return restated(order, status=self.status, filled_qty=Decimal(0))

    def cancel(self, order_id: str) -> None:
        if order_id != self.order_id:
            self.real.cancel(order_id)
        elif self.status != "pending_cancel":
            raise Rejected(422, 42210000, f'order is already in "{self.status}" state')


def outrun_stop(floor: TradingFloor, desk: Desk) -> OrderRecord:
    """The exit of a stop that the market runs away from: it rests."""
    buy_dear(floor, desk)
    real = desk.broker

    def submit(order: NewOrder) -> OrderState:
        floor.move_quote(desk, order.symbol, "0.99")
        return real.submit(order)

    desk.broker = Altered(real, submit=submit)
    (order,) = protect_alone(desk, new_execution_id()).orders
    assert order.state == "ACCEPTED"
    desk.broker = real
    return order


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flattened", [False, True])
def test_a_cancel_that_ends_in_any_way_frees_the_shares_for_the_next_attempt(
    floor: TradingFloor, end: str, flattened: bool
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        order = outrun_stop(floor, desk)
        broker = Contrary(desk, order.broker_order_id)
        floor.go_to_tick(1)
        protect_alone(desk, new_execution_id())  # asks for the cancel
        assert desk.journal.order(order.intent.client_order_id).state == "PENDING_CANCEL"
        broker.real.cancel(order.broker_order_id)
        broker.status = end
        floor.go_to_tick(2)
        if flattened:
            operator.kill(desk, reason="test", author="tester")
            operator.flatten(desk, reason="test", author="tester")
        else:
            protect_alone(desk, new_execution_id())
        assert desk.broker.positions() == []
        assert desk.journal.open_orders(desk.book) == []
        assert not [one for one in desk.journal.locks(desk.book) if one.cause == "ORDER_STATE"]
