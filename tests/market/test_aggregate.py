from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from trading_assets.errors import InvalidInput
from trading_assets.market.aggregate import aggregate
from trading_assets.market.bars import Bars
from trading_assets.market.bundle import BundledTape

TAPE = BundledTape()
DAY = date(2012, 7, 5)


def test_a_session_of_minutes_makes_its_daily_bar() -> None:
    daily = TAPE.daily("MSFT")
    minutes = TAPE.minutes("MSFT", DAY)
    (row,) = np.flatnonzero(daily.start_ns == minutes.start_ns[0])
    for whole, expected in zip(aggregate(minutes), daily, strict=True):
        assert whole.shape == (1,)
        assert whole[0] == expected[row]


def test_a_single_bar_is_its_own_aggregate() -> None:
    bar = Bars._make(column[:1] for column in TAPE.minutes("IBM", DAY))
    assert [column.tolist() for column in aggregate(bar)] == [column.tolist() for column in bar]


def test_no_bars_make_no_bar() -> None:
    with pytest.raises(InvalidInput, match="no bars"):
        aggregate(Bars._make(column[:0] for column in TAPE.minutes("IBM", DAY)))
