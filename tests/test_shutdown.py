"""After a tick a process shuts down cleanly: no thread of ours is left, and every line is in the log."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from support.trading_floor import trading_floor

pytestmark = pytest.mark.exchange
SESSION = date(2012, 9, 11)
TICK = """
import sys, threading
from datetime import date
from pathlib import Path
from trading_assets import config, log
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import tick

path, tick_ns, lines = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
log.configure(json_path=lines)
with Desk.open(config.load(path)) as desk:
    tick_signals.receive(desk, "AAPL", 0.15)
    session = date(2012, 9, 11)
    tick_signals.store_signals(desk, session, tick_ns)
    tick.execute(desk, session, tick_ns, new_execution_id())
log.shutdown()
print([thread.name for thread in threading.enumerate()])
"""


def test_a_process_that_ran_a_tick_ends_with_the_main_thread_only(tmp_path: Path) -> None:
    with trading_floor(tmp_path, SESSION) as floor:
        tick_ns = floor.go_to_session(SESSION, 0)
        lines = tmp_path / "log.jsonl"
        done = subprocess.run(
            [sys.executable, "-c", TICK, str(floor.config_path), str(tick_ns), str(lines)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['MainThread']"
    events = [json.loads(line)["event"] for line in lines.read_text().splitlines()]
    assert "tick executed" in events
    assert events.count("tick executed") == 1
