"""What of the account's equity a split misstates: prices are in new shares from the ex-date on, the position
from when the broker books it, which may be days earlier or later.

Stops look at every position's announcements, and keep here which positions are in other shares than their
prices. The next reading of the equity is corrected by it; what follows is `engine.reconciliation.equity`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from math import inf, isfinite, log, nan, prod
from typing import NamedTuple

from trading_assets.broker.port import US_EQUITY, CorporateActionState, PositionState, QuoteState
from trading_assets.core.activities import ActivityKind
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import is_positive
from trading_assets.engine.book.accounting import GIVEN_UP, carried_from, ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.ex_dates import A_SHARE, prices_of_today
from trading_assets.engine.evidence.owned_shares import Owned, owned_by_ex_dates
from trading_assets.engine.evidence.reads import Look, Read
from trading_assets.engine.evidence.stop_costs import BOOKED_WITHIN, booked_ex_dates
from trading_assets.market.actions import FAR_APART, TOLD_APART, are_told_apart
from trading_assets.market.sessions import new_york_midnight_ns

APART_MARK = "shares_apart"
TAKEN_MARK = "shares_taken_as_stated"
LOOKED_MARK = "splits_looked_for"
BROKER = "broker"  # the author of its lines


class Apart(NamedTuple):
    """A position that is in other shares than its price."""

    shown: float  # shares by the broker
    true: float  # in the price's terms, as announced; NaN: nobody knows before the open
    price: float  # USD a share; NaN: not known
    least: float  # what `true` may be where nothing tells surely, in shares at that price
    most: float

    @property
    def is_sure(self) -> bool:
        return self.least == self.most == self.true


class Missing(NamedTuple):
    """What the broker's equity lacks by splits, USD, negative where it has too much; infinite: not known."""

    least: float
    most: float

    @property
    def is_sure(self) -> bool:
        return self.least == self.most


UNKNOWN = Missing(-inf, inf)


def apart(
    desk: Desk,
    symbols: Collection[str],
    owned: Owned,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
) -> dict[str, Apart]:
    """Those of the symbols of which a split that counts is in the price or the position, and not in both; and
    those of which nothing tells surely whether one is, or in which ratio."""
    today, ledger, kept = desk.today(), ledger_of(desk.journal, desk.book), kept_apart(desk)
    splits = {}
    for symbol in symbols:
        unproven = [action for action in owned.unproven if action.symbol == symbol]
        counted = [
            action
            for action in owned.actions
            if action.symbol == symbol
            and action.split_ratio != 1.0
            and abs(action.ex_date - today) <= BOOKED_WITHIN
            and action not in unproven
        ]
        near = [*counted, *unproven]
        true = owned.announced.get(symbol, Holding()).qty
        if not near or true <= QUANTITY_TOLERANCE:
            continue
        shown = float(positions[symbol].qty) if symbol in positions else 0.0
        booked = ledger.holdings.get(symbol, Holding()).qty
        due = [action for action in near if action.ex_date <= today]
        is_booked = len(booked_ex_dates(desk.journal, desk.book, due, today)) == len(due)
        as_before = not is_booked and abs(shown - booked) <= QUANTITY_TOLERANCE
        if abs(true - shown) < (QUANTITY_TOLERANCE if as_before else A_SHARE):
            continue
        held = owned.held.get(symbol, Holding()).qty
        if _booked_otherwise(desk, symbol, near, held - shown):
            continue
        position, quote = positions.get(symbol), quotes.get(symbol)
        gone = not is_booked and shown <= QUANTITY_TOLERANCE < booked
        if not (gone or unproven) and (
            not _is_of_a_split(shown, booked, true, [action.split_ratio for action in near])
        ):
            continue
        if not gone and _is_worth_the_same(shown, true, position, quote):
            continue
        price, (least, most) = _price(position, quote), (true, true)
        if gone:  # for new ones that are still to come, or sold, and the fill is
            least = 0.0
        if unproven:
            before = kept.get(symbol)
            if (
                before is not None
                and not before.is_sure
                and _is_the_same(Apart(shown, true, price, 0, 0), before)
            ):
                least, most = min(least, before.least), max(most, before.most)
            elif is_positive(price) and all(action.ex_date == today for action in unproven):
                old = true / prod(action.split_ratio for action in unproven)
                worth = old * (nan if quote is None else float(quote.previous_close or nan))
                least, most = _within_a_days_move(worth, price, [shown, least, most])
            else:
                least, most = 0.0, inf
        splits[symbol] = Apart(shown, true, price, least, most)
    return splits


