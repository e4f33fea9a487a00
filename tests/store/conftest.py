"""A journal and a history, each in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.store.history import History
from trading_assets.store.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "desk" / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "desk" / "history.duckdb", retry_seconds=0.3)
