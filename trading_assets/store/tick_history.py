"""What the history holds about one tick: its features and signals, read back for the next step.

`History.replace` writes them by the tick's key, so that a step that runs again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import pyarrow as pa

from trading_assets.store.history import History

_FEATURES = """
SELECT symbol, "values" FROM features
WHERE book = ? AND session = ? AND tick_ns = ? AND feature_set = ? ORDER BY symbol
"""
_SIGNALS = """
SELECT symbol, value, as_of_ns, reference_price, limit_price, kind, decision_id
FROM signals WHERE book = ? AND session = ? AND tick_ns = ? ORDER BY symbol, decision_id
"""
_SET_OUTCOME = """
UPDATE signals SET outcome = incoming.outcome FROM incoming
WHERE book = ? AND session = ? AND tick_ns = ? AND signals.decision_id = incoming.decision_id
"""
_FEATURE_LINES = """
SELECT tick_ns, symbol, "values", computed_at_ns FROM features
WHERE book = ? AND session = ? AND feature_set = ? ORDER BY tick_ns, symbol
"""
_VERDICTS = """
SELECT * FROM gate_verdicts WHERE book = ? AND session = ? ORDER BY tick_ns, execution_id, client_order_id
"""
_VERDICTS_OF_TICKS = """
SELECT tick_ns, count(*) AS verdicts FROM gate_verdicts WHERE book = ? AND session = ? GROUP BY tick_ns
"""
_TICKS = {
    "signals": "SELECT DISTINCT tick_ns FROM signals WHERE book = ? AND session = ?",
    "equity": "SELECT DISTINCT tick_ns FROM equity WHERE book = ? AND session = ?",
}


def ticks_held(history: History, table: Literal["signals", "equity"], book: str, session: date) -> set[int]:
    """The session's ticks that have rows in the table."""
    return set(history.query(_TICKS[table], [book, session])["tick_ns"].to_pylist())


def verdicts_held(history: History, book: str, session: date) -> dict[int, int]:
    """Tick → number of its verdicts in the history."""
    lines = history.query(_VERDICTS_OF_TICKS, [book, session]).to_pylist()
    return {line["tick_ns"]: line["verdicts"] for line in lines}


def projected_verdicts(history: History, book: str, session: date) -> list[dict[str, Any]]:
    """The session's verdicts, each with what every code measured."""
    return list(history.query(_VERDICTS, [book, session]).to_pylist())


def feature_lines(history: History, book: str, session: date, feature_set: str) -> list[dict[str, Any]]:
    """Every row of the session: tick_ns, symbol, values, computed_at_ns."""
    return list(history.query(_FEATURE_LINES, [book, session, feature_set]).to_pylist())


def set_outcomes(
    history: History, book: str, session: date, tick_ns: int, outcomes: Mapping[str, str]
) -> None:
    """Store with the tick's signals what happened to each decision."""
    with history.writing() as connection:
        incoming = pa.table({"decision_id": list(outcomes), "outcome": list(outcomes.values())})
        connection.register("incoming", incoming)
        connection.execute(_SET_OUTCOME, [book, session, tick_ns])
        connection.unregister("incoming")


def features_at(
    history: History, book: str, session: date, tick_ns: int, feature_set: str
) -> list[tuple[str, list[float]]]:
    """(symbol, row) of the tick, in the order of the symbols."""
    lines = history.query(_FEATURES, [book, session, tick_ns, feature_set]).to_pylist()
    return [(line["symbol"], line["values"]) for line in lines]


def signals_at(history: History, book: str, session: date, tick_ns: int) -> list[dict[str, Any]]:
    """The tick's signals: symbol, value, as_of_ns, reference_price, limit_price, kind, decision_id."""
    return list(history.query(_SIGNALS, [book, session, tick_ns]).to_pylist())
