"""An instance and a desk for the sensors' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from evaluated import BOOK, Desk

from trading_assets.defs import sensors
from trading_assets.market.clock import system_now_ns


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, system_now_ns())
    desk.configure("reconciliation_interval_seconds: 60\n")
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(desk.config_path))
    monkeypatch.setattr(sensors, "system_now_ns", lambda: desk.now_ns)
    with desk.journal() as journal:
        journal.set_mark("embedded:paper", "book", BOOK, 0)
    return desk
