"""What the history knows of bars that were left out, and the bars before a file's: every statement of it.

The rows themselves are written by `bar_history`, in the transaction of the bars that came with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.store.duckdb_files import one_thread
from trading_assets.store.history import History

_FAULTS = """
SELECT rule, symbol, session, "interval", measured, "limit", file, "row" FROM bars_quarantine
WHERE (? IS NULL OR symbol = ?) AND (? IS NULL OR rule = ?)
ORDER BY rule, symbol, session, file, "row"
"""
_BREAKS = """
SELECT DISTINCT symbol, session FROM bars_quarantine
WHERE "interval" = ? AND list_contains(?, rule) ORDER BY symbol, session
"""
_HELD = """
SELECT symbol, min(start_ns) AS "first" FROM bars
WHERE "interval" = ? AND NOT derived GROUP BY symbol ORDER BY symbol
"""
_LEFT_OUT = """
SELECT DISTINCT symbol, session FROM bars_quarantine WHERE "interval" = ? ORDER BY symbol, session
"""
# The newest version of each bar of a while before the last one before a moment.
_BEFORE = """
WITH last AS (
    SELECT wanted.number, symbol, max(start_ns) AS last_ns, any_value(before_ns) AS before_ns
    FROM bars JOIN wanted USING (symbol)
    WHERE "interval" = $interval AND start_ns < before_ns
    GROUP BY wanted.number, symbol
)
SELECT number, start_ns, any_value(available_at_ns) AS end_ns, any_value(session) AS session,
       arg_max(struct_pack(o := open, h := high, l := low, c := close, v := volume), version) AS newest
FROM bars JOIN last USING (symbol)
WHERE "interval" = $interval AND start_ns < before_ns AND start_ns >= last_ns - $while_ns
GROUP BY number, start_ns ORDER BY number, start_ns
"""
_ACTIONS = """
SELECT symbol, ex_date, split_ratio, cash_usd FROM (
    SELECT *, rowid AS place FROM corporate_actions
    QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY symbol, ex_date, source)
)
WHERE split_ratio <> 1.0 OR cash_usd <> 0.0
QUALIFY source = first_value(source) OVER (
    PARTITION BY symbol, ex_date ORDER BY received_at_ns DESC, place DESC
)
ORDER BY symbol, ex_date, split_ratio DESC, cash_usd
"""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_NS = 24 * 3600 * 10**9
_WHILE_NS = {Interval.DAY: 45 * _DAY_NS, Interval.MINUTE: _DAY_NS}


class BarsBefore(NamedTuple):
    """The last bars of symbols before a moment of each, ascending by symbol and start."""

    number: NDArray[np.int32]
    day: NDArray[np.int64]  # date.toordinal()
    rows: Bars


def bars_before(
    history: History, symbols: Sequence[str], before_ns: Sequence[int], interval: Interval
) -> BarsBefore:
    """Of each symbol the last bar that starts before its moment, and those of a while before that; the
    newest version of each."""
    wanted = pa.table(
        {
            "number": pa.array(range(len(symbols)), pa.int32()),
            "symbol": pa.array(symbols, pa.string()),
            "before_ns": pa.array(before_ns, pa.int64()),
        }
    )
    with history.reading() as connection, one_thread(connection):
        connection.register("wanted", wanted)
        parameters = {"interval": str(interval), "while_ns": _WHILE_NS[interval]}
        table = connection.execute(_BEFORE, parameters).to_arrow_table()
        connection.unregister("wanted")
    day = table["session"].cast(pa.int32()).to_numpy().astype(np.int64) + _EPOCH_DAY
    values = [pc.struct_field(table["newest"], name).to_numpy() for name in "ohlcv"]
    times = [table[name].to_numpy() for name in ("start_ns", "end_ns")]
    return BarsBefore(table["number"].to_numpy(), day, Bars._make((*times, *values)))


def held_since(history: History, interval: Interval) -> dict[str, int]:
    """Symbol → start of its first stored bar, of those that have one that is no derived one."""
    lines = history.query(_HELD, [str(interval)]).to_pylist()
    return {line["symbol"]: int(line["first"]) for line in lines}


def quarantined(history: History, symbol: str | None = None, rule: str | None = None) -> list[dict[str, Any]]:
    """Every row that was left out as wrong: rule, symbol, session, interval, measured, limit, file, row."""
    return list(history.query(_FAULTS, [symbol, symbol, rule, rule]).to_pylist())


def breaks(history: History, interval: Interval, rules: Sequence[str]) -> dict[str, list[int]]:
    """Symbol → days (date.toordinal()) of rows that were left out by one of these rules, ascending."""
    findings: dict[str, list[int]] = {}
    for line in history.query(_BREAKS, [str(interval), list(rules)]).to_pylist():
        findings.setdefault(line["symbol"], []).append(line["session"].toordinal())
    return findings


def quarantined_days(history: History, interval: Interval) -> list[tuple[str, int]]:
    """(symbol, date.toordinal()) of the rows that were left out."""
    lines = history.query(_LEFT_OUT, [str(interval)]).to_pylist()
    return [(line["symbol"], line["session"].toordinal()) for line in lines]


def held_actions(history: History) -> dict[str, list[CorporateAction]]:
    """Each symbol's splits and dividends as last received, whatever their day."""
    findings: dict[str, list[CorporateAction]] = {}
    for line in history.query(_ACTIONS, []).to_pylist():
        findings.setdefault(line["symbol"], []).append(CorporateAction(**line))
    return findings
