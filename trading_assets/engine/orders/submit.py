"""Sending one approved order so that a crash at any point loses nothing and sends nothing twice.

The intent with its verdict is durable before the order leaves, SUBMITTING is durable before the
bytes do, and an answer that does not come leaves UNKNOWN, which only evidence resolves
(`resolve`). Nothing here decides whether an order is right: that was the gate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal

from trading_assets.broker.port import (
    BrokerError,
    DuplicateClientOrderId,
    NewOrder,
    OrderState,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    WriteRefused,
)
from trading_assets.core.orders import IllegalTransition, Kind, State
from trading_assets.core.words import HaltState
from trading_assets.engine.book.arming import why_not_armed
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.book.kill_latch import latch_kill
from trading_assets.engine.book.locks import lock
from trading_assets.engine.evidence.order_states import apply_order_state, same_terms
from trading_assets.errors import InvalidInput
from trading_assets.log import get_logger
from trading_assets.store.journal import Lease
from trading_assets.store.records import IntentRecord, OrderRecord

log = get_logger(__name__)

NS = 1_000_000_000
UNRESOLVED_LOCK = "UNRESOLVED_ORDER"
UNSENT = "found unsent at start"  # why a recovery drops an intent
CLEAN_SWEEPS_TO_ABANDON = 2
ARRIVED_NS = 60 * NS
"""After so long a request has arrived or never will: the broker's positions and reservations show it."""
RECOVERY_SECONDS = 20.0  # of one look, for orders whose outcome is not known
RECOVERY_PLACE = "recovery_begins_at"
LOOKUP_PAUSES_SECONDS = (0.0, 0.25, 1.0)  # before each look after an answer that did not come


def submit(desk: Desk, lease: Lease, intent: IntentRecord) -> OrderRecord:
    """Look at the halt state and the age of a journaled intent's signal once more, and send it.

    Returns where the order stands after the broker's answer: ACCEPTED and further, REJECTED,
    UNKNOWN, or DROPPED when it was not sent. Needs the book's lease.
    """
    desk.journal.renew_lease(lease)
    obstacle = _obstacle(desk, intent)
    if obstacle:
        log.warning(
            "order dropped", symbol=intent.symbol, client_order_id=intent.client_order_id, why=obstacle
        )
        return _move(desk, intent.client_order_id, State.DROPPED, obstacle)
    record = _post(desk, intent, "")
    return resolve(desk, record, LOOKUP_PAUSES_SECONDS) if State(record.state) is State.UNKNOWN else record


def see_kill_switch(desk: Desk, when: str = "") -> None:
    """Latch a kill that the environment or the kill file sets. `when` is added to the recorded reason.

    Where the journal is out of reach every order of the account is cancelled at once, as nobody can follow
    ours: what it holds of them stays as it was until it can be written again.
    """
    seen = desk.kill_switch()
    if seen is None:
        return
    latched = latch_kill(
        desk.settings,
        reason=f"kill seen in {seen}{when}",
        book=desk.book,
        now_ns=desk.known_ns,  # asks no broker, which may take seconds to answer
    )
    if latched.journal is None:
        try:
            cancelled = desk.broker.cancel_all()
        except BrokerError as error:
            log.error("killed, and the broker could not be asked to cancel", why=str(error))
        else:
            log.error("killed without the journal", kept=latched.text, cancelled=len(cancelled))


def _obstacle(desk: Desk, intent: IntentRecord) -> str:
    """What has changed between the gate and the wire that forbids sending, or an empty text."""
    see_kill_switch(desk, f" before sending {intent.client_order_id}")
    halts = desk.halts()
    if halts.state is HaltState.HALTED and intent.kind != Kind.FLATTEN:
        return f"halted between gate and wire: {halts.cause}"
    if intent.kind == Kind.FLATTEN and desk.journal.flatten_in_force(desk.book) is None:
        return "the flatten was ended between gate and wire"
    if halts.state is HaltState.REDUCE_ONLY and not intent.reducing:
        return f"reduce only between gate and wire: {halts.cause}"
    unarmed = why_not_armed(desk)
    if unarmed and (desk.settings.mode == "live" or not intent.reducing):
        return unarmed
    if not intent.reducing and _stale(desk, intent):
        return "the signal went stale between gate and wire"
    return ""


def _stale(desk: Desk, intent: IntentRecord) -> bool:
    desk.clock.sync()
    if not desk.clock.synced or intent.signal_as_of_ns is None:
        return True
    return desk.now_ns() - intent.signal_as_of_ns > desk.limits.stale_signal_seconds * NS


