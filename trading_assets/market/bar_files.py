"""Bars from a person's own CSV or Parquet file: read whole, checked whole, or refused with the row.

The history stores raw prices, and bars stamped with their start. This module translates what the file has
(stamps at the end, adjusted prices, a time zone of its own). It mends nothing and stores nothing.

Columns, in any order and case: `timestamp` (or `date`, `time`, `datetime`), `open`, `high`, `low`,
`close`, `volume` in shares as traded, `symbol` (or `ticker`) unless the file is of one symbol, and for
daily bars `split_ratio` (new shares per old one, 1: none), `cash_usd` (dividend per old share, 0: none),
`raw_close` (needed beside adjusted prices). Other columns are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.actions import recovered_actions
from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.market.timestamps import ns_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
_ALSO_CALLED = {"ticker": "symbol", "date": "timestamp", "time": "timestamp", "datetime": "timestamp"}
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,5}(\.[A-Z]{1,2})?")
_PRICE_DECIMALS = 6  # a raw price recovered from an adjusted one


class Stamps(StrEnum):
    """Which end of a bar its stamp names. A date alone names the session either way."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class BarFile:
    """A file's bars by symbol: raw, ascending, in regular hours; daily ones from open to close."""

    interval: Interval
    bars: Mapping[str, Bars]
    actions: Mapping[str, tuple[CorporateAction, ...]]
    outside_hours: int  # minute bars before the open or after the close, left out
    missing_sessions: Mapping[str, int]  # sessions between a symbol's first and last without a bar

    @property
    def count(self) -> int:
        return sum(len(bars.start_ns) for bars in self.bars.values())


class _Rows:
    """The file's columns with a way to say where something is wrong."""

    def __init__(self, path: Path, table: pa.Table, header_lines: int) -> None:
        self.path = path
        self.columns: dict[str, pa.ChunkedArray] = {}
        self._header_lines = header_lines
        for given, column in zip(table.column_names, table.columns, strict=True):
            name = _ALSO_CALLED.get(given.strip().lower(), given.strip().lower())
            if name in self.columns:
                raise self.refused(f"two columns are its {name}", "Keep one of them.")
            self.columns[name] = column
        self.count = table.num_rows

    def refused(self, what: str, remedy: str, row: int | None = None) -> InvalidInput:
        where = str(self.path) if row is None else f"{self.path}, row {row + self._header_lines + 1}"
        return InvalidInput(what, where=where, remedy=remedy)

    def column(self, name: str) -> pa.ChunkedArray:
        if name not in self.columns:
            raise self.refused(
                f"it has no column {name!r}, only {', '.join(self.columns) or 'none'}",
                "Name the columns timestamp, open, high, low, close, volume, and symbol or --symbol.",
            )
        column = self.columns[name]
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise self.refused(f"{name} is empty", "Give a value in every row.", row)
        return column

    def numbers(self, name: str) -> Floats:
        column = self.column(name)
        try:
            return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
        except pa.ArrowInvalid:
            for row, value in enumerate(column.to_pylist()):
                try:
                    float(value)
                except ValueError:
                    raise self.refused(f"{name} {value!r} is no number", "Correct it.", row) from None
            raise


