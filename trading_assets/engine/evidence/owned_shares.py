"""What is owned by the ex-dates of the corporate actions that count: shares and cost in the terms of today's
prices, whatever of it the broker has booked.

Which announcements count is `engine.evidence.ex_dates`, what they do to shares and cost
`engine.evidence.stop_costs`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from trading_assets.broker.port import CorporateActionState, PositionState, QuoteState
from trading_assets.core.ledger import Holding
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.ex_dates import in_effect, unproven_splits
from trading_assets.engine.evidence.reads import Look
from trading_assets.engine.evidence.share_costs import spun_off
from trading_assets.engine.evidence.stop_costs import (
    asked_until,
    began_on,
    held_by_ex_dates,
    with_earlier_symbols,
)


class Owned(NamedTuple):
    """What is held by the ex-dates of the corporate actions that count."""

    held: dict[str, Holding]
    actions: list[CorporateActionState]
    unproven: list[CorporateActionState]  # splits of which no price tells surely, see `unproven_splits`
    announced: dict[str, Holding]  # what would be held if all of them counted as announced


def owned_by_ex_dates(
    desk: Desk,
    symbols: Collection[str],
    sight: Look | None = None,
    *,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
) -> Owned:
    """Shares and cost of each of these symbols, in the terms of their prices now: what a stop is measured
    from. Where corporate actions cannot be read it is the ledger's cost as it stands, and a person is told;
    of those announced the ones count that broker or price show (`engine.evidence.ex_dates`).

    positions, quotes: what the broker holds and quotes of these symbols now
    """
    today = desk.today()
    began = began_on(desk.journal, desk.book)
    sight = Look(desk) if sight is None else sight
    concerned = with_earlier_symbols(desk.journal, desk.book, symbols)
    announced = sight.corporate_actions(sorted(concerned), began, asked_until(today))
    parts = spun_off(desk, announced, today)
    actions = in_effect(
        desk, announced, parts, symbols=concerned, positions=positions, quotes=quotes, began=began
    )
    unproven = unproven_splits(desk, announced, actions, positions=positions, quotes=quotes, began=began)
    as_announced = None
    if not all(action in actions for action in unproven):
        keys = {(action.symbol, action.ex_date) for action in unproven}
        others = [action for action in actions if (action.symbol, action.ex_date) not in keys]
        every = [*others, *unproven]
        as_announced = held_by_ex_dates(desk.journal, desk.book, concerned, every, today, parts)
    # last, so that the checkpoint is that of the actions that count
    held = held_by_ex_dates(desk.journal, desk.book, concerned, actions, today, parts)
    return Owned(held, actions, unproven, held if as_announced is None else as_announced)
