"""The history's bars and corporate actions: every statement that reads or writes these two tables.

Rows are versions: a decision at a tick uses the newest version that was available and received by then. The
engine decides what to fetch from a broker, and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.minute_order import NumberedBars, ascend
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.duckdb_files import one_thread
from trading_assets.store.history import History

ROWS_OF_A_PART = 500_000
_ACTION_COLUMNS = pa.schema(
    [
        ("symbol", pa.string()),
        ("ex_date", pa.date32()),
        ("split_ratio", pa.float64()),
        ("cash_usd", pa.float64()),
        ("received_at_ns", pa.int64()),
        ("source", pa.string()),
    ]
)
_BAR_COLUMNS = pa.schema(
    [
        ("symbol", pa.string()),
        ("interval", pa.string()),
        ("session", pa.date32()),
        *((name, pa.int64()) for name in ("start_ns", "available_at_ns", "received_at_ns")),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
        ("source", pa.string()),
        ("derived", pa.bool_()),
        ("version", pa.int32()),
    ]
)
_FAULT_COLUMNS = pa.schema(
    [
        ("symbol", pa.string()),
        ("session", pa.date32()),
        ("interval", pa.string()),
        ("rule", pa.string()),
        ("measured", pa.float64()),
        ("limit", pa.float64()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("received_at_ns", pa.int64()),
    ]
)
VALUES = ("open", "high", "low", "close", "volume")

# Of each bar the newest version comes first: telling them apart by rank would cost as much as the reading.
_NEWEST = """
SELECT symbol, start_ns, available_at_ns, open, high, low, close, volume
FROM bars
WHERE symbol IN (SELECT unnest(?)) AND "interval" = ?
  AND start_ns >= ? AND available_at_ns <= ? AND received_at_ns <= ?
ORDER BY symbol, start_ns, version DESC, received_at_ns DESC
"""
# Many rows: neither sorted nor told apart by version here, which costs several times the reading.
_MANY = """
SELECT coalesce(list_position(?, symbol), 0)::INTEGER - 1 AS number, start_ns, available_at_ns,
       open, high, low, close, volume
FROM bars WHERE "interval" = ? AND start_ns >= ? AND start_ns < ? AND received_at_ns <= ?
"""
_VERSIONS = """
SELECT symbol, start_ns, available_at_ns, received_at_ns, version, open, high, low, close, volume
FROM bars WHERE "interval" = ? AND start_ns >= ? AND start_ns < ? AND received_at_ns <= ?
"""
_MINUTES_DIGEST = """
SELECT
    count(*) || ' ' || coalesce(sum(hash(symbol, start_ns, version, open, high, low, close, volume)), 0)
    AS digest
FROM bars
WHERE "interval" = '1m' AND session BETWEEN ? AND ? AND received_at_ns <= ? AND list_contains(?, symbol)
"""
_LAST_RECEIPT = "SELECT coalesce(max(received_at_ns), 0) AS newest FROM bars"
# Derived bars know their future: they are never trained on.
_RECORDED = """
SELECT symbol, start_ns, available_at_ns, open, high, low, close, volume, source
FROM bars
WHERE list_contains(?, symbol) AND "interval" = '1d' AND NOT derived AND session BETWEEN ? AND ?
  AND available_at_ns <= ? AND received_at_ns <= ?
QUALIFY row_number() OVER (PARTITION BY symbol, session ORDER BY version DESC, received_at_ns DESC) = 1
ORDER BY symbol, session
"""
_RECORDED_SYMBOLS = """
SELECT DISTINCT symbol FROM bars
WHERE "interval" = '1d' AND NOT derived AND session BETWEEN ? AND ? ORDER BY symbol
"""
_FRESH = """
SELECT incoming.place, coalesce(stored.version, 0) + 1 AS version, stored.held IS NOT NULL AS is_revised
FROM incoming LEFT JOIN (
    SELECT symbol, "interval", start_ns, max(version) AS version,
           arg_max([open, high, low, close, volume], version) FILTER (WHERE received_at_ns <= ?) AS held
    FROM bars WHERE symbol IN (SELECT symbol FROM incoming) AND start_ns BETWEEN ? AND ?
    GROUP BY symbol, "interval", start_ns
) AS stored USING (symbol, "interval", start_ns)
WHERE stored.held IS DISTINCT FROM
      [incoming.open, incoming.high, incoming.low, incoming.close, incoming.volume]
