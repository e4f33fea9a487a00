"""Verdicts, intents and the life of orders as stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import journal_samples as samples
import pytest
from journal_samples import BOOK, SECOND_NS, SESSION, TICK_NS

from trading_assets.core.orders import OPEN_STATES, IllegalTransition, State
from trading_assets.errors import InvalidInput
from trading_assets.store.journal import DuplicateIntent, Journal, SentCount, UnknownOrder

S = State


def walk(journal: Journal, client_order_id: str, *states: State) -> None:
    for step, state in enumerate(states, 1):
        journal.move(client_order_id, state, at_ns=TICK_NS + step)


def test_a_verdict_comes_back_with_everything_that_the_gate_saw(journal: Journal) -> None:
    refused = samples.verdict(failed=1 << 33 | 1, cause="DAILY_LOSS", limit_price=Decimal("NaN"))
    assert journal.record_refusal(refused)
    (stored,) = journal.verdicts(BOOK)
    assert repr(stored) == repr(refused)  # repr: NaN is not equal to itself


def test_a_refusal_stored_again_changes_nothing(journal: Journal) -> None:
    assert journal.record_refusal(samples.verdict(failed=1))
    assert not journal.record_refusal(samples.verdict(failed=2))
    assert [record.failed for record in journal.verdicts(BOOK)] == [1]


def test_verdicts_are_found_by_session_tick_and_order_in_the_gates_order(journal: Journal) -> None:
    changed: dict[str, dict[str, Any]] = {
        "ta-9": {},
        "ta-1": {},
        "ta-5": {"tick_ns": TICK_NS + 300 * SECOND_NS},
        "ta-6": {"session": "2012-05-21"},
        "ta-7": {"book": "another"},
    }
    for name, changes in changed.items():
        journal.record_refusal(samples.verdict(name, failed=1, **changes))

    def ids_of(**wanted: Any) -> list[str]:
        return [record.client_order_id for record in journal.verdicts(BOOK, **wanted)]

    assert ids_of() == ["ta-9", "ta-1", "ta-5", "ta-6"]
    assert ids_of(session=SESSION, tick_ns=TICK_NS) == ["ta-9", "ta-1"]
    assert ids_of(client_order_id="ta-5") == ["ta-5"]
    assert ids_of(session="2012-05-22") == []


def test_an_intent_is_an_order_in_intent_with_one_event(journal: Journal) -> None:
    journal.record_intents([(samples.verdict(), samples.intent())])
    order = journal.order("ta-1")
    assert order.intent == samples.intent()
    assert (order.state, order.filled_qty, order.submitted_ns) == (S.INTENT, Decimal(0), None)
    assert [(e.from_state, e.to_state) for e in journal.events("ta-1")] == [(None, "INTENT")]
    assert journal.open_orders(BOOK) == [order]
    assert len(journal.verdicts(BOOK, client_order_id="ta-1")) == 1


@pytest.mark.parametrize(
    "verdict",
    [
        samples.verdict(failed=1),
        samples.verdict(verdict_id="another"),
        samples.verdict(client_order_id="ta-2", verdict_id="ta-1:run-1"),
        samples.verdict(book="another"),
    ],
)
def test_no_intent_without_a_verdict_that_approves_it(journal: Journal, verdict: object) -> None:
    with pytest.raises(InvalidInput, match="does not approve"):
        journal.record_intents([(verdict, samples.intent())])
    assert journal.orders(BOOK) == []
    assert journal.verdicts(BOOK) == []


def test_the_same_intent_twice_is_refused_and_leaves_the_first(journal: Journal) -> None:
    journal.record_intents([(samples.verdict(), samples.intent())])
    journal.move("ta-1", S.SUBMITTING, at_ns=TICK_NS + 1)
    other_run = samples.verdict(verdict_id="ta-1:run-2", execution_id="run-2")
    with pytest.raises(DuplicateIntent, match="ta-1"):
        journal.record_intents([(other_run, samples.intent(verdict_id="ta-1:run-2"))])
    assert journal.order("ta-1").state == S.SUBMITTING
    assert len(journal.verdicts(BOOK)) == 1


def test_the_slices_of_a_decision_become_intents_all_or_none(journal: Journal) -> None:
    one, two = ((samples.verdict(name), samples.intent(name)) for name in ("ta-1", "ta-2"))
    journal.record_intents([one, two])
    assert [order.intent for order in journal.open_orders(BOOK)] == [one[1], two[1]]
    three = samples.verdict("ta-3"), samples.intent("ta-3")
    with pytest.raises(DuplicateIntent, match="ta-2"):
        journal.record_intents([three, two])
    assert len(journal.orders(BOOK)) == len(journal.verdicts(BOOK)) == 2


def test_an_intent_that_cannot_be_stored_leaves_no_part_of_it(journal: Journal) -> None:
    with pytest.raises(Exception, match="finite"):
        journal.record_intents([(samples.verdict(), samples.intent(qty=Decimal("NaN")))])
    assert journal.verdicts(BOOK) == []
    assert journal.orders(BOOK) == []


def test_an_order_follows_the_table_and_keeps_every_step(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    walk(journal, "ta-1", S.SUBMITTING, S.UNKNOWN, S.SUBMITTING)
    moved = journal.move(
        "ta-1", S.ACCEPTED, at_ns=TICK_NS + 9, broker_order_id="b-1", filled_qty=Decimal(0), detail="new"
    ).after
    assert moved == journal.order("ta-1")
    assert (moved.state, moved.broker_order_id, moved.detail) == ("ACCEPTED", "b-1", "new")
    assert (moved.submitted_ns, moved.updated_ns) == (TICK_NS + 3, TICK_NS + 9)
    events = journal.events("ta-1")
    assert [e.to_state for e in events] == ["INTENT", "SUBMITTING", "UNKNOWN", "SUBMITTING", "ACCEPTED"]
    assert [e.sequence for e in events] == sorted({e.sequence for e in events})
    assert (events[-1].broker_order_id, events[-1].detail, events[-1].at_ns) == ("b-1", "new", TICK_NS + 9)


def test_an_edge_that_does_not_exist_changes_nothing(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    before = journal.order("ta-1")
    with pytest.raises(IllegalTransition):
        journal.move("ta-1", S.FILLED, at_ns=TICK_NS + 1, broker_order_id="b-1", filled_qty=Decimal(3))
    assert journal.order("ta-1") == before
    assert len(journal.events("ta-1")) == 1


def test_the_same_state_is_no_event_but_may_bring_the_brokers_id(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    walk(journal, "ta-1", S.SUBMITTING, S.ACCEPTED)
    before = journal.order("ta-1")
    assert journal.move("ta-1", S.ACCEPTED, at_ns=TICK_NS + 50).after == before
    named = journal.move("ta-1", S.ACCEPTED, at_ns=TICK_NS + 51, broker_order_id="b-1").after
    assert (named.broker_order_id, named.updated_ns) == ("b-1", TICK_NS + 51)
    assert len(journal.events("ta-1")) == 3


def test_each_further_partial_fill_is_an_event_and_the_filled_quantity_never_falls(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    walk(journal, "ta-1", S.SUBMITTING, S.ACCEPTED)
    for at, qty in enumerate(("1", "2", "2.0", "1"), 10):
        journal.move("ta-1", S.PARTIALLY_FILLED, at_ns=TICK_NS + at, filled_qty=Decimal(qty))
    order = journal.order("ta-1")
    assert (order.filled_qty, order.updated_ns) == (Decimal(2), TICK_NS + 11)
    assert [e.to_state for e in journal.events("ta-1")][3:] == ["PARTIALLY_FILLED"] * 2


def test_a_move_tells_what_this_call_moved_and_not_what_another_had_before_it(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    walk(journal, "ta-1", S.SUBMITTING)
    for qty in (0, 2):
        state = S.PARTIALLY_FILLED if qty else S.ACCEPTED
        before = journal.order("ta-1")
        first, second = (
            journal.move("ta-1", state, at_ns=TICK_NS + at, filled_qty=Decimal(qty)) for at in (10, 11)
        )
        after = journal.order("ta-1")
        assert first == (before, after)
        assert second == (after, after)
        assert (after.state, after.filled_qty) == (state, Decimal(qty))


def test_sending_again_after_a_rate_limit_renews_the_time_of_submitting(journal: Journal) -> None:
    samples.add_intent(journal, "ta-1")
    walk(journal, "ta-1", S.SUBMITTING)
    assert journal.move("ta-1", S.SUBMITTING, at_ns=TICK_NS + 70).after.submitted_ns == TICK_NS + 70
    assert journal.order("ta-1").submitted_ns == TICK_NS + 70


def test_an_order_without_an_intent_is_unknown(journal: Journal) -> None:
    with pytest.raises(UnknownOrder, match="ta-nowhere"):
        journal.order("ta-nowhere")
    with pytest.raises(UnknownOrder):
        journal.move("ta-nowhere", S.SUBMITTING, at_ns=1)
    assert journal.events("ta-nowhere") == []


def test_orders_are_found_by_their_names_and_strangers_are_not_there(journal: Journal) -> None:
    for name in ("ta-1", "ta-2", "ta-3"):
        samples.add_intent(journal, name)
    result = journal.named({"ta-1", "ta-3", "by-hand"})
    assert result == {name: journal.order(name) for name in ("ta-1", "ta-3")}
    assert journal.named(set()) == {}


def test_open_orders_are_those_whose_exposure_is_reserved(journal: Journal) -> None:
    paths = {
        "ta-intent": (),
        "ta-submitting": (S.SUBMITTING,),
        "ta-unknown": (S.SUBMITTING, S.UNKNOWN),
        "ta-accepted": (S.SUBMITTING, S.ACCEPTED),
        "ta-partial": (S.SUBMITTING, S.PARTIALLY_FILLED),
        "ta-cancelling": (S.SUBMITTING, S.ACCEPTED, S.PENDING_CANCEL),
        "ta-filled": (S.SUBMITTING, S.FILLED),
        "ta-rejected": (S.SUBMITTING, S.REJECTED),
        "ta-dropped": (S.DROPPED,),
        "ta-abandoned": (S.SUBMITTING, S.UNKNOWN, S.ABANDONED),
        "ta-canceled": (S.SUBMITTING, S.ACCEPTED, S.CANCELED),
        "ta-expired": (S.SUBMITTING, S.ACCEPTED, S.EXPIRED),
    }
    for name, states in paths.items():
        samples.add_intent(journal, name)
        walk(journal, name, *states)
    samples.add_intent(journal, "ta-else", book="another")
    assert [o.intent.client_order_id for o in journal.open_orders(BOOK)] == list(paths)[:6]
    assert {o.state for o in journal.open_orders(BOOK)} == OPEN_STATES


def test_orders_are_found_by_session_symbol_and_decision_oldest_first(journal: Journal) -> None:
    samples.add_intent(journal, "ta-9")
    samples.add_intent(journal, "ta-1", symbol="IBM", decision_id="d-2")
    samples.add_intent(journal, "ta-5", session="2012-05-21")
    samples.add_intent(journal, "ta-7", book="another")

    def ids_of(**wanted: str) -> list[str]:
        return [record.intent.client_order_id for record in journal.orders(BOOK, **wanted)]

    assert ids_of() == ["ta-9", "ta-1", "ta-5"]
    assert ids_of(session=SESSION) == ["ta-9", "ta-1"]
    assert ids_of(symbol="IBM") == ids_of(decision_id="d-2") == ["ta-1"]


def test_what_reached_submitting_counts_as_sent_whatever_became_of_it(journal: Journal) -> None:
    samples.add_intent(journal, "ta-rejected")
    walk(journal, "ta-rejected", S.SUBMITTING, S.REJECTED)
    samples.add_intent(journal, "ta-resent")
    walk(journal, "ta-resent", S.SUBMITTING, S.UNKNOWN, S.SUBMITTING)
    samples.add_intent(journal, "ta-exit", reducing=True)
    walk(journal, "ta-exit", S.SUBMITTING)
    samples.add_intent(journal, "ta-ibm", symbol="IBM", reducing=True)
    walk(journal, "ta-ibm", S.SUBMITTING)
    samples.add_intent(journal, "ta-flatten", symbol="IBM", reducing=True, kind="flatten")
    walk(journal, "ta-flatten", S.SUBMITTING)
    samples.add_intent(journal, "ta-dropped")
    walk(journal, "ta-dropped", S.DROPPED)
    samples.add_intent(journal, "ta-waiting")
    samples.add_intent(journal, "ta-later", session="2012-05-21")
    walk(journal, "ta-later", S.SUBMITTING)

    assert journal.sent_counts(BOOK, SESSION) == {"AAPL": SentCount(2, 1), "IBM": SentCount(0, 1, 1)}
    assert journal.sent_counts(BOOK, "2012-05-22") == {}
    assert journal.was_sent("ta-rejected")
    assert not journal.was_sent("ta-dropped")
    assert not journal.was_sent("ta-waiting")
    assert not journal.was_sent("ta-nowhere")


def test_the_reject_streak_ends_when_the_broker_takes_an_order(journal: Journal) -> None:
    def submit(name: str, *answers: State, **changes: str) -> int:
        samples.add_intent(journal, name, **changes)
        walk(journal, name, S.SUBMITTING, *answers)
        return journal.reject_streak(BOOK)

    assert journal.reject_streak(BOOK) == 0
    assert submit("ta-0", S.ACCEPTED) == 0
    assert submit("ta-1", S.REJECTED) == 1
    assert submit("ta-2", S.UNKNOWN, S.REJECTED) == 2
    assert submit("ta-3", S.UNKNOWN) == 2
    assert submit("ta-4", S.REJECTED, book="another") == 2
    journal.move("ta-0", S.PARTIALLY_FILLED, at_ns=TICK_NS + 8)  # an older order takes no new one
    journal.move("ta-0", S.CANCELED, at_ns=TICK_NS + 9)
    assert journal.reject_streak(BOOK) == 2
    assert journal.reject_streak(BOOK, since_ns=TICK_NS + 3) == 1
    assert submit("ta-5", S.UNKNOWN, S.FILLED) == 0
    assert submit("ta-6", S.REJECTED) == 1


def test_the_reject_streak_costs_no_more_as_the_book_grows(journal: Journal) -> None:
    def steps_of_the_streak() -> int:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        with journal._reading() as connection:  # the pool gives the same connection again
            driver = connection.connection.driver_connection
        driver.set_progress_handler(count, 1)
        assert journal.reject_streak(BOOK) == 1
        driver.set_progress_handler(None, 1)
        return steps

    def live(name: str, *states: State) -> None:
        samples.add_intent(journal, name)
        walk(journal, name, S.SUBMITTING, *states)

    live("ta-taken", S.ACCEPTED, S.FILLED)
    live("ta-refused", S.REJECTED)
    among_few = steps_of_the_streak()
    for number in range(100):
        live(f"ta-{number}", S.ACCEPTED, S.FILLED)
    live("ta-refused again", S.REJECTED)
    assert steps_of_the_streak() < 2 * among_few
