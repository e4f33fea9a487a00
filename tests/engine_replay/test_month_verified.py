"""Every session of a month traded on the embedded exchange is derived again identically from its stores."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from support.trading_floor import trading_floor

from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.engine.records.verify import verify
from trading_assets.engine.signals.tick_signals import receive
from trading_assets.engine.ticks.whole_tick import run_tick
from trading_assets.market.sessions import Sessions

DAYS = Sessions().between(date(2012, 8, 1), date(2012, 8, 31))  # two dividends in it
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


@pytest.mark.slow
@pytest.mark.exchange
def test_every_session_of_a_month_is_verified(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    with trading_floor(tmp_path, DAYS[0], data_dir=str(tmp_path / "desk")) as floor:
        for number, day in enumerate(DAYS):
            tick_ns = floor.go_to_session(day, 1)
            with floor.desk() as desk:
                reconcile(desk)
                for symbol, value in zip(SYMBOLS, random.uniform(-0.6, 1.0, len(SYMBOLS)), strict=True):
                    receive(desk, symbol, float(value))
                report = run_tick(desk, day, tick_ns, new_execution_id())
                assert not report.problems
                result = verify(desk.journal, desk.history, desk.book, day)
            assert result.identical, (day, result.differences)
            assert not result.not_read
            assert result.signals == len(SYMBOLS), number
        with floor.desk() as desk:
            assert {fill.side for fill in desk.journal.fills(desk.book)} == {-1, 1}
            assert len(desk.journal.orders(desk.book)) > len(DAYS)
