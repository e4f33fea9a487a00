"""What a row of signals is: CSV, JSON or Parquet as rows, and a row as a signal, or why it is none.

One reading and one set of rules for the inbox (`engine.signals.inbox`), for signals from programs and for the
files of a replay (`engine.replay.signal_file`). A row's fault costs that row. Nothing is stored or decided
here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple

from trading_assets.errors import InvalidInput
from trading_assets.escapes import for_csv, for_terminal
from trading_assets.market.timestamps import ZoneMissing, ns_of, parse_ns, utc_time

FIELDS = ("symbol", "value", "as_of", "reference_price", "limit_price", "id", "source")
SESSION = "session"  # a replay's, in place of as_of
HIGHEST_PRICE_USD = 1e9
LONGEST_WORD = 256
LONGEST_NUMBER = 64
DEEPEST = 20  # brackets in brackets of a JSON file: its rows need two
AHEAD_NS = 86_400 * 10**9
BEHIND_NS = 366 * AHEAD_NS
_REPLAYED_FROM_NS = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * 10**9
_REPLAYED_UNTIL_NS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9

_NUMBER = re.compile(r"[0-9]{1,25}(\.[0-9]{1,25})?([eE]\+?[0-9]{1,2})?")
_UNITS = {"seconds": 10**9, "milliseconds": 10**6, "microseconds": 1000}
_BEYOND = "more than the header"
_SHOWN = 60
_TIMES = (
    "Give ISO 8601 with an offset, such as 2012-09-11T10:00:00-04:00, or whole nanoseconds since 1970 in UTC."
)


class Span(NamedTuple):
    """The times that a signal can be of, in UTC nanoseconds. What lies outside is a mistake in the unit or in
    the year, or a value that stands for none."""

    first_ns: int
    last_ns: int
    words: str

    def holds(self, at_ns: float) -> bool:
        return self.first_ns <= at_ns <= self.last_ns


def near(now_ns: int) -> Span:
    """A year back and a day ahead. What the gate enters on is much narrower (`stale_signal_seconds`)."""
    return Span(now_ns - BEHIND_NS, now_ns + AHEAD_NS, f"no time near now, {said_time(now_ns)}")


REPLAYED = Span(_REPLAYED_FROM_NS, _REPLAYED_UNTIL_NS, "no time between 1990 and 2100")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: a name may stand in it twice."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it came.

    number: from 1
    cells:  what it says, by field; empty ones are left out
    raw:    the cells of a CSV row, the value of a JSON one, to be written as it came
    """

    number: int
    cells: tuple[tuple[str, Any], ...]
    raw: Any


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file's rows. header: of a CSV file, as it came; None: of JSON"""

    header: tuple[str, ...] | None
    rows: tuple[Row, ...]

    def text(self, rows: Sequence[Row]) -> str:
        """Some of its rows in its own form, to be corrected and given again. No cell of CSV is a formula: it
        will be looked at in a spreadsheet."""
        if self.header is None:
            return "[" + ",\n ".join(_json_text(row.raw) for row in rows) + "]\n"
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(for_csv, self.header))
        writer.writerows(map(for_csv, map(str, row.raw)) for row in rows)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class SignalRow:
    """What a row says of one symbol. None: it does not say. `as_of_ns` and `session` exclude one another."""

    symbol: str
    value: float
    as_of_ns: int | None
    session: date | None
    reference_price: Decimal | None
    limit_price: Decimal | None
    identity: str | None
    source: str | None


def csv_rows(content: bytes, where: str, fields: Sequence[str] = FIELDS) -> RowFile:
    """The rows of a CSV file in UTF-8 with a header. Raises InvalidInput where they cannot be told apart, and
    for a column that is unknown or there twice."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise unreadable("it is UTF-16, no UTF-8 text", where, fields)
    # a byte that is no UTF-8 costs the row that it is in
    text = content.decode("utf-8-sig", errors="surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise unreadable(f"it is no CSV: line {reader.line_num}: {error}", where, fields) from error
    if len(lines) < 2:
        raise unreadable("there is no signal in it", where, fields)
    header = [name.strip() for name in lines[0]]
    if not {"symbol", "value"} <= set(header):  # nor is told what it says
        raise unreadable("its first line names no fields symbol and value", where, fields)
    for name in header:
        if name not in fields:
            raise unreadable(f"unknown field {shown(name)}", where, fields)
        if header.count(name) > 1:
            raise unreadable(f"the field {name!r} is there twice", where, fields)
    rows = (
        Row(
            number,
            tuple(
                (header[place] if place < len(header) else _BEYOND, cell)
                for place, cell in enumerate(line)
                if cell.strip()
            ),
            line,
        )
        for number, line in enumerate(lines[1:], 1)
    )
    return RowFile(tuple(lines[0]), tuple(rows))


def json_rows(content: bytes, where: str, fields: Sequence[str] = FIELDS) -> RowFile:
    """The rows of a JSON file in UTF-8: a list of objects, one object, or an object of symbol: value. Raises
    InvalidInput for anything else."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(
            f"it is no UTF-8 text ({error.reason} at byte {error.start})", where, fields
        ) from error
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise unreadable("its brackets are nested too deep", where, fields)
    try:
        document = json.loads(
            text,
            parse_float=_exact,
            parse_int=_exact,
            parse_constant=_exact,
            object_pairs_hook=_Pairs,
        )
    except ValueError as error:
        raise unreadable(f"it is no JSON: {error}", where, fields) from error
    if isinstance(document, _Pairs):
        is_one = any(name in fields for name, _ in document)
        if not is_one and not any(_decimal(cell).is_finite() for _, cell in document):
            raise unreadable("it is no object of symbol: value", where, fields)
        document = [document] if is_one else _one_a_symbol(document)
    if not isinstance(document, list) or (document and not any(isinstance(row, _Pairs) for row in document)):
        raise unreadable(
            "it is neither a list of objects, nor one object, nor an object of symbol: value", where, fields
        )
    if not document:
        raise unreadable("there is no signal in it", where, fields)
    if not any(isinstance(row, _Pairs) and {"symbol", "value"} <= dict(row).keys() for row in document):
        raise unreadable("no object in it has symbol and value", where, fields)  # nor is told what it has
    return RowFile(
        None,
        tuple(
            Row(number, tuple((name, cell) for name, cell in row if cell is not None), row)
            if isinstance(row, _Pairs)
            else Row(number, (("", row),), row)
            for number, row in enumerate(document, 1)
        ),
    )


