"""The tables in docs/ are what the code says today, and the check notices when they are not."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_is_stale(tables: ModuleType) -> None:
    assert tables.stale(DOCS) == [], "run `.venv/bin/python docs/tables.py`"


def test_every_table_stands_on_a_page(tables: ModuleType) -> None:
    text = "".join(page.read_text() for page in tables.pages(DOCS))
    assert [name for name in tables.TABLES if f"<!-- table: {name} -->" not in text] == []


def test_an_edited_table_is_stale_and_is_written_again(tables: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "codes.md"
    shutil.copy(DOCS / page.name, page)
    right = page.read_text()
    page.write_text(right.replace("`STALE_QUOTE`", "`OLD_QUOTE`"))
    assert tables.stale(tmp_path) == [page]
    assert tables.rendered(page.read_text()) == right


def test_the_table_of_codes_is_made_of_what_the_gate_does(
    tables: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tables.evaluate

    def spares_everything(*arguments: object) -> int:
        real(*arguments)
        return 0

    assert "| `MARKET_CLOSED` | 2 |" in tables.codes()
    monkeypatch.setattr(tables, "evaluate", spares_everything)
    with pytest.raises(AssertionError, match="must fail"):
        tables.codes()
