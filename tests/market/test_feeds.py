"""Which feed is asked for which bars: the consolidated tape for what is 15 minutes old, and whose trades bars
are."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.market.bars import Interval
from trading_assets.market.feeds import DELAY_NS, IEX, SIP, WHOLE_MARKET, FeedQuestion, market_of, to_ask
from trading_assets.market.sessions import MINUTE_NS, Sessions, new_york_midnight_ns

SESSIONS = Sessions()
DAY, BEFORE = date(2024, 6, 5), date(2024, 6, 4)
OPEN_NS, CLOSE_NS = SESSIONS.open_ns(DAY), SESSIONS.close_ns(DAY)
MIDNIGHT_NS = new_york_midnight_ns(DAY)


def test_a_minute_is_asked_of_the_whole_market_once_it_ended_15_minutes_ago() -> None:
    now_ns = OPEN_NS + 60 * MINUTE_NS
    old, young = to_ask(IEX, SESSIONS, Interval.MINUTE, OPEN_NS, now_ns, now_ns)
    assert (old.feed, old.start_ns) == (SIP, OPEN_NS)
    assert (young.feed, young.end_ns) == (IEX, now_ns)
    last_old_ns = now_ns - DELAY_NS - MINUTE_NS  # the start of a bar that ends exactly then
    assert old.end_ns == young.start_ns == last_old_ns + 1


def test_daily_bars_before_today_are_asked_of_the_whole_market_also_minutes_after_the_open() -> None:
    first_ns = new_york_midnight_ns(date(2024, 1, 2))
    for now_ns in (OPEN_NS - 60 * MINUTE_NS, OPEN_NS + 5 * MINUTE_NS, CLOSE_NS - MINUTE_NS):
        (questions,) = to_ask(IEX, SESSIONS, Interval.DAY, first_ns, MIDNIGHT_NS, now_ns)
        assert questions.feed == SIP
        assert new_york_midnight_ns(BEFORE) < questions.end_ns <= now_ns - DELAY_NS


@pytest.mark.parametrize(("minutes", "feed"), [(14, IEX), (15, SIP), (300, SIP)])
def test_todays_daily_bar_is_the_whole_markets_15_minutes_after_the_close(minutes: int, feed: str) -> None:
    now_ns = CLOSE_NS + minutes * MINUTE_NS
    questions = to_ask(IEX, SESSIONS, Interval.DAY, MIDNIGHT_NS, now_ns, now_ns)
    assert [part.feed for part in questions] == [feed]


@pytest.mark.parametrize("interval", Interval)
def test_who_has_the_whole_market_asks_for_nothing_else(interval: Interval) -> None:
    assert to_ask(SIP, SESSIONS, interval, OPEN_NS, CLOSE_NS, CLOSE_NS) == [
        FeedQuestion(SIP, OPEN_NS, CLOSE_NS)
    ]


@given(
    st.sampled_from(Interval),
    st.integers(0, 30 * 24 * 60),
    st.integers(0, 30 * 24 * 60),
    st.integers(-60, 5 * 24 * 60),
)
def test_no_question_to_the_whole_market_reaches_into_the_last_15_minutes_and_no_bar_is_left_out(
    interval: Interval, before: int, length: int, after: int
) -> None:
    now_ns = OPEN_NS + after * MINUTE_NS
    start_ns = now_ns - before * MINUTE_NS
    end_ns = min(start_ns + length * MINUTE_NS, now_ns)
    questions = to_ask(IEX, SESSIONS, interval, start_ns, end_ns, now_ns)
    for part in questions:
        assert start_ns <= part.start_ns < part.end_ns <= end_ns
        assert part.feed == IEX or part.end_ns <= now_ns - DELAY_NS
    days = {SESSIONS.new_york_date(at) for at in range(start_ns, end_ns, 60 * MINUTE_NS)}
    starts = (
        [new_york_midnight_ns(day) for day in days]
        if interval is Interval.DAY
        else range(start_ns, end_ns, MINUTE_NS)
    )
    for at in starts:
        if start_ns <= at < end_ns:
            assert sum(part.start_ns <= at < part.end_ns for part in questions) == 1


def test_whose_trades_bars_are() -> None:
    assert market_of([IEX, IEX]) == IEX
    assert market_of([SIP, None, ""]) == market_of([]) == WHOLE_MARKET
    assert market_of([SIP, IEX]) == "iex and the whole market"
