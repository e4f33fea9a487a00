"""Ids made many at once are those that are made one by one."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from trading_assets.core.orders import Kind, client_order_id, decision_id
from trading_assets.engine.replay.decision_ids import (
    SELECT_SIGNALS,
    SELECT_VERDICTS,
    DecisionIds,
    client_order_ids,
)

SYMBOLS = ("AAPL", "BRK.B", "IBM")
BOOKS = ["replay:a", "replay:" + "x" * 64, 'replay:é"\\']
NUMBER = np.array([2, 0, 1, 1, 3, 5, 4])  # from the number of symbols on: their stops
AT_NS = np.array(
    [1_341_235_800_000_000_000, 1, 0, 1_341_235_800_000_000_001, 0, 3, 1_341_235_800_000_000_000]
)


def one_by_one(book: str, kind: Kind) -> list[str]:
    """The live desk's: a model's decision is named by its tick, one from outside by its producer's id, a stop
    by its time."""

    def named(number: int, stamp: int) -> str:
        if number >= len(SYMBOLS):
            return decision_id(book, Kind.STOP, SYMBOLS[number - len(SYMBOLS)], stamp)
        return decision_id(book, kind, SYMBOLS[number], stamp if kind is Kind.MODEL else f"replay:{stamp}")

    return [named(*decided) for decided in zip(NUMBER.tolist(), AT_NS.tolist(), strict=True)]


def made_by_duckdb(ids: DecisionIds, selected: str, **columns: list[int]) -> pa.Table:
    named = {
        "begun": [ids.begun[number] for number in NUMBER],
        "decided_ns": AT_NS,
        "ended": [ids.ended[number] for number in NUMBER],
    }
    with duckdb.connect() as connection:
        connection.register("incoming", pa.table(named | columns))
        return connection.execute(f"SELECT {selected} FROM incoming").to_arrow_table()


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.EXTERNAL])
@pytest.mark.parametrize("book", BOOKS)
def test_decisions_at_a_time_have_the_ids_of_the_live_desk(book: str, kind: Kind) -> None:
    assert DecisionIds(book, kind, SYMBOLS).at(NUMBER, AT_NS) == one_by_one(book, kind)


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.EXTERNAL])
@pytest.mark.parametrize("book", BOOKS)
def test_duckdb_makes_the_same_ids_of_signals(book: str, kind: Kind) -> None:
    made = made_by_duckdb(DecisionIds(book, kind, SYMBOLS), SELECT_SIGNALS, as_of_ns=AT_NS.tolist())
    assert made.column_names == ["as_of_ns", "decision_id"]
    assert made["decision_id"].to_pylist() == one_by_one(book, kind)


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.EXTERNAL])
@pytest.mark.parametrize("book", BOOKS)
def test_duckdb_makes_the_same_ids_of_verdicts(book: str, kind: Kind) -> None:
    orders = {
        "side": [1, -1, 1, -1, -1, -1, -1],
        "slice": [0, 1, 12, 0, 3, 0, 100],
        "attempt": [1, 2, 1, 11, 1, 1, 3],
    }
    made = made_by_duckdb(DecisionIds(book, kind, SYMBOLS), SELECT_VERDICTS, **orders)
    assert made.column_names == ["side", "decision_id", "client_order_id"]
    decided = one_by_one(book, kind)
    assert made["decision_id"].to_pylist() == decided
    wanted = [client_order_id(*order) for order in zip(decided, *orders.values(), strict=True)]
    assert made["client_order_id"].to_pylist() == wanted


def test_orders_have_the_ids_of_the_live_desk() -> None:
    decided = decision_id("replay:a", Kind.STOP, "IBM", 7)
    orders = [
        (decided, side, number, attempt) for side in (1, -1) for number in (1, 12) for attempt in (1, 3)
    ]
    assert client_order_ids(orders) == [client_order_id(*order) for order in orders]
