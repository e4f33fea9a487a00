from __future__ import annotations

import os
import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.features.daily import DAILY
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bars import Bars
from trading_assets.market.bundle import BundledTape
from trading_assets.market.sessions import Sessions

TAPE = BundledTape()
SESSIONS = Sessions()
RETURNS = ("return_1", "return_5", "return_20", "return_60", "overnight_gap")

Floats = NDArray[np.float64]


def inputs(symbol: str) -> tuple[Bars, Floats, Floats]:
    daily = TAPE.daily(symbol)
    return daily, *aligned_actions(TAPE.actions(symbol), daily.start_ns)


def cut(inputs_: tuple[Bars, Floats, Floats], rows: slice) -> tuple[Bars, Floats, Floats]:
    bars, split_ratio, cash = inputs_
    return Bars._make(column[rows] for column in bars), split_ratio[rows], cash[rows]


def row_of(symbol: str, day: date) -> int:
    return int(np.searchsorted(TAPE.daily(symbol).start_ns, SESSIONS.open_ns(day)))


def feature(rows: Floats, name: str) -> Floats:
    column: Floats = rows[..., DAILY.names.index(name)]
    return column


def test_the_set_is_well_formed() -> None:
    assert len(DAILY.names) == len(set(DAILY.names)) >= 10
    assert DAILY.lookback <= 120
    assert all(feature.meaning for feature in DAILY.features)
    assert DAILY.compute_last(*inputs("IBM")).shape == (len(DAILY.names),)


@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [
        ("AAPL", date(2004, 9, 1), date(2005, 9, 1)),  # the 2005 split
        ("MSFT", date(2004, 5, 3), date(2005, 5, 3)),  # the special dividend
        ("IBM", date(2008, 3, 3), date(2009, 3, 3)),
        ("GOOG", date(2011, 1, 3), date(2012, 1, 3)),
        ("FB", date(2012, 5, 18), date(2013, 3, 1)),
    ],
)
def test_a_single_row_equals_the_bulk_row_bit_for_bit(symbol: str, first: date, last: date) -> None:
    whole = inputs(symbol)
    bulk = DAILY.compute_bulk(*whole)
    rows = range(row_of(symbol, first), row_of(symbol, last) + 1)
    for row in rows:
        window = cut(whole, slice(max(row + 1 - DAILY.lookback, 0), row + 1))
        assert DAILY.compute_last(*window).tobytes() == bulk[row].tobytes()
        assert DAILY.compute_last(*cut(whole, slice(row + 1))).tobytes() == bulk[row].tobytes()


@pytest.mark.parametrize("symbol", TAPE.symbols)
def test_a_row_is_nan_until_there_is_a_look_back_and_finite_from_then_on(symbol: str) -> None:
    rows = DAILY.compute_bulk(*inputs(symbol))
    assert np.isnan(rows[: DAILY.lookback - 1]).all()
    assert np.isfinite(rows[DAILY.lookback - 1 :]).all()
    short = cut(inputs(symbol), slice(DAILY.lookback - 1))
    assert np.isnan(DAILY.compute_last(*short)).all()


def test_what_lies_before_the_look_back_changes_nothing() -> None:
    bars, split_ratio, cash = inputs("IBM")
    row = row_of("IBM", date(2008, 10, 10))
    before = row + 1 - DAILY.lookback
    altered = Bars._make(column.copy() for column in bars)
    for column in altered[2:]:
        column[:before] *= 3.0
    split_ratio, cash = split_ratio.copy(), cash.copy()
    split_ratio[: before + 1] = 5.0  # an action on the window's first bar acts on none of it either
    cash[: before + 1] = 1.0
    expected = DAILY.compute_bulk(*inputs("IBM"))[row]
    assert DAILY.compute_bulk(altered, split_ratio, cash)[row].tobytes() == expected.tobytes()


def test_the_first_bar_of_the_look_back_still_counts() -> None:
    bars, split_ratio, cash = cut(inputs("IBM"), slice(2000, 2000 + DAILY.lookback))
    close = bars.close.copy()
    close[0] = bars.low[0]
    altered = DAILY.compute_last(bars._replace(close=close), split_ratio, cash)
    assert feature(altered, "return_60") != feature(DAILY.compute_last(bars, split_ratio, cash), "return_60")


