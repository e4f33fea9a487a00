"""What of the account's equity a split misstates: prices are in new shares from the ex-date on, the position
from when the broker books it, which may be days earlier or later.

Stops look at every position's announcements, and keep here which positions are in other shares than their
prices. The next reading of the equity is corrected by it; what follows is `engine.risk`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from math import isfinite, nan
from typing import NamedTuple

from trading_assets.broker.port import US_EQUITY, AccountState, PositionState, QuoteState
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import is_positive
from trading_assets.engine.absorb import alert
from trading_assets.engine.accounting import ledger_of
from trading_assets.engine.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.desk import Desk
from trading_assets.engine.ex_dates import A_SHARE
from trading_assets.engine.owned_shares import Owned, owned_by_ex_dates
from trading_assets.engine.reads import Look, Read
from trading_assets.engine.stop_costs import BOOKED_WITHIN

APART_MARK = "shares_apart"
AT_CLOSE_MARK = "missing_at_close"


class Apart(NamedTuple):
    """A position that is in other shares than its price."""

    shown: float  # shares by the broker
    true: float  # in the price's terms
    price: float  # USD a share; NaN: not known


def apart(
    desk: Desk,
    symbols: Collection[str],
    owned: Owned,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
) -> dict[str, Apart]:
    """Those of the symbols of which a split that counts is in the price or the position, and not in both."""
    today, ledger = desk.today(), ledger_of(desk.journal, desk.book)
    found = {}
    for symbol in symbols:
        true = owned.held.get(symbol, Holding()).qty
        shown = float(positions[symbol].qty) if symbol in positions else 0.0
        near = [
            action.split_ratio
            for action in owned.actions
            if action.symbol == symbol
            and action.split_ratio != 1.0
            and abs(action.ex_date - today) <= BOOKED_WITHIN
        ]
        if not near or abs(true - shown) < A_SHARE:
            continue
        booked = ledger.holdings.get(symbol, Holding()).qty
        if abs(shown - booked) <= QUANTITY_TOLERANCE or any(
            abs(shown - other) < A_SHARE for ratio in near for other in (true / ratio, true * ratio)
        ):
            found[symbol] = Apart(shown, true, _price(positions.get(symbol), quotes.get(symbol)))
    return found


def owned_symbols(desk: Desk, held: Collection[str]) -> list[str]:
    """What is held, and what a split may have taken away for new shares that are still to come."""
    ledger = ledger_of(desk.journal, desk.book)
    ours = (symbol for symbol, holding in ledger.holdings.items() if holding.qty or holding.waiting_usd)
    return sorted({*held, *ours, *kept_apart(desk)})


def see_splits(desk: Desk, positions: Mapping[str, PositionState]) -> None:
    """Keep which positions are in other shares than their prices, for whoever cannot wait for the stops."""
    symbols = owned_symbols(desk, positions)
    sight = Look(desk)
    quotes = sight.quotes(symbols)
    owned = owned_by_ex_dates(desk, symbols, sight, positions=positions, quotes=quotes)
    keep_apart(desk, sight, apart(desk, symbols, owned, positions, quotes))


def kept_apart(desk: Desk) -> dict[str, Apart]:
    """As the last look at the stops left them, by symbol."""
    kept = json.loads(desk.journal.mark(desk.book, APART_MARK) or "{}")
    return {symbol: Apart(*map(float, fields)) for symbol, fields in kept.items()}


def keep_apart(desk: Desk, sight: Look, found: dict[str, Apart]) -> None:
    """Instead of what an earlier look found, but for what this one could not read. A person hears of each
    once a session: its stop is right, the equity is not."""
    kept = kept_apart(desk)
    unread = {row.symbol for what, row in sight.unread if what is Read.CORPORATE_ACTIONS}
    if Read.CORPORATE_ACTIONS in sight.missed:
        unread.add("")  # of no symbol: of any
    found = {symbol: one for symbol, one in kept.items() if "" in unread or symbol in unread} | found
    if not found and not kept:
        return
    for symbol, one in found.items():
        alert(
            desk,
            f"shares_apart:{symbol}:{desk.session_text()}",
            f"{symbol}: a split is not in price and position alike",
            f"The broker shows {one.shown:g} shares where its price is for {one.true:g}, and so states the "
            "equity wrong. Until both are alike entries wait, and a loss counts only where the right equity "
            "shows it too. Its stop goes by the cost in the price's terms. Compare with the broker.",
        )
    fields = {symbol: [repr(value) for value in one] for symbol, one in sorted(found.items())}
    desk.journal.set_mark(desk.book, APART_MARK, json.dumps(fields), desk.now_ns())


def missing_usd(desk: Desk, held: Collection[PositionState] | None) -> float:
    """What the broker's equity lacks by splits, USD, negative where it has too much; NaN: not known.

    held: every position of the account; None: not all could be read
    """
    kept = kept_apart(desk)
    if not kept:
        return 0.0
    if held is None:
        return nan
    shown = {one.symbol: one for one in held if one.asset_class == US_EQUITY}
    missing = 0.0
    for symbol, one in kept.items():
        position = shown.get(symbol)
        qty = 0.0 if position is None else float(position.qty)
        if abs(qty - one.true) < A_SHARE:
            continue  # booked since
        price = _price(position, None)
        if abs(qty - one.shown) > QUANTITY_TOLERANCE:
            return nan  # sold, or booked in part: the next look at the stops says
        missing += (one.true - qty) * (price if is_positive(price) else one.price)
    return missing


def keep_missing_at_close(desk: Desk, held: Collection[PositionState] | None) -> None:
    """At the first look after the close, of an equity that misses something: it is the next session's E0."""
    today, now = desk.today(), desk.now_ns()
    if not desk.sessions.is_session(today) or now < desk.sessions.close_ns(today):
        return
    name, missing = f"{AT_CLOSE_MARK}:{today.isoformat()}", missing_usd(desk, held)
    if missing and isfinite(missing) and desk.journal.mark(desk.book, name) is None:
        desk.journal.set_mark(desk.book, name, repr(missing), now)


def right_e0(desk: Desk, account: AccountState) -> Decimal:
    """The broker's equity at the close before, with what it lacked by splits, USD."""
    before = desk.sessions.previous(desk.today()).isoformat()
    missing = desk.journal.mark(desk.book, f"{AT_CLOSE_MARK}:{before}")
    return account.last_equity if missing is None else account.last_equity + Decimal(missing)


def _price(position: PositionState | None, quote: QuoteState | None) -> float:
    if position is not None and position.market_value is not None and position.qty:
        return float(position.market_value / position.qty)
    if position is not None and position.current_price is not None:
        return float(position.current_price)
    told = None if quote is None else quote.last_trade or quote.bid
    return nan if told is None else float(told)