ORDER BY place
"""
_LAST_START = """
SELECT symbol, max(start_ns) AS newest FROM bars
WHERE "interval" = ? AND start_ns >= ? AND available_at_ns <= ? AND received_at_ns <= ? GROUP BY symbol
"""
_HELD = """
SELECT symbol, count(DISTINCT start_ns) AS bars, arg_max(close, start_ns) AS last_close
FROM bars WHERE "interval" = '1m' AND start_ns >= ? AND available_at_ns <= ? GROUP BY symbol
"""
# What one source gave last of each ex-date, which may be a split and a dividend: of the sources that say
# something still, the one that was received last, of those at one moment the one that was stored last. An
# action counts once, whoever brings it; a row of no split and no dividend takes back what its source said.
_ACTIONS = """
SELECT symbol, ex_date, split_ratio, cash_usd FROM (
    SELECT *, rowid AS place FROM corporate_actions
    WHERE symbol IN (SELECT unnest(?)) AND ex_date <= ? AND received_at_ns <= ?
      AND NOT list_contains(?, source)
    QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY symbol, ex_date, source)
)
WHERE split_ratio <> 1.0 OR cash_usd <> 0.0
QUALIFY source = first_value(source) OVER (
    PARTITION BY symbol, ex_date ORDER BY received_at_ns DESC, place DESC
)
ORDER BY symbol, ex_date, split_ratio DESC, cash_usd
"""
_STORED_ACTIONS = """
SELECT DISTINCT symbol, ex_date FROM (
    SELECT * FROM corporate_actions
    WHERE source = ? AND list_contains(?, symbol) AND ex_date BETWEEN ? AND ?
    QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY symbol, ex_date)
)
WHERE split_ratio <> 1.0 OR cash_usd <> 0.0
"""
_OF_SOURCE = """
SELECT symbol, ex_date, split_ratio, cash_usd FROM corporate_actions WHERE source = ?
QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY symbol, ex_date)
"""


_APPEND_BARS = """
INSERT INTO bars BY NAME
SELECT incoming.*, coalesce(stored.version, 0) + 1 AS version
FROM incoming LEFT JOIN (
    SELECT symbol, "interval", start_ns, max(version) AS version,
           arg_max([open, high, low, close, volume], version) AS held
    FROM bars
    WHERE symbol IN (SELECT symbol FROM incoming) AND "interval" IN (SELECT "interval" FROM incoming)
      AND start_ns BETWEEN (SELECT min(start_ns) FROM incoming) AND (SELECT max(start_ns) FROM incoming)
    GROUP BY symbol, "interval", start_ns
) AS stored USING (symbol, "interval", start_ns)
WHERE stored.held IS DISTINCT FROM
      [incoming.open, incoming.high, incoming.low, incoming.close, incoming.volume]
"""
# Of one moment only the last word counts.
_DROP_ACTIONS = """
DELETE FROM corporate_actions AS held USING incoming
WHERE held.symbol = incoming.symbol AND held.ex_date = incoming.ex_date
  AND held.source = incoming.source AND held.received_at_ns = incoming.received_at_ns
"""
_APPEND_ACTIONS = """
INSERT INTO corporate_actions BY NAME
SELECT incoming.*
FROM incoming ANTI JOIN corporate_actions USING (symbol, ex_date, split_ratio, cash_usd, source)
"""


_FORGET = "DELETE FROM corporate_actions WHERE source = ? AND symbol = ? AND ex_date = ?"
_DROP_FAULTS = "DELETE FROM bars_quarantine WHERE file = ? AND list_contains(?, symbol)"
_SOURCES = """
SELECT source, "interval", count(DISTINCT symbol) AS symbols, count(*) AS bars, min(session) AS "first",
       max(session) AS "last"