def _one_a_symbol(pairs: _Pairs) -> list[_Pairs]:
    """An object of symbol: value as rows. A symbol that has two values is one row, which says both; the same
    value again says nothing new."""
    by_symbol: dict[str, _Pairs] = {}
    for symbol, value in pairs:
        row = by_symbol.setdefault(symbol.strip(), _Pairs([("symbol", symbol)]))
        if all(value != before for name, before in row if name == "value"):
            row.append(("value", value))
    return list(by_symbol.values())


def unreadable(what: str, where: str, fields: Sequence[str] = FIELDS) -> InvalidInput:
    """That a whole file is no file of signals."""
    return InvalidInput(
        what,
        where=where,
        remedy=f"Write CSV with a header, or JSON, of the fields {', '.join(fields)}; "
        "symbol and value are required.",
    )


def signal_row(row: Row, span: Span, where: str = "signal", fields: Sequence[str] = FIELDS) -> SignalRow:
    """What the row says. Raises InvalidInput for what is missing, given twice, unknown or no value of its
    kind; whether the symbol is traded and the numbers are in range is `refuse_unusable`'s."""
    cells: dict[str, Any] = {}
    for name, cell in row.cells:
        if name == "":
            raise InvalidInput(
                f"{shown(cell)} is no object", where=where, remedy="Write {…} with its fields."
            )
        if name not in fields:
            raise InvalidInput(
                f"unknown field {shown(name)}", where=where, remedy=f"The fields are {', '.join(fields)}."
            )
        if name in cells:
            twice = f"{name} is given twice, as {_plain(cells[name])} and as {_plain(cell)}"
            of = f" {shown(cells['symbol'])}" if "symbol" in cells else ""
            raise InvalidInput(twice, where=f"{where}{of}", remedy="Say it once.")
        cells[name] = cell
    for name in ("symbol", "value"):
        if name not in cells:
            raise InvalidInput(f"no {name}", where=where, remedy="Every row needs symbol and value.")
    if SESSION in cells and "as_of" in cells:
        raise InvalidInput("both session and as_of", where=where, remedy="Give one of the two.")
    value = _number(cells, "value", where)
    assert value is not None
    return SignalRow(
        symbol=_word(cells, "symbol", where),
        value=float(value),
        as_of_ns=_time(cells["as_of"], span, where) if "as_of" in cells else None,
        session=_day(cells[SESSION], where) if SESSION in cells else None,
        reference_price=_number(cells, "reference_price", where),
        limit_price=_number(cells, "limit_price", where),
        identity=_word(cells, "id", where) if "id" in cells else None,
        source=_word(cells, "source", where) if "source" in cells else None,
    )


def refuse_unusable(
    symbol: str,
    value: float,
    prices: Mapping[str, Decimal | float | None],
    symbols: Sequence[str],
    *,
    where: str,
) -> None:
    """Raises InvalidInput for a symbol that is not traded, a value outside [−1, 1] or a price (by its name,
    None where there is none) that is not above zero."""
    if symbol not in symbols:
        raise InvalidInput(
            f"{shown(symbol)} is not among the traded symbols {', '.join(symbols)}",
            where=where,
            remedy="Add it to `symbols` in the configuration, or correct the name.",
        )
    if not (isfinite(value) and -1.0 <= value <= 1.0):
        raise InvalidInput(
            f"{value:g} is outside [-1, 1]", where=where, remedy="Scale the signal to [-1, 1]."
        )
    for name, price in prices.items():
        if price is not None and not _is_price(price):
            raise InvalidInput(
                f"{name} {str(price)[:_SHOWN]} is no price", where=where, remedy="Give USD above zero."
            )


