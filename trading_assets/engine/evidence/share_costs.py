"""What shares cost that came by no trade: a symbol change carries the old shares' cost, a spin-off takes its
part of the parent's by value, all others take the broker's average entry price. And what transferred shares
were worth, because a transfer is neither profit nor loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from trading_assets.broker.port import (
    AccountActivity,
    BrokerError,
    CorporateActionState,
    PositionState,
    QuoteState,
)
from trading_assets.core.activities import ActivityKind, CostOf
from trading_assets.core.ledger import Ledger
from trading_assets.core.prices import mark
from trading_assets.core.tolerance import is_positive
from trading_assets.engine.book.accounting import (
    CANCELED,
    carried_from,
    carrying,
    cost_of_shares,
    ledger_of,
    without_cost,
    worth_mark,
)
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.breaks import QUANTITY_TOLERANCE
from trading_assets.engine.evidence.stop_costs import BOOKED_WITHIN
from trading_assets.log import get_logger
from trading_assets.store.records import AdjustmentRecord

log = get_logger(__name__)

DAY_NS = 86_400 * 10**9
LOOKED_BACK_NS = 30 * DAY_NS  # for shares whose cost nobody has said yet
WORTH_LOOKED_BACK_NS = 2 * DAY_NS  # of transferred shares: it counts in the losses of a session
VALUED_WITHIN = timedelta(days=10)  # after its ex-date: later prices say nothing of a spin-off's value
PAIRED_WITHIN_NS = 10 * DAY_NS  # between the line that takes shares and the one that brings others


class Origin(NamedTuple):
    """The reason of a line's adjustment: its type, and where shares that it brings carry a cost on, whose.
    And when it takes effect: not before those were given up, however the two lines are stamped."""

    reason: str
    at_ns: int


def origin_of(desk: Desk, line: AccountActivity, together: Sequence[AccountActivity]) -> Origin:
    """Where a line's shares come from. together: the lines that were read with it"""
    if line.type.cost is CostOf.OLD_SHARES and line.qty is not None and line.qty > 0:
        source = _given_up(desk, line, together)
        if source is not None:
            return Origin(carrying(line.type.name, source.symbol), max(line.at_ns, source.at_ns))
    if line.type.cost is CostOf.PARENT and line.qty is not None and line.qty > 0 and line.symbol:
        parent = _parent(desk, line, together)
        if parent is not None:
            return Origin(carrying(line.type.name, *parent), line.at_ns)
    return Origin(line.type.name, line.at_ns)


def keep_worth(desk: Desk, entry: AdjustmentRecord, price: Decimal | None) -> None:
    """Keep what shares that are transferred are worth now; `price` is the one that their line states. What
    nobody says now `complete_worths` asks again."""
    if entry.kind != ActivityKind.TRANSFER or not entry.qty_delta or not entry.symbol:
        return
    each = float(price) if price is not None and price > 0 else _price(desk, entry.symbol)
    if is_positive(each):
        worth = (entry.qty_delta * Decimal(repr(each))).quantize(Decimal("0.01"))
        desk.journal.set_mark(desk.book, worth_mark(entry.adjustment_id), str(worth), entry.at_ns)


def complete_worths(desk: Desk) -> None:
    """Ask once more in each look what transferred shares are worth that nobody has said yet, and tell a
    person of those of which nobody says it now either."""
    since = desk.now_ns() - WORTH_LOOKED_BACK_NS
    transfers = desk.journal.adjustments(desk.book, since_ns=since, kind=ActivityKind.TRANSFER)
    undone = {entry.adjustment_id for entry in transfers if entry.adjustment_id.endswith(CANCELED)}
    for entry in transfers:
        name = entry.adjustment_id
        if not (entry.qty_delta and entry.symbol) or not undone.isdisjoint((name, name + CANCELED)):
            continue
        if desk.journal.mark(desk.book, worth_mark(name)) is not None:
            continue
        keep_worth(desk, entry, None)
        if desk.journal.mark(desk.book, worth_mark(entry.adjustment_id)) is None:
            desk.alert(
                f"worth:{entry.adjustment_id}",
                f"{entry.symbol}: {entry.qty_delta:+f} shares were transferred at a value that nobody says",
                "It is asked again in each look. Until then the losses of this session count them as profit "
                "or loss. Compare, then `trading-assets rearm`.",
            )


