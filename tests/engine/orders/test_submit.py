"""The submit protocol on the real exchange: every answer, every lost answer, and what changes between
gate and wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import (
    Posts,
    at_broker,
    decided,
    failing,
    locked,
    look,
    new_account,
    recovered,
    send,
    signal,
    states,
)

from trading_assets.broker.port import (
    BrokerError,
    NewOrder,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unreachable,
    WriteRefused,
)
from trading_assets.core.codes import Code, failed_codes
from trading_assets.core.gate import reason
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, in_force, latch
from trading_assets.engine.decision.decide import Decision, decide
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.orders.follow import cancel, follow
from trading_assets.engine.orders.send import send_approved
from trading_assets.engine.orders.submit import UNRESOLVED_LOCK
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.market.clock import VenueClock
from trading_assets.store.journal import Journal, LeaseLost
from trading_assets.store.records import IntentRecord, VerdictRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)
SECOND_NS = 1_000_000_000
LOST = OutcomeUnknown("scripted: no answer")
OUT_OF_REACH = Unreachable("scripted: no answer")


def scripted(desk: Desk, *steps: tuple[bool, BrokerError], **answers: Any) -> Posts:
    posts = Posts(desk.broker.submit, *steps)
    desk.broker = Altered(desk.broker, submit=posts, **answers)
    return posts


def new_order(decision: Decision, **changes: Any) -> NewOrder:
    verdict = decision.approved[0]
    order = NewOrder(verdict.client_order_id, verdict.symbol, verdict.side, verdict.qty, verdict.limit_price)
    return replace(order, **changes)


# --- the broker's answers


def test_an_accepted_order_is_followed_to_its_fill(desk: Desk) -> None:
    (sent,) = send(desk, decided(desk, signal(desk)))
    assert sent.state == "ACCEPTED"
    (order,) = follow(desk, [sent])
    assert states(desk, order.intent.client_order_id) == ["INTENT", "SUBMITTING", "ACCEPTED", "FILLED"]
    assert order.filled_qty == order.intent.qty == at_broker(desk)[0].filled_qty


def test_a_refusal_of_the_broker_is_final(desk: Desk, floor: TradingFloor) -> None:
    decision = decided(desk, signal(desk))
    floor.control("/transfer", amount="-99000")
    (order,) = send(desk, decision)
    assert order.state == "REJECTED"
    assert "buying power" in order.detail
    assert not at_broker(desk)
    assert not locked(desk)
    assert recovered(desk) == []


def test_what_could_not_leave_is_rejected_and_not_unknown(desk: Desk) -> None:
    scripted(desk, (False, WriteRefused("read-only")))
    (order,) = send(desk, decided(desk, signal(desk)))
    assert order.state == "REJECTED"


def test_a_taken_id_that_is_our_order_is_adopted(desk: Desk) -> None:
    decision = decided(desk, signal(desk))
    landed = desk.broker.submit(new_order(decision))
    (order,) = send(desk, decision)
    assert order.broker_order_id == landed.id
    assert order.state == "FILLED"
    assert len(at_broker(desk)) == 1
    assert not locked(desk)
    assert desk.halts().state is HaltState.ACTIVE


@pytest.mark.parametrize(
    "changes",
    [{"qty": Decimal(1)}, {"limit_price": Decimal("1.23")}, {"symbol": "IBM"}],
    ids=["quantity", "limit", "symbol"],
)
def test_a_taken_id_that_is_another_order_halts_and_is_cancelled(
    desk: Desk, changes: dict[str, object]
) -> None:
    decision = decided(desk, signal(desk, resting=True))
    desk.broker.submit(new_order(decision, **changes))
    posts = scripted(desk)
    (order,) = send(desk, decision)
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
    assert desk.halts().state is HaltState.HALTED
    assert len(posts.sent) == 1
    assert len(at_broker(desk)) == 1
    cancel(desk, [order])
    assert not desk.broker.open_orders()


def test_a_rate_limited_order_is_sent_again_with_the_same_id(desk: Desk) -> None:
    posts = scripted(desk, (False, RateLimited(None)))
    (order,) = send(desk, decided(desk, signal(desk)))
    assert order.state == "ACCEPTED"
    assert posts.ids == [order.intent.client_order_id] * 2
    assert len(at_broker(desk)) == 1


def test_an_order_whose_answer_was_lost_is_adopted_and_not_sent_twice(desk: Desk) -> None:
    posts = scripted(desk, (True, LOST))
    (order,) = send(desk, decided(desk, signal(desk)))
    assert order.state == "FILLED"
    assert len(posts.sent) == len(at_broker(desk)) == 1
    assert states(desk, order.intent.client_order_id) == ["INTENT", "SUBMITTING", "UNKNOWN", "FILLED"]
    assert not locked(desk)


def test_an_order_that_did_not_land_is_sent_again_with_the_same_id(desk: Desk) -> None:
    posts = scripted(desk, (False, LOST))
    (order,) = send(desk, decided(desk, signal(desk)))
    assert order.state == "ACCEPTED"
    assert posts.ids == [order.intent.client_order_id] * 2
    assert len(at_broker(desk)) == 1


def test_an_order_that_lands_after_the_look_is_found_by_the_refused_second_sending(desk: Desk) -> None:
    """The first bytes are still under way when the broker says "not found"; the same id then meets itself."""
    decision = decided(desk, signal(desk))
    real, looks = desk.broker, []

    def not_yet(client_id: str) -> object:
        looks.append(client_id)
        if len(looks) == 1:
            real.submit(new_order(decision))
            return None
        return real.order_by_client_id(client_id)

    posts = scripted(desk, (False, LOST), order_by_client_id=not_yet)
    (order,) = send(desk, decision)
    assert order.state == "FILLED"
    assert len(posts.sent) == 2
    assert len(at_broker(desk)) == 1
    assert not locked(desk)


# --- outcomes that stay unknown


def test_an_outcome_that_nobody_can_tell_stays_reserved_and_locks_its_symbol(desk: Desk) -> None:
    real = desk.broker
    scripted(desk, (True, LOST), order_by_client_id=failing(OUT_OF_REACH))
    (order,) = send(desk, decided(desk, signal(desk, value=0.5, resting=True)))
    assert order.state == "UNKNOWN"
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
    seen = look(desk, signal(desk, value=1.0, key="2"))
    (view,) = seen.symbols
    reserved = float(order.intent.qty * order.intent.limit_price)
    assert (view.qty, view.open_entry_usd, view.in_flight, view.locked) == (0.0, reserved, 1, True)
    assert seen.settled_cash_usd == 100_000.0 - reserved
    assert seen.orders_today == 1
    (verdict,) = decide(seen).verdicts
    assert failed_codes(verdict.failed) == (Code.RECONCILIATION_LOCK, Code.ORDER_IN_FLIGHT)

    desk.broker = real
    (result,) = recovered(desk)
    assert result.state == "ACCEPTED"
    assert not locked(desk)
    assert len(at_broker(desk)) == 1


def test_funds_of_an_entry_that_the_broker_may_not_have_are_not_spent_again(desk: Desk) -> None:
    before = look(desk).buying_power_usd
    scripted(desk, *[(False, LOST)] * 4, order_by_client_id=failing(OUT_OF_REACH))
    (order,) = send(desk, decided(desk, signal(desk)))
    assert order.state == "UNKNOWN"
    taken = float(order.intent.qty * order.intent.limit_price)
    assert look(desk).buying_power_usd == pytest.approx(before - taken)


def test_an_unknown_order_that_is_refused_when_sent_again_unlocks_its_symbol(desk: Desk) -> None:
    real = desk.broker
    scripted(desk, (False, LOST), order_by_client_id=failing(OUT_OF_REACH))
    send(desk, decided(desk, signal(desk)))
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
    desk.broker = Altered(real, submit=failing(Rejected(403, 40310000, "insufficient buying power")))
    (order,) = recovered(desk)
    assert order.state == "REJECTED"
    assert not locked(desk)


def test_an_unknown_order_that_a_reconciliation_finds_unlocks_its_symbol(desk: Desk) -> None:
    real = desk.broker
    scripted(desk, (True, LOST), order_by_client_id=failing(OUT_OF_REACH))
    (order,) = send(desk, decided(desk, signal(desk)))
    desk.broker = real
    reconcile(desk)
    assert desk.journal.order(order.intent.client_order_id).state == "FILLED"
    recovered(desk)
    assert not locked(desk)


def test_a_symbol_stays_locked_until_the_last_of_its_orders_is_resolved(desk: Desk) -> None:
    follow(desk, send(desk, decided(desk, signal(desk, value=1.0))))
    desk.limits = desk.limits._replace(max_order_notional=2500.0)
    exits = decided(desk, signal(desk, value=-1.0, key="out"), phase=Phase.EXITS)
    assert len(exits.approved) == 2
    real = desk.broker
    scripted(desk, *[(True, LOST)] * 2, order_by_client_id=failing(OUT_OF_REACH))
    _, second = send(desk, exits)
    hidden = second.intent.client_order_id

    def one_hidden(client_id: str) -> object:
        if client_id == hidden:
            raise OUT_OF_REACH
        return real.order_by_client_id(client_id)

    desk.broker = Altered(real, order_by_client_id=one_hidden)
    assert [order.state for order in recovered(desk)] == ["FILLED", "UNKNOWN"]
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
    desk.broker = real
    assert [order.state for order in recovered(desk)] == ["FILLED"]
    assert not locked(desk)


def test_an_unknown_order_is_not_sent_again_while_the_book_is_halted(desk: Desk) -> None:
    real = desk.broker
    scripted(desk, (False, LOST), order_by_client_id=failing(OUT_OF_REACH))
    send(desk, decided(desk, signal(desk)))
    desk.broker = real
    kill_elsewhere(desk)
    (order,) = recovered(desk)
    assert order.state == "UNKNOWN"
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
    assert not at_broker(desk)


def test_a_held_symbol_alerts_once(desk: Desk) -> None:
    scripted(desk, (False, LOST), order_by_client_id=failing(OUT_OF_REACH))
    send(desk, decided(desk, signal(desk)))
    for _ in range(3):
        recovered(desk)
    assert len([alert for alert in desk.journal.pending_alerts() if "AAPL locked" in alert.title]) == 1


# --- between gate and wire


def kill_elsewhere(desk: Desk, cause: Cause = Cause.KILL) -> None:
    """Latched by another process, through a connection of its own."""
    with Journal.open(Path(desk.settings.data_dir) / "journal.sqlite") as journal:
        latch(journal, desk.book, cause, at_ns=1, session=SESSION.isoformat(), reason="from elsewhere")


def test_a_kill_after_the_intent_is_stored_drops_the_order(desk: Desk) -> None:
    posts = scripted(desk)
    journal = desk.journal

    def then_killed(approved: Sequence[tuple[VerdictRecord, IntentRecord]]) -> None:
        journal.record_intents(approved)
        kill_elsewhere(desk)

    decision = decided(desk, signal(desk))
    desk.journal = Altered(journal, record_intents=then_killed)
    (order,) = send(desk, decision)
    assert order.state == "DROPPED"
    assert "KILL" in order.detail
    assert not posts.sent
    assert not at_broker(desk)


def test_a_kill_while_the_account_is_read_is_seen_by_the_gate(desk: Desk) -> None:
    broker = desk.broker

    def account_then_killed() -> object:
        answer = broker.account()
        kill_elsewhere(desk)
        return answer

    desk.broker = Altered(broker, account=account_then_killed)
    (verdict,) = decide(look(desk, signal(desk))).verdicts
    assert reason(verdict.failed, verdict.cause) == "KILL_SWITCH_ACTIVE cause=KILL"


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_kill_switch_set_after_the_gate_drops_the_order_and_latches(
    floor: TradingFloor, tmp_path: Path, where: str
) -> None:
    environ: dict[str, str] = {}
    with new_account(floor, tmp_path, environ=environ) as desk:
        decision = decided(desk, signal(desk))
        if where == "environment":
            environ["KILL_SWITCH"] = "1"
        else:
            desk.kill_file.touch()
        (order,) = send(desk, decision)
        assert order.state == "DROPPED"
        assert not at_broker(desk)
        assert in_force(desk.journal, desk.book).causes == (Cause.KILL,)


def test_a_loss_breaker_after_the_gate_drops_entries_and_lets_exits_go(desk: Desk) -> None:
    follow(desk, send(desk, decided(desk, signal(desk))))
    entry = decided(desk, signal(desk, "IBM"))
    leave = decided(desk, signal(desk, value=-1.0, key="out"), phase=Phase.EXITS)
    kill_elsewhere(desk, Cause.DAILY_LOSS)
    (dropped,) = send(desk, entry)
    (sold,) = follow(desk, send(desk, leave))
    assert (dropped.state, sold.state) == ("DROPPED", "FILLED")
    assert not desk.broker.positions()


@pytest.mark.parametrize(("seconds", "state"), [(120, "ACCEPTED"), (121, "DROPPED")])
def test_a_signal_that_goes_stale_between_gate_and_wire_is_dropped(
    desk: Desk, floor: TradingFloor, seconds: int, state: str
) -> None:
    decision = decided(desk, signal(desk, resting=True))
    floor.control("/clock", step_ns=seconds * SECOND_NS)
    (order,) = send(desk, decision)
    assert order.state == state
    assert len(at_broker(desk)) == (state == "ACCEPTED")


def test_an_entry_is_dropped_when_the_venue_does_not_tell_the_time(desk: Desk) -> None:
    decision = decided(desk, signal(desk))
    desk.clock = VenueClock(failing(OUT_OF_REACH), stands=True)
    desk.clock._reading = (decision.approved[0].at_ns, 0)  # read before it was cut off
    (order,) = send(desk, decision)
    assert order.state == "DROPPED"


def test_a_process_that_lost_its_lease_journals_and_sends_nothing(desk: Desk) -> None:
    decision = decided(desk, signal(desk))
    lease = desk.journal.acquire_lease(desk.book, "slow", ttl_seconds=0.0)
    desk.journal.acquire_lease(desk.book, "next")
    with pytest.raises(LeaseLost):
        send_approved(desk, lease, decision)
    assert not desk.journal.orders(desk.book)
    assert not at_broker(desk)


def test_every_order_of_an_execution_looks_at_the_halt_state_anew(desk: Desk) -> None:
    broker = desk.broker

    def then_killed(order: NewOrder) -> object:
        answer = broker.submit(order)
        kill_elsewhere(desk)
        return answer

    desk.broker = Altered(broker, submit=then_killed)
    orders = send(desk, decided(desk, signal(desk), signal(desk, "IBM"), signal(desk, "MSFT")))
    assert [order.state for order in orders] == ["ACCEPTED", "DROPPED", "DROPPED"]
    assert {order.intent.side for order in orders} == {Side.BUY}
