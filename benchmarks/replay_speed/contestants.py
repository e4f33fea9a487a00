"""Who takes part, in which environment, and in which works: the table of the comparison.

A new contestant is a line here and a script that `contest.contend`s.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    OURS = "gate, audit and ledger"
    LOOP = "a bare loop"
    ARRAYS = "whole arrays at once"
    BARS = "bar by bar, without orders or events"
    EVENTS = "event-driven"


class Contestant(NamedTuple):
    name: str
    kind: Kind
    script: str
    packages: tuple[str, ...] = ()  # of its own environment; none: this project's
    repetitions: int = 1  # in one process


CORE = Contestant("core", Kind.OURS, "core.py", repetitions=3)
BARE_LOOP = Contestant("bare loop", Kind.LOOP, "bare_loop.py")
VECTORBT = Contestant(
    "vectorbt",
    Kind.ARRAYS,
    "peer_vectorbt.py",
    ("vectorbt==1.0.0", "numba==0.68.1", "numpy==2.2.6", "pandas==2.3.3", "plotly==5.24.1"),
    repetitions=3,
)
BACKTRADER = Contestant(
    "backtrader", Kind.EVENTS, "peer_backtrader.py", ("backtrader==1.9.78.123", "numpy==2.4.6")
)
ZIPLINE = Contestant(
    "zipline",
    Kind.EVENTS,
    "peer_zipline.py",
    ("zipline-reloaded==3.2.1", "exchange-calendars==4.13.2", "numpy==2.4.6", "pandas==2.3.3"),
)
BT = Contestant("bt", Kind.BARS, "peer_bt.py", ("bt==1.4.1", "pandas==2.3.3"))
NAUTILUS = Contestant(
    "nautilus",
    Kind.EVENTS,
    "peer_nautilus.py",
    ("nautilus_trader==1.221.0", "pandas==2.3.3"),
)
BACKTESTING = Contestant(
    "backtesting.py",
    Kind.EVENTS,
    "peer_backtesting.py",
    ("backtesting==0.6.6", "pandas==2.3.3"),
)


class Contest(NamedTuple):
    """A work and who does it; the slow take part in the first so many of the rounds."""

    work: str  # as `work.accounts` knows it
    title: str
    rounds: int
    contestants: tuple[Contestant, ...]
    slow: tuple[Contestant, ...] = ()
    slow_rounds: int = 0


CONTESTS = (
    Contest(
        "standard",
        "50 symbols × 60 sessions × 390 minutes",
        6,
        (CORE, VECTORBT, BARE_LOOP, BT),
        (ZIPLINE, NAUTILUS, BACKTRADER),
        2,
    ),
    Contest(
        "alone:3900",
        "its first ten sessions, each symbol with a million of its own",
        2,
        (CORE, BARE_LOOP, BACKTESTING),
    ),
    Contest(
        "daily",
        "100 symbols × 10 years of daily bars",
        2,
        (CORE, VECTORBT, BARE_LOOP, BT, NAUTILUS, BACKTRADER),
    ),
    Contest(
        "real",
        "four stocks, 2005 to 2013, daily",
        3,
        (CORE, VECTORBT, BARE_LOOP, BT, NAUTILUS, BACKTRADER),
    ),
)
