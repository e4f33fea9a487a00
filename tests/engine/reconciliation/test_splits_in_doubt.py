"""Splits of which price, position and announcement do not say the same: what nothing tells surely latches no
loss and lets no entry pass, and what the right equity says counts all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from split_broker import MINUTE_NS, SplitBroker, look
from support.planted import Altered, with_less, with_limits
from support.trading_floor import TradingFloor

from trading_assets.broker.port import (
    CorporateActionState,
    QuoteState,
    Rows,
    Unreachable,
    Unreadable,
)
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone

pytestmark = pytest.mark.parametrize("held", ["runs"], indirect=True)
DRAWDOWNS = {Cause.SESSION_DRAWDOWN}


def looks(floor: TradingFloor, desk: Desk, count: int = 3) -> set[Cause]:
    """What forbids entries after so many looks."""
    for _ in range(count):
        report = look(floor, desk)
    return set(report.transient)


def latched(desk: Desk) -> set[Cause]:
    return set(desk.halts().causes)


@pytest.mark.parametrize("ratio", [Decimal(2), Decimal("0.25")])
def test_a_rise_and_a_fall_while_a_split_is_not_booked_are_a_drawdown(
    floor: TradingFloor, held: Desk, ratio: Decimal
) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, ratio)
    looks(floor, held)
    broker.factor = Decimal("1.3")
    looks(floor, held)
    assert not latched(held)
    risen = held.journal.latest_equity(held.book)
    assert risen is not None
    broker.factor = Decimal("1.02")
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    assert latched(held) == DRAWDOWNS
    broker.book()
    assert looks(floor, held) == set()
    assert latched(held) == DRAWDOWNS
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.session_peak == risen.session_peak > risen.e0


def test_a_fall_that_is_only_seen_once_the_split_is_booked_is_measured_from_the_peak_before(
    floor: TradingFloor, held: Desk
) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(4))
    looks(floor, held)
    broker.factor = Decimal("1.3")
    looks(floor, held)
    broker.factor = Decimal("1.02")
    broker.book()
    looks(floor, held)
    assert latched(held) == DRAWDOWNS


def absent_over_the_close(floor: TradingFloor, desk: Desk, broker: SplitBroker, *, booked: bool) -> None:
    """Nobody looks until ten minutes into the next session, whose E0 the broker struck in the shares that it
    showed at the close."""
    close_ns = floor.sessions.close_ns(floor.session)
    floor.keeper.move_to(close_ns)
    closed = desk.broker.account().equity
    floor.go_to_session(floor.sessions.next(floor.session))
    account = desk.broker.account
    quotes = desk.broker.quotes

    def split_quotes(symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        result = dict(quotes(symbols))
        if "AAPL" in result and result["AAPL"].previous_close is not None:
            result["AAPL"] = replace(
                result["AAPL"], previous_close=result["AAPL"].previous_close / broker.ratio
            )
        return result

    desk.broker = Altered(
        desk.broker, account=lambda: replace(account(), last_equity=closed), quotes=split_quotes
    )
    if booked:
        broker.book()


@pytest.mark.parametrize(
    ("ratio", "seen_before", "booked"),
    [
        (Decimal(2), True, True),
        (Decimal("0.25"), True, False),
        (Decimal("0.25"), False, True),
        (Decimal(2), False, False),
    ],
)
def test_a_close_that_a_split_misstates_is_put_right_though_nobody_looked(
    floor: TradingFloor, held: Desk, ratio: Decimal, seen_before: bool, booked: bool
) -> None:
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    assert before is not None
    broker = SplitBroker(held, floor.session, ratio)
    if seen_before:
        looks(floor, held)
    absent_over_the_close(floor, held, broker, booked=booked)
    waiting = looks(floor, held)
    assert waiting == (set() if booked else {Cause.EQUITY_UNCONFIRMED})
    assert not latched(held)
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.session == floor.session.isoformat()
    assert float(after.e0) == pytest.approx(float(before.equity), rel=0.002)


def test_a_close_that_nothing_explains_holds_entries_and_latches_no_loss_until_a_person_takes_it(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal("0.25"))
    looks(floor, held)
    absent_over_the_close(floor, held, broker, booked=True)
    account = held.broker.account
    held.broker = Altered(
        held.broker, account=lambda: replace(account(), last_equity=account().last_equity - 1000)
    )
    assert looks(floor, held) == {Cause.EQUITY_UNCONFIRMED}
    assert not latched(held)
    operator.rearm(held, reason="the close is as stated", author="tester")
    looks(floor, held)
    assert Cause.DAILY_LOSS in latched(held)


@pytest.mark.parametrize(
    ("kind", "ratio"), [("NC", Decimal(4)), ("MA", Decimal("0.25")), ("SPLIT", Decimal("0.25"))]
)
@pytest.mark.parametrize("new_first", [False, True])
def test_a_split_whose_two_lines_are_looks_apart_latches_no_loss_and_lifts_no_peak(
    floor: TradingFloor, held: Desk, kind: str, new_first: bool, ratio: Decimal
) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    assert before is not None
    broker = SplitBroker(held, floor.session, ratio)
    looks(floor, held)
    old, new = broker.held, broker.held * ratio
    steps = [(ratio + 1, new), (ratio, -old)] if new_first else [(Decimal(0), -old), (ratio, new)]
    for shares, came in steps:
        assert Cause.EQUITY_UNCONFIRMED in looks(floor, held, 1)
        broker.shares = shares
        assert Cause.EQUITY_UNCONFIRMED in looks(floor, held) or shares == ratio
        broker.list_line(came, kind)
        waiting = looks(floor, held)
        assert not latched(held)
    assert waiting == set()
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.unit_peak == pytest.approx(before.unit_peak, rel=0.01)


@pytest.mark.parametrize(("announced", "true"), [(2, 4), (4, 2), (Decimal("0.5"), Decimal("0.1"))])
def test_a_split_that_was_announced_in_another_ratio_latches_nothing_until_it_is_booked(
    floor: TradingFloor, held: Desk, announced: Decimal, true: Decimal
) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    assert before is not None
    broker = SplitBroker(held, floor.session, Decimal(true), announced=Decimal(announced))
    for _ in range(13):
        assert Cause.EQUITY_UNCONFIRMED in look(floor, held).transient
    broker.in_position = True  # the position shows it before the line is listed
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    assert not latched(held)
    broker.book()
    assert looks(floor, held) == set()
    assert not latched(held)
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.unit_peak == pytest.approx(before.unit_peak, rel=0.01)


def test_a_true_fall_by_half_on_the_ex_date_latches_once_the_split_is_booked(
    floor: TradingFloor, held: Desk
) -> None:
    """Until then it looks like a split of 4 to 1."""
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(2), factor=Decimal("0.5"))
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    assert not latched(held)
    broker.book()
    looks(floor, held)
    assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= latched(held)


def test_a_fall_by_half_after_the_ratio_was_seen_latches_at_once(floor: TradingFloor, held: Desk) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(2))
    looks(floor, held, 1)
    broker.factor = Decimal("0.5")
    looks(floor, held)
    assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= latched(held)


def test_a_loss_elsewhere_latches_while_a_ratio_is_in_doubt(floor: TradingFloor, held: Desk) -> None:
    """More than the position can hide."""
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    SplitBroker(held, floor.session, Decimal(4), announced=Decimal(2))
    looks(floor, held)
    with_less(held, 15_000)
    looks(floor, held, 13)
    assert {Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN} <= latched(held)


def test_a_loss_elsewhere_latches_while_the_position_of_a_split_cannot_be_read(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    SplitBroker(held, floor.session, Decimal(2))
    looks(floor, held)
    others = [one for one in held.broker.positions() if one.symbol != "AAPL"]
    with_less(held, 15_000, positions=lambda: Rows.of(others, [Unreadable("AAPL", "planted")]))
    looks(floor, held)
    assert {Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN} <= latched(held)


@pytest.mark.parametrize("ratio", [Decimal(2), Decimal("0.25")])
def test_announcements_that_no_look_of_an_ex_date_could_read_latch_nothing(
    floor: TradingFloor, held: Desk, ratio: Decimal
) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    assert before is not None
    broker = SplitBroker(held, floor.session, ratio)
    whole = held.broker

    def unreachable(*_: object) -> Rows[CorporateActionState]:
        raise Unreachable("no answer")

    held.broker = Altered(whole, corporate_actions=unreachable)
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    assert not latched(held)
    held.broker = whole
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    broker.book()
    assert looks(floor, held) == set()
    assert not latched(held)
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.unit_peak == pytest.approx(before.unit_peak, rel=0.01)


@pytest.mark.parametrize("first", [Decimal(1), Decimal("0.52")])
def test_what_a_trade_of_an_ex_date_has_told_a_later_move_does_not_change(
    floor: TradingFloor, held: Desk, first: Decimal
) -> None:
    """A 2 for 1 that is true, or is only announced; then the price goes to where the other one would be."""
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    true = first != 1
    broker = SplitBroker(held, floor.session, Decimal(2), in_price=true, in_position=False)
    looks(floor, held)
    assert not latched(held)
    broker.factor = Decimal("1.9") if true else Decimal("0.5")
    waiting = looks(floor, held)
    assert (Cause.EQUITY_UNCONFIRMED in waiting) is true
    assert (Cause.DAILY_LOSS in latched(held)) is not true


def test_a_split_of_the_day_that_a_desk_was_away_is_seen_in_the_evening(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    SplitBroker(held, floor.session, Decimal(4))
    floor.keeper.move_to(floor.sessions.close_ns(floor.session) + MINUTE_NS)
    assert Cause.EQUITY_UNCONFIRMED in looks(floor, held)
    assert not latched(held)