def complete_costs(desk: Desk, positions: Mapping[str, PositionState]) -> list[AdjustmentRecord]:
    """Give the shares that came without a cost the broker's average entry price; returns the new entries.

    They wait for it while the broker's position is not the ledger's, and while it states no price, which a
    person is told.
    """
    since = desk.now_ns() - LOOKED_BACK_NS
    entries = []
    waiting = without_cost(desk.journal.adjustments(desk.book, since_ns=since))
    holdings = ledger_of(desk.journal, desk.book).holdings if waiting else {}
    for entry in waiting:
        position = positions.get(entry.symbol)
        held = holdings[entry.symbol].qty
        if position is None or abs(float(position.qty) - held) > QUANTITY_TOLERANCE:
            continue
        if position.avg_entry_price.is_finite() and position.avg_entry_price > 0:
            entries.append(cost_of_shares(entry, entry.qty_delta * position.avg_entry_price))
        else:
            desk.alert(
                f"cost:{entry.adjustment_id}",
                f"{entry.symbol}: {entry.qty_delta:f} shares came without a cost",
                "The broker states no average entry price: their stop cannot fire. Say what they cost with "
                f"`trading-assets adjust {entry.symbol} --cost USD --reason ...`",
            )
    return desk.journal.record_adjustments(entries)


def without_stop(ledger: Ledger) -> list[str]:
    """The symbols that are held at no cost, or at none that is a number: their stop cannot fire."""
    return sorted(
        symbol
        for symbol, holding in ledger.holdings.items()
        if holding.qty > QUANTITY_TOLERANCE and not is_positive(holding.avg_cost)
    )


def tell_of_missing_stops(desk: Desk, ledger: Ledger) -> None:
    """Tell a person once a session of each symbol that is held without a cost."""
    for symbol in without_stop(ledger):
        desk.alert(
            f"costless:{symbol}:{desk.session_text()}",
            f"{symbol} is held at cost 0: its stop cannot fire",
            f"Say what it cost: `trading-assets adjust {symbol} --cost USD --reason ...`, or sell it.",
        )


class _GivenUp(NamedTuple):
    """Shares that a line takes away."""

    symbol: str
    qty: Decimal  # > 0
    group: str | None
    at_ns: int


def _given_up(desk: Desk, line: AccountActivity, together: Sequence[AccountActivity]) -> _GivenUp | None:
    """The shares that were given up for those of the line: of the same group, else of the only symbol, else
    of the only one of the same quantity; of the lines read together and those journaled shortly before."""
    taking = {
        one.id: _GivenUp(one.symbol, -one.qty, one.group, one.at_ns)
        for one in together
        if (one.type, one.status) == (line.type, line.status)
        and one.symbol
        and one.qty is not None
        and one.qty < 0
    }
    taken_on = set()
    for entry in desk.journal.adjustments(desk.book, since_ns=line.at_ns - PAIRED_WITHIN_NS):
        source = carried_from(entry)
        if source is not None and entry.adjustment_id != line.id:
            taken_on.add(source.symbol)
        if entry.reason == line.type.name and entry.qty_delta < 0:
            given = _GivenUp(entry.symbol, -entry.qty_delta, None, entry.at_ns)
            taking.setdefault(entry.adjustment_id, given)
    same_group = [one for one in taking.values() if one.group and one.group == line.group]
    if len({one.symbol for one in same_group}) == 1:
        brought = [one for one in together if one.group == line.group and one.qty is not None and one.qty > 0]
        return _last(same_group) if len(brought) == 1 else None  # of several, nobody says which part
    free = [one for one in taking.values() if not one.group and one.symbol not in taken_on]
    if len({one.symbol for one in free}) > 1:
        free = [one for one in free if one.qty == line.qty]
    return _last(free) if len({one.symbol for one in free}) == 1 else None


def _last(given: Iterable[_GivenUp]) -> _GivenUp:
    return max(given, key=lambda one: one.at_ns)


