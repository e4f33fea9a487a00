"""Incomplete bars in a replay: found as the live check finds them, and kept from entries as live."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from handmade_bars import HandmadeBars
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.walk.columns import MINUTE_BAR, SYMBOL_DAY, Day
from trading_assets.engine.checks.data import gaps_of_days, gaps_of_minutes
from trading_assets.engine.market_data.incomplete_bars import vetoes_all
from trading_assets.engine.replay import ExternalSignal
from trading_assets.engine.replay.daily_stack import DailyStack
from trading_assets.engine.replay.gaps import DailyGaps, minute_gaps
from trading_assets.features.daily import DAILY
from trading_assets.market.bars import Bars
from trading_assets.market.sessions import MINUTE_NS, Sessions
from trading_assets.store.history import History

SESSIONS = Sessions()
DAYS = SESSIONS.between(date(2012, 3, 1), date(2012, 7, 31))
SESSION = DAYS[-1]
OPEN_NS = SESSIONS.open_ns(SESSION)


def daily_bars(days: list[date]) -> Bars:
    starts = np.array([SESSIONS.open_ns(day) for day in days], dtype=np.int64)
    ends = np.array([SESSIONS.close_ns(day) for day in days], dtype=np.int64)
    prices = np.full(len(days), 100.0)
    return Bars(starts, ends, prices, prices, prices, prices, prices)


@settings(max_examples=60, deadline=None)
@given(
    missing=st.lists(
        st.sets(st.integers(0, len(DAYS) - 1), max_size=4) | st.just(set(range(len(DAYS) - 1))),
        min_size=1,
        max_size=4,
    ),
    first=st.lists(st.sampled_from([0, 40, len(DAYS) - 5]), min_size=4, max_size=4),
    place=st.integers(DAILY.lookback, len(DAYS) - 1),
)
def test_a_missing_day_is_found_as_the_live_check_finds_it(
    missing: list[set[int]], first: list[int], place: int
) -> None:
    session = DAYS[place]
    symbols = [
        daily_bars([day for number, day in enumerate(DAYS) if number >= begun and number not in gone])
        for gone, begun in zip(missing, first, strict=False)
    ]
    result, counts = DailyGaps(DailyStack(symbols), SESSIONS).at(session)
    expected = DAYS[place - DAILY.lookback + 1 : place]
    for row, bars in enumerate(symbols):
        known = (bars.start_ns >= SESSIONS.open_ns(expected[0])) & (bars.end_ns <= SESSIONS.open_ns(session))
        held = Bars._make(column[known] for column in bars)
        live = bool(list(gaps_of_days({"A": held}, expected)))
        has_begun = bool((bars.start_ns <= SESSIONS.open_ns(session)).any())
        goes_on = bool((bars.start_ns >= SESSIONS.open_ns(session)).any())
        assert counts[row] == (has_begun and goes_on)
        assert result[row] == (live and counts[row])


@given(
    held=st.lists(st.sets(st.integers(0, 120), max_size=9), min_size=1, max_size=4),
    whole=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_a_gap_of_minutes_is_found_as_the_live_check_finds_it(
    held: list[set[int]], whole: list[bool]
) -> None:
    minutes = [
        sorted(set(range(121)) - some if all_others else some)
        for some, all_others in zip(held, whole, strict=False)
    ]
    bars = np.zeros(sum(map(len, minutes)), MINUTE_BAR)
    bars["start_ns"] = OPEN_NS + np.concatenate(minutes) * MINUTE_NS
    bars["end_ns"] = bars["start_ns"] + MINUTE_NS
    first = np.append(0, np.cumsum([len(of_symbol) for of_symbol in minutes]))
    ticks = OPEN_NS + np.array([5, 14, 15, 16, 30, 60, 121]) * MINUTE_NS
    result = minute_gaps(Day(np.zeros(len(minutes), SYMBOL_DAY), first, bars), OPEN_NS, ticks)
    for row in range(len(minutes)):
        ends = bars["end_ns"][first[row] : first[row + 1]]
        for number, tick_ns in enumerate(ticks.tolist()):
            by_then = ends[ends <= tick_ns]
            prices = np.full(len(by_then), 1.0)
            own = Bars(by_then - MINUTE_NS, by_then, prices, prices, prices, prices, prices)
            assert result[number, row] == bool(list(gaps_of_minutes({"A": own}, OPEN_NS, tick_ns)))


@pytest.mark.parametrize(
    ("incomplete", "symbols", "share", "vetoed"),
    [
        (0, 5, 0.2, False),
        (1, 5, 0.2, False),
        (2, 5, 0.2, True),
        (1, 2, 0.2, False),  # one alone says nothing of the others
        (2, 2, 0.2, True),
        (1, 1, 0.2, False),
        (20, 100, 0.2, False),
        (21, 100, 0.2, True),
        (0, 100, 0.0, False),
        (1, 100, 0.0, True),
        (100, 100, 1.0, False),
    ],
)
def test_all_wait_only_where_more_than_the_share_are_incomplete(
    incomplete: int, symbols: int, share: float, vetoed: bool
) -> None:
    assert vetoes_all(incomplete, symbols, share) is vetoed


def outcomes(bars: HandmadeBars, name: str, *signals: ExternalSignal, share: float = 0.2) -> dict[str, str]:
    bars.settings = bars.settings.model_copy(update={"max_incomplete_share": share})
    report = bars.replay(8, *signals, name=name)
    query = "SELECT symbol || ' ' || value AS signal, outcome FROM signals ORDER BY ALL"
    return {row["signal"]: row["outcome"] for row in History(report.history_path).query(query).to_pylist()}


@pytest.mark.slow
def test_a_symbol_without_a_day_waits_and_is_sold_and_the_other_trades(bars: HandmadeBars) -> None:
    for symbol in ("AAPL", "IBM"):
        bars.plant_daily(symbol, [(100.0, 100.0)] * 10)
    with bars.history.writing() as connection:
        connection.execute("DELETE FROM bars WHERE symbol = 'IBM' AND session = ?", [bars.days[4]])
    signals = (
        ExternalSignal("IBM", 1.0, bars.days[2]),
        ExternalSignal("IBM", 0.9, bars.days[5]),
        ExternalSignal("AAPL", 1.0, bars.days[5]),
        ExternalSignal("IBM", -1.0, bars.days[6]),
    )
    outcomes_then = {
        "IBM 1.0": "ORDERED",
        "IBM 0.9": "INCOMPLETE_BARS",
        "AAPL 1.0": "ORDERED",
        "IBM -1.0": "ORDERED",
    }
    assert outcomes(bars, "one", *signals) == outcomes_then
    # where no share is allowed the whole tick's entries are refused, and exits go
    assert outcomes(bars, "none", *signals, share=0.0) == outcomes_then | {"AAPL 1.0": "REFUSED"}


def test_nothing_is_entered_on_before_a_day_whose_price_is_another_shares(bars: HandmadeBars) -> None:
    """IBM halves on the fifth day and nobody told a split: that row was left out of its file."""
    bars.plant_daily("AAPL", [(100.0, 100.0)] * 10)
    bars.plant_daily("IBM", [(100.0, 100.0)] * 4 + [(50.0, 50.0)] * 6)
    signals = (ExternalSignal("IBM", 1.0, bars.days[2]), ExternalSignal("AAPL", 1.0, bars.days[2]))
    assert outcomes(bars, "unknown", *signals) == {"IBM 1.0": "ORDERED", "AAPL 1.0": "ORDERED"}
    with bars.history.writing() as connection:
        connection.execute("DELETE FROM bars WHERE symbol = 'IBM' AND session = ?", [bars.days[4]])
        connection.execute(
            "INSERT INTO bars_quarantine VALUES "
            "('IBM', ?, '1d', 'UNEXPLAINED_SPLIT', 0.5, 0.5, 'file:a.csv', 6, 1)",
            [bars.days[4]],
        )
    left_out = {"IBM 1.0": "INCOMPLETE_BARS", "AAPL 1.0": "ORDERED"}
    assert outcomes(bars, "known", *signals) == left_out
    assert outcomes(bars, "no-share", *signals, share=0.0) == left_out  # it doubts no other symbol


def test_the_strongest_signals_have_what_the_cap_leaves(bars: HandmadeBars) -> None:
    for symbol in ("AAPL", "IBM"):
        bars.plant_daily(symbol, [(100.0, 100.0)] * 10)
    signals = (ExternalSignal("AAPL", 0.5, bars.days[2]), ExternalSignal("IBM", 0.9, bars.days[2]))
    report = bars.replay(8, *signals, limits={"max_orders_per_execution": 1})
    assert report.verdict_codes == {"EXECUTION_ORDER_COUNT": 1, "PASS": 1}
    orders = History(report.history_path).query("SELECT symbol FROM orders").to_pylist()
    assert [order["symbol"] for order in orders] == ["IBM"]
