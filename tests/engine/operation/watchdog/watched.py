"""A watchdog over a book that holds a position at its stop, and how a test waits for what it does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from engine_ticks import run_tick
from support.trading_floor import TradingFloor

from trading_assets.config import LastGood
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.operation.watchdog import (
    Watchdog,
)
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.protected import note_protected
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.store.journal import Journal

MANY_ACCOUNTS = 100_000  # requests a minute: accounts, one after the other, in the same few minutes


def watchdog(floor: TradingFloor, environ: dict[str, str] | None = None, **options: Any) -> Watchdog:
    return Watchdog(
        LastGood(floor.config_path),
        lambda settings: Desk.open(settings, environ={}),
        environ=environ or {},
        look_seconds=0.05,
        **options,
    )


def through_its_stop(floor: TradingFloor) -> None:
    """Buy AAPL at 6.5 % above the market and let the market come back, protected until now."""
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        quote = desk.broker.quotes(["AAPL"])["AAPL"]
        assert quote.bid is not None
        dear = (quote.bid * Decimal("1.065")).quantize(Decimal("0.01"))
        floor.control("/quote", symbol="AAPL", bid=str(dear), ask=str(dear + Decimal("0.01")))
        receive(desk, "AAPL", 0.5, reference_price=dear)
        run_tick(desk, floor.session, desk.now_ns())
    assert held(floor) == ["AAPL"]
    floor.control("/quote", symbol="AAPL")
    protected_now(floor)


def protected_now(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        note_protected(desk.journal, desk.book, now_ns=time.time_ns())


def held(floor: TradingFloor) -> list[str]:
    with floor.desk() as desk:
        return [position.symbol for position in desk.broker.positions()]


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)


def alerted(floor: TradingFloor) -> list[str]:
    with Journal.open(journal_file(LastGood(floor.config_path).settings)) as journal:
        return [alert.title for alert in journal.pending_alerts()]


def unprotected(dog: Watchdog) -> None:
    """Let the watchdog see the last protection, and time go by."""
    dog.look()
    time.sleep(0.5)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end of the block, whatever it is doing."""
    with process:
        try:
            yield process
        finally:
            process.kill()
