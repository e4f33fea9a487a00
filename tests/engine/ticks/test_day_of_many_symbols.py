"""A session of 200 symbols at Alpaca's 200 requests a minute, with a protection each minute, while the
exchange fails in every way it can: no break is left, and no protection is late.

`make test` plays its first half hour, `make crash` the whole of it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest
from day_faults import FAULTS
from support.many_symbols import SESSION, Requests, many_symbols

from trading_assets.broker.port import BrokerError
from trading_assets.config import Settings
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.market.clock import ClockUnread
from trading_assets.market.sessions import MINUTE_NS, Sessions

pytestmark = pytest.mark.slow(seconds=90)

SEED = 20120911
SYMBOLS = 200
MINUTES = 389 if os.environ.get("ALL_CRASH_CASES") else 30
FAULTED = 0.4  # of the minutes
ON_TIME_SECONDS = 1.0  # a protection, from its minute to its end
WAITS = frozenset(
    {"hang_after_commit", "delay", "drop", "rate_limited", "stuck_pending_cancel", "ignored_cancel"}
)
WIDE = 10.0  # of a machine that others use


class Protection(NamedTuple):
    seconds: float
    fault: str  # "": none
    how: str  # "well", or the broker's error


def test_a_day_of_faults_with_200_symbols_leaves_no_break_and_no_protection_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    requests = Requests(monkeypatch)
    busiest, ticks = 0, Counter[str]()
    protections: list[Protection] = []
    limits = {"max_position_pct": 0.002, "max_orders_per_day": 5_000, "max_orders_per_symbol_per_day": 50}
    with many_symbols(tmp_path, SYMBOLS, **limits) as (keeper, settings):
        open_ns = Sessions().open_ns(SESSION)
        for minute in range(2, 2 + MINUTES):
            keeper.move_to(open_ns + minute * MINUTE_NS)
            fault = chance.choice(FAULTS) if chance.random() < FAULTED else None
            if fault is not None:
                fault = fault | {"nth": chance.randint(1, 8)}
                if "symbol" in fault:
                    fault |= {"symbol": settings.symbols[0]}
            keeper.script([] if fault is None else [fault])
            requests.since()
            protections.append(_protect(settings, "" if fault is None else str(fault["kind"])))
            if minute % settings.tick_minutes == 0:
                ticks[_tick(settings, open_ns + minute * MINUTE_NS, chance)] += 1
            busiest = max(busiest, *requests.since())
        keeper.script([])
        for _ in range(3):
            keeper.move_to(keeper.now_ns() + 20 * 10**9)
            with Desk.open(settings, environ={}) as desk:
                last = protect_alone(desk, new_execution_id())
                fills = len(desk.journal.fills(desk.book))
    unhindered = sorted(one.seconds for one in protections if one.fault not in WAITS)
    median = unhindered[len(unhindered) // 2]
    hindered = Counter(one.fault for one in protections if one.fault and one.seconds > ON_TIME_SECONDS)
    with capsys.disabled():
        print(
            f"\n{SYMBOLS} symbols, {len(protections)} protections: median {median:.2f} s, "
            f"slowest {unhindered[-1]:.2f} s, waits {dict(hindered)}; ticks {dict(ticks)}, {fills} fills; "
            f"{busiest} requests in the busiest minute, {requests.refused} refused"
        )
    assert last.reconciliation.breaks == ()
    assert len(protections) == MINUTES
    assert ticks["decided"] > sum(ticks.values()) / 2
    assert fills > 10
    assert busiest <= REQUESTS_PER_MINUTE
    assert median < ON_TIME_SECONDS * WIDE
    assert unhindered[-1] < ON_TIME_SECONDS * WIDE


def _protect(settings: Settings, fault: str) -> Protection:
    """A protection as the sensor's run makes it, in its minute."""
    began, how = monotonic(), "well"
    try:
        with Desk.open(settings, environ={}) as desk:
            protect_alone(desk, new_execution_id())
    except (BrokerError, ClockUnread) as error:
        how = type(error).__name__
    return Protection(monotonic() - began, fault, how)


def _tick(settings: Settings, tick_ns: int, chance: random.Random) -> str:
    """A tick as a process of its own would run it; how it ended. What is no error of the broker's is a
    defect and raises."""
    try:
        with Desk.open(settings, environ={}) as desk:
            for symbol in chance.sample(settings.symbols, 8) if desk.clock.sync() else ():
                receive(desk, symbol, chance.choice([1.0, 0.6, -1.0]))
            report = run_tick(desk, SESSION, tick_ns, new_execution_id())
    except BrokerError as error:
        return type(error).__name__
    except ClockUnread:
        return "no time"
    return "decided with problems" if report.problems else "decided"
