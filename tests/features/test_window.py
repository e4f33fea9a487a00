from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.features.daily import DAILY
from trading_assets.features.window import Window, window_from_bars
from trading_assets.market.aggregate import aggregate
from trading_assets.market.bars import Bars, CorporateAction
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import MINUTE_NS, Sessions

TAPE = BundledTape()
SESSIONS = Sessions()
SPLIT_DAY = date(2005, 2, 28)
TICK_DAYS = [SPLIT_DAY, date(2005, 3, 1), date(2004, 11, 15), date(2004, 11, 26)]


def window(symbol: str, day: date, tick_ns: int) -> Window:
    return window_from_bars(
        TAPE.daily(symbol), TAPE.minutes(symbol, day), TAPE.actions(symbol), tick_ns, DAILY.lookback
    )


def completed_before(symbol: str, day: date) -> Bars:
    return TAPE.daily(symbol).until(SESSIONS.open_ns(day))


def same(one: Window, other: Window) -> bool:
    columns, others = (*one.bars, *one[1:]), (*other.bars, *other[1:])
    return all(np.array_equal(a, b) for a, b in zip(columns, others, strict=True))


def test_the_last_bar_is_todays_so_far() -> None:
    day = date(2012, 7, 5)
    tick_ns = SESSIONS.open_ns(day) + 35 * MINUTE_NS
    bars = window("IBM", day, tick_ns).bars
    minutes = TAPE.minutes("IBM", day)
    assert len(bars.close) == DAILY.lookback
    assert bars.end_ns[-1] == tick_ns
    assert bars.open[-1] == minutes.open[0]
    assert bars.close[-1] == minutes.close[34]
    assert bars.high[-1] == minutes.high[:35].max()
    assert bars.volume[-1] == minutes.volume[:35].sum()
    before = completed_before("IBM", day)
    assert bars.close[:-1].tolist() == before.close[1 - DAILY.lookback :].tolist()


@pytest.mark.parametrize("after_open_ns", [0, MINUTE_NS - 1])
def test_before_the_first_minute_has_ended_the_last_bar_is_the_previous_sessions(after_open_ns: int) -> None:
    day = date(2012, 7, 5)
    bars = window("IBM", day, SESSIONS.open_ns(day) + after_open_ns).bars
    assert bars.end_ns[-1] == SESSIONS.close_ns(date(2012, 7, 3))


def test_from_the_close_on_the_daily_bar_takes_the_minutes_place() -> None:
    day = date(2012, 7, 5)
    close_ns = SESSIONS.close_ns(day)
    with_daily = window("IBM", day, close_ns)
    assert with_daily.bars.start_ns[-2:].tolist() == SESSIONS.hours([date(2012, 7, 3), day])[0].tolist()
    not_there_yet = window_from_bars(
        completed_before("IBM", day), TAPE.minutes("IBM", day), TAPE.actions("IBM"), close_ns, DAILY.lookback
    )
    assert same(with_daily, not_there_yet)


def test_minutes_of_another_day_are_left_out() -> None:
    day = date(2012, 7, 5)
    stale = window_from_bars(
        TAPE.daily("IBM").until(SESSIONS.open_ns(date(2012, 7, 3))),
        TAPE.minutes("IBM", date(2012, 7, 3)),
        (),
        SESSIONS.open_ns(day) + 10 * MINUTE_NS,
        DAILY.lookback,
    )
    assert stale.bars.end_ns[-1] == SESSIONS.close_ns(date(2012, 7, 2))


def test_without_minutes_the_window_is_of_completed_sessions() -> None:
    tick_ns = SESSIONS.open_ns(date(2012, 7, 5)) + MINUTE_NS
    bars = window_from_bars(TAPE.daily("IBM"), None, (), tick_ns, 5).bars
    assert bars.close.tolist() == completed_before("IBM", date(2012, 7, 5)).close[-5:].tolist()