def _post(desk: Desk, intent: IntentRecord, detail: str) -> OrderRecord:
    """One POST and no other: SUBMITTING is durable before it leaves, and what has no answer is UNKNOWN."""
    client_id = intent.client_order_id
    record = _move(desk, client_id, State.SUBMITTING, detail)
    order = NewOrder(
        client_id,
        intent.symbol,
        intent.side,
        intent.qty,
        intent.limit_price,
        intent.extended_hours,
        reducing=intent.reducing,
    )
    try:
        answer = desk.broker.submit(order)
    except DuplicateClientOrderId:
        return _unknown(desk, client_id, "the broker has this id already")
    except (Rejected, WriteRefused, InvalidInput) as error:  # the last two: it did not leave
        log.warning("order rejected", symbol=intent.symbol, client_order_id=client_id, why=str(error))
        return _move(desk, client_id, State.REJECTED, str(error))
    except (RateLimited, OutcomeUnknown) as error:
        log.warning("order outcome unknown", symbol=intent.symbol, client_order_id=client_id, why=str(error))
        return _unknown(desk, client_id, str(error))
    return _adopt(desk, record, answer)


def _unknown(desk: Desk, client_order_id: str, why: str) -> OrderRecord:
    """UNKNOWN, unless another process has found out meanwhile: this one may have slept past its lease."""
    try:
        return _move(desk, client_order_id, State.UNKNOWN, why)
    except IllegalTransition:
        return desk.journal.order(client_order_id)


def resolve(desk: Desk, record: OrderRecord, pauses_seconds: Sequence[float] = (0.0,)) -> OrderRecord:
    """Find out what became of an order whose outcome is not known, with one look after each pause.

    Found at the broker: adopted. Not found, fresh, not halted and, if an exit, still covered by free
    shares: the same id is sent again (ids are unique for good). Otherwise it stays UNKNOWN with its
    exposure reserved and its symbol locked until its session is over, or a flatten is in force, and two
    lookups in a row found nothing: ABANDONED.
    """
    missing = False
    for pause in pauses_seconds:
        time.sleep(pause)
        record, missing = _look_up(desk, record)
        if State(record.state) is not State.UNKNOWN:
            _release_resolved(desk)
            return record
    lock(
        desk,
        record.intent.symbol,
        UNRESOLVED_LOCK,
        f"the outcome of order {record.intent.client_order_id} is unknown; its exposure stays reserved",
    )
    if missing:
        return _abandon_after_two_sweeps(desk, record)
    if desk.journal.mark(desk.book, _sweeps_mark(record)) is not None:  # the next two begin anew
        desk.journal.set_mark(desk.book, _sweeps_mark(record), "0", desk.now_ns())
    return record


def _look_up(desk: Desk, record: OrderRecord) -> tuple[OrderRecord, bool]:
    """One look, and the same id again where that is allowed. True: the broker says that it has no such
    order, and it was not sent."""
    intent = record.intent
    try:
        order = desk.broker.order_by_client_id(intent.client_order_id)
        if order is not None:
            return _adopt(desk, record, order), False
        if _obstacle(desk, intent) or not _in_session(desk, intent) or not _covered(desk, intent):
            return record, True
    except BrokerError as error:
        log.warning("lookup failed", client_order_id=intent.client_order_id, why=str(error))
        return record, False
    log.info("order sent again", symbol=intent.symbol, client_order_id=intent.client_order_id)
    return _post(desk, intent, "same id again"), False


def recover(desk: Desk) -> list[OrderRecord]:
    """The start-up path: an INTENT was never sent and is dropped; SUBMITTING and UNKNOWN are looked up.

    Needs the book's lease: nobody else may be between SUBMITTING and the wire. With a broker that is slow to
    answer not all are looked up in one look, as exits wait for it: the next look begins where this one ended.
    """
    recovered, unresolved = [], []
    for record in desk.journal.open_orders(desk.book):
        client_id, state = record.intent.client_order_id, State(record.state)
        if state is State.INTENT:
            recovered.append(_move(desk, client_id, State.DROPPED, UNSENT))
        elif state is State.SUBMITTING:
            unresolved.append(_move(desk, client_id, State.UNKNOWN, "found submitting at start"))
        elif state is State.UNKNOWN:
            unresolved.append(record)
    recovered += _looked_up(desk, unresolved)
    _release_resolved(desk)  # a reconciliation may have found one in between
    for record in recovered:
        log.info(
            "order recovered",
            symbol=record.intent.symbol,
            client_order_id=record.intent.client_order_id,
            state=record.state,
        )
    return recovered


