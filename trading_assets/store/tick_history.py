"""What the history holds of one tick: its features and signals, read back for the next step.

Writing them is `History.replace`, keyed by the tick, so that a step done again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

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
UPDATE signals SET outcome = ? WHERE book = ? AND session = ? AND tick_ns = ? AND decision_id = ?
"""


def set_outcomes(
    history: History, book: str, session: date, tick_ns: int, outcomes: Mapping[str, str]
) -> None:
    """Note with the tick's signals what became of each decision."""
    with history.writing() as connection:
        for decision_id, outcome in outcomes.items():
            connection.execute(_SET_OUTCOME, [outcome, book, session, tick_ns, decision_id])


def features_at(
    history: History, book: str, session: date, tick_ns: int, feature_set: str
) -> list[tuple[str, list[float]]]:
    """(symbol, row) of the tick, in the order of the symbols."""
    lines = history.query(_FEATURES, [book, session, tick_ns, feature_set]).to_pylist()
    return [(line["symbol"], line["values"]) for line in lines]


def signals_at(history: History, book: str, session: date, tick_ns: int) -> list[dict[str, Any]]:
    """The tick's signals: symbol, value, as_of_ns, reference_price, limit_price, kind, decision_id."""
    return list(history.query(_SIGNALS, [book, session, tick_ns]).to_pylist())
