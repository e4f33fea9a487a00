"""What the broker's equity at a close lacked by splits: it is the next session's E0.

At the first look after a close it is seen (`engine.reconciliation.split_equity`). Where there was no look, or
none that could say, the close is computed from the next session's first sure look: each position at its
previous close, with the cash and the transfers since taken out. What neither gives is in doubt for that
session, and its losses are measured from the lowest E0 that it may be.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from math import inf, isfinite, nan, prod
from typing import NamedTuple

from trading_assets.broker.port import (
    US_EQUITY,
    AccountState,
    CorporateActionState,
    PositionState,
    QuoteState,
)
from trading_assets.core.activities import ActivityKind
from trading_assets.core.breakers import E0_TOLERANCE
from trading_assets.core.tolerance import at_most, is_positive
from trading_assets.engine.book.accounting import GIVEN_UP, listed_mark
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.owned_shares import Owned, owned_by_ex_dates
from trading_assets.engine.evidence.reads import Look, Read
from trading_assets.engine.evidence.stop_costs import BOOKED_WITHIN, split_lines
from trading_assets.engine.reconciliation.split_equity import (
    kept_apart,
    missing_usd,
    owned_symbols,
    see_splits,
)
from trading_assets.log import get_logger
from trading_assets.market.actions import are_told_apart
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import AdjustmentRecord

log = get_logger(__name__)

AT_CLOSE_MARK = "missing_at_close"
SHARES_MARK = "shares_missing_at_close"
DOUBT_MARK = "missing_at_close_at_least"
SPLITS_AT_MOST = 5  # of one close that may be told apart by what it states


class StartingEquity(NamedTuple):
    """E0, USD. Where a split may misstate it and nothing says, the lowest that it may be."""

    usd: Decimal
    is_sure: bool


def keep_missing_at_close(desk: Desk, held: Collection[PositionState] | None) -> None:
    """Which shares the position lacks, at the first look after the close that is sure of it, as none came or
    went since. What they were worth at the close, and not by an evening's price, the next session knows."""
    today, now = desk.today(), desk.now_ns()
    if not desk.sessions.is_session(today) or now < desk.sessions.close_ns(today) or held is None:
        return
    name = f"{SHARES_MARK}:{today.isoformat()}"
    if desk.journal.mark(desk.book, name) is not None:
        return
    see_splits(desk, {one.symbol: one for one in held if one.asset_class == US_EQUITY})
    since_ns = new_york_midnight_ns(today - BOOKED_WITHIN)
    booked_since = any(
        _read_ns(desk, line) >= desk.sessions.close_ns(today)
        for kind in (ActivityKind.SPLIT, *sorted(GIVEN_UP))
        for line in desk.journal.adjustments(desk.book, since_ns=since_ns, kind=kind)
    )
    if missing_usd(desk, held).is_sure and not booked_since:
        lacked = {
            symbol: [repr(one.true - one.shown), repr(one.price)] for symbol, one in kept_apart(desk).items()
        }
        desk.journal.set_mark(desk.book, name, json.dumps(lacked), now)


def right_e0(desk: Desk, account: AccountState) -> StartingEquity:
    """The broker's equity at the close before, with what it lacked by splits."""
    before = desk.sessions.previous(desk.today()).isoformat()
    missing = desk.journal.mark(desk.book, f"{AT_CLOSE_MARK}:{before}")
    at_least = desk.journal.mark(desk.book, f"{DOUBT_MARK}:{before}") if missing is None else None
    put_right = Decimal(missing or at_least or 0)
    return StartingEquity(account.last_equity + put_right, at_least is None)


def take_close_as_stated(desk: Desk) -> bool:
    """A rearm: the close before counts as the broker states it. False where it is in no doubt."""
    before = desk.sessions.previous(desk.today()).isoformat()
    name = f"{AT_CLOSE_MARK}:{before}"
    in_doubt = desk.journal.mark(desk.book, f"{DOUBT_MARK}:{before}") is not None
    if in_doubt and desk.journal.mark(desk.book, name) is None:
        _keep(desk, name, 0.0)
        return True
    return False


