"""Rows on their way into the history: converted to a table's columns and types, or refused with a reason.

`store.history` has the connections and transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import pyarrow as pa

from trading_assets.errors import InvalidInput

Rows: TypeAlias = pa.Table | Sequence[Mapping[str, object]]


def as_table(table: str, schema: pa.Schema, keys: Mapping[str, object], rows: Rows) -> pa.Table:
    """`rows` with exactly the columns of `schema`; a missing value becomes the key's value, else NULL.

    Raises InvalidInput for an unknown column, a value of the wrong type, or another key's row.
    """
    given: set[str] = set()
    if isinstance(rows, pa.Table):
        given.update(rows.column_names)
    else:
        given.update(*(row.keys() for row in rows))
    refuse_unknown(table, schema, given)
    count = len(rows)
    columns = []
    for field in schema:
        fill = keys.get(field.name)
        try:
            if field.name not in given:
                column = pa.array([fill] * count, type=field.type)
            elif isinstance(rows, pa.Table):
                column = rows.column(field.name).cast(field.type)
            else:
                convert = converter(field.type)
                values = [convert(row.get(field.name, fill)) for row in rows]
                column = pa.array(values, type=field.type)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidInput(
                f"a value that is no {field.type}: {error}",
                where=f"{place(table)}, column {field.name}",
                remedy="Give values of the column's type, or None.",
            ) from error
        if field.name in keys and any(value != fill for value in column.unique().to_pylist()):
            raise InvalidInput(
                f"rows whose {field.name} is not the key's {fill!r}",
                where=place(table),
                remedy="Replace each key's rows by themselves.",
            )
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def refuse_unknown(table: str, schema: pa.Schema, names: Iterable[str]) -> None:
    """Raises InvalidInput naming the columns that the table does not have."""
    unknown = sorted(set(names) - set(schema.names))
    if unknown:
        raise InvalidInput(
            f"no such column: {', '.join(unknown)}",
            where=place(table),
            remedy=f"Its columns are {', '.join(schema.names)}.",
        )


def converter(kind: pa.DataType) -> Callable[[Any], Any]:
    """What Arrow does not convert by itself: Decimal to double, ISO text to a date."""
    if pa.types.is_floating(kind):
        return lambda value: None if value is None else float(value)
    if pa.types.is_date(kind):
        return lambda value: date.fromisoformat(value) if isinstance(value, str) else value
    return lambda value: value


def place(table: str) -> str:
    """How an error names a table."""
    return f"history, table {table}"