@pytest.mark.parametrize(
    ("column", "bar", "factor"),
    [("open", -1, 0.999), ("high", -1, 2.0), ("low", -1, 0.5), ("close", -1, 1.001), ("volume", -2, 2.0)],
)
def test_the_newest_value_of_every_column_counts(column: str, bar: int, factor: float) -> None:
    bars, split_ratio, cash = cut(inputs("IBM"), slice(2000, 2000 + DAILY.lookback))
    values = getattr(bars, column).copy()
    values[bar] *= factor
    altered = DAILY.compute_last(bars._replace(**{column: values}), split_ratio, cash)
    assert np.isfinite(altered).all()
    assert (altered != DAILY.compute_last(bars, split_ratio, cash)).any()


def test_the_volume_of_the_last_bar_does_not_count() -> None:
    bars, split_ratio, cash = cut(inputs("IBM"), slice(2000, 2100))
    volume = bars.volume.copy()
    volume[-1] = 1.0
    expected = DAILY.compute_last(bars, split_ratio, cash)
    assert DAILY.compute_last(bars._replace(volume=volume), split_ratio, cash).tobytes() == expected.tobytes()


def test_the_split_of_apple_in_2005_is_no_jump() -> None:
    bars, split_ratio, cash = inputs("AAPL")
    row = row_of("AAPL", date(2005, 2, 28))
    assert bars.close[row] / bars.close[row - 1] - 1 < -0.45
    rows = DAILY.compute_bulk(bars, split_ratio, cash)
    assert feature(rows, "return_1")[row] == pytest.approx(44.86 / (88.99 / 2) - 1)
    across = rows[row - 1 : row + DAILY.lookback]
    for name in RETURNS[:2] + RETURNS[4:]:
        assert np.abs(feature(across, name)).max() < 0.2
    assert feature(across, "from_high_60").min() > -0.35
    after, before = bars.volume[row], bars.volume[row - 20 : row].mean()
    assert feature(rows, "volume_ratio_20")[row + 1] == pytest.approx(after / (2 * before))
    unadjusted = DAILY.compute_bulk(bars, np.ones_like(split_ratio), cash)
    assert feature(unadjusted, "return_1")[row] < -0.45


def test_the_special_dividend_of_microsoft_is_no_loss() -> None:
    bars, split_ratio, cash = inputs("MSFT")
    row = row_of("MSFT", date(2004, 11, 15))
    previous, close = bars.close[row - 1], bars.close[row]
    assert close / previous - 1 < -0.08
    rows = DAILY.compute_bulk(bars, split_ratio, cash)
    assert feature(rows, "return_1")[row] == pytest.approx(close / (previous - 3.08) - 1)
    assert abs(feature(rows, "return_1")[row]) < 0.02
    assert abs(feature(rows, "overnight_gap")[row]) < 0.02


def pandas_features(symbol: str) -> pd.DataFrame:
    """The same features in another way: one back-adjusted series for all time, and rolling windows."""
    bars, split_ratio, cash = inputs(symbol)
    frame = pd.DataFrame(bars._asdict())
    previous = frame.close.shift(1)
    step = ((previous - cash) / previous / split_ratio).fillna(1.0)
    price_factor = step[::-1].cumprod()[::-1].shift(-1, fill_value=1.0)
    share_factor = pd.Series(split_ratio)[::-1].cumprod()[::-1].shift(-1, fill_value=1.0)
    open_, high, low, close = (frame[name] * price_factor for name in ("open", "high", "low", "close"))
    volume = frame.volume * share_factor
    returns = close.pct_change()
    true_range = pd.concat([high, close.shift(1)], axis=1).max(axis=1) - pd.concat(
        [low, close.shift(1)], axis=1
    ).min(axis=1)
    change = close.diff()
    gains, losses = change.clip(lower=0).rolling(14).sum(), -change.clip(upper=0).rolling(14).sum()
    low_14, high_14 = low.rolling(14).min(), high.rolling(14).max()
    return pd.DataFrame(
        {
            **{f"return_{count}": close.pct_change(count) for count in (1, 5, 20, 60)},
            "overnight_gap": open_ / close.shift(1) - 1,
            "intraday_return": close / open_ - 1,
            "sma_10": close / close.rolling(10).mean() - 1,
            "sma_50": close / close.rolling(50).mean() - 1,
            "volatility_20": returns.rolling(20).std().shift(1),
            "volatility_ratio_5_20": (returns.rolling(5).std() / returns.rolling(20).std()).shift(1),
            "atr_14": (true_range.rolling(14).mean() / close).shift(1),
            "rsi_14": gains / (gains + losses),
            "from_high_60": close / high.rolling(60).max() - 1,
            "from_low_60": close / low.rolling(60).min() - 1,
            "stochastic_14": (close - low_14) / (high_14 - low_14),
            "volume_ratio_20": (volume / volume.rolling(20).mean().shift(1)).shift(1),
            "illiquidity_20": (returns.abs() / (frame.close * frame.volume / 1e6))
            .rolling(20)
            .mean()
            .shift(1),
            "max_return_20": returns.rolling(20).max().shift(1),
        }
    )


