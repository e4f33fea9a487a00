"""Every alert goes through one door: no other file of the package makes one."""

from __future__ import annotations

from pathlib import Path

import trading_assets

PACKAGE = Path(trading_assets.__file__).parent
DOOR = {"engine/book/alerts.py"}
STORE = {"store/tick_journal.py", "store/records.py", "store/schema.py"}


def test_alerts_are_made_in_one_place() -> None:
    makers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "OutboxRecord(" in path.read_text() or "enqueue_alert(" in path.read_text()
    }
    assert makers - STORE == DOOR
