"""What a table in Dagster shows of rows: typed columns, and nothing that JSON does not have."""

from __future__ import annotations

import json
from decimal import Decimal
from math import inf, nan
from typing import Any

import dagster as dg
import numpy as np
import pytest

from trading_assets.core.orders import State
from trading_assets.runs.presentation import table


def shown(*rows: dict[str, Any]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The type of each column, and the records."""
    value = table(rows)
    assert isinstance(value, dg.TableMetadataValue)
    json.dumps([record.data for record in value.records], allow_nan=False)
    types = {column.name: column.type for column in value.schema.columns}
    return types, [dict(record.data) for record in value.records]


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, 2], "int", [1, 2]),
        ([np.int64(1), None], "int", [1, None]),
        ([1, 2.5], "float", [1, 2.5]),
        ([Decimal("1.10"), nan], "float", [1.1, None]),
        ([np.float64(0.1) + 0.2, None], "float", [0.3, None]),
        ([True, False], "bool", [True, False]),
        ([inf, 1.0], "string", ["inf", "1.0"]),
        (["AAPL", None], "string", ["AAPL", "–"]),
        ([State.FILLED, State.REJECTED], "string", ["FILLED", "REJECTED"]),
        ([None, None], "string", ["–", "–"]),
        ([True, 1], "string", ["True", "1"]),
    ],
)
def test_a_column_has_the_type_of_all_its_cells(values: list[Any], kind: str, cells: list[Any]) -> None:
    types, records = shown(*({"it": value} for value in values))
    assert types == {"it": kind}
    assert [record["it"] for record in records] == cells


def test_columns_stand_in_the_first_rows_order() -> None:
    types, _ = shown({"b": 1, "a": 2}, {"a": 3, "b": 4})
    assert list(types) == ["b", "a"]


def test_no_rows_are_the_word_none() -> None:
    assert table([]) == dg.MetadataValue.text("none")
