"""What of the account's equity a split misstates: prices are in new shares from the ex-date on, the position
from when the broker books it, which may be days earlier or later.

Stops look at every position's announcements, and keep here which positions are in other shares than their
prices. The next reading of the equity is corrected by it; what follows is `engine.risk`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from math import isfinite, log, nan
from typing import NamedTuple

from trading_assets.broker.port import US_EQUITY, AccountState, PositionState, QuoteState
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import is_positive
from trading_assets.engine.absorb import alert
from trading_assets.engine.accounting import ledger_of
from trading_assets.engine.activity_types import Booked
from trading_assets.engine.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.desk import Desk
from trading_assets.engine.ex_dates import A_SHARE
from trading_assets.engine.owned_shares import Owned, owned_by_ex_dates
from trading_assets.engine.reads import Look, Read
from trading_assets.engine.stop_costs import BOOKED_WITHIN
from trading_assets.market.actions import TOLD_APART
from trading_assets.market.sessions import new_york_midnight_ns

APART_MARK = "shares_apart"
TAKEN_MARK = "shares_taken_as_stated"
BROKER = "broker"  # the author of its lines
AT_CLOSE_MARK = "missing_at_close"


class Apart(NamedTuple):
    """A position that is in other shares than its price."""

    shown: float  # shares by the broker
    true: float  # in the price's terms; NaN: nobody knows before the open
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
        if _booked_otherwise(desk, symbol, owned, true - shown):
            continue
        booked = ledger.holdings.get(symbol, Holding()).qty
        in_part = min(booked, true) - QUANTITY_TOLERANCE <= shown <= max(booked, true) + QUANTITY_TOLERANCE
        of_ratio = any(
            abs(shown - other) < A_SHARE for ratio in near for other in (true / ratio, true * ratio)
        )
        position, quote = positions.get(symbol), quotes.get(symbol)
        if (in_part or of_ratio) and not _is_worth_the_same(shown, true, position, quote):
            found[symbol] = Apart(shown, true, _price(position, quote))
    return found


def _booked_otherwise(desk: Desk, symbol: str, owned: Owned, beyond: float) -> bool:
    """Whether a split that has taken place was booked by other lines than a split's: a symbol change or a
    reorganisation that takes the old shares, or what a person booked for a line that the broker lacks.

    beyond: shares by the ex-dates, which count such lines beside the split, less those that the broker shows
    """
    today = desk.today()
    splits = [
        action.ex_date
        for action in owned.actions
        if action.symbol == symbol and action.split_ratio != 1.0 and action.ex_date <= today
    ]
    if not splits:
        return False
    entries = desk.journal.adjustments(desk.book, since_ns=new_york_midnight_ns(max(splits)))
    lines = [entry for entry in entries if entry.symbol == symbol]
    taken = any(
        line.kind in (Booked.NAME_CHANGE, Booked.REORGANISATION) and line.qty_delta < 0 for line in lines
    )
    by_a_person = sum(float(line.qty_delta) for line in lines if line.author != BROKER)
    return taken or abs(beyond - by_a_person) < A_SHARE


def _is_worth_the_same(
    shown: float, true: float, position: PositionState | None, quote: QuoteState | None
) -> bool:
    """Whether the broker values the position in the shares that it shows, old or new, whatever the market
    quotes: its equity is right then."""
    marked, told = _price(position, None), None if quote is None else quote.bid or quote.last_trade
    quoted = nan if told is None else float(told)
    if not all(map(is_positive, (marked, quoted, shown, true))):
        return False
    apart_by = abs(log(marked * shown / (quoted * true)))
    return apart_by < min(abs(log(marked / quoted)), log(TOLD_APART))


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
    found = apart(desk, symbols, owned, positions, quotes)
    keep_apart(desk, found | not_looked_at(desk, found, sight, positions))


def see_splits_ahead(desk: Desk, positions: Mapping[str, PositionState]) -> None:
    """Outside regular hours: of a split whose ex-date the next session is, the broker may have booked the
    shares and not the price, or the price and not the shares. Which, only the open shows."""
    today = desk.today()
    opens_today = desk.sessions.is_session(today) and desk.now_ns() < desk.sessions.open_ns(today)
    ex_date = today if opens_today else desk.sessions.next(today)
    kept = kept_apart(desk)
    actions = Look(desk).corporate_actions(owned_symbols(desk, positions), ex_date, ex_date)
    ahead = {action.symbol for action in actions if action.split_ratio != 1.0 and action.ex_date == ex_date}
    found = {
        symbol: Apart(float(positions[symbol].qty) if symbol in positions else 0.0, nan, nan)
        for symbol in ahead - kept.keys()
    }
    keep_apart(desk, kept | found)


def not_looked_at(
    desk: Desk,
    found: Collection[str],
    sight: Look,
    positions: Mapping[str, PositionState],
    unknown: Collection[str] = (),
) -> dict[str, Apart]:
    """Those kept before, and not found now, of which a look says nothing: their announcements or their
    position could not be read. That does not make them alike. Where the position has changed meanwhile it is
    another question.

    unknown: symbols whose position could not be read; "" stands for any
    """
    unread = {row.symbol for what, row in sight.unread if what is Read.CORPORATE_ACTIONS}
    every = Read.CORPORATE_ACTIONS in sight.missed or "" in unread
    left = {}
    for symbol, one in kept_apart(desk).items():
        hidden = symbol not in positions and not {symbol, ""}.isdisjoint(unknown)
        unsaid = (every or symbol in unread) and _is_as_shown(one, positions.get(symbol))
        if symbol not in found and isfinite(one.true) and (hidden or unsaid):
            left[symbol] = one
    return left


def kept_apart(desk: Desk) -> dict[str, Apart]:
    """As the last look at the stops left them, by symbol."""
    return _read(desk, APART_MARK)


def keep_apart(desk: Desk, found: Mapping[str, Apart]) -> None:
    """But for those that a person has taken as they are. A person hears of each once a session: its stop is
    right, the equity is not."""
    kept, taken = kept_apart(desk), _read(desk, TAKEN_MARK)
    found = {symbol: one for symbol, one in found.items() if not _is_the_same(one, taken.get(symbol))}
    if not found and not kept:
        return
    for symbol, one in found.items():
        if not isfinite(one.true):
            continue  # the open shows it
        alert(
            desk,
            f"shares_apart:{symbol}:{desk.session_text()}",
            f"{symbol}: a split is not in price and position alike",
            f"The broker shows {one.shown:g} shares where its price is for {one.true:g}, and so states the "
            "equity wrong. Until both are alike entries wait, and a loss counts only where the right equity "
            "shows it too. Its stop goes by the cost in the price's terms. Compare with the broker; where "
            "the announcement is wrong `trading-assets rearm --reason …` takes the equity as it is stated.",
        )
    _keep(desk, APART_MARK, found)


def take_as_stated(desk: Desk) -> tuple[str, ...]:
    """A rearm: the equity counts as the broker states it, though these symbols' shares are apart."""
    kept = kept_apart(desk)
    if kept:
        _keep(desk, TAKEN_MARK, _read(desk, TAKEN_MARK) | kept)
        _keep(desk, APART_MARK, {})
    return tuple(sorted(kept))


def _is_the_same(one: Apart, other: Apart | None) -> bool:
    return (
        other is not None and abs(one.true - other.true) < A_SHARE and abs(one.shown - other.shown) < A_SHARE
    )


def _read(desk: Desk, name: str) -> dict[str, Apart]:
    kept = json.loads(desk.journal.mark(desk.book, name) or "{}")
    return {symbol: Apart(*map(float, fields)) for symbol, fields in kept.items()}


def _keep(desk: Desk, name: str, found: Mapping[str, Apart]) -> None:
    fields = {symbol: [repr(value) for value in one] for symbol, one in sorted(found.items())}
    desk.journal.set_mark(desk.book, name, json.dumps(fields), desk.now_ns())


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


def _is_as_shown(one: Apart, position: PositionState | None) -> bool:
    return abs((0.0 if position is None else float(position.qty)) - one.shown) <= QUANTITY_TOLERANCE


def _price(position: PositionState | None, quote: QuoteState | None) -> float:
    if position is not None and position.market_value is not None and position.qty:
        return float(position.market_value / position.qty)
    if position is not None and position.current_price is not None:
        return float(position.current_price)
    told = None if quote is None else quote.last_trade or quote.bid
    return nan if told is None else float(told)
