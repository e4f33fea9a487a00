"""A flatten in force: a person's intent, kept until every position at the broker is zero. What begins it,
what ends it, and what is still held under it, with why and when that is tried again.

Selling is `engine.protection.forced_exits`, at each protection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading_assets.broker.port import US_EQUITY, BrokerError, OrderState, unread_of
from trading_assets.core.gate import reason as refusal
from trading_assets.core.orders import Kind, client_order_id, decision_id, is_ours
from trading_assets.core.words import Side
from trading_assets.engine.book.arming import holds_exits
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.orders.obstacles import escalation_of
from trading_assets.engine.orders.tries import Tries, tries_of
from trading_assets.engine.protection.snapshot import LAG_NS, gaps, lagging
from trading_assets.log import get_logger
from trading_assets.market.sessions import new_york_time
from trading_assets.reasons import shortened
from trading_assets.store.records import FlattenRecord, OrderRecord

log = get_logger(__name__)

AT_NEXT_LOOK = "at the next look of the protection"


@dataclass(frozen=True, slots=True)
class Held:
    """What keeps a flatten in force."""

    symbol: str
    qty: Decimal  # signed shares at the broker, 0: there is only an order at work
    why: str
    again: str  # when it is tried again, in words
    books: Decimal = Decimal(0)  # signed shares in our own books
    reserved: tuple[str, ...] = ()  # what holds shares or could bring new ones, in words

    @property
    def summary(self) -> str:
        """In one line for a person."""
        shares = f"{self.qty:f} shares" if self.qty else "no shares"
        books = f"{self.books.normalize():f} in our books, " if self.books != self.qty else ""
        reserved = f"reserved by {' and '.join(self.reserved)}; " if self.reserved else ""
        return f"{self.symbol}, {shares}: {books}{reserved}{self.why}; tried again {self.again}"


def begin_flatten(desk: Desk, *, reason: str, author: str) -> FlattenRecord:
    """Keep the intent, durably, before anything is asked of anybody. One in force already goes on."""
    now, reason = desk.known_ns(), shortened(reason)
    flatten = FlattenRecord(desk.book, now, author, reason)
    record = desk.journal.latch_flatten(flatten)
    if record is flatten:
        desk.alert(
            f"flatten:{now}",
            "Flatten: every position is sold, no entry passes",
            f"by {author}: {reason}. It ends when nothing is held, or by `trading-assets rearm --reason …`",
            severity="WARN",
        )
    else:
        log.warning("flatten goes on", book=desk.book, since=new_york_time(record.at_ns), reason=reason)
    return record


def end_when_flat(desk: Desk, flatten: FlattenRecord) -> bool:
    """End the flatten once nothing is held, nothing works that could buy, and nothing that was filled in the
    last minute is still to be shown. What cannot be read ends nothing, and one list that shows less than our
    books hold ends nothing either: it must say so for a minute, and a person is told of the difference."""
    try:
        listed = desk.broker.positions()
        positions = {one.symbol: one for one in listed if one.qty}
        working = bool(desk.broker.open_orders() or desk.journal.open_orders(desk.book))
    except BrokerError as error:
        log.warning("not known whether the book is flat", book=desk.book, why=str(error))
        return False
    sent = desk.journal.orders(desk.book, session=desk.session_text())
    missing = gaps(desk, sent, positions)
    seen_ns = _missing_since(desk, flatten, bool(missing) and not positions)
    if positions or unread_of(listed) or working or lagging(desk, sent, positions):
        return False
    if missing and desk.now_ns() - seen_ns < LAG_NS:
        return False
    if desk.journal.end_flatten(desk.book, at_ns=desk.now_ns(), reason="every position is zero"):
        books = ", ".join(f"{qty:f} {symbol}" for symbol, qty in missing.items())
        but = f". Our books still hold {books}: compare, then `trading-assets adjust`" if books else ""
        desk.alert(
            f"flatten_done:{flatten.at_ns}",
            "Flatten done: every position is zero",
            f"asked by {flatten.author}, {new_york_time(flatten.at_ns)}: {flatten.reason}{but}",
            severity="ERROR" if books else "INFO",
        )
    return True


def _missing_since(desk: Desk, flatten: FlattenRecord, missing: bool) -> int:
    """Since when the broker has shown nothing of what our books hold, now where that is new."""
    name, now = f"flatten_missing:{flatten.at_ns}", desk.now_ns()
    kept = desk.journal.mark(desk.book, name)
    if not missing:
        if kept:
            desk.journal.set_mark(desk.book, name, "", now)
        return now
    if not kept:
        desk.journal.set_mark(desk.book, name, str(now), now)
    return int(kept or now)


def flatten_decision(flatten: FlattenRecord, symbol: str) -> str:
    """The decision whose attempts sell the symbol."""
    return decision_id(flatten.book, Kind.FLATTEN, symbol, flatten.at_ns)


def may_trade(desk: Desk) -> bool:
    """Whether a flatten's orders can trade now: in regular hours, and where they are marked for extended
    hours in these too."""
    now = desk.now_ns()
    return desk.sessions.is_open(now) or (desk.settings.extended_hours and desk.sessions.is_extended(now))


def still_held(desk: Desk) -> tuple[Held, ...]:
    """Every position at the broker, and every order that could buy, with what holds it up. None where no
    flatten is in force. Raises BrokerError when the broker cannot be read."""
    flatten = desk.journal.flatten_in_force(desk.book)
    if flatten is None:
        return ()
    listed = desk.broker.positions()
    positions = {one.symbol: one.qty for one in listed if one.qty}
    by_hand = [
        Held(
            one.symbol,
            one.qty,
            f"{one.asset_class}, which this desk does not trade",
            "never, sell it at the broker",
        )
        for one in listed
        if one.qty and one.asset_class != US_EQUITY
    ]
    by_hand += [
        Held(row.symbol or "a position", Decimal(0), f"it cannot be read ({row.why})", "once it can be read")
        for row in unread_of(listed)
    ]
    missing = gaps(
        desk,
        desk.journal.orders(desk.book, session=desk.session_text()),
        {one.symbol: one for one in listed if one.qty and one.asset_class == US_EQUITY},
    )
    ours = desk.journal.open_orders(desk.book)
    names = {record.intent.client_order_id for record in ours}
    others = [order for order in desk.broker.open_orders() if order.client_order_id not in names]
    if not (positions or by_hand or ours or others):
        if missing:
            return tuple(
                Held(symbol, Decimal(0), f"the broker shows none, our books hold {qty:f}", AT_NEXT_LOOK, qty)
                for symbol, qty in missing.items()
            )
        why = "no position is shown; what was filled in the last minute may still come"
        return (Held("any symbol", Decimal(0), why, AT_NEXT_LOOK),)
    of_orders = {record.intent.symbol for record in ours} | {order.symbol for order in others}
    sold_here = (positions.keys() | of_orders) - {one.symbol for one in by_hand}
    free = {one.symbol: one.available for one in listed}
    remaining = []
    for symbol in sorted(sold_here):
        qty = positions.get(symbol, Decimal(0))
        of_ours = [record for record in ours if record.intent.symbol == symbol]
        of_others = [order for order in others if order.symbol == symbol]
        why, again = _why(desk, flatten, symbol, of_ours, of_others)
        books = qty + missing.get(symbol, Decimal(0))
        held_back = abs(qty) - abs(free.get(symbol, Decimal(0)))
        remaining.append(Held(symbol, qty, why, again, books, _reserved(of_ours, of_others, held_back)))
    return tuple(by_hand) + tuple(remaining)


def _reserved(
    ours: Sequence[OrderRecord], others: Sequence[OrderState], held_back: Decimal
) -> tuple[str, ...]:
    """The symbol's orders at work with their leaves; held_back: shares that the broker does not call free."""
    leaves = [record.intent.qty - record.filled_qty for record in ours]
    leaves += [order.qty - order.filled_qty for order in others]
    reserving = [
        f"our order {record.intent.client_order_id} ({Side(record.intent.side).name.lower()} {qty:f}, "
        f"{record.state})"
        for record, qty in zip(ours, leaves, strict=False)
    ]
    reserving += [
        f"{_whose(order)} {order.client_order_id} "
        f"({Side(order.side).name.lower()} {qty:f}, {order.status_word})"
        for order, qty in zip(others, leaves[len(ours) :], strict=True)
    ]
    if not reserving and held_back > 0:
        reserving.append(f"orders that the broker does not list ({held_back:f} shares)")
    return tuple(reserving)


