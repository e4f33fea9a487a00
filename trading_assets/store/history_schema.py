"""The history's schema: the tables of `history.sql`, their first rows, and the migration from each earlier
version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from trading_assets.core.codes import Code

VERSION = 4
"""The schema that history.sql makes."""

SQL = Path(__file__).with_name("history.sql").read_text(encoding="utf-8")

_ROWS = ", ".join(f"({int(code)}, '{code.name}', {int(code.check)})" for code in Code)
ADD_CODES = f"""
INSERT INTO codes
SELECT * FROM (VALUES {_ROWS}) AS known(number, code, "check")
WHERE number NOT IN (SELECT number FROM codes)
"""
"""The codes that a table filled by an earlier release does not have."""

_VERDICTS = SQL[SQL.index("CREATE TABLE codes") : SQL.index("CREATE TABLE orders")]

_TO_2 = f"""
ALTER TABLE verdicts RENAME TO verdict_lines;
{_VERDICTS}
{ADD_CODES};
INSERT INTO gate_verdicts
SELECT
    book, session, tick_ns, execution_id, client_order_id, any_value(decision_id), any_value(symbol),
    any_value(side), any_value(qty), any_value(limit_price), any_value(reducing), any_value(at_ns),
    sum(CASE WHEN failed THEN 1::BIGINT << number ELSE 0 END), list(measured ORDER BY number),
    list("limit" ORDER BY number)
FROM verdict_lines JOIN codes USING (code)
GROUP BY book, session, tick_ns, execution_id, client_order_id
ORDER BY tick_ns, execution_id, client_order_id;
DROP TABLE verdict_lines;
"""

_TO_3 = SQL[SQL.index("CREATE TABLE bars_quarantine") : SQL.index("CREATE TABLE feature_sets")]

# A row's feed stood in its source's name only. Of a file it is not known: NULL.
_TO_FEEDS = f"""
ALTER TABLE bars ADD COLUMN feed TEXT;
ALTER TABLE features ADD COLUMN market TEXT;
UPDATE bars SET feed = split_part(source, ':', 2) WHERE source IN ('alpaca:iex', 'alpaca:sip');
{SQL[SQL.index("CREATE TABLE downloads") : SQL.index("CREATE TABLE corporate_actions")]}
"""

MIGRATIONS: Mapping[int, str] = {1: _TO_2, 2: _TO_3, 3: _TO_FEEDS}
"""SQL from version n to n + 1."""


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Create everything in an empty database."""
    connection.execute(SQL)
    connection.execute(ADD_CODES)
    connection.execute("CREATE TABLE schema_version (version INTEGER)")
    connection.execute("INSERT INTO schema_version VALUES (?)", [VERSION])
