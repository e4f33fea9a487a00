"""A file as columns under our names: CSV with or without a header, or Parquet; with the place of every row.

Nothing is decided of a bar here. A column that no name of ours fits is not read, and named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.shapes import (
    FIRST_RATE,
    HEADERS,
    KIBOT,
    NAMES,
    Shape,
    folded,
    shape_of,
)

Floats = NDArray[np.float64]

NUMBERS = ("open", "high", "low", "close", "volume", "split_ratio", "cash_usd", "raw_close")
NO_VALUE = ("", "null", "NULL", "N/A")  # of a CSV
ENDINGS = (".csv", ".txt", ".parquet")
NEEDED = "timestamp, open, high, low, close, volume, and symbol or --symbol"
_DATE = re.compile(r"\s*\d{1,4}[-/.]?\d{1,2}[-/.]?\d{1,4}")
_CLOCK = re.compile(r"\s*\d{1,2}:?\d{2}(:?\d{2})?\s*$")


@dataclass(frozen=True)
class BarTable:
    """One file's columns, by our names; `refused` says where in it something is wrong."""

    path: Path
    shape: Shape
    columns: dict[str, pa.ChunkedArray]
    unread: tuple[str, ...]  # as the file names them
    header_lines: int
    rows: int
    places: NDArray[np.int64] | None = None  # of these rows among the file's; None: it is all of them

    def refused(self, what: str, remedy: str, row: int | None = None) -> InvalidInput:
        where = str(self.path) if row is None else f"{self.path}, row {self.line(row)}"
        return InvalidInput(what, where=where, remedy=remedy)

    def line(self, row: int) -> int:
        """Where in the file a row is, the header counted."""
        return self.header_lines + 1 + (row if self.places is None else int(self.places[row]))

    def lines(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The same of many."""
        places = rows if self.places is None else self.places[rows]
        return (places + (self.header_lines + 1)).astype(np.int32)

    def only(self, kept: NDArray[np.bool_]) -> BarTable:
        """These of its rows."""
        places = np.flatnonzero(kept)
        columns = {name: column.take(pa.array(places)) for name, column in self.columns.items()}
        return replace(self, columns=columns, rows=len(places), places=places)

    def column(self, name: str) -> pa.ChunkedArray:
        """Without an empty value. Raises InvalidInput."""
        self.named(name)
        column = self.columns[name]
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise self.refused(f"{name} is empty", "Give a value in every row.", row)
        return column

    def named(self, name: str) -> None:
        """Raises InvalidInput where there is no such column."""
        if name not in self.columns:
            there = ", ".join([*self.columns, *self.unread]) or "none"
            raise self.refused(f"it has no column {name!r}, only {there}", f"Name the columns {NEEDED}.")

    def numbers(self, name: str, *, empty: float | None = None) -> Floats:
        """As float64 of shape (rows,). empty: what an empty value is; None: it is refused."""
        column = self.columns[name] if empty is not None else self.column(name)
        if empty is not None:
            column = pc.fill_null(column.cast(pa.string()), str(empty))
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        try:
            return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if text:
                for row, value in enumerate(column.to_pylist()):
                    if not _is_number(value):
                        raise self.refused(f"{name} {value!r} is no number", "Correct it.", row) from None
            raise self.refused(f"{name} cannot be read as numbers: {error}", "Correct the column.") from error

    def is_empty(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether a row has no value in one of these columns, of shape (rows,)."""
        empty = np.zeros(self.rows, np.bool_)
        for name in names:
            if self.columns[name].null_count:
                empty |= self.columns[name].is_null().to_numpy()
        return empty

    def values(self, name: str) -> Floats:
        """As `numbers`, an empty value as NaN."""
        self.named(name)
        return self.numbers(name, empty=nan) if self.columns[name].null_count else self.numbers(name)

    def prices(self, name: str) -> Floats:
        """USD a share, an empty value as NaN. Integers of a vendor that writes fixed-point prices are taken
        by its scale."""
        scale = self.shape.fixed_point
        return self.values(name) * (scale if scale != 1.0 and self.is_integer(name) else 1.0)

    def is_integer(self, name: str) -> bool:
        column = self.columns[name]
        if pa.types.is_integer(column.type):
            return True
        first = next((value for value in column.slice(0, 1000).to_pylist() if value is not None), "")
        return isinstance(first, str) and first.lstrip("-").isdigit()


def read_table(path: Path) -> BarTable:
    """Raises InvalidInput for what is no table, has a column twice, or holds no row."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InvalidInput(
            f"its name ends in {path.suffix or 'nothing'!r}",
            where=str(path),
            remedy="Give a .csv or .parquet file, or a directory of them.",
        )
    with _readable(path):
        if ending == ".parquet":
            table, header_lines = pyarrow.parquet.read_table(path), 0
            shape = shape_of(table.column_names)
        else:
            table, shape, header_lines = _read_csv(path)
    columns, unread = _named(path, table, shape)
    bars = BarTable(path, shape, columns, unread, header_lines, table.num_rows)
    if not bars.rows:
        raise bars.refused("it holds no bars", "Give a file with a header and at least one row.")
    return bars


def files_of(places: Sequence[Path]) -> list[Path]:
    """The files that these name: files as they are, of a directory every file with one of ENDINGS, at any
    depth. Raises InvalidInput for a place where there is none."""
    files: list[Path] = []
    for place in places:
        if not place.is_dir():
            files.append(place)
            continue
        inside = sorted(
            path for path in place.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()
        )
        if not inside:
            raise InvalidInput(
                f"no file in it ends in {', '.join(ENDINGS)}",
                where=str(place),
                remedy="Name a directory with files of bars.",
            )
        files += inside
    return list(dict.fromkeys(files))


def symbol_of_name(path: Path) -> str:
    """What a file of one symbol is named after: AAPL.csv, brk.b.txt, AAPL_1min.csv, aapl.us.txt."""
    name = path.name
    while name.lower().endswith(ENDINGS):
        name = name.rsplit(".", 1)[0]
    return re.split(r"[_ ]", name.upper())[0]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InvalidInput(
            f"cannot be read: {error}", where=str(path), remedy="Give a CSV file with a header, or Parquet."
        ) from error


def _read_csv(path: Path) -> tuple[pa.Table, Shape, int]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        first, second = (lines.readline().rstrip("\r\n") for _ in range(2))
    delimiter = max(",;\t|", key=first.count)
    cells = [cell.strip().strip('"') for cell in first.split(delimiter)]
    if cells[0] == "Price" and second.startswith(f"Ticker{delimiter}"):
        raise InvalidInput(
            "its header has two levels, as yfinance writes it",
            where=str(path),
            remedy="Download one symbol a file with multi_level_index=False, and save that.",
        )
    shape = _without_header(cells)
    names = list(HEADERS[shape.name]) if shape is not None else cells
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"two columns are named {twice!r}", where=str(path), remedy="Keep one of them.")
    if not first:
        raise pa.ArrowInvalid("Empty CSV file")
    known = shape or shape_of(names)
    skipped = 0 if shape is not None else 1
    numbers = (
        {name for name in names if NAMES.get(folded(name)) in NUMBERS} if known.fixed_point == 1.0 else ()
    )
    try:
        table = _columns_of(path, names, skipped, delimiter, dict.fromkeys(numbers, pa.float64()))
    except pa.ArrowInvalid:  # as text, so that the row can be named
        table = _columns_of(path, names, skipped, delimiter, {})
    texts = [name for name in table.column_names if pa.types.is_string(table[name].type)]
    if any(value.strip() != value for name in texts for value in _first_values(table[name])):
        bare = {name: _trimmed(table[name]) if name in texts else table[name] for name in names}
        table = pa.table(bare)
    return table, known, skipped


def _columns_of(
    path: Path, names: Sequence[str], skipped: int, delimiter: str, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """Every column as text but for those that are given a type."""
    texts = dict.fromkeys(names, pa.string())
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=skipped),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=texts | dict(types), strings_can_be_null=True, null_values=list(NO_VALUE)
        ),
    )


def _first_values(column: pa.ChunkedArray) -> list[str]:
    return [value for value in column.slice(0, 100).to_pylist() if value is not None]


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    bare = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), bare)


def _without_header(cells: Sequence[str]) -> Shape | None:
    """The shape of a file whose first line is a bar; None: it is a header."""
    if not cells or not _DATE.match(cells[0]):
        return None
    if len(cells) == len(HEADERS[KIBOT.name]) and _CLOCK.match(cells[1]):
        return KIBOT
    return FIRST_RATE if len(cells) == len(HEADERS[FIRST_RATE.name]) else None


def _named(path: Path, table: pa.Table, shape: Shape) -> tuple[dict[str, pa.ChunkedArray], tuple[str, ...]]:
    """Columns by our names, and the names of those that are not read."""
    columns: dict[str, pa.ChunkedArray] = {}
    unread: list[str] = []
    names = {**NAMES, **shape.names}
    ours = [names.get(folded(given)) for given in table.column_names]
    has_stamp = "timestamp" in ours
    for given, name, column in zip(table.column_names, ours, table.columns, strict=True):
        if name is None:
            unread.append(given)
            continue
        alone = name in ("date", "time") and not {"date", "time"} <= set(ours) and not has_stamp
        name = "timestamp" if alone else name
        if name in columns or (name in ("date", "time") and has_stamp):
            which = "timestamp" if name in ("date", "time") else name
            raise InvalidInput(f"two columns are its {which}", where=str(path), remedy="Keep one of them.")
        columns[name] = column
    return columns, tuple(unread)


def _is_number(value: str) -> bool:
    try:
        pa.scalar(value).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