def _is_of_a_split(shown: float, booked: float, true: float, ratios: Iterable[float]) -> bool:
    """Whether what the broker shows is of a split: booked in part, not yet, twice, or old and new shares
    beside one another."""
    in_part = min(booked, true) - QUANTITY_TOLERANCE <= shown <= max(booked, true) + QUANTITY_TOLERANCE
    others = [other for ratio in ratios for other in (true / ratio, true * ratio, true + true / ratio)]
    return in_part or any(abs(shown - other) < A_SHARE for other in others)


def _within_a_days_move(worth: float, price: float, known: Sequence[float]) -> tuple[float, float]:
    """The fewest and the most shares at that price that a position may be that was `worth` so much at the
    close before, with those that are `known` to be possible."""
    if not is_positive(worth):
        return 0.0, inf
    return min(worth / TOLD_APART / price, *known), max(worth * TOLD_APART / price, *known)


def _booked_otherwise(desk: Desk, symbol: str, splits: Iterable[CorporateActionState], beyond: float) -> bool:
    """Whether a split that has taken place was booked by other lines than its own: a symbol change or a
    reorganisation that brought shares of another symbol for the old ones, or what a person booked for a line
    that the broker lacks.

    beyond: shares by the ex-dates, which count such lines beside the split, less those that the broker shows
    """
    past = [action.ex_date for action in splits if action.ex_date <= desk.today()]
    if not past:
        return False
    entries = desk.journal.adjustments(desk.book, since_ns=new_york_midnight_ns(max(past)))
    sources = [(entry.symbol, carried_from(entry)) for entry in entries if entry.kind in GIVEN_UP]
    elsewhere = any(source is not None and source.symbol == symbol != brought for brought, source in sources)
    by_a_person = sum(
        float(entry.qty_delta) for entry in entries if entry.symbol == symbol and entry.author != BROKER
    )
    return elsewhere or (by_a_person != 0.0 and abs(beyond - by_a_person) < A_SHARE)


def _is_worth_the_same(
    shown: float, true: float, position: PositionState | None, quote: QuoteState | None
) -> bool:
    """Whether the broker values the position in the shares that it shows, old or new, whatever the market
    quotes: its equity is right then."""
    marked, price = _price(position, None), None if quote is None else quote.bid or quote.last_trade
    quoted = nan if price is None else float(price)
    if not all(map(is_positive, (marked, quoted, shown, true))):
        return False
    apart_by = abs(log(marked * shown / (quoted * true)))
    return apart_by < min(abs(log(marked / quoted)), log(TOLD_APART))


def owned_symbols(desk: Desk, held: Collection[str]) -> list[str]:
    """What is held, and what a split may have taken away for new shares that are still to come."""
    ledger = ledger_of(desk.journal, desk.book)
    ours = (symbol for symbol, holding in ledger.holdings.items() if holding.qty or holding.waiting_usd)
    return sorted({*held, *ours, *kept_apart(desk)})


