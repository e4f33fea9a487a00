"""Prices adjusted as vendors adjust them: the actions come back as they were, or the file is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trading_assets.errors import InvalidInput
from trading_assets.market.bar_files.adjusted import Adjusted, actions_of, later_splits, split_ratio
from trading_assets.market.bar_files.reading import read_bars
from trading_assets.market.bars import CorporateAction, Interval
from trading_assets.market.quarantine.rules import OnDefect
from trading_assets.market.sessions import Sessions

Floats = NDArray[np.float64]
DAYS = Sessions().between(date(2024, 6, 3), date(2024, 6, 28))
EX = 9  # the place of the ex-date


def by_previous_close(close: Floats, action: CorporateAction) -> Floats:
    factor = (1.0 - action.cash_usd / close[EX - 1]) / action.split_ratio
    return np.concatenate((close[:EX] * factor, close[EX:]))


def by_ex_date_close(close: Floats, action: CorporateAction) -> Floats:
    factor = 1.0 / (1.0 + action.cash_usd / close[EX]) / action.split_ratio
    return np.concatenate((close[:EX] * factor, close[EX:]))


METHODS: dict[Adjusted, Callable[[Floats, CorporateAction], Floats]] = {
    Adjusted.BY_PREVIOUS_CLOSE: by_previous_close,
    Adjusted.BY_EX_DATE_CLOSE: by_ex_date_close,
}


def closes(seed: int, price: float, split: float = 1.0) -> Floats:
    """A walk of whole cents as it trades, with a split on the ex-date."""
    walk = price * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, len(DAYS))))
    walk[EX:] /= split
    return np.round(walk, 2)


@given(
    st.integers(0, 10**6),
    st.floats(20.0, 900.0),
    st.integers(5, 300),
    st.sampled_from(sorted(METHODS)),
    st.sampled_from([4, 6, 8, None]),
)
@settings(deadline=None)
def test_a_dividend_comes_back_to_the_cent_under_the_method_that_is_stated(
    seed: int, price: float, cents: int, method: Adjusted, decimals: int | None
) -> None:
    assume(cents / 100 < 0.2 * price)
    close = closes(seed, price)
    paid = CorporateAction("AAPL", DAYS[EX], 1.0, cents / 100)
    adjusted = METHODS[method](close, paid)
    if decimals is not None:
        adjusted = np.round(adjusted, decimals)
    assert actions_of("AAPL", DAYS, close, adjusted, method) == (paid,)


@given(st.integers(0, 10**6), st.floats(20.0, 900.0), st.integers(5, 300), st.sampled_from(sorted(METHODS)))
@settings(deadline=None)
def test_a_dividend_is_never_invented_by_the_other_method(
    seed: int, price: float, cents: int, method: Adjusted
) -> None:
    """Where both fit, both say the same, or the file is refused."""
    close = closes(seed, price)
    paid = CorporateAction("AAPL", DAYS[EX], 1.0, cents / 100)
    assume(paid.cash_usd < 0.2 * price)
    try:
        actions = actions_of("AAPL", DAYS, close, METHODS[method](close, paid), Adjusted.EITHER)
    except InvalidInput as error:
        assert "previous-close or ex-date-close" in str(error)  # noqa: PT017
    else:
        assert actions == (paid,)


@given(
    st.integers(0, 10**6),
    st.one_of(
        st.integers(2, 200).map(float),
        st.integers(2, 200).map(lambda old: 1 / old),
        st.sampled_from([1.5, 2 / 3, 1.25, 0.8, 7 / 2, 20 / 3, 3 / 20]),
    ),
    st.sampled_from([6, 8, None]),
)
@settings(deadline=None)
def test_a_split_of_any_ratio_comes_back(seed: int, split: float, decimals: int | None) -> None:
    close = closes(seed, 5_000.0 if split > 1 else 60.0, split)
    done = CorporateAction("AAPL", DAYS[EX], split, 0.0)
    adjusted = by_previous_close(close, done)
    if decimals is not None:
        adjusted = np.round(adjusted, decimals)
    (actions,) = actions_of("AAPL", DAYS, close, adjusted, Adjusted.SPLIT)
    assert actions.split_ratio == pytest.approx(split, rel=1e-12)


def test_a_split_and_a_dividend_on_one_day_are_refused() -> None:
    close = closes(1, 200.0, 2.0)
    adjusted = by_previous_close(close, CorporateAction("AAPL", DAYS[EX], 2.0, 0.37))
    with pytest.raises(InvalidInput, match=f"AAPL {DAYS[EX]}: the adjustment changes by a factor"):
        actions_of("AAPL", DAYS, close, adjusted, Adjusted.EITHER)


def test_a_split_that_the_traded_prices_did_not_follow_is_refused() -> None:
    close = closes(1, 200.0)
    adjusted = by_previous_close(close, CorporateAction("AAPL", DAYS[EX], 7.0, 0.0))
    with pytest.raises(InvalidInput, match="did not follow it"):
        actions_of("AAPL", DAYS, close, adjusted, Adjusted.EITHER)


@given(st.fractions(Fraction(1, 200), 200, max_denominator=200))
def test_a_ratio_is_a_split_only_in_whole_numbers_of_which_one_is_small(ratio: Fraction) -> None:
    result = split_ratio(float(ratio), 1e-9)
    numbers = (ratio.numerator, ratio.denominator)
    small = min(numbers) <= 20 and max(numbers) <= 1_000
    if not 0.8 < ratio < 1.25 and small:
        assert result == pytest.approx(float(ratio), rel=1e-9)
    elif 0.8 < ratio < 1.25:
        assert result is None


@given(st.lists(st.sampled_from([1.0, 1.0, 1.0, 2.0, 0.1, 1.5]), min_size=1, max_size=12))
def test_prices_of_today_s_shares_times_the_later_splits_are_those_that_traded(ratios: list[float]) -> None:
    each, days = np.array(ratios), np.arange(len(ratios))
    splits = np.flatnonzero(each != 1.0)
    factors = later_splits(days, splits, each[splits])
    assert factors[-1] == 1.0
    assert np.allclose(factors[:-1], factors[1:] * each[1:])


def test_a_vendor_s_prices_adjusted_for_splits_are_taken_back_by_its_column_of_splits(tmp_path: Path) -> None:
    """As yfinance gives them with auto_adjust=False: prices, volumes and dividends in today's shares."""
    path = tmp_path / "bars.csv"
    path.write_text(
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
        "2024-06-07,10,10.5,9.5,10,1000,0.25,0\n2024-06-10,10,10.5,9.5,10.2,2000,0,2\n"
    )
    file = read_bars(path, Interval.DAY, adjusted=Adjusted.SPLIT, symbol="AAPL")
    assert file.rows.close.tolist() == [20.0, 10.2]
    assert file.rows.volume.tolist() == [500.0, 2000.0]
    assert file.actions["AAPL"] == (
        CorporateAction("AAPL", date(2024, 6, 7), 1.0, 0.5),
        CorporateAction("AAPL", date(2024, 6, 10), 2.0, 0.0),
    )


