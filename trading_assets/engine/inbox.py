"""Signals from outside: what one must be, and files of them dropped into `<data_dir>/inbox`.

A file is taken by a rename, so that it is taken once and whole; who writes one writes it under another
name (ending in .part) and renames it. Its good rows go into the journal, the bad ones into
`rejected/` in the file's own form, beside a text with the reason of each, and the file itself into
`archive/`. What cannot be read as a whole goes to `rejected/` as it came. People are told of either. What a
signal does is `engine.signalling`'s.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import Any

from trading_assets.core.orders import Kind, decision_id
from trading_assets.engine.alerts import enqueue
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.market.clock import system_now_ns
from trading_assets.market.sessions import new_york_time
from trading_assets.store.journal import Journal
from trading_assets.store.records import OutboxRecord, SignalRecord

log = get_logger(__name__)

INBOX = "inbox"
SUFFIXES = (".csv", ".json")
FIELDS = ("symbol", "value", "as_of", "reference_price", "limit_price", "id", "source")
MAX_BYTES = 1_000_000
REASONS_TOLD = 10
_SECOND_NS = 10**9

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakenFile:
    """What became of one file."""

    name: str
    received: tuple[SignalRecord, ...]  # in the journal, whether new or known
    refused: tuple[str, ...]  # one reason for each row, or one for the file


def signal_record(
    book: str,
    symbols: Sequence[str],
    symbol: str,
    value: float,
    *,
    now_ns: int,
    as_of_ns: int | None = None,
    reference_price: Decimal | None = None,
    limit_price: Decimal | None = None,
    source: str = "person",
    producer_id: str | None = None,
) -> SignalRecord:
    """One signal from outside, validated: value in [−1, 1], prices in USD, as_of_ns defaults to now.

    Raises InvalidInput for a value out of range, a symbol that is not traded, or a price that is not
    above zero.
    """
    where = f"signal {symbol}"
    if symbol not in symbols:
        raise InvalidInput(
            f"{symbol!r} is not among the traded symbols {', '.join(symbols)}",
            where=where,
            remedy="Add it to `symbols` in the configuration, or correct the name.",
        )
    if not (isfinite(value) and -1.0 <= value <= 1.0):
        raise InvalidInput(f"{value} is outside [-1, 1]", where=where, remedy="Scale the signal to [-1, 1].")
    for name, price in (("reference price", reference_price), ("limit price", limit_price)):
        if price is not None and not (price.is_finite() and price > 0):
            raise InvalidInput(f"{name} {price} is no price", where=where, remedy="Give USD above zero.")
    as_of = now_ns if as_of_ns is None else as_of_ns
    return SignalRecord(
        book=book,
        decision_id=decision_id(book, Kind.EXTERNAL, symbol, producer_id or f"{source}:{as_of}"),
        symbol=symbol,
        value=value,
        as_of_ns=as_of,
        reference_price=reference_price,
        limit_price=limit_price,
        source=source,
        received_ns=now_ns,
    )


def refuse_other_words(journal: Journal, record: SignalRecord) -> None:
    """Raises InvalidInput where the inbox has the same decision and it says something else: a decision
    is taken once."""
    stored = journal.signal(record.book, record.decision_id)
    if stored is not None and _said(stored) != _said(record):
        raise InvalidInput(
            f"the signal of {stored.source!r} as of {new_york_time(stored.as_of_ns)} is in the inbox "
            f"already and says {stored.value:g}, not {record.value:g}",
            where=f"signal {record.symbol}",
            remedy="Stamp a new opinion with its own time, or give it an id of its own.",
        )


def _said(record: SignalRecord) -> tuple[object, ...]:
    return record.value, record.reference_price, record.limit_price


def take_files(
    data_dir: Path, journal: Journal, book: str, symbols: Sequence[str], *, now_ns: int
) -> list[TakenFile]:
    """Take every file that waits, those first that an earlier process took and did not finish.

    now_ns: the venue's time, which stamps what arrives. A file's rows keep their identity when it is
    taken again after a crash, so that no signal is received twice.
    """
    inbox = data_dir / INBOX
    places = {name: inbox / name for name in ("taken", "archive", "rejected")}
    for place in (inbox, *places.values()):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in sorted(inbox.iterdir()):
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            path.rename(places["taken"] / f"{system_now_ns()}-{path.name}")
    return [
        _take(path, places, journal, book, symbols, now_ns)
        for path in sorted(places["taken"].iterdir())
        if path.is_file()
    ]


def _take(
    path: Path,
    places: Mapping[str, Path],
    journal: Journal,
    book: str,
    symbols: Sequence[str],
    now_ns: int,
) -> TakenFile:
    try:
        rows = list(_rows(path))
    except InvalidInput as error:
        _write(places["rejected"] / f"{path.name}.reason.txt", f"{error}\n")
        _tell(journal, book, places["rejected"] / path.name, [str(error)], now_ns)
        path.rename(places["rejected"] / path.name)
        log.warning("signal file refused", file=path.name, reason=str(error))
        return TakenFile(path.name, (), (str(error),))
    received, bad, reasons = [], [], []
    for number, row in enumerate(rows, 1):
        try:
            record = _record(row, f"{path.name}:{number}", book, symbols, now_ns)
            refuse_other_words(journal, record)
            received.append(record)
        except InvalidInput as error:
            bad.append(row)
            reasons.append(f"row {number}: {error}")
    new = journal.record_signals(received)
    if bad:
        _write(places["rejected"] / path.name, _text(bad, path.suffix.lower()))
        _write(places["rejected"] / f"{path.name}.reason.txt", "\n".join(reasons) + "\n")
        _tell(journal, book, places["rejected"] / path.name, reasons, now_ns)
    path.rename(places["archive"] / path.name)
    log.info("signal file taken", file=path.name, signals=len(received), new=len(new), refused=len(bad))
    return TakenFile(path.name, tuple(received), tuple(reasons))


def _tell(journal: Journal, book: str, rejected: Path, reasons: Sequence[str], now_ns: int) -> None:
    """Into the outbox, once for a file also where it is taken again after a crash. A producer that goes wrong
    with every file is told of once in a cool-down; all of them lie in `rejected/`."""
    said = [*reasons[:REASONS_TOLD], *(["…"] if len(reasons) > REASONS_TOLD else [])]
    body = "\n".join([*said, f"What was refused lies in {rejected}"])
    alert = OutboxRecord(f"{book}:signal_file:{rejected.name}", book, now_ns, "WARN", "Signals refused", body)
    enqueue(journal, alert, subject="signal_file", now_ns=system_now_ns())


def _rows(path: Path) -> Iterator[Row]:
    """The file's rows. Raises InvalidInput where it has none to read."""
    if path.stat().st_size > MAX_BYTES:
        raise _unreadable(path, f"it is larger than {MAX_BYTES} bytes")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is no UTF-8 text ({error.reason} at byte {error.start})") from error
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    if not rows:
        raise _unreadable(path, "there is no signal in it")
    for row in rows:
        unknown = sorted(str(name) for name in row.keys() - set(FIELDS))
        if unknown:
            raise _unreadable(path, f"unknown field {unknown[0]!r}")
    yield from rows


