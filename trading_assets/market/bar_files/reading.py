"""Bars from a person's own file: read whole and checked whole; a row that cannot be right is named.

What is read are raw prices and bars stamped with their start; how the file says it (stamps at the end,
adjusted prices, a zone, a vendor's names) ends here. Nothing is mended and nothing is stored here. What
vendors call their columns is in `shapes.py`, how a stamp is read in `times.py`, and which readings fit a file
badly in `doubts.py`, and what is wrong with a row by itself in `row_faults.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.adjusted import Adjusted, actions_of, later_splits
from trading_assets.market.bar_files.doubts import refuse_doubtful, shifted_minutes
from trading_assets.market.bar_files.row_faults import Broken, first_of_each, price_faults
from trading_assets.market.bar_files.shapes import TICKER_PREFIXES, TICKER_SUFFIXES, Shape, Stamps
from trading_assets.market.bar_files.table import BarTable, read_table
from trading_assets.market.bar_files.times import BarTimes, read_times
from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.quarantine.rules import BarRule, Fault, OnDefect, are_too_many
from trading_assets.market.quarantine.series import Findings
from trading_assets.market.sessions import MINUTE_NS, Sessions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,5}(\.[A-Z]{1,2})?")
_PRICE_DECIMALS = 6  # a raw price recovered from an adjusted one


@dataclass(frozen=True)
class BarFile:
    """A file's bars: raw, in regular hours, ascending by symbol and start; daily ones from open to close."""

    interval: Interval
    symbols: tuple[str, ...]  # ascending; also one whose rows all lie outside regular hours
    path: Path
    number: NDArray[np.int32]  # of each bar's symbol in `symbols`, of shape (n,)
    line: NDArray[np.int32]  # of each bar: its row in the file, the header counted
    day: Ints  # of each bar: its session's date.toordinal()
    rows: Bars  # all symbols' together
    actions: Mapping[str, tuple[CorporateAction, ...]]
    tells_actions: bool  # it says of each of its days whether there was a split or a dividend
    faults: tuple[Fault, ...]  # rows that cannot be right, and actions, left out
    findings: tuple[Findings, ...]  # what is doubtful and kept
    rows_wanted: int  # of the days that were asked for
    outside_hours: int  # minute bars before the open or after the close, left out
    left_out: int  # rows of days that were not asked for
    missing_sessions: Mapping[str, int]  # sessions between a symbol's first and last without a bar
    shape: Shape
    zone: str  # where the times of day come from, for a person
    stamps: Stamps
    ticker_affix: str  # what was left out of every ticker: a vendor's prefix or suffix
    other_tickers: tuple[str, ...]  # a vendor's names of warrants and the like, whose rows are left out
    unread: tuple[str, ...]  # columns, as the file names them

    @property
    def count(self) -> int:
        return len(self.day)

    @cached_property
    def bars(self) -> Mapping[str, Bars]:
        """By symbol."""
        ends = np.searchsorted(self.number, np.arange(len(self.symbols) + 1))
        return {
            symbol: Bars._make(column[ends[i] : ends[i + 1]] for column in self.rows)
            for i, symbol in enumerate(self.symbols)
        }

    @property
    def days(self) -> tuple[date, date] | None:
        """The first and the last session with a bar; None: there is no bar."""
        if not self.count:
            return None
        return date.fromordinal(int(self.day.min())), date.fromordinal(int(self.day.max()))


