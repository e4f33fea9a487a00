from __future__ import annotations

import hashlib
from datetime import date
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.errors import InvalidInput
from trading_assets.market.bars import Bars
from trading_assets.market.derive import minute_bars
from trading_assets.market.sessions import MINUTE_NS

DAY = date(2012, 7, 5)
# Of one derived session; it changes only when the derivation is meant to.
PINNED = "af0a86f3ce98f9052b41fb8c127e137cf70bc3044bac016d6b82f8d8eca7a0d7"


def daily_bar(open_: float, high: float, low: float, close: float, volume: float, minutes: int = 390) -> Bars:
    start = np.array([1_341_495_000_000_000_000])
    return Bars(
        start,
        start + minutes * MINUTE_NS,
        *(np.array([value], dtype=np.float64) for value in (open_, high, low, close, volume)),
    )


@st.composite
def daily_bars(draw: st.DrawFn) -> Bars:
    """Bars with prices of up to four decimals, flat ones and ones without a whole cent among them."""
    low = draw(st.integers(1, 10_000_000))
    high = low + draw(st.one_of(st.integers(0, 150), st.integers(0, 2_000_000)))
    open_, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    volume = draw(st.one_of(st.integers(0, 1_000), st.integers(0, 5_000_000_000)))
    minutes = draw(st.sampled_from([3, 210, 390]))
    return daily_bar(open_ / 10_000, high / 10_000, low / 10_000, close / 10_000, volume, minutes)


@given(daily_bars(), st.integers(0, 2**32))
def test_the_minutes_add_up_to_the_day_and_each_is_sound(day: Bars, seed: int) -> None:
    bars = minute_bars("X", DAY, day, seed)
    assert bars.open[0] == day.open[0]
    assert bars.high.max() == day.high[0]
    assert bars.low.min() == day.low[0]
    assert bars.close[-1] == day.close[0]
    assert bars.volume.sum() == day.volume[0]
    assert (bars.volume >= 0).all()
    assert (bars.volume == np.floor(bars.volume)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.open[1:] == bars.close[:-1]).all()
    of_the_day = [day.open[0], day.high[0], day.low[0], day.close[0]]
    for column in (bars.open, bars.high, bars.low, bars.close):
        on_cent = column == np.round(column * 100) / 100
        no_cent_between = np.ceil(day.low[0] * 100) > np.floor(day.high[0] * 100)
        assert (on_cent | np.isin(column, of_the_day)).all() or no_cent_between


@given(daily_bars())
def test_the_minutes_tile_the_session(day: Bars) -> None:
    bars = minute_bars("X", DAY, day, 7)
    assert bars.start_ns[0] == day.start_ns[0]
    assert bars.end_ns[-1] == day.end_ns[0]
    assert (bars.end_ns - bars.start_ns == MINUTE_NS).all()
    assert (bars.start_ns[1:] == bars.end_ns[:-1]).all()


def test_equal_seeds_give_equal_minutes_and_others_do_not() -> None:
    day = daily_bar(100.0, 102.0, 99.0, 101.0, 1e6)
    first = minute_bars("X", DAY, day, 7)
    assert all((a == b).all() for a, b in zip(first, minute_bars("X", DAY, day, 7), strict=True))
    for symbol, session, seed in (("Y", DAY, 7), ("X", date(2012, 7, 6), 7), ("X", DAY, 8)):
        assert (minute_bars(symbol, session, day, seed).close != first.close).any()


def test_the_minutes_are_the_same_on_every_machine_and_version() -> None:
    bars = minute_bars("X", DAY, daily_bar(100.0, 102.0, 99.0, 101.0, 1e6), 7)
    content = b"".join(column.astype(column.dtype.newbyteorder("<")).tobytes() for column in bars)
    assert hashlib.sha256(content).hexdigest() == PINNED


def test_the_path_moves_all_day_and_not_only_between_its_knots() -> None:
    bars = minute_bars("X", DAY, daily_bar(100.0, 102.0, 99.0, 101.0, 1e6), 7)
    assert len(np.unique(bars.close)) > 50
    assert (bars.high > bars.low).mean() > 0.9


def test_volume_is_heavier_near_open_and_close() -> None:
    volume = minute_bars("X", DAY, daily_bar(100.0, 102.0, 99.0, 101.0, 1e7), 7).volume
    assert volume[:30].sum() > 1.5 * volume[180:210].sum()
    assert volume[-30:].sum() > 1.5 * volume[180:210].sum()
    assert (volume > 0).all()


@pytest.mark.parametrize(
    "bar",
    [
        daily_bar(100.0, 99.0, 98.0, 98.5, 1e6),
        daily_bar(100.0, 101.0, 98.0, 97.0, 1e6),
        daily_bar(100.0, 101.0, 98.0, 99.0, 1e6 + 0.5),
        daily_bar(100.0, 101.0, 98.0, 99.12345678, 1e6),
        daily_bar(100.0, float("nan"), 98.0, 99.0, 1e6),
        daily_bar(100.0, 101.0, 98.0, 99.0, 1e6, minutes=2),
    ],
)
def test_a_bar_that_no_path_fits_is_refused(bar: Bars) -> None:
    with pytest.raises(InvalidInput, match="X 2012-07-05"):
        minute_bars("X", DAY, bar, 7)


def test_a_session_is_derived_in_less_than_five_milliseconds() -> None:
    day = daily_bar(100.0, 102.0, 99.0, 101.0, 1e6)
    took = []
    for seed in range(20):
        began = perf_counter()
        minute_bars("X", DAY, day, seed)
        took.append(perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.005