def read_bars(
    path: Path,
    interval: Interval,
    *,
    stamps: Stamps,
    adjusted: bool,
    symbol: str | None = None,
    zone: str | None = None,
) -> BarFile:
    """The bars of a file that ends in .csv or .parquet.

    adjusted: prices are adjusted for splits and dividends. The history keeps prices as they traded, so the
              file must have `raw_close` to recover them; for daily bars only
    symbol:   of a file without a symbol column
    zone:     IANA name of the zone of times that state none

    Raises InvalidInput that names file and row for whatever cannot be right, and then takes nothing.
    """
    rows = _read(path)
    if rows.count == 0:
        raise rows.refused("it holds no bars", "Give a file with a header and at least one row.")
    if adjusted and interval is not Interval.DAY:
        raise rows.refused(
            "adjusted minute bars cannot be taken back to what traded", "Give raw prices: --adjusted no."
        )
    symbols = _symbols(rows, symbol)
    starts, days, inside = _times(rows, interval, stamps, _zone(rows, zone))
    volume = rows.numbers("volume")
    prices = {name: rows.numbers(name) for name in PRICES}
    _refuse_impossible(rows, prices, volume)
    traded = _raw(rows, prices) if adjusted else prices
    bars, actions, missing = {}, {}, {}
    for name in sorted(set(symbols)):
        index = np.flatnonzero((symbols == name) & inside)
        index = index[np.argsort(starts[index], kind="stable")]
        again = np.flatnonzero(np.diff(starts[index]) == 0)
        if len(again):
            raise rows.refused(
                f"{name} has a second bar at the same time", "Keep one of them.", int(index[again[0] + 1])
            )
        of_symbol = [date.fromordinal(day) for day in days[index].tolist()]
        if interval is Interval.DAY:
            open_ns, close_ns = Sessions().hours(of_symbol)
        else:
            open_ns, close_ns = starts[index], starts[index] + MINUTE_NS
        of_price = (traded[price][index] for price in PRICES)
        bars[name] = Bars._make((open_ns, close_ns, *of_price, volume[index]))
        actions[name] = _actions(rows, name, of_symbol, index, prices, adjusted, interval)
        if of_symbol:
            missing[name] = len(Sessions().between(of_symbol[0], of_symbol[-1])) - len(set(of_symbol))
    return BarFile(interval, bars, actions, int(rows.count - inside.sum()), missing)


def _read(path: Path) -> _Rows:
    try:
        if path.suffix.lower() == ".csv":
            names = pyarrow.csv.open_csv(path).schema.names
            convert = pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            return _Rows(path, pyarrow.csv.read_csv(path, convert_options=convert), header_lines=1)
        if path.suffix.lower() == ".parquet":
            return _Rows(path, pyarrow.parquet.read_table(path), header_lines=0)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"cannot be read: {error}", where=str(path), remedy="Give a CSV file with a header, or Parquet."
        ) from error
    raise InvalidInput(
        f"its name ends in {path.suffix or 'nothing'!r}",
        where=str(path),
        remedy="Give a .csv or .parquet file.",
    )


def _symbols(rows: _Rows, given: str | None) -> NDArray[np.str_]:
    if given is not None and "symbol" in rows.columns:
        raise rows.refused("it has a symbol column, and --symbol is given", "Leave out --symbol.")
    names = [given] * rows.count if given is not None else rows.column("symbol").to_pylist()
    for row, name in enumerate(names):
        if not _SYMBOL.fullmatch(str(name)):
            raise rows.refused(f"{name!r} is no ticker in capitals", "Write such as AAPL or BRK.B.", row)
    return np.array(names, dtype=np.str_)


def _zone(rows: _Rows, name: str | None) -> tzinfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise rows.refused(f"{name!r} is no time zone", "Name one such as America/New_York.") from None