def read_bars(
    path: Path,
    interval: Interval,
    *,
    stamps: Stamps | None = None,
    adjusted: Adjusted = Adjusted.NO,
    symbol: str | None = None,
    named_after: str | None = None,
    zone: str | None = None,
    on_defect: OnDefect = OnDefect.REFUSE,
    first: date | None = None,
    last: date | None = None,
) -> BarFile:
    """The bars of a file that ends in .csv, .txt or .parquet.

    stamps:   what they mark; None: as the file's shape has it
    adjusted: what the prices are adjusted for. The history keeps prices as they traded: `raw_close` must be
              there to go back to them, or for `split` the splits' column, of which the volume then counts
              shares of today; for daily bars only
    symbol:   of a file without a symbol column
    named_after: the symbol that the file's name says, for one that has no such column and is given none
    zone:     IANA name of the zone of times that state none; None: as the file's shape has it
    on_defect: what becomes of the file when a row of it cannot be right
    first, last: rows of other days are left out

    Raises InvalidInput that names file and row for whatever refuses it: nothing of it is taken then.
    """
    table, others = _with_tickers(read_table(path))
    if adjusted is not Adjusted.NO and interval is not Interval.DAY:
        raise table.refused(
            "adjusted minute bars cannot be taken back to what traded", "Give raw prices: --adjusted no."
        )
    marked = _stamps(table, interval, stamps)
    symbols, row_number, affix = _symbols(table, symbol, named_after)
    times = read_times(table, interval, marked, zone, first, last)
    volume = table.values("volume")
    prices = {name: table.prices(name) for name in PRICES}
    empty = table.is_empty((*PRICES, "volume"))
    refuse_doubtful(table, interval, zone, row_number, times)
    faults, order, number = _sound(
        table, symbols, row_number, times, price_faults(prices, volume, empty), interval, on_defect
    )
    rows = times.rows[order]
    if interval is Interval.DAY:
        open_ns, close_ns = _hours(times.day[order])
    else:
        open_ns, close_ns = times.start_ns[order], times.start_ns[order] + MINUTE_NS
    days = times.day[order]
    stated = _stated(table, symbols, row_number, times) if interval is Interval.DAY else {}
    given = Bars._make((open_ns, close_ns, *(prices[name][rows] for name in PRICES), volume[rows]))
    traded = (
        given if adjusted is Adjusted.NO else _as_traded(table, adjusted, number, days, rows, stated, given)
    )
    return BarFile(
        interval=interval,
        symbols=symbols,
        path=path,
        number=number,
        line=table.lines(rows),
        day=days,
        rows=traded,
        actions=_actions(table, symbols, number, days, rows, given, stated, adjusted, interval),
        tells_actions=interval is Interval.DAY and _tells_actions(table, adjusted),
        faults=faults,
        findings=(),
        rows_wanted=len(times.rows) + len(times.closed),
        outside_hours=int((~times.inside).sum()),
        left_out=times.left_out,
        missing_sessions=_missing(symbols, number, days),
        shape=table.shape,
        zone=times.zone,
        stamps=marked,
        ticker_affix=affix,
        other_tickers=others,
        unread=table.unread,
    )


def _tells_actions(table: BarTable, adjusted: Adjusted) -> bool:
    """Whether both columns are there, or prices are adjusted for both."""
    columns = {"split_ratio", "cash_usd"}
    return columns <= table.columns.keys() or not (
        adjusted in (Adjusted.NO, Adjusted.SPLIT) or columns & table.columns.keys()
    )


def _stamps(table: BarTable, interval: Interval, given: Stamps | None) -> Stamps:
    marked = given or table.shape.stamps or (Stamps.START if interval is Interval.DAY else None)
    if marked is None:
        raise table.refused(
            "nothing says whether its stamps mark the start or the end of a minute",
            "Say --stamps start or --stamps end.",
        )
    return marked


def _with_tickers(table: BarTable) -> tuple[BarTable, tuple[str, ...]]:
    """Of a vendor that lists everything that trades the rows of what this desk can trade, and the other
    names."""
    if not table.shape.lists_all or "symbol" not in table.columns:
        return table, ()
    encoded = table.column("symbol").cast(pa.string()).combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    fits = np.array([_SYMBOL.fullmatch(name) is not None for name in names], np.bool_)
    if fits.all() or not fits.any():
        return table, ()
    others = tuple(sorted(name for name, fit in zip(names, fits, strict=True) if not fit))
    return table.only(fits[encoded.indices.to_numpy(zero_copy_only=False)]), others


