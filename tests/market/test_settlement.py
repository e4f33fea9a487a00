"""Sales settle after one, two or three sessions, by the day on which they were made."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from trading_assets.market.sessions import Sessions
from trading_assets.market.settlement import LONGEST_DAYS, Sale, settlement_date, unsettled_usd

SESSIONS = Sessions()


@pytest.mark.parametrize(
    ("traded", "settles"),
    [
        (date(2012, 7, 2), date(2012, 7, 6)),  # Independence Day between
        (date(2017, 8, 31), date(2017, 9, 6)),  # the last week of T+3, over Labor Day
        (date(2017, 9, 1), date(2017, 9, 7)),
        (date(2017, 9, 5), date(2017, 9, 7)),  # the first day of T+2
        (date(2024, 5, 23), date(2024, 5, 28)),  # over Memorial Day
        (date(2024, 5, 24), date(2024, 5, 29)),  # the last day of T+2
        (date(2024, 5, 28), date(2024, 5, 29)),  # the first day of T+1
        (date(2024, 7, 3), date(2024, 7, 5)),  # a half day, then a holiday
        (date(2001, 9, 10), date(2001, 9, 19)),  # the exchange was closed for four sessions
        (date(2012, 10, 26), date(2012, 11, 2)),  # hurricane Sandy
    ],
)
def test_a_trade_settles_so_many_sessions_later(traded: date, settles: date) -> None:
    assert settlement_date(SESSIONS, traded) == settles


def test_cash_of_a_sale_is_unsettled_until_the_day_on_which_it_settles() -> None:
    sales = [Sale(date(2024, 5, 24), Decimal(100)), Sale(date(2024, 5, 28), Decimal("7.5"))]
    assert unsettled_usd(SESSIONS, sales, date(2024, 5, 28)) == Decimal("107.5")
    assert unsettled_usd(SESSIONS, sales, date(2024, 5, 29)) == 0
    assert unsettled_usd(SESSIONS, [], date(2024, 5, 28)) == 0


def test_no_sale_takes_longer_than_the_longest() -> None:
    for traded in SESSIONS.between(date(1995, 1, 3), date(2024, 12, 31)):
        assert (settlement_date(SESSIONS, traded) - traded).days <= LONGEST_DAYS
