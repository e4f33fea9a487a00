"""An instance and a desk for the sensors' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from evaluated import BOOK, Desk

from trading_assets.defs.protection import sensors
from trading_assets.market.clock import system_now_ns
from trading_assets.runs import signal_ticks


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, system_now_ns())
    desk.configure("reconciliation_interval_seconds: 60\n")
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(desk.config_path))
    for module in (sensors, signal_ticks):
        monkeypatch.setattr(module, "system_now_ns", lambda: desk.now_ns)
    with desk.journal() as journal:
        journal.set_mark("embedded:paper", "book", BOOK, 0)
    return desk
