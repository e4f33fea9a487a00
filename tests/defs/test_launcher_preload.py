"""What is made ready before the forks is all that a tick needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets.dagster_instance.launcher import SINGLE_THREADED

TICK = """
import gc, json, os, sys, tempfile
from datetime import date
from pathlib import Path

import trading_assets.definitions
from trading_assets.dagster_instance.launcher_preload import warm

warm()
threads = len(os.listdir("/proc/self/task"))
import numba
from support.trading_floor import trading_floor

from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.engine.signals.tick_signals import receive

compiled = [f for f in gc.get_objects() if isinstance(f, numba.core.dispatcher.Dispatcher)]
session, orders, changed, imported = date(2012, 7, 5), 0, [], []
with tempfile.TemporaryDirectory() as root, trading_floor(
    Path(root), session, no_entry_seconds_after_open=0.0
) as floor:
    ready = {f: len(f.signatures) for f in compiled}
    modules = set(sys.modules)
    for number in range(3):
        tick = floor.go_to_session(session, number)
        with floor.desk() as desk:
            receive(desk, "AAPL", -1.0 if number % 2 else 1.0)
            orders += len(run_tick(desk, session, tick, f"execution-{number}").execution.orders)
    changed = [f.py_func.__qualname__ for f, count in ready.items() if len(f.signatures) != count]
    imported = sorted(set(sys.modules) - modules)
print(json.dumps({"threads": threads, "orders": orders, "compiled": changed, "imported": imported}))
"""


@pytest.mark.slow
@pytest.mark.exchange
def test_a_tick_after_it_compiles_nothing_and_imports_next_to_nothing() -> None:
    tests = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tests)!r})\n{TICK}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | SINGLE_THREADED,
    )
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document["threads"] == 1
    assert document["orders"] == 3  # bought, sold, bought
    assert document["compiled"] == []
    assert len(document["imported"]) < 10, document["imported"]