def see_splits(desk: Desk, positions: Mapping[str, PositionState], *, in_doubt: bool = False) -> None:
    """Keep which positions are in other shares than their prices, for whoever cannot wait for the stops.

    Outside regular hours: of a split whose ex-date the next session is, the broker may have booked the shares
    and not the price, or the price and not the shares. Which, only the open shows: where its value is not
    what it was at the close.

    What was kept at a look before an ex-date that has opened since says nothing either: its price is another
    one by now, and no look in a session has compared the two.

    in_doubt: the equity says that one of them may be so
    """
    today, now = desk.today(), desk.now_ns()
    symbols = owned_symbols(desk, positions)
    if not symbols:
        return
    sight = Look(desk)
    is_open = desk.sessions.is_open(now)
    opens_today = desk.sessions.is_session(today) and now < desk.sessions.open_ns(today)
    kept, ahead = kept_apart(desk), set[str]()
    actions: Sequence[CorporateActionState] = ()
    if not is_open:
        ex_date = today if opens_today else desk.sessions.next(today)
        actions = sight.corporate_actions(symbols, ex_date, ex_date)
        ahead = {
            action.symbol for action in actions if action.split_ratio != 1.0 and action.ex_date == ex_date
        }
    looked_at = [symbol for symbol in symbols if not (opens_today and symbol in ahead)]
    quotes = sight.quotes(looked_at)
    owned = owned_by_ex_dates(desk, looked_at, sight, positions=positions, quotes=quotes)
    doubtful = apart(desk, looked_at, owned, positions, quotes)
    doubtful |= not_looked_at(desk, doubtful, sight, positions, quotes)
    if not is_open:
        unknown = {
            symbol: Apart(_shown(positions.get(symbol)), nan, nan, nan, nan)
            for symbol in ahead
            if (opens_today or symbol not in kept | doubtful)
            and (in_doubt or not _is_as_at_close(desk, symbol, actions, positions, sight))
        }
        still = {symbol: one for symbol, one in kept.items() if _is_as_shown(one, positions.get(symbol))}
        overtaken = still.keys() & _opened_since(desk, [*owned.actions, *owned.unproven])
        still |= {symbol: still[symbol]._replace(true=nan, least=nan, most=nan) for symbol in overtaken}
        doubtful = still | doubtful | unknown
    keep_apart(desk, doubtful)


def _opened_since(desk: Desk, actions: Iterable[CorporateActionState]) -> set[str]:
    """Symbols of which a split's ex-date has opened since positions in other shares than their prices were
    last kept."""
    kept_ns, now = desk.journal.marked_ns(desk.book, APART_MARK), desk.now_ns()
    return {
        action.symbol
        for action in actions
        if action.split_ratio != 1.0 and kept_ns < _open_ns(desk, action.ex_date) <= now
    }


def _open_ns(desk: Desk, day: date) -> int:
    """The open of the session of that day, or of the next one."""
    return desk.sessions.open_ns(day if desk.sessions.is_session(day) else desk.sessions.next(day))


def _is_as_at_close(
    desk: Desk,
    symbol: str,
    actions: Iterable[CorporateActionState],
    positions: Mapping[str, PositionState],
    sight: Look,
) -> bool:
    """Whether a position with a split ahead is worth what it was at the close, by the broker's shares at its
    price: both are in the same shares. Of a ratio that a price does not tell apart it says nothing."""
    position, quote = positions.get(symbol), sight.quotes([symbol]).get(symbol)
    held = ledger_of(desk.journal, desk.book).holdings.get(symbol, Holding()).qty
    old = held - _split_shares(desk, symbol)
    close = nan if quote is None else float(quote.previous_close or nan)
    if desk.sessions.is_session(desk.today()) and desk.now_ns() >= desk.sessions.close_ns(desk.today()):
        close = _price(None, quote)  # that of today
    is_far = all(abs(log(one.split_ratio)) > log(FAR_APART) for one in actions if one.symbol == symbol)
    worth = _shown(position) * _price(position, None)
    return is_far and not are_told_apart(worth, old * close)


