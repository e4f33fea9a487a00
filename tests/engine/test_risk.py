"""Equity and its peaks: a transfer is no profit and no loss; figures that cannot be right stop entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from ground import Ground, buy
from planted import Altered

from trading_assets.engine.desk import Desk
from trading_assets.engine.halts import Cause
from trading_assets.engine.protect import new_execution_id, protect_alone
from trading_assets.engine.risk import CLOSE_EQUITY_MARK, ClockReading, broker_clock, transient_causes
from trading_assets.market.clock import system_now_ns
from trading_assets.store.records import EquityRecord

SECOND_NS = 10**9


def observed(desk: Desk) -> EquityRecord:
    """The figures of a protect now."""
    protect_alone(desk, new_execution_id())
    record = desk.journal.latest_equity(desk.book)
    assert record is not None
    return record


def after_close(ground: Ground, minutes: int) -> None:
    ground.keeper.move_to(ground.sessions.close_ns(ground.session) + minutes * 60 * SECOND_NS)


def test_a_transfer_within_the_session_is_no_profit_and_no_loss(ground: Ground) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        before = observed(desk)
        ground.keeper.transfer(Decimal(20_000))
        deposited = observed(desk)
        assert deposited.equity == before.equity + 20_000
        assert deposited.session_peak == before.session_peak + 20_000
        assert deposited.unit_value == before.unit_value
        ground.go_to_tick(1)
        ground.keeper.transfer(Decimal(-50_000))
        withdrawn = observed(desk)
        assert withdrawn.transfers_today == -30_000
        assert withdrawn.unit_value == before.unit_value
        assert desk.halts().causes == ()


def test_a_transfer_in_the_evening_is_no_loss_of_the_next_session(ground: Ground) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        buy(ground, desk)
    after_close(ground, 10)
    with ground.desk() as desk:
        evening = observed(desk)
        ground.keeper.transfer(Decimal(-30_000))
    after_close(ground, 20)
    with ground.desk() as desk:
        assert observed(desk).unit_value == evening.unit_value
        ground.keeper.transfer(Decimal(-1_000))  # and none is looked at between this one and the morning
    ground.keeper.move_to(ground.sessions.open_ns(ground.sessions.next(ground.session)) - 600 * SECOND_NS)
    with ground.desk() as desk:
        report = protect_alone(desk, new_execution_id())
        morning = desk.journal.latest_equity(desk.book)
        assert morning is not None
        assert morning.transfers_today == -31_000
        assert float(morning.e0) == pytest.approx(float(evening.equity), abs=0.01)
        assert morning.unit_value == pytest.approx(evening.unit_value, rel=1e-6)
        assert report.transient == ()
        assert desk.halts().causes == ()
        ground.keeper.transfer(Decimal(7_000))
        assert protect_alone(desk, new_execution_id()).transient == ()


def test_the_session_peak_begins_with_the_higher_of_e0_and_the_first_equity(
    start_ground: Callable[..., Ground],
) -> None:
    ground = start_ground()
    ground.go_to_tick(0)
    with ground.desk() as desk:
        buy(ground, desk)
        ground.move_quote(desk, "AAPL", "1.03")
        high = observed(desk)
        assert high.session_peak == high.equity > high.e0
        ground.move_quote(desk, "AAPL", "0.98")
        assert observed(desk).session_peak == high.session_peak
        ground.move_quote(desk, "AAPL", "0.99")
    ground.keeper.tape_quote("AAPL")
    ground.go_to_session(ground.sessions.next(ground.session))
    with ground.desk() as desk:
        first = observed(desk)
        assert first.session_peak == max(first.e0, first.equity)


def test_an_e0_that_does_not_fit_the_stored_close_stops_entries_until_it_fits(ground: Ground) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        observed(desk)
    after_close(ground, 10)
    with ground.desk() as desk:
        observed(desk)
        name = f"{CLOSE_EQUITY_MARK}:{ground.session.isoformat()}"
        assert desk.journal.mark(desk.book, name) == "100000"
    ground.go_to_session(ground.sessions.next(ground.session))
    with ground.desk() as desk:
        for stored, expected in (("100099", ()), ("100101", (Cause.EQUITY_MISMATCH,)), ("100000", ())):
            desk.journal.set_mark(desk.book, name, stored, desk.now_ns())
            assert protect_alone(desk, new_execution_id()).transient == expected
        assert desk.halts().causes == ()  # it lasts as long as its reason


def test_an_e0_that_does_not_fit_alerts_once_a_session(ground: Ground) -> None:
    for _ in range(2):
        ground.go_to_session(ground.sessions.next(ground.session))
        with ground.desk() as desk:
            name = f"{CLOSE_EQUITY_MARK}:{ground.sessions.previous(ground.session).isoformat()}"
            desk.journal.set_mark(desk.book, name, "100101", desk.now_ns())
            for _ in range(2):
                assert protect_alone(desk, new_execution_id()).transient == (Cause.EQUITY_MISMATCH,)
                ground.keeper.move_to(desk.now_ns() + 60 * SECOND_NS)
            alerts = [(alert.key, alert.title) for alert in desk.journal.pending_alerts()]
            assert alerts[-1] == (
                f"{desk.book}:equity_mismatch:{ground.session.isoformat()}",
                "No entries: EQUITY_MISMATCH",
            )
    assert len(alerts) == 2


@pytest.mark.parametrize(
    ("e0", "agrees"),
    [
        (99_899, False),
        (99_900, True),
        (100_100, True),
        (100_101, False),
        (102_500, False),
        (104_894, False),
        (104_895, True),
        (105_105, True),
        (105_106, False),
    ],
)
def test_an_e0_fits_the_stored_close_with_all_that_was_transferred_since_or_with_nothing_of_it(
    ground: Ground, e0: int, agrees: bool
) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        previous = ground.sessions.previous(ground.session).isoformat()
        desk.journal.set_mark(desk.book, f"{CLOSE_EQUITY_MARK}:{previous}", "100000", desk.now_ns())
        observed(desk)
        ground.keeper.transfer(Decimal(5_000))
        assert observed(desk).transfers_today == 5_000
        account = replace(desk.broker.account(), last_equity=Decimal(e0))
        found = transient_causes(desk, account, broker_clock(desk))
        assert found == (() if agrees else (Cause.EQUITY_MISMATCH,))


def test_the_close_is_kept_as_it_was_first_seen_after_the_bell(ground: Ground) -> None:
    ground.go_to_tick(0)
    name = f"{CLOSE_EQUITY_MARK}:{ground.session.isoformat()}"
    with ground.desk() as desk:
        observed(desk)
        assert desk.journal.mark(desk.book, name) is None
    after_close(ground, 1)
    ground.keeper.transfer(Decimal(5_000))
    for minutes in (2, 60):
        after_close(ground, minutes)
        with ground.desk() as desk:
            observed(desk)
            assert Decimal(str(desk.journal.mark(desk.book, name))) == 100_000
        ground.keeper.transfer(Decimal(1_000))


@pytest.mark.parametrize(
    ("skew_s", "stands", "expected"),
    [(0, False, ()), (3, False, (Cause.CLOCK_SKEW,)), (-3, False, (Cause.CLOCK_SKEW,)), (3, True, ())],
)
def test_a_venue_clock_apart_from_the_machines_stops_entries_unless_it_is_virtual(
    ground: Ground, skew_s: int, stands: bool, expected: tuple[Cause, ...]
) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        account, clock = desk.broker.account(), desk.broker.clock()
        now = system_now_ns() + skew_s * SECOND_NS
        desk.clock.stands = stands
        skewed = replace(clock, now_ns=now, is_open=desk.sessions.is_open(now))
        desk.broker = Altered(desk.broker, clock=lambda: skewed)
        found = transient_causes(desk, account, broker_clock(desk))
        assert tuple(cause for cause in found if cause is Cause.CLOCK_SKEW) == expected


def test_a_broker_whose_hours_are_not_the_calendars_stops_entries(ground: Ground) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        account, clock = desk.broker.account(), desk.broker.clock()
        assert transient_causes(desk, account, ClockReading(clock, 0)) == ()
        early = replace(clock, next_close_ns=clock.next_close_ns - 3 * 3600 * SECOND_NS)
        for wrong in (replace(clock, is_open=False), early):
            assert transient_causes(desk, account, ClockReading(wrong, 0)) == (Cause.CALENDARS_DISAGREE,)
            desk.broker = Altered(desk.broker, clock=lambda wrong=wrong: wrong)
            assert protect_alone(desk, new_execution_id()).transient == (Cause.CALENDARS_DISAGREE,)