FROM bars WHERE NOT derived GROUP BY source, "interval" ORDER BY source, "interval"
"""


class StoredBar(NamedTuple):
    """One version of one bar, as a row of the table."""

    symbol: str
    interval: str
    session: date
    start_ns: int
    available_at_ns: int
    received_at_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str
    derived: bool
    version: int = 1


def append_versions(history: History, bars: Sequence[StoredBar]) -> tuple[list[StoredBar], int]:
    """Append bars that are new, and those that differ from the newest version that had been stored when they
    were received, as the next version. What was stored with a later receipt does not count: a venue whose
    time is virtual may bring what a person imported in the world's time.

    Returns what was appended and how much of it was a revision. Doing it again appends nothing.
    """
    if not bars:
        return [], 0
    columns = [list(column) for column in zip(*bars, strict=True)]
    incoming = pa.table(columns, schema=_BAR_COLUMNS)
    starts, received_ns = incoming["start_ns"], max(bar.received_at_ns for bar in bars)
    span = pc.min_max(starts).as_py()
    with history.writing() as connection:
        connection.register("incoming", incoming.append_column("place", pa.array(range(len(bars)))))
        changed = connection.execute(_FRESH, [received_ns, span["min"], span["max"]]).to_arrow_table()
        connection.unregister("incoming")
        if changed.num_rows:
            fresh = incoming.take(changed["place"]).drop_columns("version")
            fresh = fresh.append_column("version", changed["version"].cast(pa.int32()))
            connection.register("incoming", fresh)
            connection.execute("INSERT INTO bars BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")
    versions = zip(changed["place"].to_pylist(), changed["version"].to_pylist(), strict=True)
    return (
        [
            bars[place] if version == 1 else bars[place]._replace(version=version)
            for place, version in versions
        ],
        sum(changed["is_revised"].to_pylist()),
    )


class FileRows(NamedTuple):
    """What an import of one file stores."""

    source: str
    symbols: Sequence[str]
    bars: pa.Table  # every column of the table but version
    actions: Sequence[CorporateAction]
    described: (
        tuple[date, date] | None
    )  # the days of which it says every split and dividend; None: it does not
    faults: Sequence[Mapping[str, Any]]  # every column of `bars_quarantine`


class Appended(NamedTuple):
    """bars: new, or different from the newest version stored. withdrawn: splits and dividends that a file
    said before, and does not say any more."""

    bars: int
    withdrawn: int


def append_files(history: History, files: Sequence[FileRows], *, received_ns: int | None) -> Appended:
    """Append the files' bars and corporate actions in one transaction; the rows in quarantine take the place
    of what the same file had there of these symbols. Doing it again appends nothing.

    received_ns: of the actions; None: the morning of their ex-dates, and what is withdrawn was never there
    """
    bars = pa.concat_tables([file.bars for file in files])
    with history.writing() as connection:
        appended = withdrawn = 0
        for begin in range(0, bars.num_rows, ROWS_OF_A_PART):  # less memory than all at once
            connection.register("incoming", bars.slice(begin, ROWS_OF_A_PART))
            appended += int(connection.execute(_APPEND_BARS).fetchall()[0][0])
            connection.unregister("incoming")
        rows = [_action_row(file.source, action, received_ns) for file in files for action in file.actions]
        for file in files:
            gone = _withdrawn(connection, file)
            withdrawn += len(gone)
            if received_ns is None:
                for symbol, ex_date in gone:
                    connection.execute(_FORGET, [file.source, symbol, ex_date])
            else:
                nothing = (CorporateAction(symbol, ex_date, 1.0, 0.0) for symbol, ex_date in gone)
                rows += [_action_row(file.source, action, received_ns) for action in nothing]
        connection.register("incoming", pa.Table.from_pylist(rows, schema=_ACTION_COLUMNS))
        connection.execute(_DROP_ACTIONS)
        connection.execute(_APPEND_ACTIONS)
        connection.unregister("incoming")
        for file in files:
            connection.execute(_DROP_FAULTS, [file.source, list(file.symbols)])
        faults = [row for file in files for row in file.faults]
        connection.register("incoming", pa.Table.from_pylist(faults, schema=_FAULT_COLUMNS))
        connection.execute("INSERT INTO bars_quarantine BY NAME SELECT * FROM incoming")
        connection.unregister("incoming")
    return Appended(appended, withdrawn)


def _withdrawn(connection: duckdb.DuckDBPyConnection, file: FileRows) -> list[tuple[str, date]]:
    """(symbol, ex-date) of what stands by this source in the days that the file tells, and is not in it."""
    if file.described is None:
        return []
    stated = {(action.symbol, action.ex_date) for action in file.actions}
    stored = connection.execute(
        _STORED_ACTIONS, [file.source, list(file.symbols), *file.described]
    ).fetchall()
    return sorted((symbol, ex_date) for symbol, ex_date in stored if (symbol, ex_date) not in stated)


def _action_row(source: str, action: CorporateAction, received_ns: int | None) -> dict[str, Any]:
    morning = new_york_midnight_ns(action.ex_date)
    return {
        **action._asdict(),
        "received_at_ns": morning if received_ns is None else received_ns,
        "source": source,
    }


def replace_source(
    history: History, source: str, bars: Iterable[StoredBar], actions: Iterable[dict[str, Any]]
) -> None:
    """Replace everything of one source in one transaction."""
    history.replace_many(
        [
            ("bars", {"source": source}, [bar._asdict() for bar in bars]),
            ("corporate_actions", {"source": source}, list(actions)),
        ]
    )


def append_actions(
    history: History, actions: Iterable[CorporateAction], *, received_ns: int, source: str
) -> None:
    """Append each (symbol, ex-date) that differs from what the source gave for it before.

    Earlier rows keep their stamps, so that an earlier tick still sees what it saw then.
    """
    ordered = sorted(actions)
    if not ordered:
        return
    stored = sorted(CorporateAction(**line) for line in history.query(_OF_SOURCE, [source]).to_pylist())
    known = {key: list(group) for key, group in groupby(stored, key=_ex_date)}
    fresh = {key: list(group) for key, group in groupby(ordered, key=_ex_date)}
    changed = [
        (
            "corporate_actions",
            {"symbol": symbol, "ex_date": ex_date, "source": source, "received_at_ns": received_ns},
            [action._asdict() for action in group],
        )
        for (symbol, ex_date), group in fresh.items()
        if known.get((symbol, ex_date)) != group
    ]
    if changed:
        history.replace_many(changed)


def _ex_date(action: CorporateAction) -> tuple[str, date]:
    return action.symbol, action.ex_date


def newest_bars(
    history: History, symbols: Sequence[str], interval: Interval, *, since_ns: int, as_of_ns: int
) -> dict[str, Bars]:
    """Each symbol's bars with start ≥ `since_ns` that were available and received at `as_of_ns`, newest
    version; without a row where it has none."""
    table = history.query(_NEWEST, [list(symbols), str(interval), since_ns, as_of_ns, as_of_ns])
    table = _first_of_each(table)
    bars = _bars_of(table)
    return {symbol: bars.rows(some) for symbol, some in _by_symbol(table, symbols)}


def last_receipt(history: History) -> int:
    """When the newest bar was received; 0 when there is none."""
    return int(history.query(_LAST_RECEIPT)["newest"][0].as_py())


def minutes_digest(
    history: History, symbols: Sequence[str], first: date, last: date, *, as_of_ns: int
) -> str:
    """A text that is another one where a minute bar of first ≤ session ≤ last, received by then, is another,
    in whatever order the table has them."""
    parameters = [first, last, as_of_ns, list(symbols)]
    return str(history.query(_MINUTES_DIGEST, parameters)["digest"][0].as_py())


def newest_bars_between(
    history: History,
    symbols: Sequence[str],
    interval: Interval,
    first_ns: int,
    end_ns: int,
    *,
    as_of_ns: int,
) -> list[NumberedBars]:
    """What `newest_bars` gives for first ≤ start < end, all symbols together: each bar with its symbol's
    number in `symbols`, ascending by symbol and start over the parts. For many rows: 10⁶ take a tenth of a
    second, three where the table has them in another order or in several versions."""
    parameters = [str(interval), first_ns, end_ns, as_of_ns]
    with history.reading() as connection, one_thread(connection):
        reader = connection.execute(_MANY, [list(symbols), *parameters]).to_arrow_reader(ROWS_OF_A_PART)
        parts = [_numbered(*(column.to_numpy(zero_copy_only=False) for column in batch)) for batch in reader]
        if ascend(parts):
            return parts
        del parts
        table = connection.execute(_VERSIONS, parameters).to_arrow_table()
    return [_in_order(table, symbols)]


def _numbered(symbol: NDArray[np.int32], *columns: NDArray[Any]) -> NumberedBars:
    return NumberedBars.of(symbol, Bars(*columns))


def _in_order(table: pa.Table, symbols: Sequence[str]) -> NumberedBars:
    """The newest version of each bar, ascending by symbol's number and start."""
    named = table["symbol"].combine_chunks().dictionary_encode()
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    of_name = np.array([numbers.get(name, -1) for name in named.dictionary.to_pylist()], dtype=np.int32)
    symbol = of_name[named.indices.to_numpy()] if len(of_name) else np.zeros(0, np.int32)
    columns = {name: table[name].to_numpy() for name in table.column_names[1:]}
    start, version = columns["start_ns"], columns.pop("version")
    received = columns.pop("received_at_ns")
    order = np.lexsort((-received, -version, start, symbol))
    order = order[symbol[order] >= 0]
    symbol, start = symbol[order], start[order]
    newest = np.append(True, (np.diff(symbol) > 0) | (np.diff(start) > 0))[: len(order)]
    symbol, order = symbol[newest], order[newest]
    return _numbered(symbol, *(column[order] for column in columns.values()))


