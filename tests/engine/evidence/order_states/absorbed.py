"""Orders that are planted in the journal, and what the broker says of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from support.broker_words import restated, stated
from support.planted import plant_order

from trading_assets.broker.port import OrderState
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)


ACCEPTED = (State.SUBMITTING, State.ACCEPTED)


def planted(desk: Desk, *states: State, qty: str = "5") -> OrderRecord:
    states = states or ACCEPTED
    return plant_order(desk, 1, qty=qty, states=states)


def order_report(record: OrderRecord, status: str, filled: int = 0, **changes: Any) -> OrderState:
    """The broker's word on our order."""
    intent = record.intent
    order = stated(
        id="broker-1",
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        qty=intent.qty,
        limit_price=intent.limit_price,
        status=status,
        filled_qty=Decimal(filled),
        submitted_ns=intent.created_ns,
        updated_ns=intent.created_ns,
    )
    return restated(order, **changes)


def alerts(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of orders; of other changes of state the state."""
    messages = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [
        line["state"] if line["event"] == "order state" else line["event"]
        for line in messages
        if line["event"].startswith("order ")
    ]
