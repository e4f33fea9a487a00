"""The state table against the definitions' own table, what is filled, and ids."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.orders import (
    OPEN_STATES,
    PREFIX,
    TERMINAL_STATES,
    TRANSITIONS,
    Evidence,
    IllegalTransition,
    Kind,
    State,
    as_filled,
    client_order_id,
    decision_id,
    is_ours,
    is_overtaken,
    next_state,
    path_on_evidence,
)

# The table of the definitions, word for word.
DEFINED = """
INTENT | SUBMITTING, DROPPED
SUBMITTING | ACCEPTED, REJECTED, UNKNOWN, PARTIALLY_FILLED, FILLED
UNKNOWN | ACCEPTED, REJECTED, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, ABANDONED, SUBMITTING
ACCEPTED | PARTIALLY_FILLED, FILLED, PENDING_CANCEL, CANCELED, EXPIRED, REJECTED
PARTIALLY_FILLED | PARTIALLY_FILLED, FILLED, PENDING_CANCEL, CANCELED, EXPIRED
PENDING_CANCEL | CANCELED, PARTIALLY_FILLED, FILLED, EXPIRED, ACCEPTED, REJECTED
CANCELED, EXPIRED, ABANDONED | PARTIALLY_FILLED, FILLED
FILLED, REJECTED, DROPPED |
"""


def defined_edges() -> set[tuple[str, str]]:
    edges = set()
    for line in DEFINED.strip().splitlines():
        before, after = line.split("|")
        edges |= {(b.strip(), a.strip()) for b in before.split(",") for a in after.split(",") if a.strip()}
    return edges


def test_the_edges_are_those_of_the_definitions() -> None:
    assert {(str(b), str(a)) for b, after in TRANSITIONS.items() for a in after} == defined_edges()
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("current", State)
@pytest.mark.parametrize("new", State)
def test_only_an_edge_or_the_same_state_is_followed(current: State, new: State) -> None:
    if current == new or (current, new) in defined_edges():
        assert next_state(current, new) is new
    else:
        with pytest.raises(IllegalTransition, match=f"{current} cannot become {new}"):
            next_state(current, new)


def test_every_state_is_open_or_terminal_and_only_late_fills_revive() -> None:
    assert set(State) == OPEN_STATES | TERMINAL_STATES
    assert not OPEN_STATES & TERMINAL_STATES
    assert {State.INTENT, State.SUBMITTING, State.UNKNOWN} < OPEN_STATES
    for state in TERMINAL_STATES:
        assert TRANSITIONS[state] <= {State.PARTIALLY_FILLED, State.FILLED}


@pytest.mark.parametrize("current", State)
@pytest.mark.parametrize("new", State)
def test_a_word_of_the_broker_is_taken_along_the_table_and_a_terminal_one_ends_whatever_is_open(
    current: State, new: State
) -> None:
    steps, in_table = path_on_evidence(current, new)
    stations = [current, *steps]
    if in_table:
        assert stations[-1] is new
        assert all(pair in defined_edges() for pair in pairwise(stations))
        return
    assert (current, new) not in defined_edges()
    assert stations[-1] is (new if current in OPEN_STATES and new in TERMINAL_STATES else current)


@pytest.mark.parametrize("current", [State.SUBMITTING, State.UNKNOWN])
def test_what_is_over_while_its_submission_has_no_answer_had_been_accepted(current: State) -> None:
    for end in (State.CANCELED, State.EXPIRED):
        steps, in_table = path_on_evidence(current, end)
        assert in_table
        assert steps[-1] is end
    assert path_on_evidence(State.SUBMITTING, State.CANCELED).steps == (State.ACCEPTED, State.CANCELED)


evidence = st.builds(
    Evidence,
    stamp_ns=st.integers(0, 3),
    state=st.sampled_from(State),
    filled_qty=st.integers(0, 3).map(Decimal),
)


@given(evidence, evidence)
def test_of_two_answers_at_most_one_is_overtaken_and_more_filled_never_is(
    one: Evidence, other: Evidence
) -> None:
    assert not (is_overtaken(one, other) and is_overtaken(other, one))
    if one.filled_qty > other.filled_qty or one.stamp_ns > other.stamp_ns:
        assert not is_overtaken(one, other)


@given(evidence, evidence)
def test_the_end_of_an_open_order_is_news_whatever_its_stamp(word: Evidence, known: Evidence) -> None:
    """A broker that states no time of the last change falls back to that of the submission."""
    if word.state in TERMINAL_STATES and known.state in OPEN_STATES and word.filled_qty == known.filled_qty:
        assert not is_overtaken(word, known)


@pytest.mark.parametrize("end", sorted(TERMINAL_STATES))
@pytest.mark.parametrize("working", sorted(OPEN_STATES))
@pytest.mark.parametrize(("age", "overtaken"), [(-1, True), (0, True), (1, False)])
def test_a_working_order_is_old_news_of_one_that_has_ended_unless_its_stamp_is_newer(
    end: State, working: State, age: int, overtaken: bool
) -> None:
    known = Evidence(10, end, Decimal(2))
    assert is_overtaken(Evidence(10 + age, working, Decimal(2)), known) == overtaken


@pytest.mark.parametrize(("age", "overtaken"), [(-1, True), (0, False), (1, False)])
def test_of_two_words_on_a_working_order_the_stamp_decides_and_equal_ones_count(
    age: int, overtaken: bool
) -> None:
    known = Evidence(10, State.PENDING_CANCEL, Decimal(0))
    assert is_overtaken(Evidence(10 + age, State.ACCEPTED, Decimal(0)), known) == overtaken


def test_a_bust_that_lowers_the_filled_quantity_does_not_hide_the_end() -> None:
    known = Evidence(10, State.PARTIALLY_FILLED, Decimal(3))
    assert is_overtaken(Evidence(10, State.CANCELED, Decimal(1)), known)
    assert not is_overtaken(Evidence(11, State.CANCELED, Decimal(1)), known)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(("filled", "qty"), [(0, 10), (3, 10), (10, 10), (11, 10), (3, 0), (0, 0)])
def test_only_a_working_order_is_what_it_has_filled(state: State, filled: int, qty: int) -> None:
    working = state in (State.ACCEPTED, State.PARTIALLY_FILLED)
    whole = State.FILLED if 0 < qty <= filled else State.PARTIALLY_FILLED
    expected = whole if working and filled else state
    for number in (float, Decimal):
        assert as_filled(state, number(filled), number(qty)) is expected


def test_ids_are_the_same_for_good() -> None:
    """A change here would let an order be sent a second time after an upgrade."""
    decision = decision_id("embedded:PA0001:paper", Kind.MODEL, "AAPL", 1_337_351_700_000_000_000)
    assert decision == "37cbe55d137828f773389b906f1f693c"
    assert client_order_id(decision, 1, 0, 1) == "ta-b2c1195905e78fd8d94399e2395f44f18e6c292e"


def test_a_kind_or_side_that_does_not_exist_has_no_id() -> None:
    with pytest.raises(ValueError, match="hunch"):
        decision_id("b", "hunch", "AAPL", 1)
    with pytest.raises(ValueError, match="0"):
        client_order_id("d", 0, 0, 0)


keys = st.one_of(st.integers(min_value=0), st.text())
Decision = tuple[str, Kind, str, int | str]  # book, kind, symbol, key
decisions = st.tuples(st.text(), st.sampled_from(Kind), st.text(), keys)


@given(decisions, decisions)
def test_different_decisions_have_different_ids(one: Decision, other: Decision) -> None:
    assert (decision_id(*one) == decision_id(*other)) == (one == other)


Attempt = tuple[str, int, int, int]  # decision id, side, slice, attempt
attempts = st.tuples(st.text(), st.sampled_from((-1, 1)), st.integers(0, 99), st.integers(0, 99))


@given(attempts, attempts)
def test_each_side_slice_and_attempt_has_an_id_of_its_own(one: Attempt, other: Attempt) -> None:
    assert (client_order_id(*one) == client_order_id(*other)) == (one == other)


@given(attempts)
def test_an_id_of_ours_is_short_plain_and_known_as_ours(attempt: Attempt) -> None:
    order = client_order_id(*attempt)
    assert order.startswith(PREFIX)
    assert is_ours(order)
    assert len(order) <= 48
    assert order.isascii()
    assert not is_ours(order.removeprefix(PREFIX))
