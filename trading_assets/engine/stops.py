"""Stops: which positions are at theirs, and the locks that keep a stop in force until it is flat. The cost
that one is measured from is `engine.stop_costs`; selling is `engine.forced_exits`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import nan

from trading_assets.broker.port import QuoteState
from trading_assets.core.breakers import stop_hit, stop_price
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import at_most, is_positive
from trading_assets.engine.absorb import alert, lock
from trading_assets.engine.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.desk import Desk
from trading_assets.engine.owned_shares import owned_by_ex_dates
from trading_assets.engine.reads import Look
from trading_assets.engine.reconcile import SIGHTINGS, ReconcileReport
from trading_assets.engine.split_equity import apart, keep_apart, not_looked_at, owned_symbols
from trading_assets.engine.stop_costs import costs_of
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.records import LockRecord

log = get_logger(__name__)

STOP_LOCK = "STOP"


def stops_in_force(desk: Desk, report: ReconcileReport) -> tuple[str, ...]:
    """Latch new stops, release those of an earlier session that are flat; the symbols still held by one.

    Without corporate actions the ledger's cost stands as it is, and where our ledger holds nothing at a cost
    the broker's average entry price stands in; without a quote of its own a position's stop cannot be seen.
    All of these are told, and hold no other symbol back.
    """
    held = {symbol for symbol, position in report.positions.items() if position.qty > 0}
    today = desk.today()
    traded = {fill.symbol for fill in desk.journal.fills(desk.book, session=today.isoformat())}
    locked = {record.symbol: record for record in desk.journal.locks(desk.book) if record.cause == STOP_LOCK}
    for symbol, record in locked.items():
        if (
            symbol not in traded
            and report.is_flat(symbol)
            and not report.ledger.holdings.get(symbol, Holding()).qty
            and desk.sessions.new_york_date(record.at_ns) < today
        ):
            desk.journal.unlock(
                desk.book,
                symbol,
                STOP_LOCK,
                at_ns=desk.now_ns(),
                author="system",
                reason="flat, and the stop's session is over",
            )
    candidates = sorted(held - locked.keys())
    looked_at = owned_symbols(desk, held)
    if looked_at and desk.sessions.is_open(desk.now_ns()):
        sight = Look(desk)
        quotes = sight.quotes(looked_at)
        owned = owned_by_ex_dates(desk, looked_at, sight, positions=report.positions, quotes=quotes)
        found = apart(desk, looked_at, owned, report.positions, quotes)
        left = not_looked_at(desk, found, sight, report.positions, quotes, report.unknown)
        keep_apart(desk, found | left)
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
                lock(desk, symbol, STOP_LOCK, reason)
                locked[symbol] = LockRecord(desk.book, symbol, STOP_LOCK, desk.now_ns(), reason)
            elif symbol in costs and symbol in quotes:
                _tell_unconfirmed(desk, quotes[symbol], costs[symbol])
    return tuple(sorted(locked.keys() & held))


def _tell_unconfirmed(desk: Desk, quote: QuoteState, cost: float) -> None:
    """A person hears once a session of a bid that has reached a stop and may not be believed: a quote that is
    stale or crossed, or no trade near it in the last minutes. Where the feed is thin that may last. And of a
    symbol without a bid whose last trade of the day has reached it: where nobody buys no stop fires."""
    has_bid = is_positive(float(quote.bid or 0))
    of_today = (quote.trade_ns or 0) >= new_york_midnight_ns(desk.today())
    price = float((quote.bid if has_bid else quote.last_trade if of_today else None) or 0)
    if is_positive(price) and at_most(price, stop_price(cost, desk.limits)):
        alert(
            desk,
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
    found = {}
    for symbol in symbols:
        ours = report.ledger.holdings.get(symbol, Holding())
        price = float(report.positions[symbol].avg_entry_price)
        known = ours.qty > QUANTITY_TOLERANCE and is_positive(costs.get(symbol, nan))
        if not known and is_positive(price):
            found[symbol] = price
    return found


def _tell_of_stand_ins(desk: Desk, report: ReconcileReport, stand_ins: Mapping[str, float]) -> None:
    """A person hears of each stop that goes by the broker's word: once the difference is a break, which has
    locked the symbol, or at once where books cannot be compared. A look or two are behind a fill as it is."""
    breaks = {one.subject for one in report.breaks if one.sightings >= SIGHTINGS}
    not_compared = bool(report.missed) or report.catching_up
    for symbol, cost in stand_ins.items():
        if symbol in breaks or not_compared:
            ours = report.ledger.holdings.get(symbol, Holding()).qty
            alert(
                desk,
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
