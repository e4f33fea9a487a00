"""What the history holds about one session, asset by asset: the figures that outlive its runs."""

from __future__ import annotations

from datetime import date

from trading_assets.store.history import History

_FIGURES = {
    "bars": "SELECT count(*) AS bars, count(DISTINCT symbol) AS symbols FROM bars WHERE session = $session",
    "features": """
        SELECT count(*) AS rows, count(DISTINCT tick_ns) AS ticks
        FROM features WHERE book = $book AND session = $session""",
    "signals": """
        SELECT count(*) AS signals, count(DISTINCT tick_ns) AS ticks
        FROM signals WHERE book = $book AND session = $session""",
    "gated_orders": """
        SELECT count(*) AS verdicts, count(*) FILTER (failed != 0) AS refused
        FROM gate_verdicts WHERE book = $book AND session = $session""",
    "fills": """
        SELECT count(*) AS fills, coalesce(sum(qty * price), 0) AS notional_usd
        FROM fills WHERE book = $book AND session = $session""",
    "reconciled_positions": """
        SELECT last(equity ORDER BY tick_ns) AS equity_usd, last(cash ORDER BY tick_ns) AS cash_usd,
               last(gross_exposure ORDER BY tick_ns) AS gross_exposure
        FROM equity WHERE book = $book AND session = $session""",
}


def session_figures(history: History, book: str, session: date) -> dict[str, dict[str, float]]:
    """Asset → figure → value, without assets that have nothing stored. Raises HistoryLocked."""
    figures = {}
    for asset, sql in _FIGURES.items():
        values = {"session": session} | ({"book": book} if "$book" in sql else {})
        (row,) = history.query(sql, values).to_pylist()
        figures[asset] = {name: float(value) for name, value in row.items() if value is not None}
    return figures
