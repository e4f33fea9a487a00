"""The history's bars and corporate actions: every statement that reads or writes these two tables.

Rows are versions: a decision at a tick uses the newest version that was available and received by
then. What is fetched from a broker, and when, is the engine's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np

from trading_assets.market.bars import Bars, CorporateAction, Interval
from trading_assets.store.history import History

VALUES = ("open", "high", "low", "close", "volume")

_NEWEST = """
SELECT start_ns, available_at_ns, open, high, low, close, volume
FROM bars
WHERE symbol = ? AND "interval" = ? AND start_ns >= ? AND available_at_ns <= ? AND received_at_ns <= ?
QUALIFY row_number() OVER (PARTITION BY start_ns ORDER BY version DESC, received_at_ns DESC) = 1
ORDER BY start_ns
"""
_STORED = """
SELECT symbol, "interval", start_ns, max(version) AS version,
       arg_max([open, high, low, close, volume], version) AS stored
FROM bars WHERE start_ns >= ? GROUP BY symbol, "interval", start_ns
"""
_LAST_START = """
SELECT symbol, max(start_ns) AS newest FROM bars WHERE "interval" = ? AND start_ns >= ? GROUP BY symbol
"""
_HELD = """
SELECT symbol, count(DISTINCT start_ns) AS bars, arg_max(close, start_ns) AS last_close
FROM bars WHERE "interval" = '1m' AND start_ns >= ? AND available_at_ns <= ? GROUP BY symbol
"""
_ACTIONS = """
SELECT symbol, ex_date, split_ratio, cash_usd FROM corporate_actions
WHERE symbol = ? AND ex_date <= ? AND received_at_ns <= ?
QUALIFY received_at_ns = max(received_at_ns) OVER (PARTITION BY ex_date)
ORDER BY ex_date, split_ratio DESC, cash_usd
"""


@dataclass(frozen=True, slots=True)
class StoredBar:
    """One version of one bar, as the table has it."""

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

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def append_versions(history: History, bars: Sequence[StoredBar]) -> tuple[list[StoredBar], int]:
    """Append what is new, and what differs from the newest stored version as its next version.

    Returns what was appended and how much of it was a revision. Doing it again appends nothing.
    """
    if not bars:
        return [], 0
    table = history.query(_STORED, [min(bar.start_ns for bar in bars)])
    stored = {(line["symbol"], line["interval"], line["start_ns"]): line for line in table.to_pylist()}
    fresh: list[StoredBar] = []
    revised = 0
    for bar in bars:
        line = stored.get((bar.symbol, bar.interval, bar.start_ns))
        row = bar.row()
        if line is not None:
            if line["stored"] == [row[name] for name in VALUES]:
                continue
            row["version"] = line["version"] + 1
            revised += 1
        fresh.append(StoredBar(**row))
    if fresh:
        history.append("bars", [bar.row() for bar in fresh])
    return fresh, revised


def replace_source(
    history: History, source: str, bars: Iterable[StoredBar], actions: Iterable[dict[str, Any]]
) -> None:
    """Everything of one source at once, in place of what it gave before."""
    history.replace_many(
        [
            ("bars", {"source": source}, [bar.row() for bar in bars]),
            ("corporate_actions", {"source": source}, list(actions)),
        ]
    )


def replace_actions(
    history: History, actions: Iterable[CorporateAction], *, received_ns: int, source: str
) -> None:
    """Each (symbol, ex-date) in place of what the same source gave for it before."""
    ordered = sorted(actions, key=lambda action: (action.symbol, action.ex_date))
    history.replace_many(
        [
            (
                "corporate_actions",
                {"symbol": symbol, "ex_date": ex_date, "source": source},
                [{**action._asdict(), "received_at_ns": received_ns, "source": source} for action in group],
            )
            for (symbol, ex_date), group in groupby(
                ordered, key=lambda action: (action.symbol, action.ex_date)
            )
        ]
    )


def newest_bars(history: History, symbol: str, interval: Interval, *, since_ns: int, as_of_ns: int) -> Bars:
    """The bars with start ≥ `since_ns` that were available and received at `as_of_ns`, newest version."""
    table = history.query(_NEWEST, [symbol, str(interval), since_ns, as_of_ns, as_of_ns])
    return Bars(
        *(table[column].to_numpy().astype(np.int64) for column in ("start_ns", "available_at_ns")),
        *(table[column].to_numpy().astype(np.float64) for column in VALUES),
    )


def actions_until(history: History, symbol: str, last: date, *, as_of_ns: int) -> tuple[CorporateAction, ...]:
    """Splits and cash dividends with ex-date ≤ `last`, as last received by `as_of_ns`."""
    lines = history.query(_ACTIONS, [symbol, last, as_of_ns]).to_pylist()
    return tuple(CorporateAction(**line) for line in lines)


def oldest_newest_start(
    history: History, symbols: Sequence[str], interval: Interval, since_ns: int
) -> int | None:
    """The oldest of the symbols' newest stored bars since `since_ns`; None when one has none."""
    lines = history.query(_LAST_START, [str(interval), since_ns]).to_pylist()
    newest = {line["symbol"]: int(line["newest"]) for line in lines}
    if any(symbol not in newest for symbol in symbols):
        return None
    return min(newest[symbol] for symbol in symbols)


def minutes_held(history: History, open_ns: int, tick_ns: int) -> dict[str, tuple[int, float]]:
    """Symbol → (number of the session's minute bars available at the tick, close of the last one)."""
    lines = history.query(_HELD, [open_ns, tick_ns]).to_pylist()
    return {line["symbol"]: (int(line["bars"]), float(line["last_close"])) for line in lines}