def test_a_new_symbols_first_window_is_todays_bar_alone() -> None:
    day = date(2012, 5, 18)
    first = window("FB", day, SESSIONS.open_ns(day) + 5 * MINUTE_NS)
    assert len(first.bars.close) == 1
    assert np.isnan(DAILY.compute_last(*first)).all()


def test_an_action_acts_from_its_ex_dates_first_bar_on() -> None:
    open_ns = SESSIONS.open_ns(SPLIT_DAY)
    assert (window("AAPL", SPLIT_DAY, open_ns).split_ratio == 1.0).all()
    split_ratio = window("AAPL", SPLIT_DAY, open_ns + MINUTE_NS).split_ratio
    assert split_ratio[-1] == 2.0
    assert (split_ratio[:-1] == 1.0).all()


def test_a_tick_on_the_split_day_shows_no_jump() -> None:
    for minutes in (5, 100, 385):
        row = DAILY.compute_last(
            *window("AAPL", SPLIT_DAY, SESSIONS.open_ns(SPLIT_DAY) + minutes * MINUTE_NS)
        )
        values = dict(zip(DAILY.names, row.tolist(), strict=True))
        assert abs(values["return_1"]) < 0.05
        assert abs(values["overnight_gap"]) < 0.05


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "IBM", "GOOG"])
@pytest.mark.parametrize("day", TICK_DAYS)
def test_a_tick_in_the_session_equals_bulk_over_the_same_bars_bit_for_bit(symbol: str, day: date) -> None:
    daily, minutes = TAPE.daily(symbol), TAPE.minutes(symbol, day)
    for tick_ns in SESSIONS.ticks(day, 30):
        parts = zip(completed_before(symbol, day), aggregate(minutes.until(tick_ns)), strict=True)
        whole = Bars._make(np.concatenate(pair) for pair in parts)
        every = window_from_bars(whole, None, TAPE.actions(symbol), tick_ns, len(daily.close))
        bulk = DAILY.compute_bulk(*every)
        assert DAILY.compute_last(*window(symbol, day, tick_ns)).tobytes() == bulk[-1].tobytes()


@pytest.mark.parametrize("symbol", TAPE.symbols)
def test_a_year_of_ticks_at_the_close_equals_bulk_bit_for_bit(symbol: str) -> None:
    daily, actions = TAPE.daily(symbol), TAPE.actions(symbol)
    ends = daily.end_ns[-250:] if symbol != "AAPL" else daily.end_ns[1100:1350]
    everything = window_from_bars(daily, None, actions, int(daily.end_ns[-1]), len(daily.close))
    bulk = DAILY.compute_bulk(*everything)
    for end_ns in ends.tolist():
        live = DAILY.compute_last(*window_from_bars(daily, None, actions, end_ns, DAILY.lookback))
        assert live.tobytes() == bulk[np.searchsorted(daily.end_ns, end_ns)].tobytes()


@given(
    symbol=st.sampled_from(["AAPL", "MSFT"]),
    day=st.sampled_from([*TICK_DAYS, date(2012, 7, 3), date(2012, 8, 9)]),
    offset_s=st.integers(-3600, 8 * 3600),
    factor=st.floats(0.01, 100.0),
)
def test_what_was_not_available_at_the_tick_changes_nothing(
    symbol: str, day: date, offset_s: int, factor: float
) -> None:
    tick_ns = SESSIONS.open_ns(day) + offset_s * 1_000_000_000

    def altered_after_tick(bars: Bars) -> Bars:
        later = bars.end_ns > tick_ns
        values = (np.where(later, column * factor, column) for column in bars[2:])
        return Bars(bars.start_ns, bars.end_ns, *values)

    tomorrow = SESSIONS.next(day)
    described = window_from_bars(
        altered_after_tick(TAPE.daily(symbol)),
        altered_after_tick(TAPE.minutes(symbol, day)),
        [*TAPE.actions(symbol), CorporateAction(symbol, tomorrow, 3.0, 0.7)],
        tick_ns,
        DAILY.lookback,
    )
    assert same(described, window(symbol, day, tick_ns))
    assert (described.bars.end_ns <= tick_ns).all()
