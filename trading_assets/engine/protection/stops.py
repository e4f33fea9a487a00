"""Stops: which positions are at theirs, and the locks that keep a stop in force until it is flat. The cost
that one is measured from is `engine.evidence.stop_costs`; selling is `engine.protection.forced_exits`, and
when one is over `engine.protection.exits_over`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import nan

from trading_assets.broker.port import QuoteState
from trading_assets.core.breakers import stop_hit, stop_price
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import at_most, is_positive
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.locks import lock
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.owned_shares import owned_by_ex_dates
from trading_assets.engine.evidence.reads import Look
from trading_assets.engine.evidence.stop_costs import costs_of
from trading_assets.engine.protection.exits_over import (
    STOP_LOCK,
    exits_over,
    locks_in_force,
    stop_decision,
    stop_locks,
)
from trading_assets.engine.reconciliation.reconcile import SIGHTINGS, ReconcileReport
from trading_assets.engine.reconciliation.split_equity import apart, keep_apart, not_looked_at, owned_symbols
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import LockRecord

log = get_logger(__name__)


def stops_in_force(desk: Desk, report: ReconcileReport) -> tuple[str, ...]:
    """Latch new stops, release those of an earlier session that are flat; the symbols still held by one.

    A stop is over once its symbol was flat. What is held of it after that has a stop of its own.

    Without corporate actions the ledger's cost stands as it is, and where our ledger holds nothing at a cost
    the broker's average entry price stands in; without a quote of its own a position's stop cannot be seen.
    All of these are told, and hold no other symbol back.
    """
    held = {symbol for symbol, position in report.positions.items() if position.qty > 0}
    _release(desk, report)
    locked = locks_in_force(desk)
    candidates = sorted(held - locked.keys())
    looked_at = owned_symbols(desk, held)
    if looked_at and desk.sessions.is_open(desk.now_ns()):
        sight = Look(desk)
        quotes = sight.quotes(looked_at)
        owned = owned_by_ex_dates(desk, looked_at, sight, positions=report.positions, quotes=quotes)
        splits = apart(desk, looked_at, owned, report.positions, quotes)
        left = not_looked_at(desk, splits, sight, report.positions, quotes, report.unknown)
        keep_apart(desk, splits | left)
        costs = costs_of(owned.held, candidates)
        beyond = beyond_the_ledger(candidates, report, costs)
        costs |= beyond
        _tell_of_stand_ins(desk, report, beyond)
        for symbol in candidates:
            if symbol in costs and symbol in quotes and at_its_stop(desk, quotes[symbol], costs[symbol]):
                quote = quotes[symbol]
                share = 1 - desk.limits.stop_loss
                reason = f"bid {quote.bid} at or below {share:g} of the cost {costs[symbol]:.4f}"
                log.warning("stop loss", symbol=symbol, reason=reason)
                _latch(desk, symbol, reason)
                locked = locks_in_force(desk)
            elif symbol in costs and symbol in quotes:
                _tell_unconfirmed(desk, quotes[symbol], costs[symbol])
    return tuple(sorted(locked.keys() & held))


def _release(desk: Desk, report: ReconcileReport) -> None:
    """Let go of the symbols whose stop was over in an earlier session, or is of one, while they are flat and
    nothing was traded in them today."""
    today, over = desk.today(), exits_over(desk)
    traded = {fill.symbol for fill in desk.journal.fills(desk.book, session=today.isoformat())}
    for symbol, record in stop_locks(desk).items():
        held = not report.is_flat(symbol) or report.ledger.holdings.get(symbol, Holding()).qty
        at_ns = over.get(stop_decision(record))
        if at_ns is None:
            if held or symbol in traded:
                continue
            at_ns = record.at_ns
        if desk.sessions.new_york_date(at_ns) < today:
            _unlock(desk, symbol, "flat, and the stop's session is over")


def _latch(desk: Desk, symbol: str, reason: str) -> None:
    """Lock the symbol by a new stop, in the place of one that is over."""
    before = stop_locks(desk).get(symbol)
    if before is None:
        lock(desk, symbol, STOP_LOCK, reason)
        return
    _unlock(desk, symbol, "sold; what is held now is at a stop of its own")
    at_ns = max(desk.now_ns(), before.at_ns + 1)  # a decision of its own where time stands
    desk.journal.lock(LockRecord(desk.book, symbol, STOP_LOCK, at_ns, reason))
    desk.alert(f"lock:{symbol}:{STOP_LOCK}:{at_ns}", f"{symbol} locked: {STOP_LOCK}", reason)


def _unlock(desk: Desk, symbol: str, reason: str) -> None:
    desk.journal.unlock(desk.book, symbol, STOP_LOCK, at_ns=desk.now_ns(), author="system", reason=reason)


def _tell_unconfirmed(desk: Desk, quote: QuoteState, cost: float) -> None:
    """A person hears once a session of a bid that has reached a stop and may not be believed: a quote that is
    stale or crossed, or no trade near it in the last minutes. Where the feed is thin that may last. And of a
    symbol without a bid whose last trade of the day has reached it: where nobody buys no stop fires."""
    has_bid = is_positive(float(quote.bid or 0))
    of_today = (quote.trade_ns or 0) >= new_york_midnight_ns(desk.today())
    price = float((quote.bid if has_bid else quote.last_trade if of_today else None) or 0)
    if is_positive(price) and at_most(price, stop_price(cost, desk.limits)):
        desk.alert(
            f"stop_unconfirmed:{quote.symbol}:{desk.session_text()}:{has_bid}",
            f"{quote.symbol}: the bid is through its stop, and nothing confirms it"
            if has_bid
            else f"{quote.symbol}: the last trade is through its stop, and there is no bid",
            f"bid {quote.bid}, ask {quote.ask}, last trade {quote.last_trade}, cost {cost:.4f}: the quote is "
            "stale, crossed or one-sided, or no trade of the last minutes is near it: the stop does not "
            "fire. Sell by "
            f"`trading-assets signal {quote.symbol}=-1`, or `trading-assets flatten --reason …`",
            severity="WARN",
        )


def beyond_the_ledger(
    symbols: Collection[str], report: ReconcileReport, costs: Mapping[str, float]
) -> dict[str, float]:
    """The broker's average entry price, USD a share, of each position that our ledger does not hold, holds
    short, or holds at no cost: a wrong or missing line of the broker's leaves no position without a stop."""
    prices = {}
    for symbol in symbols:
        ours = report.ledger.holdings.get(symbol, Holding())
        price = float(report.positions[symbol].avg_entry_price)
        known = ours.qty > QUANTITY_TOLERANCE and is_positive(costs.get(symbol, nan))
        if not known and is_positive(price):
            prices[symbol] = price
    return prices


