"""Checks of what was sent against the limits of size, hours, age, price and count, measured again.

No verdict's word is taken: quantity, price and time of an order are its intent's, hours the calendar's,
and what it was decided on is the input stored with its verdict. An order without a verdict is
`each_has_a_verdict`'s to name. What checks there are is the table in `engine.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from math import inf, isnan, nan
from typing import NamedTuple

from trading_assets.core.gate import FUTURE_SIGNAL_SECONDS, exit_count
from trading_assets.core.orders import Kind
from trading_assets.core.tolerance import at_least, at_most
from trading_assets.core.words import Limits, Side
from trading_assets.engine.checks import CheckOutcome, outcome
from trading_assets.engine.desk import Desk
from trading_assets.engine.halts import REARMED_MARK
from trading_assets.store.records import IntentRecord, OrderRecord, VerdictRecord

Measured = list[tuple[IntentRecord, float]]


class Decided(NamedTuple):
    """A sent order with the stored input that it was decided on. USD; NaN: not stored."""

    intent: IntentRecord
    at_ns: int
    bid: float
    ask: float
    last_trade: float
    previous_close: float
    quote_ns: float
    account_ns: float
    reference_price: float

    @property
    def limit_price(self) -> float:
        return float(self.intent.limit_price)

    @property
    def mid(self) -> float:
        """Of a usable quote; for an exit the last trade stands in."""
        if 0.0 < self.bid <= self.ask:
            return (self.bid + self.ask) / 2.0
        return self.last_trade if self.intent.reducing else nan


def order_limit_checks(
    desk: Desk, session: date, sent: Sequence[OrderRecord], verdicts: Iterable[VerdictRecord]
) -> list[CheckOutcome]:
    """The checks of gated_orders that have a limit. `sent`: the session's orders, oldest first."""
    limits = desk.limits
    intents = [order.intent for order in sent]
    decided = list(_decided(intents, verdicts))
    return [
        outcome("gated_orders.order_notional", list(_wrong_notional(intents, limits))),
        outcome("gated_orders.whole_shares", list(_broken_shares(intents, limits))),
        *_hours(desk, session, sent),
        *_ages([order for order in decided if not order.intent.reducing], limits),
        *_entry_prices([order for order in decided if not order.intent.reducing], limits),
        _exit_collar([order for order in decided if order.intent.reducing], limits),
        *_counts(intents, limits),
        _reject_streak(desk),
    ]


def _decided(intents: Iterable[IntentRecord], verdicts: Iterable[VerdictRecord]) -> Iterable[Decided]:
    of_id = {verdict.verdict_id: verdict for verdict in verdicts}
    for intent in intents:
        if intent.verdict_id not in of_id:
            continue
        verdict = of_id[intent.verdict_id]
        quote, account, signal = (verdict.gate_input.get(word, {}) for word in ("quote", "account", "signal"))
        yield Decided(
            intent,
            verdict.at_ns,
            quote.get("bid", nan),
            quote.get("ask", nan),
            quote.get("last_trade", nan),
            quote.get("previous_close", nan),
            quote.get("as_of_ns") or nan,
            account.get("as_of_ns") or nan,
            signal.get("reference_price", nan),
        )


def _wrong_notional(intents: Iterable[IntentRecord], limits: Limits) -> Iterable[str]:
    for intent in intents:
        notional = float(intent.qty * intent.limit_price)
        too_small = not intent.reducing and not at_most(limits.min_order_notional, notional)
        one_share = intent.reducing and intent.qty <= 1  # cannot be cut
        if too_small or not (one_share or at_most(notional, limits.max_order_notional)):
            yield f"{_name(intent)} is ${notional:,.2f}"


def _broken_shares(intents: Iterable[IntentRecord], limits: Limits) -> Iterable[str]:
    for intent in intents:
        if intent.qty % 1 and not (intent.reducing or limits.fractional):
            yield f"{_name(intent)} of {intent.qty} shares"


def _hours(desk: Desk, session: date, sent: Iterable[OrderRecord]) -> list[CheckOutcome]:
    sessions, limits = desk.sessions, desk.limits
    open_ns, close_ns = sessions.open_ns(session), sessions.close_ns(session)
    closed = []
    for order in sent:
        is_open = sessions.is_extended if order.intent.extended_hours else sessions.is_open
        if order.submitted_ns is None or not is_open(order.submitted_ns):
            closed.append(_name(order.intent))
    entries = [order.intent for order in sent if not order.intent.reducing]
    return [
        outcome("gated_orders.market_hours", closed),
        _clear_of(
            "gated_orders.after_open",
            [(intent, (intent.created_ns - open_ns) / 1e9) for intent in entries],
            limits.no_entry_seconds_after_open,
            "s after the open",
        ),
        _clear_of(
            "gated_orders.before_close",
            [(intent, (close_ns - intent.created_ns) / 60e9) for intent in entries],
            limits.no_entry_minutes_before_close,
            "min before the close",
        ),
    ]


def _ages(entries: Sequence[Decided], limits: Limits) -> list[CheckOutcome]:
    ages = [(order.intent, (order.at_ns - (order.intent.signal_as_of_ns or nan)) / 1e9) for order in entries]
    return [
        _at_most(
            "gated_orders.signal_age",
            # Too far ahead is as wrong as too old.
            [(intent, inf if age < -FUTURE_SIGNAL_SECONDS else age) for intent, age in ages],
            limits.stale_signal_seconds,
        ),
        _at_most(
            "gated_orders.quote_age",
            [(order.intent, (order.at_ns - order.quote_ns) / 1e9) for order in entries],
            limits.stale_quote_seconds,
        ),
        _at_most(
            "gated_orders.account_age",
            [(order.intent, (order.at_ns - order.account_ns) / 1e9) for order in entries],
            limits.stale_account_seconds,
        ),
    ]


