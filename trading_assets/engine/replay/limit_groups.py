"""Which limits of a replay's sessions are looked at together: each group is one asset check.

They are few: a run over a range plans every check for every session of it, and Dagster keeps a row for
each. Light to import, as the definitions of Dagster are made of it. Measuring is `session_limits`.
"""

from __future__ import annotations

from enum import StrEnum


class Group(StrEnum):
    """What is looked at together; the value is the name of the asset check."""

    LIMITS = "limits"
    LOSSES = "losses"
    DRIFT = "drift"


DESCRIPTION: dict[Group, str] = {
    Group.LIMITS: "In every session each order that was sent kept the limits of size, price, age, hours and "
    "count, each entry those of exposure and cash when it was made, and each fill its order's limit price. "
    "No position was short, and every position whose stop was hit was sold.",
    Group.LOSSES: "No session tripped a loss breaker: `session_drawdown`, `max_daily_loss`, `max_drawdown`.",
    Group.DRIFT: "No price move carried an exposure above `max_position_pct` or `max_gross_exposure`.",
}
WARNINGS = frozenset({Group.DRIFT})
