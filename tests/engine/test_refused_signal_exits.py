"""The exit of a signal that the gate refuses: no order stands for it, and a person hears of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from counter import SESSION, TICK_NS, Counter, desk_at
from ground import execute
from planted import Altered

from trading_assets.broker.port import AssetState
from trading_assets.engine import signalling
from trading_assets.engine.reconcile import adopt, reconcile


def test_an_exit_of_a_signal_that_the_gate_refuses_is_told_once_and_one_of_nothing_is_not(
    tmp_path: Path,
) -> None:
    counter = Counter({"AAPL": (10, 100)})
    with desk_at(counter, tmp_path, "AAPL", "IBM") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)

        def halted(symbol: str) -> AssetState:
            return replace(counter.asset(symbol), halted=True)

        desk.broker = Altered(counter, asset=halted, assets=list)
        for number in range(2):
            for symbol in ("AAPL", "IBM"):
                signalling.receive(desk, symbol, -1.0, source=f"producer {number}")
            report = execute(desk, SESSION, TICK_NS)
            assert not report.orders
        told = [alert.title for alert in desk.journal.pending_alerts() if "exit of a signal" in alert.title]
        assert told == ["AAPL: the exit of a signal is refused: SYMBOL_HALTED"]