def see_missed_close(desk: Desk, account: AccountState, held: Collection[PositionState] | None) -> None:
    """Say what the equity at the close before lacked, where no look was there to say it.

    held: every position of the account; None: not all could be read
    """
    close_day = desk.sessions.previous(desk.today())
    close_ns, before = desk.sessions.close_ns(close_day), close_day.isoformat()
    began_ns = min((record.at_ns for record in desk.journal.opening(desk.book)), default=close_ns)
    if began_ns >= close_ns or desk.journal.mark(desk.book, f"{AT_CLOSE_MARK}:{before}") is not None:
        return
    sight, seen = Look(desk), desk.journal.mark(desk.book, f"{SHARES_MARK}:{before}")
    if seen is not None:
        lacks = {symbol: tuple(map(float, fields)) for symbol, fields in json.loads(seen).items()}
        quoted = sight.quotes(sorted(lacks))
        usd = []
        for symbol, (shares, evening) in lacks.items():
            close = _close(quoted.get(symbol))  # one far from the evening's price is in other shares
            usd.append(shares * (evening if are_told_apart(close, evening) else close))
        if all(usd):
            _keep(desk, f"{AT_CLOSE_MARK}:{before}", sum(usd))
            return
    shown = {one.symbol: one for one in held or () if one.asset_class == US_EQUITY}
    symbols = owned_symbols(desk, shown)
    actions = sight.corporate_actions(symbols, close_day - BOOKED_WITHIN, desk.today() + BOOKED_WITHIN)
    if held is None or Read.CORPORATE_ACTIONS in sight.missed:
        return  # what is apart now is in doubt in any case
    splits = [
        one
        for one in actions
        if one.split_ratio != 1.0 and (one.symbol in kept_apart(desk) or _may_straddle(desk, one, close_day))
    ]
    if not splits and not kept_apart(desk):
        _keep(desk, f"{AT_CLOSE_MARK}:{before}", 0.0)
        return
    see_splits(desk, shown)
    quotes = sight.quotes(symbols)
    owned = owned_by_ex_dates(desk, symbols, sight, positions=shown, quotes=quotes)
    of_today: dict[str, float] = {}
    for one in owned.actions:
        if one.ex_date == desk.today():
            of_today[one.symbol] = of_today.get(one.symbol, 1.0) * one.split_ratio
    lacked = _lacked_by(splits, owned, of_today, shown, quotes, kept_apart(desk), desk.today())
    closing = _lacked_in_all(account, lacked, _computed(desk, account, held, quotes, of_today))
    if closing is not None:
        _keep(desk, f"{AT_CLOSE_MARK}:{before}", closing)
        log.warning("close put right by splits", session=before, missing_usd=closing)
        return
    at_least = sum(min(of_it) for of_it in lacked)
    if not isfinite(at_least):
        at_least = -float(account.last_equity)
    _keep(desk, f"{DOUBT_MARK}:{before}", at_least)


def _may_straddle(desk: Desk, split: CorporateActionState, close_day: date) -> bool:
    """Whether the split was in the price at that close and not in the position, or the other way round, by
    when the desk first read its lines; what was read before the close was booked by then."""
    close_ns = desk.sessions.close_ns(close_day)
    lines = [line for line, _ in split_lines(desk.journal, desk.book, [split])]
    read_ns = [_read_ns(desk, line) for line in lines]
    if split.ex_date <= close_day:
        return not read_ns or max(read_ns) > close_ns
    return bool(read_ns)


def _read_ns(desk: Desk, line: AdjustmentRecord) -> int:
    """When the desk first read the line; where it is stamped to the second, when that was."""
    mark = desk.journal.mark(desk.book, listed_mark(line.adjustment_id))
    return line.at_ns if mark is None else int(mark)