SPLIT_LATER = (
    "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
    "2024-06-06,10,10.5,9.5,10,1000,0.25,0\n2024-06-07,10,10.5,9.5,10,1000,0,0\n"
    "2024-06-10,10,10.5,9.5,10,1000,0,2\n2024-06-11,10,10.5,9.5,10,2000,0,0\n"
)


@pytest.mark.parametrize(
    ("broken", "last"),
    [
        ((), date(2024, 6, 7)),
        (("2024-06-10,10,10.5", "2024-06-10,10,1.5"), None),
        (("2024-06-10,10,10.5,9.5,10", "2024-06-10,,,,"), None),
        (("2024-06-10,10", "2024-06-10,10,10.5,9.5,10,1000,0,0\n2024-06-10,10"), None),
        (("2024-06-10,10,10.5", "2024-06-10,10,1.5,9.5,10,1000,0,2\n2024-06-10,10,10.5"), None),
    ],
    ids=["not asked for", "broken", "empty", "in the second bar of a day", "in a broken one and its second"],
)
def test_a_split_counts_once_for_earlier_prices_whatever_becomes_of_its_row(
    tmp_path: Path, broken: tuple[str, str] | tuple[()], last: date | None
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(SPLIT_LATER.replace(*broken) if broken else SPLIT_LATER)
    file = read_bars(
        path,
        Interval.DAY,
        adjusted=Adjusted.SPLIT,
        symbol="AAPL",
        on_defect=OnDefect.QUARANTINE,
        last=last,
    )
    assert file.rows.close[:2].tolist() == [20.0, 20.0]
    assert file.rows.volume[:2].tolist() == [500.0, 500.0]
    assert file.actions["AAPL"] == (
        CorporateAction("AAPL", date(2024, 6, 6), 1.0, 0.5),
        *([CorporateAction("AAPL", date(2024, 6, 10), 2.0, 0.0)] if last is None else []),
    )


def test_two_rows_of_a_day_with_different_splits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    again = "2024-06-10,10,10.5,9.5,10,1000,0,3\n2024-06-11"
    path.write_text(SPLIT_LATER.replace("2024-06-11", again))
    with pytest.raises(InvalidInput, match="is another than in another row of that day") as refused:
        read_bars(path, Interval.DAY, adjusted=Adjusted.SPLIT, symbol="AAPL", on_defect=OnDefect.QUARANTINE)
    assert refused.value.where == f"{path}, row 5"
