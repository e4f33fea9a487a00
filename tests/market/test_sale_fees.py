"""The SEC's and FINRA's fees on sales, by their day."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from trading_assets.market.sale_fees import SEC_USD_PER_MILLION, TAF, sale_fees


@pytest.mark.parametrize(
    ("day", "per_million", "per_share", "most"),
    [
        (date(2000, 1, 3), 11.00, 0.000075, 3.75),
        (date(2012, 11, 15), 22.40, 0.000119, 5.95),
        (date(2014, 3, 17), 17.40, 0.000119, 5.95),
        (date(2014, 3, 18), 22.10, 0.000119, 5.95),
        (date(2018, 5, 21), 23.10, 0.000119, 5.95),
        (date(2018, 5, 22), 13.00, 0.000119, 5.95),
        (date(2024, 5, 21), 8.00, 0.000166, 8.30),
        (date(2025, 5, 14), 0.00, 0.000166, 8.30),
        (date(2026, 4, 3), 0.00, 0.000195, 9.79),
    ],
)
def test_a_sale_pays_the_rates_of_its_day(
    day: date, per_million: float, per_share: float, most: float
) -> None:
    fees = sale_fees(day)
    assert fees.usd_per_usd == pytest.approx(per_million / 1e6)
    assert (fees.usd_per_share, fees.most_usd) == (per_share, most)


def test_the_tables_go_from_the_newest_rate_to_the_oldest_and_have_one_for_every_day() -> None:
    sec, taf = [row[0] for row in SEC_USD_PER_MILLION], [row[0] for row in TAF]
    for days in (sec, taf):
        assert days[-1] == date.min
        assert all(later > earlier + timedelta(days=1) for later, earlier in pairwise(days))


def test_the_most_of_a_trade_is_what_fifty_thousand_shares_cost() -> None:
    """FINRA derives the cap from the rate; a row with a slip of the pen stands out."""
    for _, per_share, most in TAF:
        assert most / per_share == pytest.approx(50_000, rel=0.005)
