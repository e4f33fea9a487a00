"""What the pages name exists: links, source files, and the columns of the queries they show."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from trading_assets.store.history import History
from trading_assets.store.journal import Journal
from trading_assets.store.schema import METADATA

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
QUERIES = [
    (page.name, database, sql)
    for page in PAGES
    for database, sql in re.findall(r"```sql\n-- (\S+)\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`([\w/]+/[\w.]+\.(?:py|sql|yaml|md))`", page.read_text())
    places = (ROOT, ROOT / "trading_assets")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_every_table_of_both_stores_is_explained() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    said, _, _ = text.partition("<!-- table: journal-tables -->")
    assert [name for name in METADATA.tables if f"`{name}`" not in said] == []


@pytest.mark.parametrize(("page", "database", "sql"), QUERIES)
def test_every_query_runs(page: str, database: str, sql: str, tmp_path: Path) -> None:
    if database.endswith("history.duckdb"):
        History(tmp_path / "history.duckdb").query(sql)
    else:
        path = tmp_path / "journal.sqlite"
        Journal.open(path).close()
        sqlite3.connect(path).execute(sql).fetchall()


def test_the_readme_queries_both_stores() -> None:
    assert {Path(database).name for page, database, _ in QUERIES if page == "README.md"} == {
        "history.duckdb",
        "journal.sqlite",
    }
