"""Ids made many at once are those that are made one by one."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from trading_assets.core.orders import Kind, client_order_id, decision_id
from trading_assets.engine.replay.decision_ids import SELECT_WITH_IDS, DecisionIds, client_order_ids

SYMBOLS = ("AAPL", "BRK.B", "IBM")


BOOKS = ["replay:a", "replay:" + "x" * 64, 'replay:é"\\']
SYMBOL = np.array([2, 0, 1, 1])
AT_NS = np.array([1_341_235_800_000_000_000, 1, 0, 1_341_235_800_000_000_001])


def one_by_one(book: str, kind: Kind) -> list[str]:
    """The live desk's: a model's decision is named by its tick, one from outside by its producer's id."""
    pairs = zip(SYMBOL.tolist(), AT_NS.tolist(), strict=True)
    return [
        decision_id(book, kind, SYMBOLS[row], stamp if kind is Kind.MODEL else f"replay:{stamp}")
        for row, stamp in pairs
    ]


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.EXTERNAL])
@pytest.mark.parametrize("book", BOOKS)
def test_decisions_at_a_time_have_the_ids_of_the_live_desk(book: str, kind: Kind) -> None:
    assert DecisionIds(book, kind, SYMBOLS).at(SYMBOL, AT_NS) == one_by_one(book, kind)


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.EXTERNAL])
@pytest.mark.parametrize("book", BOOKS)
def test_duckdb_makes_the_same_ids(book: str, kind: Kind) -> None:
    ids = DecisionIds(book, kind, SYMBOLS)
    incoming = pa.table(
        {
            "begun": [ids.begun[row] for row in SYMBOL],
            "as_of_ns": AT_NS,
            "ended": [ids.ended] * len(SYMBOL),
        }
    )
    with duckdb.connect() as connection:
        connection.register("incoming", incoming)
        found = connection.execute(f"SELECT {SELECT_WITH_IDS} FROM incoming").to_arrow_table()
    assert found.column_names == ["as_of_ns", "decision_id"]
    assert found["decision_id"].to_pylist() == one_by_one(book, kind)


def test_orders_have_the_ids_of_the_live_desk() -> None:
    decided = decision_id("replay:a", Kind.STOP, "IBM", 7)
    orders = [
        (decided, side, number, attempt) for side in (1, -1) for number in (1, 12) for attempt in (1, 3)
    ]
    assert client_order_ids(orders) == [client_order_id(*order) for order in orders]
