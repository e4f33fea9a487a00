"""The feature rows of one tick, from the bars that had been received by then, into the history.

Which bars a tick sees is `features.window`'s, the arithmetic `features.daily`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.engine.desk import Desk
from trading_assets.features.daily import DAILY
from trading_assets.features.window import window_from_bars
from trading_assets.log import get_logger
from trading_assets.market.bars import Interval
from trading_assets.store.bar_history import actions_until, newest_bars

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


def feature_row(desk: Desk, symbol: str, session: date, tick_ns: int) -> tuple[NDArray[np.float64], int]:
    """One symbol's feature row at the tick, shape (k,), and when its newest bar became available."""
    since = desk.sessions.open_ns(session) - int(DAILY.lookback * CALENDAR_DAYS_PER_SESSION + 10) * DAY_NS
    as_of = max(tick_ns, desk.now_ns())
    daily = newest_bars(desk.history, symbol, Interval.DAY, since_ns=since, as_of_ns=as_of)
    minutes = newest_bars(
        desk.history,
        symbol,
        Interval.MINUTE,
        since_ns=desk.sessions.open_ns(session),
        as_of_ns=as_of,
    )
    actions = actions_until(desk.history, symbol, session, as_of_ns=as_of)
    window = window_from_bars(daily, minutes, actions, tick_ns, DAILY.lookback)
    newest = int(window.bars.end_ns[-1]) if len(window.bars.end_ns) else 0
    return DAILY.compute_last(*window), newest


def store_features(desk: Desk, session: date, tick_ns: int) -> FeaturesReport:
    """Compute and store the rows of all symbols at the tick; doing it again changes nothing."""
    rows: dict[str, tuple[float, ...]] = {}
    newest: dict[str, int] = {}
    for symbol in desk.settings.symbols:
        row, newest[symbol] = feature_row(desk, symbol, session, tick_ns)
        rows[symbol] = tuple(float(value) for value in row)
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
        newest_bar_ns=newest,
        incomplete=incomplete,
    )
