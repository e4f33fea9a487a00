"""What the broker says of an order, taken into the journal: its statuses move our orders along the state
table. Nothing is sent from here. The account's activities are in `engine.evidence.activities`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from trading_assets.broker.port import BrokerError, OrderState
from trading_assets.core.orders import OPEN_STATES, Evidence, State, is_ours
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.locks import dispute
from trading_assets.engine.evidence.replacements import BrokenChain, Chain, followed
from trading_assets.log import get_logger
from trading_assets.store.order_journal import Move
from trading_assets.store.records import IntentRecord, OrderRecord, VerdictRecord

log = get_logger(__name__)

NS = 1_000_000_000
ABSENCES_TO_ABANDON = 2
ABSENCES_APART_NS = 5 * NS
"""Two sweeps at one moment are one: the broker's list may be behind for a few seconds."""
_BEFORE_ACCEPTANCE = frozenset({State.INTENT, State.SUBMITTING, State.UNKNOWN})


def apply_order_state(
    desk: Desk, record: OrderRecord, state: OrderState, listed: Mapping[str, OrderState] | None = None
) -> OrderRecord:
    """Move our order to where the broker says it is, or says that the order is that replaced it.

    Any terminal word ends an open order. An edge that the table does not have locks the symbol and alerts
    all the same. What the journal knows better by now changes nothing. A chain of replacements that has
    filled more than was approved halts the book (the Knight rule).

    listed: orders that were just read, by the broker's id: what a chain need not ask for again
    """
    if state.replaced_by is not None:
        desk.alert(
            f"replaced:{state.id}",
            "Order replaced at the broker",
            f"{record.intent.symbol}: order {state.id} was replaced by {state.replaced_by}, "
            "which is followed in its place",
        )
    chain = Chain(state)
    if state.replaced_by is not None or state.client_order_id != record.intent.client_order_id:
        try:
            chain = followed(desk, record, state, listed)
        except BrokenChain as broken:
            return _broken(desk, record, broken)
        except BrokerError as error:
            log.warning("replacement not readable", symbol=record.intent.symbol, why=str(error))
            return record
    state = chain.order
    if chain.earlier_ids:
        _halt_when_overfilled(desk, record, state)
    if state.needs_attention:
        desk.alert(
            f"status:{state.id}:{state.status_word}",
            "Unexpected order status",
            f"{record.intent.symbol}: order {state.id} is {state.status_word!r} at the broker",
        )
    _clear_absences(desk, record)
    known = (State(record.state), record.filled_qty, record.broker_order_id)
    if known == (state.state, state.filled_qty, state.id) and (record.evidence_ns or 0) >= state.updated_ns:
        return record
    taken = desk.journal.take_in(
        record.intent.client_order_id,
        Evidence(state.updated_ns, state.state, state.filled_qty),
        at_ns=desk.now_ns(),
        broker_order_id=state.id,
        earlier_ids=chain.earlier_ids,
        detail=state.status_word,
    )
    _log_move(Move(taken.before, taken.after), state)
    if not taken.in_table:
        was = taken.before.state
        dispute(
            desk,
            record,
            f"order {record.intent.client_order_id} was {was} in the journal, "
            f"and the broker says {state.status_word!r}, which does not follow",
        )
    return taken.after


def apply_absence(desk: Desk, record: OrderRecord) -> OrderRecord:
    """The broker says that it does not have our order. Said at two moments, it ends the order as ABANDONED:
    what it reserved is free. The symbol is locked, and a person is told."""
    now, mark = desk.now_ns(), _absences_mark(record)
    seen = json.loads(desk.journal.mark(desk.book, mark) or "[]")
    if not seen or now - seen[-1] >= ABSENCES_APART_NS:
        seen.append(now)
        desk.journal.set_mark(desk.book, mark, json.dumps(seen), now)
    if len(seen) < ABSENCES_TO_ABANDON:
        log.warning("order not at the broker", **_words(record), state=record.state)
        return record
    detail = "the broker does not have it, asked at two times"
    moved = desk.journal.abandon(record.intent.client_order_id, at_ns=now, detail=detail)
    if moved.after != moved.before:
        log.warning("order abandoned", **_words(record), was=moved.before.state)
        dispute(
            desk,
            record,
            f"order {record.intent.client_order_id} was {moved.before.state} in the journal, and the broker "
            "does not have it: ABANDONED. Look at the broker's order page, then `trading-assets rearm`",
        )
    return moved.after