def _split_shares(desk: Desk, symbol: str) -> float:
    """What the lines of `BOOKED_WITHIN` brought of a symbol by which shares may have been split."""
    since_ns = new_york_midnight_ns(desk.today() - BOOKED_WITHIN)
    return sum(
        float(entry.qty_delta)
        for entry in desk.journal.adjustments(desk.book, since_ns=since_ns)
        if entry.symbol == symbol and entry.kind in (ActivityKind.SPLIT, *GIVEN_UP)
    )


def see_what_moved(desk: Desk, positions: Mapping[str, PositionState]) -> None:
    """As `see_splits`, at the first look before the open, in the session and after the close, after a line by
    which shares may have been split, and where a position is not what our ledger holds. Between these the
    looks at the stops see them, after the equity was read."""
    today, now, ledger = desk.today(), desk.now_ns(), ledger_of(desk.journal, desk.book)
    since_ns = new_york_midnight_ns(today - BOOKED_WITHIN)
    lines = sum(
        len(desk.journal.adjustments(desk.book, since_ns=since_ns, kind=kind))
        for kind in (ActivityKind.SPLIT, *sorted(GIVEN_UP))
    )
    over = desk.sessions.is_session(today) and now >= desk.sessions.open_ns(today)
    place = f"{today.isoformat()} {over} {desk.sessions.is_open(now)} {lines}"
    ours = {symbol: holding.qty for symbol, holding in ledger.holdings.items() if holding.qty}
    alike = all(
        abs(_shown(positions.get(symbol)) - ours.get(symbol, 0.0)) <= QUANTITY_TOLERANCE
        for symbol in ours.keys() | positions.keys()
    )
    if alike and desk.journal.mark(desk.book, LOOKED_MARK) == place:
        return
    see_splits(desk, positions)
    desk.journal.set_mark(desk.book, LOOKED_MARK, place, now)


def not_looked_at(
    desk: Desk,
    seen: Collection[str],
    sight: Look,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    unknown: Collection[str] = (),
) -> dict[str, Apart]:
    """Those not found now of which a look says nothing, as their announcements or their position could not be
    read: those kept before, which that does not make alike, unless the position has changed meanwhile. And
    those whose price is so far from the close before that a split may be in it.

    unknown: symbols whose position could not be read; "" stands for any
    """
    unread = {row.symbol for what, row in sight.unread if what is Read.CORPORATE_ACTIONS}
    every = Read.CORPORATE_ACTIONS in sight.missed or "" in unread
    left = {}
    kept = kept_apart(desk)
    for symbol, one in kept.items():
        hidden = symbol not in positions and not {symbol, ""}.isdisjoint(unknown)
        unsaid = (every or symbol in unread) and _is_as_shown(one, positions.get(symbol))
        if symbol not in seen and isfinite(one.true) and (hidden or unsaid):
            price = _price(None, quotes.get(symbol))
            left[symbol] = one._replace(price=price) if hidden and is_positive(price) else one
    concerned: set[str] = (quotes.keys() & positions.keys()) - set(seen) - left.keys()
    for symbol in sorted(concerned if every else concerned & unread):
        may_be = _unread(desk, symbol, positions[symbol], quotes[symbol])
        if may_be is not None:
            left[symbol] = may_be
    return left


def _unread(desk: Desk, symbol: str, position: PositionState, quote: QuoteState) -> Apart | None:
    """A position whose announcements cannot be read and whose value is further from that at the close before
    than stocks move in a day: a split that is not booked may be in its price. None: one that has been booked
    says why."""
    seen, shown, price = prices_of_today(desk, quote), _shown(position), _price(position, quote)
    if not (shown > 0.0 and all(map(is_positive, (seen.close, seen.price, price)))):
        return None
    came = _split_shares(desk, symbol)
    at_close = shown * seen.close
    values = [at_close, (shown - came) * seen.close]
    if not all(are_told_apart(value, shown * seen.price) for value in values):
        return None
    return Apart(shown, at_close / price, price, *_within_a_days_move(at_close, price, [shown]))


