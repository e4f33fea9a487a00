"""Alpaca's words for where an order stands, and what the desk takes them for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from alpaca.trading.enums import OrderStatus
from alpaca_payloads import ORDER

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.alpaca.order_words import STATE_OF_STATUS, state_of_status
from trading_assets.core.orders import State

ACCEPTED_CLASS = [
    "new",
    "accepted",
    "pending_new",
    "accepted_for_bidding",
    "held",
    "pending_replace",
    "calculated",
    "stopped",
    "suspended",
]


@pytest.mark.parametrize("status", ACCEPTED_CLASS)
def test_a_working_status_is_accepted_until_something_fills(status: str) -> None:
    assert state_of_status(status, Decimal(0), Decimal(10)) == (State.ACCEPTED, False)
    assert state_of_status(status, Decimal(3), Decimal(10)) == (State.PARTIALLY_FILLED, False)
    assert state_of_status(status, Decimal(10), Decimal(10)) == (State.FILLED, False)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("partially_filled", State.PARTIALLY_FILLED),
        ("pending_cancel", State.PENDING_CANCEL),
        ("filled", State.FILLED),
        ("canceled", State.CANCELED),
        ("done_for_day", State.EXPIRED),
        ("expired", State.EXPIRED),
        ("rejected", State.REJECTED),
    ],
)
def test_the_other_statuses_say_it_themselves(status: str, state: State) -> None:
    assert state_of_status(status, 3.0, 10.0) == (state, False)


@pytest.mark.parametrize("status", ["replaced", "a_status_of_next_year", "", "NEW"])
def test_what_is_not_known_counts_as_working_and_needs_attention(status: str) -> None:
    assert state_of_status(status, 0, 10) == (State.ACCEPTED, True)
    assert state_of_status(status, 1, 10) == (State.PARTIALLY_FILLED, True)
    assert state_of_status(status, 0, 0) == (State.ACCEPTED, True)


def test_of_two_words_of_the_client_that_the_table_does_not_have_a_person_is_told() -> None:
    """`replaced` begins a chain, which is followed. An order in review works for all that the desk knows."""
    left = {one.value for one in OrderStatus} - STATE_OF_STATUS.keys()
    assert left == {"replaced", "pending_review"}
    assert {state_of_status(word, 0, 10) for word in left} == {(State.ACCEPTED, True)}


@pytest.mark.parametrize("status", [*STATE_OF_STATUS, "replaced", "a_status_of_next_year"])
@pytest.mark.parametrize(("filled", "qty"), [("0", "10"), ("3", "10"), ("10", "10"), ("3", None)])
def test_an_order_is_read_with_its_state_and_keeps_the_word_for_a_person(
    status: str, filled: str, qty: str | None
) -> None:
    order = parsing.order({**ORDER, "status": status, "filled_qty": filled, "qty": qty})
    expected = state_of_status(status, Decimal(filled), Decimal(qty or filled))
    assert (order.state, order.needs_attention) == expected
    assert order.status_word == status
