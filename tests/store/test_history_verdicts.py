"""A verdict is one row in the history, and is read code by code; a file of the first schema becomes one."""

from __future__ import annotations

from datetime import date
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.history_ground import rows

from trading_assets.core.codes import CODE_COUNT, Code
from trading_assets.store.history import History

VERDICT: dict[str, object] = {
    "book": "b", "session": date(2012, 5, 18), "tick_ns": 7, "execution_id": "e", "client_order_id": "ta-1",
    "decision_id": "d", "symbol": "AAPL", "side": 1, "qty": 3.0, "limit_price": 10.5, "reducing": False,
    "at_ns": 8,
}  # fmt: skip
MEASURED = [nan, inf, *(float(code) for code in range(2, CODE_COUNT))]
LIMITS = [float(-code) for code in range(CODE_COUNT)]
FAILED = {Code.STALE_SIGNAL, max(Code)}
BITS = sum(1 << code for code in FAILED)
COLUMNS_OF_VERSION_1 = """
    book TEXT, session DATE, tick_ns BIGINT, execution_id TEXT, client_order_id TEXT, decision_id TEXT,
    symbol TEXT, side INTEGER, qty DOUBLE, limit_price DOUBLE, reducing BOOLEAN, at_ns BIGINT,
    code TEXT, "check" INTEGER, measured DOUBLE, "limit" DOUBLE, failed BOOLEAN
"""


def code_by_code(**changed: object) -> list[dict[str, Any]]:
    """VERDICT as a person reads it, NaN as text."""
    return [
        VERDICT
        | changed
        | {
            "code": code.name,
            "check": int(code.check),
            "measured": "nan" if isnan(MEASURED[code]) else MEASURED[code],
            "limit": LIMITS[code],
            "failed": code in FAILED,
        }
        for code in Code
    ]


def read(history: History) -> list[dict[str, Any]]:
    lines = history.query("SELECT * FROM verdicts ORDER BY client_order_id, code").to_pylist()
    return [line | {"measured": "nan" if isnan(line["measured"]) else line["measured"]} for line in lines]


def by_name(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda line: (line["client_order_id"], line["code"]))


def test_a_verdict_is_read_code_by_code(history: History) -> None:
    history.append("gate_verdicts", [VERDICT | {"failed": BITS, "measured": MEASURED, "limits": LIMITS}])
    assert read(history) == by_name(code_by_code())


def test_the_codes_are_the_gates(history: History) -> None:
    assert [(row["number"], row["code"], row["check"]) for row in rows(history, "codes")] == [
        (int(code), code.name, int(code.check)) for code in Code
    ]


def a_file_of_version_1(path: Path) -> None:
    """Two verdicts, line by line, in no order."""
    History(path).query("SELECT 1")
    lines = [*code_by_code(), *reversed(code_by_code(client_order_id="ta-2"))]
    with duckdb.connect(path) as connection:
        connection.execute("DROP VIEW verdicts")
        for later in ("gate_verdicts", "codes", "bars_quarantine"):
            connection.execute(f"DROP TABLE {later}")
        connection.execute(f"CREATE TABLE verdicts ({COLUMNS_OF_VERSION_1})")
        marks = ", ".join("?" * len(lines[0]))
        connection.executemany(f"INSERT INTO verdicts VALUES ({marks})", [[*line.values()] for line in lines])
        connection.execute("UPDATE schema_version SET version = 1")


def test_a_file_of_the_first_schema_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "history.duckdb"
    a_file_of_version_1(path)
    assert read(History(path)) == by_name([*code_by_code(), *code_by_code(client_order_id="ta-2")])
    stored = rows(History(path), "gate_verdicts")
    assert [(row["client_order_id"], row["failed"], row["limits"]) for row in stored] == [
        ("ta-1", BITS, LIMITS),
        ("ta-2", BITS, LIMITS),
    ]


def test_a_migration_that_cannot_end_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.duckdb"
    a_file_of_version_1(path)
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE verdicts RENAME COLUMN qty TO quantity")
    with pytest.raises(duckdb.BinderException, match="qty"):
        History(path).query("SELECT 1")
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM verdicts").fetchall() == [(2 * CODE_COUNT,)]
