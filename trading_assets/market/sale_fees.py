"""What the SEC and FINRA charge on a sale of US equities, by the day of the sale. Pure.

A broker passes both on to its customer: Alpaca books them as activities of type FEE. Here they are not
rounded; a broker rounds the sum of a day up to the next cent.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

SEC_USD_PER_MILLION = (
    (date(2026, 4, 4), 20.60),
    (date(2025, 5, 14), 0.0),
    (date(2024, 5, 22), 27.80),
    (date(2023, 2, 27), 8.00),
    (date(2022, 5, 14), 22.90),
    (date(2021, 2, 25), 5.10),
    (date(2020, 2, 18), 22.10),
    (date(2019, 4, 16), 20.70),
    (date(2018, 5, 22), 13.00),
    (date(2017, 7, 4), 23.10),
    (date(2016, 2, 16), 21.80),
    (date(2015, 2, 14), 18.40),
    (date(2014, 3, 18), 22.10),
    (date(2013, 5, 25), 17.40),
    (date(2012, 4, 1), 22.40),
    (date(2012, 2, 21), 18.00),
    (date(2011, 1, 21), 19.20),
    (date(2010, 4, 1), 16.90),
    (date(2010, 1, 15), 12.70),
    (date(2009, 4, 10), 25.70),
    (date(2008, 4, 1), 5.60),
    (date.min, 11.00),
)
"""(first day of sale, USD for a million USD sold): the fee of Section 31 of the Securities Exchange Act, from
the SEC's fee rate advisories. Before 2008-04-01 the rate of the day before it stands for all."""

TAF = (
    (date(2026, 1, 1), 0.000195, 9.79),
    (date(2024, 1, 1), 0.000166, 8.30),
    (date(2023, 1, 1), 0.000145, 7.27),
    (date(2022, 1, 1), 0.000130, 6.49),
    (date(2012, 7, 1), 0.000119, 5.95),
    (date(2012, 3, 1), 0.000095, 4.75),
    (date(2011, 7, 1), 0.000090, 4.50),
    (date.min, 0.000075, 3.75),
)
"""(first day of sale, USD a share sold, most USD a trade): FINRA's Trading Activity Fee, from Schedule A of
its By-Laws, Section 1, and its notices."""


class SaleFees(NamedTuple):
    """What one sale costs: USD for each USD sold, and for each share, the latter up to a most a trade."""

    usd_per_usd: float
    usd_per_share: float
    most_usd: float


NO_FEES = SaleFees(0.0, 0.0, 0.0)


def sale_fees(day: date) -> SaleFees:
    """The rates of a sale on `day`."""
    sec = next(rate for since, rate in SEC_USD_PER_MILLION if day >= since)
    _, per_share, most = next(row for row in TAF if day >= row[0])
    return SaleFees(sec / 1e6, per_share, most)
