"""What a person sees of a step in Dagster: counts, times and tables. Dagster itself plots a number over time.

Nothing is decided here, and no picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import isfinite, isnan
from numbers import Integral, Real
from typing import Any, TypeAlias

import dagster as dg

from trading_assets.escapes import for_one_line
from trading_assets.market.sessions import new_york_time

Metadata = dict[str, dg.MetadataValue]
Cell: TypeAlias = str | int | float | bool | None

DIGITS = 10  # significant ones of a number that is shown


def tick_metadata(session: date, tick_ns: int) -> Metadata:
    """The session's date, and the tick's time as New York's clock shows it and as the viewer's does."""
    return {
        "session": dg.MetadataValue.text(session.isoformat()),
        "tick": dg.MetadataValue.text(new_york_time(tick_ns)),
        "tick_at": dg.MetadataValue.timestamp(tick_ns / 1e9),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """A table with the first row's columns; the word `none` where there are no rows.

    A column is of numbers where each cell is one or is empty, else of text. A missing number is empty, and an
    infinite one makes its column text, as JSON has neither.
    """
    if not rows:
        return dg.MetadataValue.text("none")
    names = list(rows[0])
    columns = {name: _column([_cell(row[name]) for row in rows]) for name in names}
    schema = [dg.TableColumn(for_one_line(name), columns[name][0]) for name in names]
    heads = [column.name for column in schema]
    records = [
        dg.TableRecord(dict(zip(heads, cells, strict=True)))
        for cells in zip(*(columns[name][1] for name in names), strict=True)
    ]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=schema))


def _column(cells: Sequence[Cell]) -> tuple[str, Sequence[Cell]]:
    """The column's type, and its cells as that type has them."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return "bool", cells
    if kinds == {int}:
        return "int", cells
    if kinds and kinds <= {int, float}:
        return "float", cells
    return "string", ["–" if cell is None else str(cell) for cell in cells]


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real | Decimal):
        return _number(float(value))
    return for_one_line(str(value))


def _number(value: float) -> float | str | None:
    if isnan(value):
        return None
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else f"{value:g}"
