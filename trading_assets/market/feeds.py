"""Of whose trades bars are made: one exchange's, or the whole market's; and which of the two to ask for.

A free account of Alpaca reads `iex` live. Of everything older than 15 minutes it reads `sip`, the
consolidated tape, whose volume is some thirty times as large (AAPL on 2025-12-01: 46.6 M shares against
1.65 M). Features of volume, and daily highs and lows, mean another thing on each. So what is old enough is
asked of `sip`, and only the last minutes of the configured feed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal, NamedTuple

from trading_assets.market.bars import Interval
from trading_assets.market.sessions import MINUTE_NS, Sessions, new_york_midnight_ns

Feed = Literal["iex", "sip"]

SIP: Feed = "sip"
IEX: Feed = "iex"
WHOLE_MARKET = "the whole market"
REMEDY = (
    "Store the whole market's bars of these days: `trading-assets download --feed sip --from … --interval 1d "
    "--again`. Or train a model on the bars that there are."
)
"""Where bars, or a model and bars, are of different markets."""
DELAY_NS = 15 * MINUTE_NS  # until the consolidated tape is open to every account


class FeedQuestion(NamedTuple):
    """Bars with start_ns ≤ start < end_ns, of this feed."""

    feed: Feed
    start_ns: int
    end_ns: int


def to_ask(
    configured: Feed, sessions: Sessions, interval: Interval, start_ns: int, end_ns: int, now_ns: int
) -> list[FeedQuestion]:
    """Which feed each part of a question for bars goes to: `sip` for bars that ended 15 minutes ago or
    earlier, the configured feed for the others. Daily bars are stamped at New York's midnight, and end with
    their session.

    No question to `sip` reaches into the last 15 minutes: for one that does the whole of it is refused.
    """
    if configured == SIP or start_ns >= end_ns:
        return [FeedQuestion(configured, start_ns, end_ns)] if start_ns < end_ns else []
    old_ns = now_ns - DELAY_NS
    if interval is Interval.MINUTE:
        cut_ns = old_ns - MINUTE_NS + 1
    else:
        day = sessions.new_york_date(old_ns)
        over = not sessions.is_session(day) or sessions.close_ns(day) <= old_ns
        cut_ns = new_york_midnight_ns(day + timedelta(days=1) if over else day)
    cut_ns = min(max(cut_ns, start_ns), end_ns)
    old = FeedQuestion(SIP, start_ns, min(cut_ns, old_ns))
    young = FeedQuestion(configured, cut_ns, end_ns)
    return [
        part
        for part in (old, young)
        if part.start_ns < part.end_ns and _may_hold_a_bar(part, interval, sessions)
    ]


def _may_hold_a_bar(part: FeedQuestion, interval: Interval, sessions: Sessions) -> bool:
    """Whether a bar of this length can begin in it: a day begins at midnight."""
    if interval is Interval.MINUTE:
        return True
    last = sessions.new_york_date(part.end_ns - 1)
    return new_york_midnight_ns(last) >= part.start_ns


def market_of(feeds: Iterable[str | None]) -> str:
    """Whose trades bars of these feeds are: `iex`, the whole market's, or both. Of a person's own files, of
    the bundled bars and of bars that say nothing it is the whole market's."""
    markets = {IEX if feed == IEX else WHOLE_MARKET for feed in feeds}
    return " and ".join(sorted(markets)) or WHOLE_MARKET


def market_of_sources(sources: Iterable[str]) -> str:
    """The same by the names of sources, `alpaca:iex`: of what was written before bars said their feed. The
    embedded exchange has one tape, whatever it was asked for."""
    named = (part for source in sources for part in source.split(", "))
    return market_of(part.rpartition(":")[2] for part in named if not part.startswith("embedded:"))