def kept_apart(desk: Desk) -> dict[str, Apart]:
    """As the last look at the stops left them, by symbol."""
    return _read(desk, APART_MARK)


def keep_apart(desk: Desk, splits: Mapping[str, Apart]) -> None:
    """But for those that a person has taken as they are. A person hears of each once a session: its stop is
    right, the equity is not."""
    kept, taken = kept_apart(desk), _read(desk, TAKEN_MARK)
    splits = {symbol: one for symbol, one in splits.items() if not _is_the_same(one, taken.get(symbol))}
    if not splits and not kept:
        return
    for symbol, one in splits.items():
        if not isfinite(one.true):
            continue  # the open shows it
        if not one.is_sure:
            desk.alert(
                f"shares_unsure:{symbol}:{desk.session_text()}",
                f"{symbol}: whether a split is in price and position alike is not known",
                f"The broker shows {one.shown:g} shares; by what is announced, or by the price, they are "
                f"{one.true:g}, and no price of the ex-date says so surely: the ratio may be another one, or "
                "the announcement wrong. Entries wait, and a loss counts only where it is one whichever is "
                "true, until the broker books it. Compare with the broker; where nothing is to come "
                "`trading-assets rearm --reason …` takes the equity as it is stated.",
            )
            continue
        desk.alert(
            f"shares_apart:{symbol}:{desk.session_text()}",
            f"{symbol}: a split is not in price and position alike",
            f"The broker shows {one.shown:g} shares where its price is for {one.true:g}, and so states the "
            "equity wrong. Until both are alike entries wait, and a loss counts only where the right equity "
            "shows it too. Its stop goes by the cost in the price's terms. Compare with the broker; where "
            "the announcement is wrong `trading-assets rearm --reason …` takes the equity as it is stated.",
        )
    _keep(desk, APART_MARK, splits)


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
    splits = {}
    for symbol, fields in kept.items():
        shown, true, price, *bounds = map(float, fields)
        splits[symbol] = Apart(shown, true, price, *(bounds or (true, true)))
    return splits


def _keep(desk: Desk, name: str, splits: Mapping[str, Apart]) -> None:
    fields = {symbol: [repr(value) for value in one] for symbol, one in sorted(splits.items())}
    desk.journal.set_mark(desk.book, name, json.dumps(fields), desk.now_ns())


def missing_usd(desk: Desk, held: Collection[PositionState] | None) -> Missing:
    """held: every position of the account; None: not all could be read, and what was apart may be booked"""
    kept = kept_apart(desk)
    shown = {one.symbol: one for one in held or () if one.asset_class == US_EQUITY}
    least = most = 0.0
    for symbol, one in kept.items():
        position = shown.get(symbol)
        qty = one.shown if held is None else _shown(position)
        if abs(qty - one.shown) > QUANTITY_TOLERANCE:
            if abs(qty - one.true) < A_SHARE:
                continue  # booked since
            return UNKNOWN  # sold, or booked in part: the next look at the stops says
        price = _price(position, None)
        price = price if is_positive(price) else one.price
        lacks = [(shares - qty) * price for shares in (one.least, one.most)]
        if not all(map(isfinite, lacks)):
            return UNKNOWN
        least += min(lacks) if held is not None else min(*lacks, 0.0)
        most += max(lacks) if held is not None else max(*lacks, 0.0)
    return Missing(least, most)


def _is_as_shown(one: Apart, position: PositionState | None) -> bool:
    return abs(_shown(position) - one.shown) <= QUANTITY_TOLERANCE


def _shown(position: PositionState | None) -> float:
    return 0.0 if position is None else float(position.qty)


def _price(position: PositionState | None, quote: QuoteState | None) -> float:
    if position is not None and position.market_value is not None and position.qty:
        return float(position.market_value / position.qty)
    if position is not None and position.current_price is not None:
        return float(position.current_price)
    price = None if quote is None else quote.last_trade or quote.bid
    return nan if price is None else float(price)