def _symbols(
    table: BarTable, given: str | None, named_after: str | None
) -> tuple[tuple[str, ...], NDArray[np.int32], str]:
    """The tickers, ascending, the number of each row's, and what was left out of all of them."""
    if given is not None and "symbol" in table.columns:
        raise table.refused("it has a symbol column, and --symbol is given", "Leave out --symbol.")
    if given is None and "symbol" not in table.columns:
        given = named_after
    if given is not None:
        names, of_row = [given], np.zeros(table.rows, np.int64)
    else:
        encoded = table.column("symbol").cast(pa.string()).combine_chunks().dictionary_encode()
        names = [name.strip() for name in encoded.dictionary.to_pylist()]
        of_row = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    names, affix = _bare(names)
    for number, name in enumerate(names):
        if not _SYMBOL.fullmatch(name):
            row = int(np.flatnonzero(of_row == number)[0])
            raise table.refused(f"{name!r} is no ticker in capitals", "Write such as AAPL or BRK.B.", row)
    symbols = tuple(sorted(set(names)))
    place = {name: np.int32(number) for number, name in enumerate(symbols)}
    return symbols, np.array([place[name] for name in names], np.int32)[of_row], affix


def _bare(names: Sequence[str]) -> tuple[list[str], str]:
    """Tickers without a market's prefix or suffix that all of them have."""
    for prefix in TICKER_PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return [name[len(prefix) :] for name in names], prefix
    for suffix in TICKER_SUFFIXES:
        if all(name.endswith(suffix) for name in names):
            return [name[: -len(suffix)] for name in names], suffix
    return list(names), ""


def _sound(
    table: BarTable,
    symbols: Sequence[str],
    number: NDArray[np.int32],
    times: BarTimes,
    broken: list[Broken],
    interval: Interval,
    on_defect: OnDefect,
) -> tuple[tuple[Fault, ...], Ints, NDArray[np.int32]]:
    """The rows that cannot be right; of the others in regular hours their places among the times' rows,
    ascending by symbol and start, and their symbols' numbers. Raises InvalidInput for a refused file."""
    day = np.zeros(table.rows, np.int64)
    day[times.rows], day[times.closed] = times.day, times.closed_day
    requested = np.zeros(table.rows, np.bool_)
    requested[times.rows] = requested[times.closed] = True
    nothing = np.broadcast_to(np.nan, table.rows)
    closed = np.zeros(table.rows, np.bool_)
    closed[times.closed] = True
    broken = [*broken, Broken(BarRule.NOT_A_SESSION, closed, nothing, nothing)]
    if interval is Interval.MINUTE and len(times.rows):
        shifted = shifted_minutes(number[times.rows], len(symbols), times)
        if shifted.any():
            off = np.zeros(table.rows)
            off[times.rows] = shifted[number[times.rows]]
            broken.append(Broken(BarRule.SHIFTED_BARS, off != 0.0, off, np.broadcast_to(0.0, table.rows)))
    wrong = np.logical_or.reduce([one.wrong for one in broken])
    order = np.lexsort((times.start_ns, number[times.rows]))
    order = order[times.inside[order] & ~wrong[times.rows[order]]]
    of_symbol, start = number[times.rows[order]], times.start_ns[order]
    again = np.zeros(len(order), np.bool_)
    again[1:] = (np.diff(of_symbol) == 0) & (np.diff(start) == 0)
    second = np.zeros(table.rows, np.bool_)
    second[times.rows[order[again]]] = True
    broken.append(Broken(BarRule.SECOND_BAR, second, nothing, nothing))
    first = first_of_each(broken, table.rows)
    rows = np.flatnonzero((first >= 0) & requested)
    faults = tuple(
        Fault(
            symbols[number[row]],
            date.fromordinal(int(day[row])),
            broken[first[row]].rule,
            float(broken[first[row]].measured[row]),
            float(broken[first[row]].limit[row]),
            table.line(row),
        )
        for row in rows.tolist()
    )
    if faults and (on_defect is OnDefect.REFUSE or are_too_many(len(faults), int(requested.sum()))):
        others = (
            f" ({len(faults)} of its {int(requested.sum())} rows cannot be right)" if len(faults) > 1 else ""
        )
        one = faults[0]
        raise table.refused(
            f"{one.symbol} {one.session} ({one.session:%A}): {one.rule}{others}",
            "Correct the file; nothing of it was taken.",
            int(rows[0]),
        )
    return faults, order[~again], of_symbol[~again]