def _times(
    rows: _Rows, interval: Interval, stamps: Stamps, zone: tzinfo | None
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Starts in ns, the session's ordinal, and whether the bar lies in regular hours, each of shape (n,)."""
    moments = rows.column("timestamp").to_pylist()
    sessions = Sessions()
    starts, days = np.empty(rows.count, dtype=np.int64), np.empty(rows.count, dtype=np.int64)
    inside = np.ones(rows.count, dtype=np.bool_)
    hours: dict[date, tuple[int, int]] = {}
    for row, given in enumerate(moments):
        moment = _moment(rows, row, given)
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                if zone is None:
                    raise rows.refused(
                        f"{given} has no time zone",
                        "Write it with one (2012-09-11T13:30:00Z), or name the file's with --zone.",
                        row,
                    )
                moment = moment.replace(tzinfo=zone)
            at_ns = ns_of(moment)
            if interval is Interval.MINUTE:
                at_ns -= MINUTE_NS if stamps is Stamps.END else 0
            else:
                at_ns -= 1 if stamps is Stamps.END else 0
            day = sessions.new_york_date(at_ns)
        elif interval is Interval.MINUTE:
            raise rows.refused(f"{given} is no time of day", "Minute bars need a time and its zone.", row)
        else:
            at_ns, day = 0, moment
        if day not in hours:
            if not sessions.is_session(day):
                raise rows.refused(f"{day} ({day:%A}) is no XNYS session", "Leave the row out.", row)
            hours[day] = sessions.open_ns(day), sessions.close_ns(day)
        open_ns, close_ns = hours[day]
        if interval is Interval.DAY:
            at_ns = open_ns
        elif at_ns % MINUTE_NS:
            raise rows.refused(f"{given} is no whole minute", "Give one-minute bars.", row)
        starts[row], days[row], inside[row] = at_ns, day.toordinal(), open_ns <= at_ns < close_ns
    return starts, days, inside


def _moment(rows: _Rows, row: int, given: Any) -> date | datetime:
    if isinstance(given, date):  # a datetime is one too
        return given
    try:
        return date.fromisoformat(given) if len(given) <= 10 else datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise rows.refused(
            f"timestamp {given!r} is no date or time",
            "Write ISO 8601: 2012-09-11 or 2012-09-11T13:30:00Z.",
            row,
        ) from None


def _refuse_impossible(rows: _Rows, prices: Mapping[str, Floats], volume: Floats) -> None:
    stacked = np.array([prices[name] for name in PRICES])
    with np.errstate(invalid="ignore"):
        faults = {
            "a price is not a positive finite number": ~(np.isfinite(stacked) & (stacked > 0)).all(axis=0),
            "the volume is negative or not finite": ~(np.isfinite(volume) & (volume >= 0)),
            "open, low or close lies above high": (stacked > prices["high"]).any(axis=0),
            "open, high or close lies below low": (stacked < prices["low"]).any(axis=0),
        }
    for what, wrong in faults.items():
        if wrong.any():
            others = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
            raise rows.refused(f"{what}{others}", "Correct the file; nothing was taken.", int(wrong.argmax()))


def _raw(rows: _Rows, prices: Mapping[str, Floats]) -> dict[str, Floats]:
    """Adjusted prices taken back to what traded, by the ratio of raw to adjusted close."""
    if "raw_close" not in rows.columns:
        raise rows.refused(
            "adjusted prices without a raw_close column",
            "The history keeps prices as they traded: give those (--adjusted no), or add raw_close.",
        )
    raw_close = rows.numbers("raw_close")
    wrong = ~(np.isfinite(raw_close) & (raw_close > 0))
    if wrong.any():
        raise rows.refused("raw_close is no price", "Correct it.", int(wrong.argmax()))
    factor = raw_close / prices["close"]
    return {name: np.round(prices[name] * factor, _PRICE_DECIMALS) for name in PRICES}


def _actions(
    rows: _Rows,
    symbol: str,
    days: list[date],
    index: Ints,
    prices: Mapping[str, Floats],
    adjusted: bool,
    interval: Interval,
) -> tuple[CorporateAction, ...]:
    """Splits and dividends: as the columns say, else as adjusted prices imply."""
    if interval is not Interval.DAY:
        return ()
    if "split_ratio" in rows.columns or "cash_usd" in rows.columns:
        ratios = rows.numbers("split_ratio") if "split_ratio" in rows.columns else np.ones(rows.count)
        cash = rows.numbers("cash_usd") if "cash_usd" in rows.columns else np.zeros(rows.count)
        wrong = ~(np.isfinite(ratios) & (ratios > 0) & np.isfinite(cash) & (cash >= 0))
        if wrong.any():
            raise rows.refused(
                "a split ratio is not above zero, or a dividend is negative",
                "Write 1 and 0 where there is none.",
                int(wrong.argmax()),
            )
        return tuple(
            CorporateAction(symbol, day, float(ratios[row]), float(cash[row]))
            for day, row in zip(days, index.tolist(), strict=True)
            if ratios[row] != 1.0 or cash[row] != 0.0
        )
    if not adjusted:
        return ()
    try:
        return recovered_actions(symbol, days, rows.numbers("raw_close")[index], prices["close"][index])
    except InvalidInput as error:
        raise rows.refused(
            f"{error.where}: {error.what}", "Give split_ratio and cash_usd columns beside raw_close."
        ) from error
