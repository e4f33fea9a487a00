"""The decision core on the standard work: sizing, nine checks with their audit, matching, ledger, breakers.

Run by itself: `python core.py` prints a JSON line: orders, closing equity and CPU seconds of each repetition.
"""

from __future__ import annotations

import json
import sys
import time
from math import inf, nan

import numpy as np
from contest import asked, merged
from work import CASH_USD, FIRST_NS, MINUTE_NS, WEIGHT, Work

from trading_assets.core.limits import Limits
from trading_assets.core.walk.columns import (
    EQUITY,
    MINUTE_BAR,
    SIGNAL,
    SYMBOL_DAY,
    VERDICTS,
    Book,
    Day,
    Schedule,
    Sheet,
    Terms,
)
from trading_assets.core.walk.session import walk_session

NO_LIMITS = Limits(
    **{name: inf for name in Limits._fields if name not in ("use_margin", "fractional")},
    use_margin=False,
    fractional=False,
)._replace(
    limit_offset=0.0,  # sized and sent at the bar's close
    threshold=0.0,
    no_entry_seconds_after_open=0.0,
    no_entry_minutes_before_close=0.0,
    volatility_target=nan,
    min_order_notional=0.0,
)


def columns(work: Work) -> tuple[Day, Schedule, np.ndarray, Terms]:
    """The work as one long session with a tick at each bar's close but the last."""
    symbols, bars = work.close.shape
    starts = FIRST_NS + MINUTE_NS * np.arange(bars)
    day = np.zeros(symbols, SYMBOL_DAY)
    day["open"] = day["previous_close"] = work.open[:, 0]
    day["close"], day["listed"] = work.close[:, -1], True
    minutes = np.zeros(symbols * bars, MINUTE_BAR)
    minutes["start_ns"] = np.tile(starts, symbols)
    minutes["end_ns"] = minutes["start_ns"] + MINUTE_NS
    for name in ("open", "high", "low", "close"):
        minutes[name] = getattr(work, name).ravel()
    ticks, at_ns = bars - 1, starts[1:]
    signals = np.zeros(symbols * ticks, SIGNAL)
    signals["symbol"], signals["as_of_ns"] = np.tile(np.arange(symbols), ticks), np.repeat(at_ns, symbols)
    signals["value"] = np.where(work.wanted[:, :ticks].T, WEIGHT, -1.0).ravel()
    signals["reference_price"] = signals["limit_price"] = signals["volatility"] = nan
    close_ns = FIRST_NS + MINUTE_NS * bars
    terms = Terms(
        1, FIRST_NS, close_ns, 1 << 60, MINUTE_NS, MINUTE_NS, 0.0, True, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    )
    first = np.arange(symbols + 1) * bars
    return (
        Day(day, first, minutes),
        Schedule(
            at_ns,
            np.arange(ticks),
            np.arange(ticks + 1) * symbols,
            np.zeros((0, symbols), np.bool_),
            np.zeros(ticks, np.bool_),
        ),
        signals,
        terms,
    )


def run(work: Work, repetitions: int) -> dict[str, object]:
    """The orders as (bar of the fill, symbol, signed shares), closing equity and CPU seconds."""
    symbols, bars = work.close.shape
    day, schedule, signals, terms = columns(work)
    seconds = []
    for _ in range(repetitions + 1):  # the first compiles, or loads what was compiled
        book = Book.opened(symbols, CASH_USD)
        sheet = Sheet.of(12 * bars + 1000, symbols, len(signals), bars - 1)
        began = time.process_time()
        done = walk_session(day, schedule, signals, terms, NO_LIMITS, book, sheet)
        seconds.append(time.process_time() - began)
        assert done
    used = sheet.counts[VERDICTS]
    rows, orders = sheet.proposals.rows[:used], sheet.orders[:used]
    bar = (orders["at_ns"] - FIRST_NS) // MINUTE_NS
    fills = np.column_stack([bar, orders["symbol"], rows["side"] * rows["qty"]]).astype(np.int64)
    return {"orders": fills.tolist(), "equity": float(book.figures[EQUITY]), "seconds": seconds[1:]}


if __name__ == "__main__":
    repetitions, works = asked()
    json.dump(merged([run(work, repetitions) for work in works]), sys.stdout)
