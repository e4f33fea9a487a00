"""The code server's courier: alerts leave on its thread, so that no slow address holds up an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trading_assets.engine.operation.alert_delivery import Courier
from trading_assets.keyring import ENVIRON
from trading_assets.runs.readiness import readiness
from trading_assets.store.journal import Journal


@contextmanager
def outbox() -> Iterator[Journal]:
    """The journal, by the last good configuration."""
    with readiness(last_good=True) as desk:
        yield desk.journal


COURIER = Courier(ENVIRON, outbox)