def _looked_up(desk: Desk, unresolved: Sequence[OrderRecord]) -> list[OrderRecord]:
    """As many of them as there is time for, from where the last look ended."""
    began_at = desk.journal.mark(desk.book, RECOVERY_PLACE)
    names = [record.intent.client_order_id for record in unresolved]
    first = names.index(began_at) if began_at in names else 0
    looked_up, until = list[OrderRecord](), time.monotonic() + RECOVERY_SECONDS
    for record in (*unresolved[first:], *unresolved[:first]):
        if looked_up and time.monotonic() >= until:
            left = len(unresolved) - len(looked_up)
            log.warning("the broker is slow, the next look goes on", book=desk.book, orders=left)
            desk.journal.set_mark(desk.book, RECOVERY_PLACE, record.intent.client_order_id, desk.now_ns())
            break
        looked_up.append(resolve(desk, record))
    return looked_up


def _adopt(desk: Desk, record: OrderRecord, answer: OrderState) -> OrderRecord:
    """Take the broker's order as ours. One that is not what we meant halts the book (the Knight rule);
    its state is taken all the same, so that the halt can cancel it."""
    if not same_terms(answer, record.intent):
        desk.latch(
            Cause.FOREIGN_ORDER,
            f"order {record.intent.client_order_id} at the broker differs from its intent: "
            f"{answer.symbol} {answer.side} {answer.qty} @ {answer.limit_price}",
        )
    return apply_order_state(desk, record, answer)


def _release_resolved(desk: Desk) -> None:
    """Unlock the symbols of which every order's outcome is known by now."""
    unresolved = {
        record.intent.symbol
        for record in desk.journal.open_orders(desk.book)
        if State(record.state) in (State.SUBMITTING, State.UNKNOWN)
    }
    for held in desk.journal.locks(desk.book):
        if held.cause == UNRESOLVED_LOCK and held.symbol not in unresolved:
            desk.journal.unlock(
                desk.book,
                held.symbol,
                UNRESOLVED_LOCK,
                at_ns=desk.now_ns(),
                author="system",
                reason="every order's outcome is known",
            )


def has_no_news(record: OrderRecord, now_ns: int) -> bool:
    """Whether nobody knows what became of the order, and it is no longer on its way: what it holds or has
    filled the broker's own position shows."""
    return State(record.state) is State.UNKNOWN and now_ns - (record.submitted_ns or now_ns) >= ARRIVED_NS


def _abandon_after_two_sweeps(desk: Desk, record: OrderRecord) -> OrderRecord:
    intent = record.intent
    flattening = desk.journal.flatten_in_force(desk.book) is not None and has_no_news(record, desk.now_ns())
    if _in_session(desk, intent) and not flattening:
        return record
    mark = _sweeps_mark(record)
    sweeps = int(json.loads(desk.journal.mark(desk.book, mark) or "0")) + 1
    desk.journal.set_mark(desk.book, mark, json.dumps(sweeps), desk.now_ns())
    if sweeps < CLEAN_SWEEPS_TO_ABANDON:
        return record
    when = "while a flatten is in force" if flattening else "after its session"
    abandoned = _move(desk, intent.client_order_id, State.ABANDONED, f"not at the broker {when}, two lookups")
    _release_resolved(desk)
    return abandoned


def _sweeps_mark(record: OrderRecord) -> str:
    """Counts the lookups in a row that found nothing after the order's session."""
    return f"clean_sweeps:{record.intent.client_order_id}"


def _covered(desk: Desk, intent: IntentRecord) -> bool:
    """Whether an exit's shares are still there and free: what is gone since would be sold short."""
    if not intent.reducing:
        return True
    held = next((one for one in desk.broker.positions() if one.symbol == intent.symbol), None)
    return held is not None and held.qty * intent.side < 0 and held.available >= intent.qty


def _in_session(desk: Desk, intent: IntentRecord) -> bool:
    today = desk.today()
    return (
        intent.session == today.isoformat()
        and desk.sessions.is_session(today)
        and desk.now_ns() < desk.sessions.close_ns(today)
    )


def _move(desk: Desk, client_order_id: str, to: State, detail: str) -> OrderRecord:
    return desk.journal.move(client_order_id, to, at_ns=desk.now_ns(), detail=detail).after


def remaining(record: OrderRecord) -> Decimal:
    """Leaves quantity: what may still fill. None where a replacement filled more than was meant."""
    return max(record.intent.qty - record.filled_qty, Decimal(0))
