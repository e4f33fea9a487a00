"""Live trading leaves nothing without a person's recorded arming; paper needs none."""

from __future__ import annotations

import pytest
from ground import Ground, execute, prepare

from trading_assets.engine import signalling
from trading_assets.engine.arming import arm, disarm, is_armed
from trading_assets.engine.desk import Desk, book_of
from trading_assets.errors import InvalidInput


def as_live(desk: Desk) -> Desk:
    """The desk as if its account were a live one: the embedded venue has none."""
    desk.settings = desk.settings.model_copy(update={"mode": "live", "account_number": "PA0001"})
    desk.book = book_of(desk.settings, "PA0001")
    return desk


def test_an_order_of_a_live_book_that_is_not_armed_is_dropped_before_the_wire(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        as_live(desk)
        signalling.receive(desk, "AAPL", 0.15)
        prepare(desk, ground.session, now)
        (order,) = execute(desk, ground.session, now).orders
        assert order.state == "DROPPED"
        assert "not armed" in order.detail
        assert not desk.broker.orders_since(0)


def test_arming_is_recorded_for_one_account_and_can_be_taken_back(ground: Ground) -> None:
    with ground.desk() as desk:
        as_live(desk)
        assert not is_armed(desk)
        with pytest.raises(InvalidInput, match="needs a reason"):
            arm(desk, reason=" ", author="a person")
        arm(desk, reason="checked on paper for a month", author="a person")
        assert is_armed(desk)
        desk.settings = desk.settings.model_copy(update={"account_number": "PA0002"})
        assert not is_armed(desk)
        desk.settings = desk.settings.model_copy(update={"account_number": "PA0001"})
        disarm(desk, author="a person")
        assert not is_armed(desk)


def test_a_paper_book_needs_no_arming_and_takes_none(ground: Ground) -> None:
    with ground.desk() as desk:
        assert is_armed(desk)
        with pytest.raises(InvalidInput, match="paper book"):
            arm(desk, reason="by mistake", author="a person")
