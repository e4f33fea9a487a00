"""Signals from outside for a replay, from a CSV, JSON or Parquet file. What becomes of them is `predictions`.

A row is what it is for the inbox (`engine.signals.rows`), with its time in `as_of`, or in `session` (a date,
which stands for its first tick). So a file for the inbox can be replayed; `source` says nothing in a replay.
A row that is no signal refuses the file: a replay of the others would be one of something else.
"""

from __future__ import annotations

from math import nan
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trading_assets.engine.replay.spec import ExternalSignal
from trading_assets.engine.signals import rows
from trading_assets.engine.signals.rows import FIELDS, REPLAYED, SESSION, Row, RowFile, SignalRow, said_time
from trading_assets.errors import InvalidInput

REPLAYED_FIELDS = (*FIELDS, SESSION)


def read_signals(path: Path) -> tuple[ExternalSignal, ...]:
    """Every signal of the file, in its order. Raises InvalidInput naming the file and the line."""
    read, signals, earlier_signals = (
        _rows(path),
        list[ExternalSignal](),
        dict[tuple[str, str], ExternalSignal](),
    )
    for row in read.rows:
        where = f"{path}, {'row' if read.header is None else 'line'} {_line(row, read)}"
        says = rows.signal_row(row, REPLAYED, where, REPLAYED_FIELDS)
        signal = _signal(says, where)
        if says.identity is not None:
            earlier = earlier_signals.setdefault((says.symbol, says.identity), signal)
            if repr(earlier) != repr(signal):  # NaN is NaN
                raise InvalidInput(
                    f"id {says.identity!r} of {says.symbol} said {earlier.value:g} "
                    f"as of {said_time(earlier.at)} before, and now {signal.value:g} "
                    f"as of {said_time(signal.at)}",
                    where=where,
                    remedy="Give a new opinion an id of its own.",
                )
            if earlier is not signal:
                continue
        signals.append(signal)
    return tuple(signals)


def _rows(path: Path) -> RowFile:
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet_rows(path)
        content = path.read_bytes()
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"cannot be read: {error}",
            where=str(path),
            remedy="Give a CSV or JSON file in UTF-8, or a .parquet.",
        ) from error
    if path.suffix.lower() == ".json":
        return rows.json_rows(content, str(path), REPLAYED_FIELDS)
    return rows.csv_rows(content, str(path), REPLAYED_FIELDS)


def _parquet_rows(path: Path) -> RowFile:
    table = pq.read_table(path)
    for name in table.column_names:
        if name not in REPLAYED_FIELDS:
            raise rows.unreadable(f"unknown field {name!r}", str(path), REPLAYED_FIELDS)
        if table.column_names.count(name) > 1:
            raise rows.unreadable(f"the field {name!r} is there twice", str(path), REPLAYED_FIELDS)
    if not table.num_rows:
        raise rows.unreadable("there is no signal in it", str(path), REPLAYED_FIELDS)
    return RowFile(
        None,
        tuple(
            Row(number, tuple((name, cell) for name, cell in row.items() if not _is_absent(cell)), row)
            for number, row in enumerate(table.to_pylist(), 1)
        ),
    )


def _is_absent(cell: object) -> bool:
    """Null, or the NaN that tables of numbers have in its place."""
    return cell is None or (isinstance(cell, float) and cell != cell)


def _line(row: Row, read: RowFile) -> int:
    return row.number if read.header is None else row.number + 1


def _signal(says: SignalRow, where: str) -> ExternalSignal:
    at = says.as_of_ns if says.session is None else says.session
    if at is None:
        raise InvalidInput(
            "neither session nor as_of",
            where=where,
            remedy="Say when the signal was made: give one of the two.",
        )
    return ExternalSignal(
        symbol=says.symbol,
        value=says.value,
        at=at,
        reference_price=nan if says.reference_price is None else float(says.reference_price),
        limit_price=nan if says.limit_price is None else float(says.limit_price),
    )
