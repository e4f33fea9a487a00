"""The feature rows of one tick, from the bars that had been received by then, into the history.

Which bars a tick sees is `features.window`'s, the arithmetic `features.daily`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.engine.book.desk import Desk, holding_history
from trading_assets.features.daily import DAILY
from trading_assets.features.window import Window, window_from_bars
from trading_assets.log import get_logger
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import Sessions
from trading_assets.store.bar_history import actions_until, newest_bars
from trading_assets.store.history import History

log = get_logger(__name__)

CALENDAR_DAYS_PER_SESSION = 1.6  # 365 ÷ 252, and room for holidays
DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class FeaturesReport:
    """What was computed. `incomplete` symbols have a row with a NaN, and no signal comes of it."""

    session: str
    tick_ns: int
    feature_set: str
    names: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]
    newest_bar_ns: dict[str, int]  # when the newest bar in each symbol's window became available
    incomplete: tuple[str, ...]


def windows_at(
    history: History, symbols: Sequence[str], session: date, tick_ns: int, as_of_ns: int
) -> dict[str, Window]:
    """Each symbol's bars of a row at the tick, as they had been received by `as_of_ns`."""
    open_ns = Sessions().open_ns(session)
    since_ns = earliest_daily_ns(open_ns)
    with history.reading():  # one opening of the file for the three queries
        daily = newest_bars(history, symbols, Interval.DAY, since_ns=since_ns, as_of_ns=as_of_ns)
        minutes = newest_bars(history, symbols, Interval.MINUTE, since_ns=open_ns, as_of_ns=as_of_ns)
        actions = actions_until(history, symbols, session, as_of_ns=as_of_ns)
    return {
        symbol: window_from_bars(daily[symbol], minutes[symbol], actions[symbol], tick_ns, DAILY.lookback)
        for symbol in symbols
    }


def earliest_daily_ns(open_ns: int) -> int:
    """Where the daily bars of a row begin at the earliest, for a session that opens at `open_ns`."""
    return open_ns - int(DAILY.lookback * CALENDAR_DAYS_PER_SESSION + 10) * DAY_NS


def feature_rows(desk: Desk, session: date, tick_ns: int) -> dict[str, tuple[NDArray[np.float64], int]]:
    """Each symbol's feature row at the tick, shape (k,), and when its newest bar became available."""
    as_of_ns = max(tick_ns, desk.now_ns())
    windows = windows_at(desk.history, desk.settings.symbols, session, tick_ns, as_of_ns)
    return {
        symbol: (
            DAILY.compute_last(*window),
            int(window.bars.end_ns[-1]) if len(window.bars.end_ns) else 0,
        )
        for symbol, window in windows.items()
    }


@holding_history
def store_features(desk: Desk, session: date, tick_ns: int) -> FeaturesReport:
    """Compute and store the rows of all symbols at the tick; doing it again changes nothing."""
    computed_rows = feature_rows(desk, session, tick_ns)
    rows = {symbol: tuple(row.tolist()) for symbol, (row, _) in computed_rows.items()}
    computed = desk.now_ns()
    desk.history.replace_many(
        [
            (
                "feature_sets",
                {"feature_set": DAILY.identity},
                [{"feature_set": DAILY.identity, "names": list(DAILY.names)}],
            ),
            (
                "features",
                {"book": desk.book, "session": session, "tick_ns": tick_ns},
                [
                    {
                        "book": desk.book,
                        "session": session,
                        "tick_ns": tick_ns,
                        "symbol": symbol,
                        "feature_set": DAILY.identity,
                        "values": list(row),
                        "computed_at_ns": computed,
                    }
                    for symbol, row in rows.items()
                ],
            ),
        ]
    )
    incomplete = tuple(symbol for symbol, row in rows.items() if not np.isfinite(row).all())
    log.info("features stored", session=session.isoformat(), rows=len(rows), incomplete=list(incomplete))
    return FeaturesReport(
        session=session.isoformat(),
        tick_ns=tick_ns,
        feature_set=DAILY.identity,
        names=DAILY.names,
        rows=rows,
        newest_bar_ns={symbol: newest_ns for symbol, (_, newest_ns) in computed_rows.items()},
        incomplete=incomplete,
    )