@pytest.mark.parametrize("symbol", TAPE.symbols)
def test_values_agree_with_an_independent_computation(symbol: str) -> None:
    expected = pandas_features(symbol)
    assert tuple(expected.columns) == DAILY.names
    rows = DAILY.compute_bulk(*inputs(symbol))[DAILY.lookback - 1 :]
    np.testing.assert_allclose(rows, expected.to_numpy()[DAILY.lookback - 1 :], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", float("nan")),
        ("close", 0.0),
        ("low", -1.0),
        ("high", float("inf")),
        ("open", 1e9),
        ("volume", float("nan")),
        ("volume", -1.0),
    ],
)
def test_a_bar_that_cannot_be_right_voids_the_rows_that_see_it_and_no_other(
    column: str, value: float
) -> None:
    bars, split_ratio, cash = cut(inputs("IBM"), slice(0, 300))
    broken = getattr(bars, column).copy()
    broken[100] = value
    rows = DAILY.compute_bulk(bars._replace(**{column: broken}), split_ratio, cash)
    assert np.isfinite(rows[60:100]).all()
    assert np.isnan(rows[100 : 100 + DAILY.lookback]).all()
    assert np.isfinite(rows[100 + DAILY.lookback :]).all()


@pytest.mark.parametrize(("split", "dividend"), [(0.0, 0.0), (float("nan"), 0.0), (1.0, 1e6), (1.0, -1.0)])
def test_an_action_that_cannot_be_right_voids_the_rows_that_see_it(split: float, dividend: float) -> None:
    bars, split_ratio, cash = cut(inputs("IBM"), slice(0, 300))
    split_ratio, cash = split_ratio.copy(), cash.copy()
    split_ratio[100], cash[100] = split, dividend
    rows = DAILY.compute_bulk(bars, split_ratio, cash)
    assert np.isfinite(rows[60:100]).all()
    assert np.isnan(rows[100 : 99 + DAILY.lookback]).all()
    assert np.isfinite(rows[99 + DAILY.lookback :]).all()


def test_prices_that_never_move_give_finite_values() -> None:
    count = DAILY.lookback
    flat, stamps = np.full(count, 10.0), np.arange(count, dtype=np.int64)
    bars = Bars(stamps, stamps + 1, flat, flat, flat, flat, np.zeros(count))
    row = DAILY.compute_last(bars, np.ones(count), np.zeros(count))
    values = dict(zip(DAILY.names, row.tolist(), strict=True))
    neutral = {"rsi_14": 0.5, "stochastic_14": 0.5, "volatility_ratio_5_20": 1.0, "volume_ratio_20": 1.0}
    assert values == {name: neutral.get(name, 0.0) for name in DAILY.names}


def test_columns_of_unequal_length_are_refused() -> None:
    bars, split_ratio, cash = inputs("FB")
    with pytest.raises(InvalidInput, match="one entry for each bar"):
        DAILY.compute_bulk(bars, split_ratio[1:], cash)


PLAIN = """
import sys
from trading_assets.features.daily import DAILY
from trading_assets.market.actions import aligned_actions
from trading_assets.market.bars import Bars
from trading_assets.market.bundle import BundledTape

daily = BundledTape().daily("AAPL")
bars = Bars._make(column[1150:1350] for column in daily)
rows = DAILY.compute_bulk(bars, *aligned_actions(BundledTape().actions("AAPL"), bars.start_ns))
sys.stdout.write(DAILY.identity + rows.tobytes().hex())
"""


@pytest.mark.slow(seconds=3)
def test_compiled_equals_plain_python_bit_for_bit() -> None:
    """Over the split of 2005; in a process of its own, as numba reads the switch when it is imported."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PLAIN],
            env={**os.environ, "NUMBA_DISABLE_JIT": switch},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for switch in ("0", "1")
    ]
    assert len(outputs[0]) > 200 * len(DAILY.names) * 16
    assert outputs[0] == outputs[1]
