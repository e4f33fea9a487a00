"""Writes the bundled real daily bars as arrays that every contestant can load.

From the last split of any of them on, the symbols that have bars since: none splits then. Dividends are left
out, since not every contestant knows them. Prices are rounded to whole cents, in which they trade; the file
has some with more digits.
"""

from __future__ import annotations

import numpy as np

from benchmarks.replay_speed.work import REAL_BARS
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bundle import BundledTape


def write_real_bars() -> None:
    tape = BundledTape()
    daily = {symbol: tape.daily(symbol) for symbol in tape.symbols}
    first_ns = 0
    for symbol, bars in daily.items():
        ratio, _ = aligned_actions(tape.actions(symbol), bars.start_ns)
        first_ns = max(first_ns, *bars.start_ns[ratio != 1.0], 0)
    spanning = [bars for bars in daily.values() if bars.start_ns[0] <= first_ns]
    columns = {
        name: np.round([getattr(bars, name)[bars.start_ns >= first_ns] for bars in spanning], 2)
        for name in ("open", "high", "low", "close")
    }
    REAL_BARS.parent.mkdir(parents=True, exist_ok=True)
    np.savez(REAL_BARS, **columns)
