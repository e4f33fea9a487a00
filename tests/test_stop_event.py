"""The event that a signal sets: it never waits for itself, and otherwise does what an event does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from trading_assets.up import StopEvent, stop_signals

INTERRUPTED = """
import os, signal, sys, threading, time
from trading_assets.up import stop_signals
done = threading.Event()
def shower():
    while not done.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
with stop_signals() as stop:
    threading.Thread(target=shower, daemon=True).start()
    ends = time.monotonic() + float(sys.argv[1])
    waits = 0
    while time.monotonic() < ends:
        stop.clear()
        stop.wait(0.0)
        stop.is_set()
        waits += 1
    done.set()
print(waits)
"""


def test_a_shower_of_signals_does_not_stop_the_thread_that_waits() -> None:
    """With the event of `threading` it stands still within a second."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "2"], capture_output=True, text=True, timeout=30, check=True
    )
    assert int(ended.stdout) > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_sets_it_and_the_handlers_of_before_return(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_signals(signal.SIGHUP) as stop:
        assert not stop.is_set()
        assert not stop.wait(0.01)
        os.kill(os.getpid(), number)
        assert stop.wait(5.0)
        assert stop.is_set()
    assert signal.getsignal(number) is before


def test_another_thread_is_woken_and_every_later_wait_returns() -> None:
    stop = StopEvent()
    woken: list[float] = []
    waiting = threading.Thread(target=lambda: woken.append(time.monotonic()) if stop.wait(30.0) else None)
    waiting.start()
    set_at = time.monotonic()
    for _ in range(100_000):  # more than a pipe holds
        stop.set()
    waiting.join(10.0)
    assert woken
    assert woken[0] - set_at < 5.0
    assert stop.wait()
    stop.clear()
    assert not stop.is_set()
