"""When the cash of a sale settles, and how much has not settled yet. Pure; the engine knows the sales, and
what unsettled cash may not buy.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from trading_assets.market.sessions import Sessions

SETTLES_AFTER = ((date(2024, 5, 28), 1), (date(2017, 9, 5), 2), (date.min, 3))
"""(first trade date, sessions until the settlement): the SEC's Rule 15c6-1 as it was amended."""
LONGEST_DAYS = 12
"""Calendar days in which any sale has settled: three sessions, weekends, holidays and the longest closure."""


class Sale(NamedTuple):
    """A sale in one session, and its proceeds in USD."""

    session: date
    proceeds_usd: Decimal


def settlement_date(sessions: Sessions, traded: date) -> date:
    """The session in which a trade of the session `traded` settles."""
    day = traded
    for _ in range(next(days for since, days in SETTLES_AFTER if traded >= since)):
        day = sessions.next(day)
    return day


def unsettled_usd(sessions: Sessions, sales: Iterable[Sale], today: date) -> Decimal:
    """The proceeds of these sales that settle after `today`."""
    return sum(
        (sale.proceeds_usd for sale in sales if settlement_date(sessions, sale.session) > today), Decimal(0)
    )
