"""A decision's verdicts, taken to the journal and the approved ones to the broker, in their order, and what
became of them there."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from trading_assets.core.gate import pass_line, reject_line
from trading_assets.core.orders import State
from trading_assets.core.words import Order
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import Decision
from trading_assets.engine.decision.inputs import DecisionInput
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.orders.submit import submit
from trading_assets.log import get_logger
from trading_assets.store.journal import Lease
from trading_assets.store.records import IntentRecord, OrderRecord, TickInputRecord, VerdictRecord

log = get_logger(__name__)


def store_input(desk: Desk, given: DecisionInput) -> None:
    """Journal what is about to be decided on."""
    desk.journal.record_tick_input(
        TickInputRecord(
            book=given.book,
            session=given.session,
            tick_ns=given.tick_ns,
            execution_id=given.execution_id,
            phase=given.phase,
            at_ns=given.now_ns,
            payload=given.as_json(),
        )
    )


def send_approved(desk: Desk, lease: Lease, decision: Decision) -> list[OrderRecord]:
    """Keep every verdict; submit the approved ones one after the other. Returns the sent orders.

    All slices of an exit are intents before its first one leaves, so that a crash between two of them
    leaves on record what is still to be sold.
    """
    sent = []
    for _, cut in groupby(decision.verdicts, lambda verdict: (verdict.decision_id, bool(verdict.failed))):
        verdicts = list(cut)
        for verdict in verdicts:
            _log_verdict(verdict)
        if verdicts[0].failed:
            for verdict in verdicts:
                desk.journal.record_refusal(verdict)
            continue
        intents = [_intent(desk, verdict) for verdict in verdicts]
        desk.journal.renew_lease(lease)
        desk.journal.record_intents(list(zip(verdicts, intents, strict=True)))
        sent += [submit(desk, lease, intent) for intent in intents]
    return sent


def send_and_follow(desk: Desk, lease: Lease, decision: Decision) -> list[OrderRecord]:
    """Send what passed, and follow it. A symbol in which the broker rejects an order may be one that can no
    longer be traded: who buys of it next asks first."""
    records = follow(desk, send_approved(desk, lease, decision))
    rejected = {record.intent.symbol for record in records if State(record.state) is State.REJECTED}
    if rejected:
        desk.facts.doubt(rejected)
    return records


def _log_verdict(verdict: VerdictRecord) -> None:
    order = Order(**verdict.gate_input["order"])
    if not verdict.failed:
        log.info(pass_line(verdict.symbol, order))
        return
    measured, limits = np.array(verdict.measured), np.array(verdict.limits)
    log.warning(reject_line(verdict.symbol, order, verdict.failed, verdict.cause, measured, limits))


def _intent(desk: Desk, verdict: VerdictRecord) -> IntentRecord:
    as_of_ns = int(verdict.gate_input["signal"]["as_of_ns"])
    return IntentRecord(
        client_order_id=verdict.client_order_id,
        verdict_id=verdict.verdict_id,
        book=verdict.book,
        session=verdict.session,
        tick_ns=verdict.tick_ns,
        decision_id=verdict.decision_id,
        kind=verdict.kind,
        symbol=verdict.symbol,
        side=verdict.side,
        slice=verdict.slice,
        attempt=verdict.attempt,
        qty=verdict.qty,
        limit_price=verdict.limit_price,
        reducing=verdict.reducing,
        extended_hours=desk.settings.extended_hours,
        signal_as_of_ns=as_of_ns or None,
        created_ns=desk.now_ns(),
    )