def _lacked_by(
    splits: Iterable[CorporateActionState],
    owned: Owned,
    of_today: Mapping[str, float],
    shown: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    kept: Iterable[str],
    today: date,
) -> list[list[float]]:
    """What the equity may have lacked by each symbol's splits, USD: nothing, or what it lacks with old shares
    at a new price, new ones at an old price, both, neither, or those that the broker shows now. Infinite
    where nothing says.

    of_today: new shares for each old one by the splits that are in today's prices
    kept:     the symbols that are apart now, announced or not
    """
    by_symbol: dict[str, list[CorporateActionState]] = {}
    for split in splits:
        by_symbol.setdefault(split.symbol, []).append(split)
    bounds = []
    for symbol, of_it in by_symbol.items():
        now = owned.held[symbol].qty if symbol in owned.held else 0.0
        at_close, close = now / of_today.get(symbol, 1.0), _close(quotes.get(symbol))
        early = prod(one.split_ratio for one in of_it if one.ex_date >= today)
        late = prod(one.split_ratio for one in of_it if one.ex_date < today)
        other = at_close * early / late
        by_broker = float(shown[symbol].qty) if symbol in shown else 0.0
        held = (at_close, other, at_close + other, 0.0, by_broker)
        bounds.append([(at_close - qty) * close if is_positive(close) else -inf for qty in held])
    bounds += [[0.0, -inf] for symbol in kept if symbol not in by_symbol]
    return bounds


def _lacked_in_all(
    account: AccountState, lacked: Sequence[Sequence[float]], computed: float | None
) -> float | None:
    """What the close lacked, USD: of what its splits may have taken the one with which it is what our own
    computation of it is, to a thousandth. None: none is."""
    known = len(lacked) <= SPLITS_AT_MOST and all(isfinite(usd) for of_it in lacked for usd in of_it)
    if computed is None or not known:
        return None
    stated = float(account.last_equity)
    nearest = min({sum(some) for some in product(*lacked)}, key=lambda usd: abs(stated + usd - computed))
    fits = at_most(abs(stated + nearest - computed), E0_TOLERANCE * abs(computed))
    return nearest if fits else None


def _computed(
    desk: Desk,
    account: AccountState,
    held: Collection[PositionState],
    quotes: Mapping[str, QuoteState],
    of_today: Mapping[str, float],
) -> float | None:
    """The equity at the close before, USD, from today's: what is held was held then. None where that is not
    so, or where something is not known."""
    today = desk.today()
    close_ns = desk.sessions.close_ns(desk.sessions.previous(today))
    missing = missing_usd(desk, held)
    if not missing.is_sure or desk.journal.fills(desk.book, since_ns=close_ns):
        return None
    since = desk.journal.adjustments(desk.book, since_ns=close_ns)
    if any(entry.qty_delta and entry.kind == ActivityKind.TRANSFER for entry in since):
        return None
    total = float(account.equity) + missing.least - float(sum(entry.cash_delta for entry in since))
    kept = kept_apart(desk)
    shown = {one.symbol: one for one in held if one.asset_class == US_EQUITY}
    for one in held:
        if one.asset_class != US_EQUITY:
            last = one.last_close
            if last is None or one.current_price is None or one.market_value is None or not one.current_price:
                return None
            total += float(one.market_value * (last / one.current_price - 1))
    for symbol in shown.keys() | kept.keys():
        position, close = shown.get(symbol), _close(quotes.get(symbol))
        qty, price = kept[symbol][1:3] if symbol in kept else (nan, nan)
        if position is not None and position.market_value is not None and position.qty:
            price = float(position.market_value / position.qty)
            qty = qty if symbol in kept else float(position.qty)
        if not (is_positive(close) and is_positive(price) and isfinite(qty)):
            return None
        total += qty * (close / of_today.get(symbol, 1.0) - price)
    return total


def _keep(desk: Desk, name: str, usd: float) -> None:
    if desk.journal.mark(desk.book, name) != repr(usd):
        desk.journal.set_mark(desk.book, name, repr(usd), desk.now_ns())


def _close(quote: QuoteState | None) -> float:
    return 0.0 if quote is None else float(quote.previous_close or 0)