def _hours(day: Ints) -> tuple[Ints, Ints]:
    """Opens and closes of the sessions of n bars."""
    distinct, of_bar = np.unique(day, return_inverse=True)
    open_ns, close_ns = Sessions().hours([date.fromordinal(int(one)) for one in distinct])
    return open_ns[of_bar], close_ns[of_bar]


def _missing(symbols: Sequence[str], number: NDArray[np.int32], day: Ints) -> dict[str, int]:
    """Of each symbol that has a bar: sessions between its first and its last without one."""
    if not len(day):
        return {}
    sessions = Sessions().between(date.fromordinal(int(day.min())), date.fromordinal(int(day.max())))
    place = np.searchsorted(np.array([one.toordinal() for one in sessions]), day)
    ends = np.searchsorted(number, np.arange(len(symbols) + 1))
    return {
        symbol: int(place[b - 1] - place[a] + 1 - (1 + np.count_nonzero(np.diff(place[a:b]))))
        for symbol, a, b in zip(symbols, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        if b > a
    }


def _as_traded(
    table: BarTable,
    adjusted: Adjusted,
    number: NDArray[np.int32],
    day: Ints,
    rows: Ints,
    stated: Mapping[int, Sequence[_Stated]],
    given: Bars,
) -> Bars:
    """Adjusted prices taken back to what traded: by raw over adjusted close, else by the splits."""
    volume = given.volume
    if "raw_close" in table.columns:
        raw_close = table.numbers("raw_close")[rows]
        wrong = ~(np.isfinite(raw_close) & (raw_close > 0))
        if wrong.any():
            raise table.refused("raw_close is no price", "Correct it.", int(rows[wrong.argmax()]))
        factor = raw_close / given.close
    elif adjusted is Adjusted.SPLIT and "split_ratio" in table.columns:
        factor = np.ones(len(rows))
        for a, b in _spans(number):
            factor[a:b] = _later(stated.get(int(number[a]), ()), day[a:b])
        volume = volume / factor
    else:
        raise table.refused(
            "adjusted prices without a raw_close column",
            "The history keeps prices as they traded: give those (--adjusted no), or add raw_close.",
        )
    prices = (np.round(getattr(given, name) * factor, _PRICE_DECIMALS) for name in PRICES)
    return Bars._make((given.start_ns, given.end_ns, *prices, volume))


def _spans(number: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Where each symbol's bars begin and end, of numbers in ascending order."""
    begins = np.flatnonzero(np.diff(number, prepend=-1)).tolist()
    return list(zip(begins, [*begins[1:], len(number)], strict=True))


class _Stated(NamedTuple):
    """What the columns say of one day: in any of its rows, asked for or not, right or not."""

    day: int
    requested: bool
    split_ratio: float  # 1: none
    cash_usd: float  # 0: none


def _later(stated: Sequence[_Stated], day: Ints) -> Floats:
    """The product of the splits after each of these days."""
    splits = [one for one in stated if one.split_ratio != 1.0]
    return later_splits(
        day,
        np.array([one.day for one in splits], np.int64),
        np.array([one.split_ratio for one in splits], np.float64),
    )


def _actions(
    table: BarTable,
    symbols: Sequence[str],
    number: NDArray[np.int32],
    day: Ints,
    rows: Ints,
    given: Bars,
    stated: Mapping[int, Sequence[_Stated]],
    adjusted: Adjusted,
    interval: Interval,
) -> dict[str, tuple[CorporateAction, ...]]:
    """Splits and dividends by symbol: as the columns say, else as adjusted prices imply."""
    actions: dict[str, list[CorporateAction]] = {symbol: [] for symbol in symbols}
    if interval is not Interval.DAY:
        return dict.fromkeys(symbols, ())
    if table.columns.keys() & {"split_ratio", "cash_usd"}:
        of_today = adjusted is Adjusted.SPLIT and "raw_close" not in table.columns
        for of_symbol, days_said in stated.items():
            symbol = symbols[of_symbol]
            later = _later(days_said, np.array([one.day for one in days_said], np.int64)).tolist()
            for one, factor in zip(days_said, later, strict=True):
                if one.requested:  # of a vendor that adjusts for splits the dividends are today's shares' too
                    cash = one.cash_usd * (one.split_ratio * factor if of_today else 1.0)
                    ex_date = date.fromordinal(one.day)
                    actions[symbol].append(CorporateAction(symbol, ex_date, one.split_ratio, cash))
    elif adjusted is not Adjusted.NO:
        raw_close = table.numbers("raw_close")[rows]
        for a, b in _spans(number):
            symbol = symbols[number[a]]
            days = [date.fromordinal(int(one)) for one in day[a:b]]
            try:
                actions[symbol] += actions_of(symbol, days, raw_close[a:b], given.close[a:b], adjusted)
            except InvalidInput as error:
                raise table.refused(f"{error.where}: {error.what}", error.remedy) from error
    return {symbol: tuple(of_symbol) for symbol, of_symbol in actions.items()}


def _stated(
    table: BarTable, symbols: Sequence[str], number: NDArray[np.int32], times: BarTimes
) -> dict[int, list[_Stated]]:
    """The splits and dividends of the columns by symbol's number, ascending by day; those of several
    rows of one day count once. A vendor's empty value is none; so is the split of 0 that some write. Raises
    InvalidInput."""
    theirs = table.shape.told_by
    ratios = np.ones(table.rows)
    if "split_ratio" in table.columns:
        ratios = table.numbers("split_ratio", empty=1.0 if theirs else None)
        if table.shape.zero_is_no_split:
            ratios = np.where(ratios == 0.0, 1.0, ratios)
    cash = np.zeros(table.rows)
    if "cash_usd" in table.columns:
        cash = table.numbers("cash_usd", empty=0.0 if theirs else None)
    wrong = ~(np.isfinite(ratios) & (ratios > 0) & np.isfinite(cash) & (cash >= 0))
    if wrong.any():
        raise table.refused(
            "a split ratio is not above zero, or a dividend is negative",
            "Write 1 and 0 where there is none.",
            int(wrong.argmax()),
        )
    rows = np.flatnonzero((ratios != 1.0) | (cash != 0.0))
    stated: dict[int, dict[int, _Stated]] = {}
    for row in rows[np.lexsort((times.row_day[rows], number[rows]))].tolist():
        day, split, paid = int(times.row_day[row]), float(ratios[row]), float(cash[row])
        of_symbol = stated.setdefault(int(number[row]), {})
        held = of_symbol.get(day, _Stated(day, bool(times.requested[row]), 1.0, 0.0))
        if (split != 1.0 != held.split_ratio != split) or (paid and held.cash_usd and paid != held.cash_usd):
            raise table.refused(
                f"{symbols[number[row]]} {date.fromordinal(day)}: its split or dividend is another than in "
                "another row of that day",
                "Keep one row for each symbol and day.",
                row,
            )
        of_symbol[day] = _Stated(
            day, held.requested, held.split_ratio if split == 1.0 else split, paid or held.cash_usd
        )
    return {symbol: list(of_symbol.values()) for symbol, of_symbol in stated.items()}