def recorded_daily(
    history: History, symbols: Sequence[str], first: date, last: date, *, as_of_ns: int
) -> dict[str, tuple[Bars, str]]:
    """Each symbol's daily bars of first ≤ session ≤ last that are no derived ones, as last received by
    `as_of_ns`, and the names of their sources."""
    table = history.query(_RECORDED, [list(symbols), first, last, as_of_ns, as_of_ns])
    bars, sources = _bars_of(table), table["source"].to_pylist()
    return {
        symbol: (bars.rows(some), ", ".join(sorted(set(sources[some]))))
        for symbol, some in _by_symbol(table, symbols)
    }


def recorded_symbols(history: History, first: date, last: date) -> list[str]:
    """The symbols with a recorded (not derived) daily bar in the range, ascending."""
    return list(history.query(_RECORDED_SYMBOLS, [first, last])["symbol"].to_pylist())


def actions_until(
    history: History, symbols: Sequence[str], last: date, *, as_of_ns: int, but_of: Sequence[str] = ()
) -> dict[str, tuple[CorporateAction, ...]]:
    """Each symbol's splits and cash dividends with ex-date ≤ `last`, as last received by `as_of_ns`.

    but_of: sources that do not count
    """
    lines = history.query(_ACTIONS, [list(symbols), last, as_of_ns, list(but_of)]).to_pylist()
    actions: dict[str, list[CorporateAction]] = {symbol: [] for symbol in symbols}
    for line in lines:
        actions[line["symbol"]].append(CorporateAction(**line))
    return {symbol: tuple(listed) for symbol, listed in actions.items()}


