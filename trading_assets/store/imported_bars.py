"""What of a history an exchange can play: bars that came from files or from a market, and corporate actions.

Left out are the bars that a desk had from an embedded exchange (`embedded:…`), derived ones, and those of the
bundled tape, which has an exchange of its own. Everything is read in parts: a history may be larger than the
memory. Reads only; `bar_history` has what writes these tables, and what a decision reads of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.market.tape_files import TapeRows
from trading_assets.store.bar_history import ROWS_OF_A_PART, actions_until
from trading_assets.store.duckdb_files import one_thread
from trading_assets.store.history import History

_IMPORTED = "NOT derived AND NOT starts_with(source, 'embedded:') AND source <> 'bundled'"
_ROWS = f"""
SELECT symbol, "interval", count(*) AS "rows" FROM bars WHERE {_IMPORTED} GROUP BY ALL ORDER BY ALL
"""
_ROWS_OF_SESSIONS = f"""
SELECT session, count(*) AS "rows" FROM bars
WHERE "interval" = '1m' AND {_IMPORTED} GROUP BY session ORDER BY session
"""
_COLUMNS = "session, start_ns, available_at_ns, open, high, low, close, volume, version, received_at_ns"
_DAYS = f"""
SELECT numbers.number, {_COLUMNS}
FROM bars JOIN numbers USING (symbol) WHERE "interval" = '1d' AND symbol BETWEEN ? AND ? AND {_IMPORTED}
ORDER BY number, start_ns, version DESC, received_at_ns DESC
"""
_MINUTES = f"""
SELECT numbers.number, {_COLUMNS}
FROM bars JOIN numbers USING (symbol) WHERE "interval" = '1m' AND session BETWEEN ? AND ? AND {_IMPORTED}
ORDER BY session, number, start_ns, version DESC, received_at_ns DESC
"""
# Hashes of rows, added up: in whatever order the table has them.
_DIGEST = f"""
SELECT (SELECT count(*) || ' ' || coalesce(sum(hash(symbol, "interval", start_ns, version, open, high, low,
                                                    close, volume)), 0) FROM bars WHERE {_IMPORTED})
    || ' ' || (SELECT count(*) || ' ' || coalesce(sum(hash(symbol, ex_date, split_ratio, cash_usd, source,
                                                           received_at_ns)), 0)
               FROM corporate_actions WHERE source NOT IN ('bundled', 'embedded')) AS digest
"""
_NOT_IMPORTED = ("bundled", "embedded")  # sources of corporate actions
_ALL_OF_TIME = 2**63 - 1


def imported_symbols(history: History) -> tuple[str, ...]:
    """The symbols with an imported bar of any interval, ascending."""
    return tuple(sorted(set(history.query(_ROWS)["symbol"].to_pylist())))


def imported_digest(history: History) -> str:
    """A text that is another one where an imported bar or a corporate action is another."""
    return str(history.query(_DIGEST)["digest"][0].as_py())


def imported_days(history: History, symbols: Sequence[str]) -> Iterator[TapeRows]:
    """Daily bars, ascending by symbol's number and start over the parts."""
    counts = [
        (line["symbol"], line["rows"])
        for line in history.query(_ROWS).to_pylist()
        if line["interval"] == Interval.DAY
    ]
    yield from _in_parts(history, _DAYS, symbols, counts)


def imported_minutes(history: History, symbols: Sequence[str]) -> Iterator[TapeRows]:
    """Minute bars, ascending by session, symbol's number and start over the parts."""
    lines = history.query(_ROWS_OF_SESSIONS).to_pylist()
    yield from _in_parts(history, _MINUTES, symbols, [(line["session"], line["rows"]) for line in lines])


def imported_actions(history: History, symbols: Sequence[str]) -> dict[str, tuple[CorporateAction, ...]]:
    """Each symbol's splits and dividends as they are known by now, ascending by ex-date."""
    return actions_until(history, symbols, date.max, as_of_ns=_ALL_OF_TIME, but_of=_NOT_IMPORTED)


def _in_parts(
    history: History, sql: str, symbols: Sequence[str], counts: Sequence[tuple[Any, int]]
) -> Iterator[TapeRows]:
    numbers = pa.table(
        {"symbol": list(symbols), "number": np.arange(len(symbols), dtype=np.int32)},
        schema=pa.schema([("symbol", pa.string()), ("number", pa.int32())]),
    )
    with history.reading() as connection, one_thread(connection):
        connection.register("numbers", numbers)
        try:
            for first, last in _ranges(counts):
                yield _newest(connection.execute(sql, [first, last]).to_arrow_table())
        finally:
            connection.unregister("numbers")


def _ranges(counts: Sequence[tuple[Any, int]]) -> Iterator[tuple[Any, Any]]:
    """First and last key of ranges that hold about ROWS_OF_A_PART rows each, one key at least."""
    first, held = None, 0
    for position, (key, rows) in enumerate(counts):
        first = key if first is None else first
        held += rows
        if held >= ROWS_OF_A_PART or position == len(counts) - 1:
            yield first, key
            first, held = None, 0


def _newest(table: pa.Table) -> TapeRows:
    columns = {name: table[name] for name in table.column_names}
    symbol, start = columns["number"].to_numpy(), columns["start_ns"].to_numpy()
    newest = np.append(True, (np.diff(symbol) != 0) | (np.diff(start) != 0))[: len(symbol)]
    day = columns["session"].cast(pa.int32()).to_numpy()
    return TapeRows(
        symbol[newest].astype(np.int32),
        day[newest],
        Bars(
            start[newest],
            columns["available_at_ns"].to_numpy()[newest],
            *(columns[name].to_numpy()[newest] for name in ("open", "high", "low", "close", "volume")),
        ),
    )
