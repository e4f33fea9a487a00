"""Ids made many at once are those that are made one by one."""

from __future__ import annotations

import numpy as np
import pytest

from trading_assets.core.orders import Kind, client_order_id, decision_id
from trading_assets.engine.replay.decision_ids import DecisionIds, client_order_ids

SYMBOLS = ("AAPL", "BRK.B", "IBM")


@pytest.mark.parametrize("book", ["replay:a", "replay:" + "x" * 64, 'replay:é"\\'])
def test_decisions_at_a_time_have_the_ids_of_the_live_desk(book: str) -> None:
    symbol = np.array([2, 0, 1, 1])
    at_ns = np.array([1_341_235_800_000_000_000, 1, 0, 1_341_235_800_000_000_001])
    found = DecisionIds(book, Kind.MODEL, SYMBOLS).at(symbol, at_ns)
    pairs = zip(symbol.tolist(), at_ns.tolist(), strict=True)
    assert found == [decision_id(book, Kind.MODEL, SYMBOLS[row], stamp) for row, stamp in pairs]


def test_orders_have_the_ids_of_the_live_desk() -> None:
    decided = decision_id("replay:a", Kind.STOP, "IBM", 7)
    orders = [
        (decided, side, number, attempt) for side in (1, -1) for number in (1, 12) for attempt in (1, 3)
    ]
    assert client_order_ids(orders) == [client_order_id(*order) for order in orders]