def _by_symbol(table: pa.Table, symbols: Sequence[str]) -> Iterator[tuple[str, slice]]:
    """Each symbol's rows of a table that is ordered by symbol."""
    named = table["symbol"].combine_chunks().dictionary_encode()
    ends = np.cumsum(
        np.bincount(named.indices.to_numpy(zero_copy_only=False), minlength=len(named.dictionary))
    )
    begins = np.append(0, ends)
    held = {symbol: number for number, symbol in enumerate(named.dictionary.to_pylist())}
    for symbol in symbols:
        number = held.get(symbol)
        yield symbol, slice(0, 0) if number is None else slice(int(begins[number]), int(ends[number]))


def _bars_of(table: pa.Table) -> Bars:
    return Bars(
        *(
            table[column].to_numpy().astype(np.int64, copy=False)
            for column in ("start_ns", "available_at_ns")
        ),
        *(table[column].to_numpy().astype(np.float64, copy=False) for column in VALUES),
    )


def _first_of_each(table: pa.Table) -> pa.Table:
    """Without the rows that are of the same symbol and start as the one before."""
    symbol = table["symbol"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    again = np.flatnonzero((np.diff(symbol) == 0) & (np.diff(table["start_ns"].to_numpy()) == 0)) + 1
    return table.take(np.setdiff1d(np.arange(table.num_rows), again)) if len(again) else table


def stored_sources(history: History) -> list[dict[str, Any]]:
    """Where bars that are no derived ones come from: source, interval, symbols, bars, first, last."""
    return list(history.query(_SOURCES).to_pylist())


def newest_starts(history: History, interval: Interval, since_ns: int, *, as_of_ns: int) -> dict[str, int]:
    """Symbol → start of its newest bar since `since_ns` that was available and received at `as_of_ns`;
    without the symbols that have none."""
    lines = history.query(_LAST_START, [str(interval), since_ns, as_of_ns, as_of_ns]).to_pylist()
    return {line["symbol"]: int(line["newest"]) for line in lines}


def minutes_held(history: History, open_ns: int, tick_ns: int) -> dict[str, tuple[int, float]]:
    """Symbol → (number of the session's minute bars available at the tick, close of the last one)."""
    lines = history.query(_HELD, [open_ns, tick_ns]).to_pylist()
    return {line["symbol"]: (int(line["bars"]), float(line["last_close"])) for line in lines}
