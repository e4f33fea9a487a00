"""A session at a tick a minute while the exchange fails in every way it can: what is left of it.

`make test` plays its first two hours, `make crash` the whole of it.
"""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import psutil
import pytest
from day_faults import FAULTS
from support.trading_floor import TradingFloor

from trading_assets.broker.port import BrokerError
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.market.clock import ClockUnread

pytestmark = pytest.mark.slow(seconds=160)

SEED = 20120911
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
FAULTED = 0.4  # of the ticks
TICKS = 389 if os.environ.get("ALL_CRASH_CASES") else 120
SETTLED_TICKS = 90  # by then every code path has been taken and every cache is filled
GROWTH_MIB = 40.0


def test_a_day_of_faults_ends_without_a_break_and_leaves_nothing_open(
    start_floor: Callable[..., TradingFloor], capsys: pytest.CaptureFixture[str]
) -> None:
    floor = start_floor(
        cash=Decimal(1_000_000),  # what is sold settles after the day, in an account without margin
        tick_minutes=1,
        max_orders_per_symbol_per_day=200,
        max_orders_per_day=1000,
        threshold=0.1,
    )
    chance = random.Random(SEED)
    process = psutil.Process()
    ended: Counter[str] = Counter()
    scripted: Counter[str] = Counter()
    settled = (0.0, 0, 0)
    ticks = floor.ticks()[:TICKS]
    for number, tick_ns in enumerate(ticks):
        floor.go_to_tick(number)
        fault = chance.choice(FAULTS) if chance.random() < FAULTED else None
        if fault is not None:
            scripted[str(fault["kind"])] += 1
        floor.keeper.script([] if fault is None else [fault | {"nth": chance.randint(1, 12)}])
        ended[_tick(floor, tick_ns, chance)] += 1
        if number == SETTLED_TICKS:
            settled = _held(process)
    at_end = _held(process)

    floor.keeper.script([])
    for _ in range(3):
        floor.keeper.move_to(floor.keeper.now_ns() + 10 * 10**9)
        with floor.desk() as desk:
            last = protect_alone(desk, new_execution_id())
    with floor.desk() as desk:
        fills = len(desk.journal.fills(desk.book))
        counts = desk.journal.sent_counts(desk.book, floor.session.isoformat())
    with capsys.disabled():
        print(
            f"\nseed {SEED}: {dict(ended)}, {fills} fills, {sum(scripted.values())} faults of "
            f"{len(scripted)} kinds; MiB, threads, files: {settled} after {SETTLED_TICKS} ticks, "
            f"{at_end} at the end"
        )
    assert sum(ended.values()) == len(ticks) == TICKS
    assert ended["decided"] > len(ticks) / 2
    assert len(scripted) > 15
    assert fills > 50
    assert sum(count.entries for count in counts.values()) > 30
    assert [record for record in last.reconciliation.breaks if record.resolved_ns is None] == []
    assert at_end[1] <= settled[1]
    assert at_end[2] <= settled[2]
    assert at_end[0] - settled[0] < GROWTH_MIB


def _tick(floor: TradingFloor, tick_ns: int, chance: random.Random) -> str:
    """A tick as a process of its own would run it; how it ended. What is no error of the broker's is a
    defect and raises."""
    try:
        with floor.desk() as desk:
            # without the broker's clock a signal would bear the time of the tick before
            for symbol in chance.sample(SYMBOLS, 2) if desk.clock.sync() else ():
                quote = desk.broker.quotes([symbol])[symbol]
                if quote.bid is not None and quote.ask is not None:
                    value = chance.choice([1.0, 0.6, -1.0])
                    receive(desk, symbol, value, reference_price=(quote.bid + quote.ask) / Decimal(2))
            report = run_tick(desk, floor.session, tick_ns, new_execution_id())
    except BrokerError as error:
        return type(error).__name__
    except ClockUnread:
        return "no time"
    return "decided with problems" if report.problems else "decided"


def _held(process: psutil.Process) -> tuple[float, int, int]:
    """Resident memory in MiB, threads and open files, without what only waits for the collector: an answer
    that broke off lies in a cycle of references with its error, and its connection with it."""
    gc.collect()
    return process.memory_info().rss / 2**20, threading.active_count(), process.num_fds()