def refuse_unprintable(name: str, word: str, where: str) -> None:
    """Raises InvalidInput for a text that cannot be stored and shown as it is."""
    if not word.isprintable() or len(word) > LONGEST_WORD:
        raise InvalidInput(
            f"{name} is {shown(word)}",
            where=where,
            remedy=f"Give at most {LONGEST_WORD} characters that can be printed.",
        )


def refuse_far(at_ns: int, span: Span, where: str, text: str | None = None) -> None:
    """Raises InvalidInput for a stamp outside the span. said: the stamp as it was given"""
    if not span.holds(at_ns):
        raise InvalidInput(f"as_of is {text or said_time(at_ns)}, {span.words}", where=where, remedy=_TIMES)


def said_time(at: int | date) -> str:
    """A session, or nanoseconds as a time to the second in UTC, also where that is in no calendar."""
    if isinstance(at, date):
        return at.isoformat()
    try:
        return f"{utc_time(at).replace(tzinfo=None).isoformat(sep=' ')} UTC"
    except OverflowError:
        return "before the year 1" if at < 0 else "after the year 9999"


def shown(value: object) -> str:
    """A value from outside in a message: printable, and not too long."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def printable(text: str) -> str:
    """A text that may have come from outside, as it can be stored and shown: line breaks stay."""
    return for_terminal(text)


def _exact(text: str) -> Decimal | str:
    """A number as it is written; what no Decimal can hold stays text, and is no number then."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _word(cells: Mapping[str, Any], name: str, where: str) -> str:
    text = cells[name]
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"{name} is {shown(text)}", where=where, remedy="Give a text.")
    word = text.strip()
    refuse_unprintable(name, word, where)
    return word


def _number(cells: Mapping[str, Any], name: str, where: str) -> Decimal | None:
    cell = cells.get(name)
    if cell is None:
        return None
    number = _decimal(cell)
    if not number.is_finite():
        raise InvalidInput(f"{name} is {shown(cell)}", where=where, remedy="Give a finite number.")
    return number


def _decimal(cell: Any) -> Decimal:
    """The number that is written; NaN where it is none."""
    text = str(cell).strip() if isinstance(cell, (str, Decimal, int, float)) else ""
    if len(text) <= LONGEST_NUMBER:
        with suppress(InvalidOperation):
            return Decimal(text)
    return Decimal("NaN")


def _is_price(price: Decimal | float) -> bool:
    """One that stays a price as a float, too."""
    finite = price.is_finite() if isinstance(price, Decimal) else isfinite(price)
    return finite and 0.0 < float(price) <= HIGHEST_PRICE_USD


def _time(cell: Any, span: Span, where: str) -> int:
    number = _as_number(cell)
    if number is not None:
        if number == number.to_integral_value() and span.holds(int(number)):
            return int(number)
        unit = next((name for name, ns in _UNITS.items() if span.holds(int(number * ns))), None)
        raise InvalidInput(
            f"as_of is {_plain(cell)}, {span.words}" + (f": {unit}?" if unit else ""),
            where=where,
            remedy=_TIMES,
        )
    try:
        at_ns = ns_of(cell) if isinstance(cell, datetime) else parse_ns(str(cell).strip())
    except ZoneMissing:
        raise InvalidInput(
            f"as_of is {_plain(cell)}, which has no offset from UTC", where=where, remedy=_TIMES
        ) from None
    except ValueError:
        raise InvalidInput(f"as_of is {_plain(cell)}", where=where, remedy=_TIMES) from None
    refuse_far(at_ns, span, where, _plain(cell))
    return at_ns


def _as_number(cell: Any) -> Decimal | None:
    """A time that is a number, below 10^125; None for what is none."""
    if isinstance(cell, bool):
        return None
    text = (
        cell.strip()
        if isinstance(cell, str)
        else str(cell)
        if isinstance(cell, (int, float, Decimal))
        else ""
    )
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _plain(cell: Any) -> str:
    return shown(cell if isinstance(cell, str) else str(cell))


def _day(cell: Any, where: str) -> date:
    """A session: a date, or what writers of tables make of one, its midnight."""
    day: date | None = cell if isinstance(cell, date) else None
    if isinstance(cell, str):
        try:
            day = datetime.fromisoformat(cell.strip())
        except ValueError:
            day = None
    if isinstance(day, datetime):
        day = day.date() if day.timetz().replace(tzinfo=None) == datetime.min.time() else None
    if day is None:
        raise InvalidInput(
            f"session is {_plain(cell)}, which is no date",
            where=where,
            remedy="Give the date of a session, such as 2012-07-03, or `as_of` with a time.",
        )
    return day


def _json_text(value: Any) -> str:
    """JSON as it came, doubles included. What it is made of is at most DEEPEST deep."""
    if isinstance(value, _Pairs):
        return "{" + ", ".join(f"{json.dumps(name)}: {_json_text(cell)}" for name, cell in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_json_text(one) for one in value) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    return json.dumps(str(value) if isinstance(value, Decimal) else value)