def _clear_absences(desk: Desk, record: OrderRecord) -> None:
    """The broker has the order: an absence that was seen before does not count with a later one."""
    if State(record.state) in OPEN_STATES and json.loads(
        desk.journal.mark(desk.book, _absences_mark(record)) or "[]"
    ):
        desk.journal.set_mark(desk.book, _absences_mark(record), "[]", desk.now_ns())


def _absences_mark(record: OrderRecord) -> str:
    """When the broker said, one time after the other, that it does not have the order."""
    return f"absences:{record.intent.client_order_id}"


def _broken(desk: Desk, record: OrderRecord, broken: BrokenChain) -> OrderRecord:
    """A replaced order of which nobody knows what it became: the broker's own "not found" counts as for any
    order, else a person ends it."""
    client_id = record.intent.client_order_id
    desk.alert(
        f"chain:{client_id}",
        f"{record.intent.symbol}: a replaced order cannot be followed",
        f"order {client_id}: {broken}. Look at the broker's order page, then "
        f"`trading-assets close-order {client_id} --reason …`",
    )
    if broken.gone and State(record.state) in OPEN_STATES:
        return apply_absence(desk, record)
    return record


def _halt_when_overfilled(desk: Desk, record: OrderRecord, whole: OrderState) -> None:
    """The Knight rule along a chain: before the fill is journaled, so that a crash in between halts later."""
    sentence = overfilled(record, whole)
    if sentence and desk.journal.record_foreign(desk.book, [sentence], desk.now_ns()):
        desk.latch(Cause.FOREIGN_ORDER, sentence)


def overfilled(record: OrderRecord, order: OrderState | OrderRecord) -> str:
    """Says that more was filled than the gate approved; an empty text where that is not so."""
    if order.filled_qty <= record.intent.qty:
        return ""
    return f"order {record.intent.client_order_id} filled {order.filled_qty} of {record.intent.qty}"


def _log_move(move: Move, state: OrderState) -> None:
    """One line for each event in it: the acceptance, what was newly filled, any other change of state."""
    before, after = move
    was, now = State(before.state), State(after.state)
    intent = after.intent
    words = _words(after)
    fill = {**words, "qty": str(after.filled_qty), "price": str(state.filled_avg_price)}
    more = after.filled_qty > before.filled_qty
    shown = {was}
    if was in _BEFORE_ACCEPTANCE and now not in (State.REJECTED, *_BEFORE_ACCEPTANCE):
        log.info(
            "order accepted", **words, qty=str(intent.qty), limit=str(intent.limit_price), order_id=state.id
        )
        shown.add(State.ACCEPTED)
    if now is State.FILLED and (more or was is not now):
        log.info("order filled", **fill)
        shown.add(State.FILLED)
    elif more:
        log.info("order partially filled", **fill)
        shown.add(State.PARTIALLY_FILLED)
    if now not in shown:
        log.info("order state", **words, state=after.state, filled=str(after.filled_qty))


def _words(record: OrderRecord) -> dict[str, object]:
    intent = record.intent
    return {"symbol": intent.symbol, "side": intent.side, "client_order_id": intent.client_order_id}


def foreign_orders(orders: Iterable[OrderState], known: dict[str, OrderRecord]) -> list[str]:
    """The Knight rule: what bears our id without an approved intent, or differs from its intent, or
    filled more than it. One sentence each."""
    foreign = []
    for order in orders:
        if not is_ours(order.client_order_id):
            continue
        record = known.get(order.client_order_id)
        if record is None:
            foreign.append(f"order {order.client_order_id} at the broker has no approved intent")
        elif not same_terms(order, record.intent):
            foreign.append(
                f"order {order.client_order_id} at the broker differs from its intent: "
                f"{order.symbol} {order.side} {order.qty} @ {order.limit_price}"
            )
        elif sentence := overfilled(record, order):
            foreign.append(sentence)
    of_chains = (overfilled(record, record) for record in known.values())
    return list(dict.fromkeys([*foreign, *filter(None, of_chains)]))


def same_terms(one: OrderState | IntentRecord | VerdictRecord, intent: IntentRecord) -> bool:
    """Symbol, side, quantity and limit are those of the intent."""
    terms = (intent.symbol, intent.side, intent.qty, intent.limit_price)
    return (one.symbol, one.side, one.qty, one.limit_price) == terms
