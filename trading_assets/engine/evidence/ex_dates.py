"""Which of the announced corporate actions are true: those that the broker has booked or holds, and those
that the price shows.

A list of announcements may be wrong, and a split that never happened would sell a position or keep its stop
from firing. What a true one does to a stop's cost is `engine.evidence.stop_costs`, to the previous close
`engine.protection.snapshot`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import nan, prod
from typing import NamedTuple

from trading_assets.broker.port import BrokerError, CorporateActionState, PositionState, QuoteState
from trading_assets.core.ledger import Holding
from trading_assets.core.tolerance import is_positive
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.stop_costs import (
    BOOKED_WITHIN,
    SpunOff,
    booked_ex_dates,
    held_by_ex_dates,
    split_lines,
)
from trading_assets.log import get_logger
from trading_assets.market.actions import are_told_apart, counts_unseen, ex_date_shows, ex_price, told_apart
from trading_assets.market.bars import Interval
from trading_assets.market.sessions import new_york_midnight_ns

log = get_logger(__name__)

COUNTS, COUNTS_NOT = "counts", "counts not"
A_SHARE = 1.0  # what a split leaves of a fraction is paid in cash
LOOKED_AROUND = timedelta(days=10)  # an ex-date, for the last close before it and the first price since


class Prices(NamedTuple):
    """What tells whether an action has taken place, USD a share; NaN: not known."""

    close: float  # the last one before the ex-date
    price: float  # the first one known since


def in_effect(
    desk: Desk,
    actions: Sequence[CorporateActionState],
    spun_off: SpunOff,
    *,
    symbols: Collection[str],
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    began: date,
) -> list[CorporateActionState]:
    """The actions that count: those ahead, and of those up to today what `is_true` holds for.

    symbols: all whose actions these are
    began:   the day of the book's opening entry; what was before is in it

    Of an action that does not count its dividend does all the same where it is small. What was decided by
    the price is kept: later prices say nothing of an ex-date. A person is told of each that does not count.
    """
    today = desk.today()
    due = [action for action in actions if began < action.ex_date <= today]
    for action in due:
        if action.ex_date == today:
            _see_trade(desk, action, spun_off, quotes.get(action.symbol))
    booked = booked_ex_dates(desk.journal, desk.book, due, today)
    doubted = {
        (action.symbol, action.ex_date): action
        for action in due
        if (action.symbol, action.ex_date) not in booked and not _counts_unseen(action, spun_off, quotes)
    }
    verdicts = {key: _seen(desk, action) or _kept(desk, action) for key, action in doubted.items()}
    undecided = [
        action
        for key, action in doubted.items()
        if _kept(desk, action) is None
        or (key[1] == today and not is_seen(desk, action))
        or (
            verdicts[key] == COUNTS_NOT
            and today - key[1] <= BOOKED_WITHIN
            and _is_apart(desk, key[0], positions)
        )
    ]
    if undecided:
        verdicts |= _decided(desk, actions, spun_off, undecided, symbols, positions, quotes)
    counted = [
        action if verdicts.get((action.symbol, action.ex_date), COUNTS) == COUNTS else _rest(action, quotes)
        for action in actions
    ]
    return _as_the_broker_booked(
        desk, [one for one in counted if one is not None], spun_off, booked, positions, quotes
    )


def is_seen(desk: Desk, action: CorporateActionState) -> bool:
    """Whether a price of its ex-date has told surely that the action has taken place, or that it has not: no
    later price of the day says otherwise."""
    return _seen(desk, action) is not None


def unproven_splits(
    desk: Desk,
    announced: Sequence[CorporateActionState],
    counted: Collection[CorporateActionState],
    *,
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
    began: date,
) -> list[CorporateActionState]:
    """The announced splits of the last `BOOKED_WITHIN` of which no price tells surely whether they have taken
    place, or in which ratio: the broker has not booked them, or in another ratio that no price tells either.
    What counts unseen is none of them.

    counted: those that count for the stops (`in_effect`)
    """
    today = desk.today()
    due = [
        action
        for action in announced
        if action.split_ratio != 1.0
        and max(began, today - BOOKED_WITHIN) < action.ex_date <= today
        and not counts_unseen(1.0 / action.split_ratio)
        and not is_seen(desk, action)
    ]
    lines = split_lines(desk.journal, desk.book, due)
    unproven = []
    for action in due:
        booked = [line for line, of in lines if of == action]
        if not booked:
            unproven.append(action)
            continue
        shown = float(positions[action.symbol].qty) if action.symbol in positions else 0.0
        old = shown - sum(float(line.qty_delta) for line in booked)
        if shown > 0.0 and old > 0.0 and action not in counted:  # counted as the broker booked it
            prices = _prices_of(desk, action, quotes.get(action.symbol))
            in_other = told_apart(prices.close, prices.close * old / shown, prices.price)
            if in_other is not True and are_told_apart(shown, old * action.split_ratio):
                unproven.append(action)
    return unproven


def shown_today(
    desk: Desk,
    actions: Sequence[CorporateActionState],
    spun_off: SpunOff,
    quotes: Mapping[str, QuoteState],
) -> list[CorporateActionState]:
    """Those of today's actions that count for a price, of symbols that are held and of others: what is
    booked, what counts unseen, what the price shows, and where it shows nothing what was decided for the
    stop."""
    booked = booked_ex_dates(desk.journal, desk.book, actions, desk.today())
    shown = list[CorporateActionState | None]()
    for action in actions:
        true: bool | None = True
        if (action.symbol, action.ex_date) not in booked and not _counts_unseen(action, spun_off, quotes):
            prices = prices_of_today(desk, quotes.get(action.symbol))
            true = ex_date_shows(prices.close, adjusted_close(action, spun_off, prices.close), prices.price)
        if true is None:
            true = _kept(desk, action) == COUNTS
        shown.append(action if true else _rest(action, quotes))
    return [action for action in shown if action is not None]


def is_true(
    prices: Prices, adjusted: float, *, shown_qty: float = nan, with_it: float = nan, without: float = nan
) -> bool | None:
    """Whether an announced action that the broker has not booked has taken place; None: nothing says so.

    The broker's quantity decides where it is that of one side to less than a share, and not of the other;
    else the price does (`market.actions.ex_date_shows`).
    adjusted:  the close before the ex-date as the action would change it
    shown_qty: what the broker holds; with_it, without: what our books hold if it is true, and if not
    """
    if abs(shown_qty - with_it) < A_SHARE <= abs(shown_qty - without):
        return True
    return ex_date_shows(prices.close, adjusted, prices.price)


def adjusted_close(action: CorporateActionState, spun_off: SpunOff, close: float) -> float:
    """The close before the ex-date in the terms of after it."""
    left = 1.0 - spun_off.get((action.symbol, action.ex_date), 0.0)
    return ex_price(close * left, action.split_ratio, action.cash_usd * left)


def prices_of_today(desk: Desk, quote: QuoteState | None) -> Prices:
    """On an ex-date: the previous close, and the bid of today, by which a stop fires, else the last trade of
    today."""
    if quote is None:
        return Prices(nan, nan)
    price, today_ns = nan, new_york_midnight_ns(desk.today())
    for usd, at_ns in ((quote.last_trade, quote.trade_ns), (quote.bid, quote.quote_ns)):
        if usd is not None and usd > 0 and at_ns is not None and at_ns >= today_ns:
            price = float(usd)
    return Prices(nan if quote.previous_close is None else float(quote.previous_close), price)


def _is_apart(desk: Desk, symbol: str, positions: Mapping[str, PositionState]) -> bool:
    """Whether the broker holds a share more or less than our ledger."""
    held = ledger_of(desk.journal, desk.book).holdings.get(symbol, Holding())
    return symbol in positions and abs(float(positions[symbol].qty) - held.qty) >= A_SHARE


def _counts_unseen(action: CorporateActionState, spun_off: SpunOff, quotes: Mapping[str, QuoteState]) -> bool:
    """As `market.actions.counts_unseen`, of a dividend beside the previous close of today. Of a symbol
    without one nothing hangs on its dividends: without a quote no stop fires."""
    if not action.cash_usd:
        return counts_unseen(adjusted_close(action, spun_off, 1.0))
    quote = quotes.get(action.symbol)
    close = nan if quote is None or quote.previous_close is None else float(quote.previous_close)
    if not is_positive(close):
        return action.split_ratio == 1.0 and not action.spin_offs
    return counts_unseen(adjusted_close(action, spun_off, close) / close)


def _rest(action: CorporateActionState, quotes: Mapping[str, QuoteState]) -> CorporateActionState | None:
    """The dividend of an action whose split or spin-off does not count."""
    rest = replace(action, split_ratio=1.0, spin_offs=())
    return rest if rest.cash_usd and _counts_unseen(rest, {}, quotes) else None


def _decided(
    desk: Desk,
    actions: Sequence[CorporateActionState],
    spun_off: SpunOff,
    undecided: Sequence[CorporateActionState],
    symbols: Collection[str],
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
) -> dict[tuple[str, date], str | None]:
    """What can be said of them now, and keep it."""
    today = desk.today()
    keys = {(action.symbol, action.ex_date) for action in undecided}
    others = [action for action in actions if (action.symbol, action.ex_date) not in keys]
    with_them = held_by_ex_dates(desk.journal, desk.book, symbols, actions, today, spun_off)
    without = held_by_ex_dates(desk.journal, desk.book, symbols, others, today, spun_off)
    verdicts: dict[tuple[str, date], str | None] = {}
    for action in undecided:
        symbol, kept = action.symbol, _kept(desk, action)
        if action.ex_date < today and with_them.get(symbol) == without.get(symbol):  # nothing was held then
            verdicts[symbol, action.ex_date] = COUNTS
            _keep(desk, action, COUNTS)
            continue
        if action.ex_date == today or kept is None:
            prices = _prices_of(desk, action, quotes.get(symbol))
        else:
            prices = Prices(nan, nan)  # the broker's quantity may still say otherwise
        held = [one[symbol].qty if symbol in one else 0.0 for one in (with_them, without)]
        shown = float(positions[symbol].qty) if symbol in positions else nan
        adjusted = adjusted_close(action, spun_off, prices.close)
        if action.ex_date < today:
            _see(desk, action, told_apart(prices.close, adjusted, prices.price))
        kept = _seen(desk, action) or kept
        telling = Prices(nan, nan) if is_seen(desk, action) else prices
        true = is_true(telling, adjusted, shown_qty=shown, with_it=held[0], without=held[1])
        if true is not None:
            kept = COUNTS if true else COUNTS_NOT
        if kept is not None:
            _keep(desk, action, kept)
        if kept != COUNTS:
            _tell(desk, action, prices, adjusted, decided=kept is not None)
        verdicts[symbol, action.ex_date] = kept or COUNTS_NOT  # until something says otherwise
    return verdicts


def _prices_of(desk: Desk, action: CorporateActionState, quote: QuoteState | None) -> Prices:
    if action.ex_date == desk.today():
        return prices_of_today(desk, quote)
    return _prices_around(desk, action, quote)


def _prices_around(desk: Desk, action: CorporateActionState, quote: QuoteState | None) -> Prices:
    """The last close before an ex-date that is over and the first open since, of one that has not traded
    since the price of today; what cannot be read is not known."""
    ex_ns = new_york_midnight_ns(action.ex_date)
    first_ns = new_york_midnight_ns(action.ex_date - LOOKED_AROUND)
    last_ns = min(new_york_midnight_ns(action.ex_date + LOOKED_AROUND), desk.now_ns())
    try:
        bars = desk.broker.bars([action.symbol], Interval.DAY, first_ns, last_ns)
    except BrokerError as error:
        log.warning("bars around an ex-date not readable", symbol=action.symbol, why=str(error))
        return Prices(nan, nan)
    close = next((bar.close for bar in reversed(bars) if bar.start_ns < ex_ns), nan)
    since = next((bar.open for bar in bars if bar.start_ns >= ex_ns), nan)
    return Prices(close, since if is_positive(since) else prices_of_today(desk, quote).price)


def _as_the_broker_booked(
    desk: Desk,
    actions: list[CorporateActionState],
    spun_off: SpunOff,
    booked: Collection[tuple[str, date]],
    positions: Mapping[str, PositionState],
    quotes: Mapping[str, QuoteState],
) -> list[CorporateActionState]:
    """The actions without the splits that the broker has booked in another ratio than was announced: its
    position is what our ledger holds with its lines, and not what the announcement makes of it. The lines
    count as they were booked then.

    Not where a line is still to come, as the broker may book a split in two: where it holds old and new
    shares, or the price of the ex-date shows the announced ratio, and not the booked one.
    """
    symbols = {symbol for symbol, _ in booked if symbol in positions}
    if not symbols:
        return actions
    announced = held_by_ex_dates(desk.journal, desk.book, symbols, actions, desk.today(), spun_off)
    holdings = ledger_of(desk.journal, desk.book).holdings
    other = set()
    for symbol in symbols:
        shown = float(positions[symbol].qty)
        qty = announced[symbol].qty if symbol in announced else 0.0
        ours = holdings[symbol].qty if symbol in holdings else 0.0
        if abs(shown - qty) >= A_SHARE and abs(shown - ours) <= QUANTITY_TOLERANCE:
            of_it = [
                one
                for one in actions
                if one.symbol == symbol and one.split_ratio != 1.0 and (symbol, one.ex_date) in booked
            ]
            old = qty / prod(one.split_ratio for one in of_it)
            apart = are_told_apart(shown, qty)
            if abs(shown - (old + qty)) < A_SHARE or (
                apart and all(_is_shown(desk, one, spun_off, quotes.get(symbol)) for one in of_it)
            ):
                continue
            other.add(symbol)
            log.warning("a split was booked in another ratio than announced", symbol=symbol, qty=shown)
    return [
        replace(action, split_ratio=1.0)
        if action.symbol in other and (action.symbol, action.ex_date) in booked
        else action
        for action in actions
    ]


def _is_shown(desk: Desk, action: CorporateActionState, spun_off: SpunOff, quote: QuoteState | None) -> bool:
    """Whether the price of the ex-date tells surely that the action has taken place as it was announced."""
    if _seen(desk, action) is None and action.ex_date < desk.today():
        prices = _prices_around(desk, action, quote)
        adjusted = adjusted_close(action, spun_off, prices.close)
        _see(desk, action, told_apart(prices.close, adjusted, prices.price))
    return _seen(desk, action) == COUNTS


def _see_trade(desk: Desk, action: CorporateActionState, spun_off: SpunOff, quote: QuoteState | None) -> None:
    """Keep what a trade since the open of the ex-date tells surely. A quote may be left over from before."""
    if is_seen(desk, action) or quote is None or quote.trade_ns is None or quote.last_trade is None:
        return
    today = desk.today()
    if not desk.sessions.is_session(today) or quote.trade_ns < desk.sessions.open_ns(today):
        return
    close = prices_of_today(desk, quote).close
    adjusted = adjusted_close(action, spun_off, close)
    _see(desk, action, told_apart(close, adjusted, float(quote.last_trade)))


def _tell(
    desk: Desk, action: CorporateActionState, prices: Prices, adjusted: float, *, decided: bool
) -> None:
    """A person hears once of an action that nothing shows, and once a session while nothing can be said."""
    symbol, day = action.symbol, action.ex_date
    when = "" if decided else f":{desk.session_text()}"
    if not decided and not is_positive(prices.close) and day == desk.today():
        return  # before the first quote of the day there is nothing to see, and no stop either
    desk.alert(
        f"unseen_action:{symbol}:{day}:{decided}{when}",
        f"{symbol}: what is announced for {day} shows neither at the broker nor in the price",
        f"{_words(action)}. Close before it {prices.close:g}, adjusted {adjusted:g}, price {prices.price:g}. "
        "Its stop goes by the cost without it until the broker books it. Compare with the broker; where it "
        f"is true watch {symbol} until then, or sell it by `trading-assets signal {symbol}=-1`",
    )


def _words(action: CorporateActionState) -> str:
    split = f"a split of {action.split_ratio:g} new shares for each old one"
    cash = f"{action.cash_usd:g} USD a share"
    parts = f"a spin-off of {', '.join(one.new_symbol for one in action.spin_offs)}"
    parts_of_it = ((action.split_ratio != 1.0, split), (action.cash_usd, cash), (action.spin_offs, parts))
    return " and ".join(words for is_said, words in parts_of_it if is_said)


def _mark(action: CorporateActionState) -> str:
    """The name under which a verdict is kept; another announcement of the day is another question."""
    parts = ",".join(f"{one.new_symbol}:{one.per_share!r}" for one in action.spin_offs)
    return f"ex_date:{action.symbol}:{action.ex_date}:{action.split_ratio!r}:{action.cash_usd!r}:{parts}"


def _seen(desk: Desk, action: CorporateActionState) -> str | None:
    return desk.journal.mark(desk.book, f"seen:{_mark(action)}")


def _see(desk: Desk, action: CorporateActionState, takes_place: bool | None) -> None:
    if takes_place is not None and _seen(desk, action) is None:
        verdict = COUNTS if takes_place else COUNTS_NOT
        desk.journal.set_mark(desk.book, f"seen:{_mark(action)}", verdict, desk.now_ns())


def _kept(desk: Desk, action: CorporateActionState) -> str | None:
    return desk.journal.mark(desk.book, _mark(action))


def _keep(desk: Desk, action: CorporateActionState, verdict: str) -> None:
    if _kept(desk, action) != verdict:
        desk.journal.set_mark(desk.book, _mark(action), verdict, desk.now_ns())
        log.info("ex-date", symbol=action.symbol, ex_date=str(action.ex_date), verdict=verdict)