def _tell_of_stand_ins(desk: Desk, report: ReconcileReport, stand_ins: Mapping[str, float]) -> None:
    """A person hears of each stop that goes by the broker's word: once the difference is a break, which has
    locked the symbol, or at once where books cannot be compared. A look or two are behind a fill as it is."""
    breaks = {one.subject for one in report.breaks if one.sightings >= SIGHTINGS}
    not_compared = bool(report.missed) or report.catching_up
    for symbol, cost in stand_ins.items():
        if symbol in breaks or not_compared:
            ours = report.ledger.holdings.get(symbol, Holding()).qty
            desk.alert(
                f"stand_in_cost:{symbol}:{desk.session_text()}",
                f"{symbol}: the broker holds {report.positions[symbol].qty:f}, our ledger {ours:g}",
                f"Its stop goes by the broker's average entry price, {cost:g} USD, and sells what the broker "
                "holds. Compare with the broker's activities, then "
                f"`trading-assets adjust {symbol} --qty … --cost USD --reason …`",
            )


def at_its_stop(desk: Desk, quote: QuoteState, cost: float) -> bool:
    """Whether a position of that cost (USD a share) is at its stop now."""
    return bool(
        stop_hit(
            float(quote.bid or 0),
            float(quote.ask or 0),
            quote.quote_ns or 0,
            float(quote.last_trade or 0),
            quote.trade_ns or 0,
            cost,
            desk.now_ns(),
            desk.limits,
        )
    )