def _whose(order: OrderState) -> str:
    return "an order with our prefix" if is_ours(order.client_order_id) else "a person's order"


def tell_still_held(desk: Desk, flatten: FlattenRecord) -> None:
    """Tell a person what a flatten that could trade has not sold, in stages: quantities, what reserves them,
    when the next try is."""
    if not may_trade(desk):
        return
    name = f"flatten_held:{flatten.at_ns}:{desk.session_text()}"
    escalation, mark = escalation_of(desk, name), f"{name}:told"
    if escalation <= int(desk.journal.mark(desk.book, mark) or 0):
        return
    try:
        held = still_held(desk)
    except BrokerError as error:
        log.warning("what is held is not known", book=desk.book, why=str(error))
        return
    if held:
        desk.alert(
            f"{name}:{escalation}",
            f"Flatten: {len(held)} positions or orders are still there",
            "; ".join(line.summary for line in held)
            + ". `trading-assets flatten --reason …` tries at once, `trading-assets status` shows it",
        )
        desk.journal.set_mark(desk.book, mark, str(escalation), desk.now_ns())


def _why(
    desk: Desk, flatten: FlattenRecord, symbol: str, ours: list[OrderRecord], others: list[OrderState]
) -> tuple[str, str]:
    """What holds the symbol up, and when it is tried again."""
    if holds_exits(desk):
        return "live trading is not armed, and nothing is sent", "after `trading-assets arm --reason …`"
    if not may_trade(desk):
        return "the market is closed", f"at the next open, {new_york_time(_next_open_ns(desk))}"
    for record in ours:
        intent = record.intent
        side = Side(intent.side).name.lower()
        left = intent.qty - record.filled_qty
        return f"order {intent.client_order_id} to {side} {left} is {record.state}", AT_NEXT_LOOK
    for order in others:
        return f"{_whose(order)} ({order.client_order_id}) is {order.status_word} at the broker", AT_NEXT_LOOK
    tries = tries_of(desk, Kind.FLATTEN, symbol, flatten_decision(flatten, symbol))
    if tries.last is None:
        return _refused(desk, flatten, symbol, tries) or "not sent yet", AT_NEXT_LOOK
    why = f"attempt {tries.last.intent.attempt} is {tries.last.state}"
    why += f": {tries.last.detail}" if tries.last.detail else ""
    why = _refused(desk, flatten, symbol, tries) or why
    if tries.due_ns <= desk.now_ns():
        return why, AT_NEXT_LOOK
    return why, f"after {new_york_time(tries.due_ns)}"


def _refused(desk: Desk, flatten: FlattenRecord, symbol: str, tries: Tries) -> str:
    """Why the gate refused the next attempt, where it did."""
    decision = flatten_decision(flatten, symbol)
    for side in (Side.SELL, Side.BUY):
        name = client_order_id(decision, side, 1, tries.next_attempt)
        for verdict in reversed(desk.journal.verdicts(desk.book, client_order_id=name)):
            return f"the gate refused it: {refusal(verdict.failed, verdict.cause)}" if verdict.failed else ""
    return ""


def _next_open_ns(desk: Desk) -> int:
    now, today = desk.now_ns(), desk.today()
    if desk.sessions.is_session(today) and now < desk.sessions.open_ns(today):
        return desk.sessions.open_ns(today)
    return desk.sessions.open_ns(desk.sessions.next(today))