def _entry_prices(entries: Sequence[Decided], limits: Limits) -> list[CheckOutcome]:
    def check(name: str, measure: Callable[[Decided], float], limit: float) -> CheckOutcome:
        return _at_most(f"gated_orders.{name}", [(order.intent, measure(order)) for order in entries], limit)

    return [
        check("limit_offset", _reach, limits.limit_offset),
        check("entry_collar", lambda order: _apart(order.limit_price, order.mid), limits.max_slip_pct),
        check("price_drift", lambda order: _apart(order.mid, order.reference_price), limits.max_slip_pct),
        check("spread", lambda order: (order.ask - order.bid) / order.mid * 10_000.0, limits.max_spread_bps),
        check("symbol_move", lambda order: _apart(order.mid, order.previous_close), limits.max_symbol_move),
    ]


def _exit_collar(exits: Iterable[Decided], limits: Limits) -> CheckOutcome:
    return _at_most(
        "gated_orders.exit_collar",
        [(order.intent, _apart(order.limit_price, order.mid)) for order in exits],
        limits.exit_collar_pct,
    )


def _reach(order: Decided) -> float:
    """How far the limit price reaches beyond the far side, fraction of it; negative short of it."""
    far = order.ask if order.intent.side == Side.BUY else order.bid
    return order.intent.side * (order.limit_price - far) / far if far > 0.0 else nan


def _apart(price: float, anchor: float) -> float:
    return abs(price - anchor) / anchor if anchor > 0.0 else nan


def _counts(intents: Sequence[IntentRecord], limits: Limits) -> list[CheckOutcome]:
    return [
        _counted(
            "gated_orders.orders_per_symbol",
            intents,
            lambda intent: intent.symbol,
            limits.max_orders_per_symbol_per_day,
        ),
        _counted("gated_orders.orders_per_day", intents, lambda _: "all symbols", limits.max_orders_per_day),
        _counted(
            "gated_orders.orders_per_execution",
            intents,
            lambda intent: intent.verdict_id.partition(":")[2],
            limits.max_orders_per_execution,
        ),
        _exits(intents, limits),
    ]


def _exits(intents: Iterable[IntentRecord], limits: Limits) -> CheckOutcome:
    """Exits of all symbols against the cap, or of one against its share, whichever has less left. The
    operator's flatten is outside both."""
    exits = Counter(intent.symbol for intent in intents if intent.reducing and intent.kind != Kind.FLATTEN)
    symbol, most = max(exits.items(), key=lambda item: item[1], default=("none", 0))
    count, cap = exit_count(exits.total(), most, 0, limits.max_exit_orders_per_day)
    return outcome(
        "gated_orders.exit_orders_per_day",
        passed=count <= cap,
        measured=float(count),
        limit=float(cap),
        detail=f"most: {symbol}",
    )


def _counted(
    key: str, intents: Iterable[IntentRecord], group: Callable[[IntentRecord], str], limit: float
) -> CheckOutcome:
    """Which order of its group the latest entry of each was: exits before it count, those after it do not."""
    sent: Counter[str] = Counter()
    place: dict[str, int] = {}
    for intent in intents:
        sent[group(intent)] += 1
        if not intent.reducing:
            place[group(intent)] = sent[group(intent)]
    name, count = max(place.items(), key=lambda item: item[1], default=("none", 0))
    return outcome(key, passed=count <= limit, measured=float(count), limit=limit, detail=f"most: {name}")


def _reject_streak(desk: Desk) -> CheckOutcome:
    rearmed_ns = int(desk.journal.mark(desk.book, REARMED_MARK) or 0)
    streak = desk.journal.reject_streak(desk.book, since_ns=rearmed_ns)
    limit = desk.limits.max_reject_streak
    return outcome(
        "gated_orders.reject_streak",
        passed=streak < limit,
        measured=float(streak),
        limit=limit,
        detail="broker rejections in a row",
    )


def _at_most(key: str, measured: Measured, limit: float) -> CheckOutcome:
    """An upper limit; what cannot be measured is beyond it, and the worst."""
    worst = max((value for _, value in measured), key=lambda x: inf if isnan(x) else x, default=None)
    return outcome(
        key,
        [f"{_name(intent)}: {value:g}" for intent, value in measured if not at_most(value, limit)],
        measured=worst,
        limit=None if worst is None else limit,
        detail=f"{len(measured)} orders",
    )


def _clear_of(key: str, measured: Measured, quiet: float, unit: str) -> CheckOutcome:
    """A quiet time beside the open or the close. On its other side market_hours has the say."""
    on_its_side = [(intent, value) for intent, value in measured if value >= 0.0]
    nearest = min((value for _, value in on_its_side), default=None)
    return outcome(
        key,
        [f"{_name(intent)}: {value:g}" for intent, value in on_its_side if not at_least(value, quiet)],
        measured=nearest,
        limit=None if nearest is None else quiet,
        detail=f"{unit}, the nearest of {len(on_its_side)} entries",
    )


def _name(intent: IntentRecord) -> str:
    return f"{intent.symbol} {intent.client_order_id}"
