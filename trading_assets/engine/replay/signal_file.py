"""Signals from outside for a replay, from a CSV or Parquet file. What becomes of them is `predictions`.

Columns: symbol; value in [−1, 1]; `session` (an ISO date: its first tick) or `as_of` (an ISO time with
its offset); and, where the producer gave them, reference_price and limit_price in USD.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trading_assets.engine.replay.spec import ExternalSignal
from trading_assets.errors import InvalidInput

REQUIRED = ("symbol", "value")
STAMPS = ("session", "as_of")
OPTIONAL = ("reference_price", "limit_price")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_signals(path: Path) -> tuple[ExternalSignal, ...]:
    """Every signal of the file, in its order. Raises InvalidInput naming the file and the line."""
    try:
        rows = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else list(_csv_rows(path))
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        raise InvalidInput(
            f"cannot be read: {error}", where=str(path), remedy="Give a CSV file in UTF-8, or a .parquet."
        ) from error
    if not rows:
        raise InvalidInput("no signal in it", where=str(path), remedy="Give a header and at least one row.")
    columns = set(rows[0])
    unknown = sorted(map(str, columns - {*REQUIRED, *STAMPS, *OPTIONAL}))
    missing = [name for name in REQUIRED if name not in columns]
    if unknown or missing or len(columns & set(STAMPS)) != 1:
        raise InvalidInput(
            f"columns {', '.join(sorted(map(str, columns)))}",
            where=str(path),
            remedy="Name them symbol, value, session or as_of, and if wanted reference_price, limit_price.",
        )
    return tuple(_signal(row, f"{path}, line {number}") for number, row in enumerate(rows, start=2))


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, strict=True)


def _signal(row: Mapping[str, Any], where: str) -> ExternalSignal:
    try:
        return ExternalSignal(
            symbol=str(row["symbol"]),
            value=float(row["value"]),
            at=_day(row["session"]) if "session" in row else _time_ns(row["as_of"]),
            reference_price=_price(row.get("reference_price")),
            limit_price=_price(row.get("limit_price")),
        )
    except (ValueError, TypeError) as error:
        raise InvalidInput(str(error), where=where, remedy="Correct the row, or leave it out.") from error


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _time_ns(value: Any) -> int:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no offset from UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _price(value: Any) -> float:
    return nan if value in (None, "") else float(value)