def _parent(
    desk: Desk, line: AccountActivity, together: Sequence[AccountActivity]
) -> tuple[str, float] | None:
    """The parent of a spin-off, and the part of its cost that the new shares take: by value, or None where
    either is not known."""
    assert line.symbol is not None
    assert line.qty is not None
    holdings = ledger_of(desk.journal, desk.book).holdings
    held = {symbol: holding.qty for symbol, holding in holdings.items() if holding.qty > 0}
    siblings = {one.symbol for one in together if line.group and one.group == line.group} - {
        line.symbol,
        None,
    }
    parents = {symbol for symbol in siblings if symbol in held}
    day = desk.sessions.new_york_date(line.at_ns)
    if not parents:
        try:
            first, last = day - BOOKED_WITHIN, day + timedelta(days=10)
            actions = desk.broker.corporate_actions(sorted(held), first, last)
        except BrokerError as error:
            log.warning("parent of a spin-off not known", symbol=line.symbol, why=str(error))
            return None
        parents = {
            action.symbol
            for action in actions
            if any(one.new_symbol == line.symbol for one in action.spin_offs)
        }
    if len(parents) != 1:
        return None
    parent = parents.pop()
    assert parent is not None
    known = _kept_share(desk, parent, line.symbol)
    if known is not None:
        return parent, known
    new = float(line.price) if line.price is not None and line.price > 0 else _price(desk, line.symbol)
    share = _share(float(line.qty) / held[parent], new, _price(desk, parent))
    return None if share is None else (parent, _keep_share(desk, parent, line.symbol, share))


def spun_off(
    desk: Desk, actions: Iterable[CorporateActionState], today: date
) -> dict[tuple[str, date], float]:
    """The fraction of each parent's value that went to the new shares of its spin-offs, kept from the first
    look at which it was known, (parent, ex-date) → fraction.

    By value: the new shares' price beside the parent's. While the new shares have no price, on the ex-date:
    what the parent lost between its last close and the first look, and a person is told.
    """
    shares: dict[tuple[str, date], float] = {}
    for action in actions:
        if not action.spin_offs or action.ex_date > today:
            continue
        left = 1.0
        for one in action.spin_offs:
            share = _kept_share(desk, action.symbol, one.new_symbol)
            if share is None and today <= action.ex_date + VALUED_WITHIN:
                share = _valued(desk, action, one.new_symbol, one.per_share, today)
            left *= 1.0 - (share or 0.0)
        if left < 1.0:
            shares[action.symbol, action.ex_date] = 1.0 - left
    return shares


def _valued(
    desk: Desk, action: CorporateActionState, new_symbol: str, per_share: float, today: date
) -> float | None:
    parent = action.symbol
    share = _share(per_share, _price(desk, new_symbol), _price(desk, parent))
    if share is not None:
        return _keep_share(desk, parent, new_symbol, share)
    quote = _quote(desk, parent)
    now, before = _mark(quote, with_close=False), float(quote.previous_close or 0) if quote else 0.0
    consequence = "Its stop is measured from the unadjusted cost until the new shares are booked."
    if action.ex_date == today and is_positive(now) and is_positive(before):
        share = _keep_share(desk, parent, new_symbol, max(1.0 - now / before, 0.0))
        consequence = (
            f"Taken for it: the {share:.2%} that {parent} lost since its last close. Its stop follows that."
        )
    desk.alert(
        f"spin_off:{parent}:{new_symbol}:{action.ex_date}",
        f"{parent}: the value of the spin-off {new_symbol} is not known",
        consequence,
    )
    return share


def _share(per_share: float, new: float, parent: float) -> float | None:
    """The new shares' part of the whole value, where both prices are known."""
    if not (is_positive(per_share) and is_positive(new) and is_positive(parent)):
        return None
    return per_share * new / (per_share * new + parent)


def _spin_off_mark(parent: str, new_symbol: str) -> str:
    return f"spin_off:{parent}:{new_symbol}"


def _kept_share(desk: Desk, parent: str, new_symbol: str) -> float | None:
    kept = desk.journal.mark(desk.book, _spin_off_mark(parent, new_symbol))
    return None if kept is None else float(json.loads(kept))


def _keep_share(desk: Desk, parent: str, new_symbol: str, share: float) -> float:
    name = _spin_off_mark(parent, new_symbol)
    desk.journal.set_mark(desk.book, name, json.dumps(share), desk.now_ns())
    log.info("spin-off valued", parent=parent, symbol=new_symbol, share=share)
    return share


def _price(desk: Desk, symbol: str) -> float:
    """USD a share now, by the market; 0 where nobody says."""
    return _mark(_quote(desk, symbol))


def _mark(quote: QuoteState | None, *, with_close: bool = True) -> float:
    if quote is None:
        return 0.0
    sides = (quote.bid, quote.ask, quote.last_trade, quote.previous_close if with_close else None)
    usd = float(mark(*(float(price or 0) for price in sides)))
    return usd if is_positive(usd) else 0.0


def _quote(desk: Desk, symbol: str) -> QuoteState | None:
    try:
        return desk.broker.quotes([symbol]).get(symbol)
    except BrokerError as error:  # a symbol that has no market yet: its value is not known, and that is told
        log.warning("price not known", symbol=symbol, why=str(error))
        return None