def _csv_rows(path: Path, text: str) -> list[Row]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="more than the header")
        return [{name: value for name, value in row.items() if value not in (None, "")} for row in reader]
    except csv.Error as error:
        raise _unreadable(path, f"line {reader.line_num}: {error}") from error


def _json_rows(path: Path, text: str) -> list[Row]:
    try:
        content = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if isinstance(content, dict):
        return [{"symbol": symbol, "value": value} for symbol, value in content.items()]
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        return [{name: value for name, value in row.items() if value is not None} for row in content]
    raise _unreadable(path, "it is neither a list of objects nor an object of symbol: value")


def _unreadable(path: Path, what: str) -> InvalidInput:
    return InvalidInput(
        what,
        where=f"signal file {path.name}",
        remedy=f"Write CSV with a header, or JSON, of the fields {', '.join(FIELDS)}; "
        "symbol and value are required.",
    )


def _record(row: Row, identity: str, book: str, symbols: Sequence[str], now_ns: int) -> SignalRecord:
    missing = [name for name in ("symbol", "value") if name not in row]
    if missing:
        raise InvalidInput(f"no {missing[0]}", where="signal", remedy="Every row needs symbol and value.")
    value = _number(row, "value")
    assert value is not None
    return signal_record(
        book,
        symbols,
        _word(row, "symbol"),
        float(value),
        now_ns=now_ns,
        as_of_ns=_time(row.get("as_of")),
        reference_price=_number(row, "reference_price"),
        limit_price=_number(row, "limit_price"),
        source=_word(row, "source") if "source" in row else "file",
        producer_id=_word(row, "id") if "id" in row else identity,
    )


def _word(row: Row, name: str) -> str:
    value = row[name]
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise InvalidInput(f"{name} is {value!r}", where="signal", remedy="Give a text.")


def _number(row: Row, name: str) -> Decimal | None:
    value = row.get(name)
    if value is None or (isinstance(value, Decimal) and value.is_finite()):
        return value
    try:
        number = Decimal(value.strip()) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise InvalidInput(f"{name} is {value!r}", where="signal", remedy="Give a finite number.")
    return number


def _time(value: Any) -> int | None:
    """ISO 8601 with its offset from UTC, or whole nanoseconds since the epoch."""
    if value is None:
        return None
    text = str(value).strip()
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"as_of is {text!r}",
            where="signal",
            remedy="Give ISO 8601 with an offset, such as 2012-09-11T10:00:00-04:00, or nanoseconds.",
        )
    return int(moment.timestamp()) * _SECOND_NS + moment.microsecond * 1000


def _text(rows: Sequence[Row], suffix: str) -> str:
    """Rows in the form in which they came, to be corrected and dropped again."""
    if suffix == ".json":
        return json.dumps([dict(row) for row in rows], default=str, indent=1) + "\n"
    out = io.StringIO()
    names = [name for name in FIELDS if any(name in row for row in rows)]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)
