"""When the cash of a sale is settled, and how much of it is not yet. Pure; whose sales they are and what
unsettled cash may not buy is the engine's.
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
    """Shares sold on a session, for that many USD."""

    session: date
    proceeds_usd: Decimal


def settlement_date(sessions: Sessions, traded: date) -> date:
    """The session on which a trade of the session `traded` settles."""
    day = traded
    for _ in range(next(days for since, days in SETTLES_AFTER if traded >= since)):
        day = sessions.next(day)
    return day


def unsettled_usd(sessions: Sessions, sales: Iterable[Sale], today: date) -> Decimal:
    """What of these sales settles after `today`."""
    return sum(
        (sale.proceeds_usd for sale in sales if settlement_date(sessions, sale.session) > today), Decimal(0)
    )
