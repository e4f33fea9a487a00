"""Equity and its peaks: a transfer is no profit and no loss; figures that cannot be right stop entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_ticks import buy, buy_dear
from support.planted import Altered, with_limits
from support.trading_floor import TradingFloor

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.port import AccountActivity, AccountState, PositionState, Unreachable
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.equity import CLOSE_EQUITY_MARK
from trading_assets.engine.reconciliation.transient_causes import (
    ClockReading,
    broker_clock,
    transient_causes,
)
from trading_assets.market.clock import system_now_ns
from trading_assets.store.records import EquityRecord

SECOND_NS = 10**9


def observed(desk: Desk) -> EquityRecord:
    """The figures of a protect now."""
    protect_alone(desk, new_execution_id())
    record = desk.journal.latest_equity(desk.book)
    assert record is not None
    return record


def after_close(floor: TradingFloor, minutes: int) -> None:
    floor.keeper.move_to(floor.sessions.close_ns(floor.session) + minutes * 60 * SECOND_NS)


def desk_whose_time(floor: TradingFloor, passes: str) -> Desk:
    """A desk that takes the venue's time to stand between readings, or to run on."""
    return floor.desk(embedded=floor.settings.embedded.model_copy(update={"time": passes}))


def later(floor: TradingFloor, desk: Desk, seconds: float) -> None:
    floor.keeper.move_to(desk.broker.clock().now_ns + int(seconds * SECOND_NS))


def reads(desk: Desk, factor: str) -> None:
    """The broker states this part of the account's equity."""
    real = desk.broker

    def account() -> AccountState:
        stated = real.account()
        return replace(stated, equity=stated.equity * Decimal(factor))

    desk.broker = Altered(real, account=account)


def books(desk: Desk, usd: Decimal, type_: str, name: str, *, listed: bool = True) -> None:
    """The broker books cash, in its account, and where it is listed in its activities."""
    real, at_ns = desk.broker, desk.now_ns()
    row = {"id": name, "activity_type": type_, "net_amount": str(usd), "date": desk.session_text()}
    line = parsing.activity({**row, "created_at": parsing.stamp(at_ns)})

    def account() -> AccountState:
        stated = real.account()
        return replace(stated, equity=stated.equity + usd, cash=stated.cash + usd)

    desk.broker = Altered(
        real, account=account, activities=lambda since: [*real.activities(since), *([line] if listed else [])]
    )


def loses(desk: Desk, factor: str) -> None:
    """The account falls to this part of what it is, by a fee that is listed."""
    equity = desk.broker.account().equity
    books(desk, (equity * (Decimal(factor) - 1)).quantize(Decimal("0.01")), "FEE", f"fee-{factor}-{equity}")


@pytest.mark.parametrize("factor", ["0.989", "0.97", "0.5", "0", "1.011", "2"])
def test_one_bad_reading_of_the_equity_latches_nothing_and_holds_entries_until_the_next(
    floor: TradingFloor, factor: str
) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, "runs") as desk:
        before = observed(desk)
        real = desk.broker
        later(floor, desk, 60)
        reads(desk, factor)
        report = protect_alone(desk, new_execution_id())
        assert report.transient == (Cause.EQUITY_UNCONFIRMED,)
        assert desk.journal.latest_equity(desk.book) == before
        desk.broker = real
        later(floor, desk, 60)
        assert protect_alone(desk, new_execution_id()).transient == ()
        after = desk.journal.latest_equity(desk.book)
        assert after is not None
        assert after.session_peak == before.session_peak
        assert (after.unit_value, after.unit_peak) == (before.unit_value, before.unit_peak)
        assert desk.halts().causes == ()


@pytest.mark.parametrize(
    ("factor", "causes"),
    [
        ("0.989", (Cause.SESSION_DRAWDOWN,)),
        ("0.979", (Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN)),
        ("0.899", (Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN, Cause.SESSION_DRAWDOWN)),
    ],
)
def test_a_loss_that_a_second_reading_confirms_five_seconds_later_is_latched(
    floor: TradingFloor, factor: str, causes: tuple[Cause, ...]
) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, "runs") as desk:
        observed(desk)
        loses(desk, factor)
        for seconds in (60, 0.5):  # a look right after the first is no second reading
            later(floor, desk, seconds)
            assert Cause.EQUITY_UNCONFIRMED in protect_alone(desk, new_execution_id()).transient
            assert desk.halts().causes == ()
        later(floor, desk, 30)
        assert protect_alone(desk, new_execution_id()).transient == ()
        assert desk.halts().causes == causes


def test_what_only_the_second_reading_says_waits_for_a_third(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, "runs") as desk:
        observed(desk)
        for factor, causes in (
            ("0.989", ()),
            ("0.989", (Cause.SESSION_DRAWDOWN,)),
            ("0.999", (Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN)),
        ):
            loses(desk, factor)
            later(floor, desk, 60)
            protect_alone(desk, new_execution_id())
            assert desk.halts().causes == causes


def test_where_the_venues_time_stands_the_second_reading_follows_at_once(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        before = observed(desk)
        real, stated = desk.broker, [Decimal("0.5"), Decimal(1)]
        good = real.account()
        answers = [replace(good, equity=good.equity * factor) for factor in stated]
        desk.broker = Altered(real, account=lambda: answers.pop(0) if answers else good)
        assert protect_alone(desk, new_execution_id()).transient == ()
        assert desk.journal.latest_equity(desk.book) == before
        desk.broker = real
        loses(desk, "0.5")
        assert protect_alone(desk, new_execution_id()).transient == ()
        assert Cause.DAILY_LOSS in desk.halts().causes


@pytest.mark.parametrize(
    ("time", "amount"),
    [("runs", "-30000"), ("runs", "-300"), ("runs", "1500"), ("stands", "-1500"), ("stands", "30000")],
)
def test_a_transfer_that_is_listed_minutes_late_is_no_loss_and_no_profit(
    floor: TradingFloor, time: str, amount: str
) -> None:
    """Until it is listed entries wait and a person is told; a session's drawdown begins at 1 %."""
    floor.go_to_tick(0)
    with desk_whose_time(floor, time) as desk:
        before, real = observed(desk), desk.broker
        books(desk, Decimal(amount), "JNLC", "late", listed=False)
        for _ in range(4):
            later(floor, desk, 120)
            assert Cause.EQUITY_UNCONFIRMED in protect_alone(desk, new_execution_id()).transient
            assert desk.journal.latest_equity(desk.book) == before
        titles = [alert.title for alert in desk.journal.pending_alerts()]
        title = f"The account's equity moved by {float(amount):+.2f} USD that nothing explains"
        assert titles.count(title) == 1
        desk.broker = real
        books(desk, Decimal(amount), "JNLC", "late")
        later(floor, desk, 120)
        after = observed(desk)
        assert Cause.EQUITY_UNCONFIRMED not in protect_alone(desk, new_execution_id()).transient
        assert after.equity == before.equity + Decimal(amount)
        assert (after.unit_value, after.unit_peak) == (before.unit_value, before.unit_peak)
        lost = {Cause.SESSION_DRAWDOWN, Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN}
        assert lost.isdisjoint(desk.halts().causes)


@pytest.mark.parametrize("time", ["runs", "stands"])
def test_a_loss_that_nothing_explains_latches_after_ten_minutes(floor: TradingFloor, time: str) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, time) as desk:
        observed(desk)
        reads(desk, "0.97")
        later(floor, desk, 60)
        for seconds in (0, 300, 293):
            later(floor, desk, seconds)
            protect_alone(desk, new_execution_id())
            assert Cause.DAILY_LOSS not in desk.halts().causes
        later(floor, desk, 10)
        assert Cause.EQUITY_UNCONFIRMED not in protect_alone(desk, new_execution_id()).transient
        assert Cause.DAILY_LOSS in desk.halts().causes
        later(floor, desk, 60)  # what was accepted is known from then on
        assert Cause.EQUITY_UNCONFIRMED not in protect_alone(desk, new_execution_id()).transient


def test_a_loss_beside_a_transfer_that_is_not_listed_latches_as_ever(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, "runs") as desk:
        observed(desk)
        books(desk, Decimal(-20_000), "JNLC", "late", listed=False)
        loses(desk, "0.97")
        for _ in range(2):
            later(floor, desk, 60)
            report = protect_alone(desk, new_execution_id())
        assert Cause.EQUITY_UNCONFIRMED in report.transient
        assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= set(desk.halts().causes)
        assert Cause.MAX_DRAWDOWN not in desk.halts().causes


def test_the_fall_of_a_position_explains_a_loss(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    with desk_whose_time(floor, "runs") as desk:
        observed(desk)
        assert desk.broker.account().equity > 99_000
        with_limits(desk, stop_loss=0.9, session_drawdown=0.001, max_daily_loss=0.002, max_drawdown=0.01)
        floor.move_quote(desk, "AAPL", "0.94")  # of a twentieth of the equity
        for _ in range(2):
            later(floor, desk, 60)
            protect_alone(desk, new_execution_id())
        assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= set(desk.halts().causes)


@pytest.mark.parametrize("time", ["stands", "runs"])
@pytest.mark.parametrize("amount", [50_000, -50_000])
def test_a_transfer_between_two_reads_of_one_reconciliation_latches_nothing(
    floor: TradingFloor, time: str, amount: int
) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, time) as desk:
        before = observed(desk)
        real, transfers = desk.broker, [Decimal(amount)]

        def activities(since_ns: int) -> Sequence[AccountActivity]:
            while transfers:  # after the account was read
                floor.keeper.transfer(transfers.pop())
            return real.activities(since_ns)

        desk.broker = Altered(real, activities=activities)
        for seconds in (60, 60):
            later(floor, desk, seconds)
            report = protect_alone(desk, new_execution_id())
        assert report.transient == ()
        assert desk.halts().causes == ()
        after = desk.journal.latest_equity(desk.book)
        assert after is not None
        assert after.equity == before.equity + amount
        assert (after.unit_value, after.unit_peak) == (before.unit_value, before.unit_peak)


@pytest.mark.parametrize("time", ["runs", "stands"])
def test_a_withdrawal_is_no_loss_while_the_activities_cannot_be_read(floor: TradingFloor, time: str) -> None:
    floor.go_to_tick(0)
    with desk_whose_time(floor, time) as desk:
        before = observed(desk)
        real = desk.broker
        later(floor, desk, 60)  # well after the opening, whose time runs
        floor.keeper.transfer(Decimal(-20_000))

        def nothing(since_ns: int) -> Sequence[AccountActivity]:
            raise Unreachable("no activities")

        desk.broker = Altered(real, activities=nothing)
        for _ in range(3):
            later(floor, desk, 60)
            report = protect_alone(desk, new_execution_id())
            assert Cause.BROKER_UNREACHABLE in report.transient
            assert desk.halts().causes == ()
        desk.broker = real
        for _ in range(2):
            later(floor, desk, 60)
            after = observed(desk)
        assert (desk.halts().causes, after.transfers_today) == ((), Decimal(-20_000))
        assert after.unit_value == before.unit_value


def test_a_stop_sells_in_the_look_that_doubts_the_equity(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
    with desk_whose_time(floor, "runs") as desk:
        reads(desk, "0.5")
        report = protect_alone(desk, new_execution_id())
        assert Cause.EQUITY_UNCONFIRMED in report.transient
        assert [(order.intent.kind, order.state) for order in report.orders] == [("stop", "FILLED")]
        assert desk.halts().causes == ()


MOVED = "50000"


@pytest.mark.parametrize(
    "row",
    [
        {"activity_type": "ACATC", "net_amount": MOVED},
        {"activity_type": "JNLC", "net_amount": MOVED},
        {"activity_type": "ACATS", "symbol": "IBM", "qty": "500", "price": "100"},
        {"activity_type": "FOPT", "symbol": "IBM", "qty": "500", "price": "100"},
    ],
)
@pytest.mark.parametrize("lost", [0, 10_000])
def test_no_transfer_hides_a_loss_and_none_is_one(
    floor: TradingFloor, row: dict[str, str], lost: int
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        observed(desk)
        real = desk.broker
        made = {"id": "a", "date": floor.session.isoformat(), "created_at": parsing.stamp(desk.now_ns())}
        fee = {**made, "id": "b", "activity_type": "FEE", "net_amount": str(-lost)}
        lines = [parsing.activity({**made, **row}), *([parsing.activity(fee)] if lost else [])]
        cash = (Decimal(0) if "symbol" in row else Decimal(MOVED)) - lost
        shares = PositionState("IBM", Decimal(500), Decimal(100), Decimal(500), market_value=Decimal(MOVED))

        def account() -> AccountState:
            stated = real.account()
            return replace(stated, equity=stated.equity + Decimal(MOVED) - lost, cash=stated.cash + cash)

        desk.broker = Altered(
            real,
            account=account,
            activities=lambda since: [*real.activities(since), *lines],
            positions=lambda: [shares] if "symbol" in row else [],
        )
        protect_alone(desk, new_execution_id())
        assert (Cause.DAILY_LOSS in desk.halts().causes) == bool(lost)
        assert (Cause.MAX_DRAWDOWN in desk.halts().causes) == bool(lost)


def test_a_transfer_within_the_session_is_no_profit_and_no_loss(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        before = observed(desk)
        floor.keeper.transfer(Decimal(20_000))
        deposited = observed(desk)
        assert deposited.equity == before.equity + 20_000
        assert deposited.session_peak == before.session_peak + 20_000
        assert deposited.unit_value == before.unit_value
        floor.go_to_tick(1)
        floor.keeper.transfer(Decimal(-50_000))
        withdrawn = observed(desk)
        assert withdrawn.transfers_today == -30_000
        assert withdrawn.unit_value == before.unit_value
        assert desk.halts().causes == ()


def test_a_transfer_in_the_evening_is_no_loss_of_the_next_session(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    after_close(floor, 10)
    with floor.desk() as desk:
        evening = observed(desk)
        floor.keeper.transfer(Decimal(-30_000))
    after_close(floor, 20)
    with floor.desk() as desk:
        assert observed(desk).unit_value == evening.unit_value
        floor.keeper.transfer(Decimal(-1_000))  # and none is looked at between this one and the morning
    floor.keeper.move_to(floor.sessions.open_ns(floor.sessions.next(floor.session)) - 600 * SECOND_NS)
    with floor.desk() as desk:
        report = protect_alone(desk, new_execution_id())
        morning = desk.journal.latest_equity(desk.book)
        assert morning is not None
        assert morning.transfers_today == -31_000
        assert float(morning.e0) == pytest.approx(float(evening.equity), abs=0.01)
        assert morning.unit_value == pytest.approx(evening.unit_value, rel=1e-6)
        assert report.transient == ()
        assert desk.halts().causes == ()
        floor.keeper.transfer(Decimal(7_000))
        assert protect_alone(desk, new_execution_id()).transient == ()


def test_the_session_peak_begins_with_the_higher_of_e0_and_the_first_equity(
    start_floor: Callable[..., TradingFloor],
) -> None:
    floor = start_floor()
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.move_quote(desk, "AAPL", "1.03")
        high = observed(desk)
        assert high.session_peak == high.equity > high.e0
        floor.move_quote(desk, "AAPL", "0.98")
        assert observed(desk).session_peak == high.session_peak
        floor.move_quote(desk, "AAPL", "0.99")
    floor.keeper.tape_quote("AAPL")
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        first = observed(desk)
        assert first.session_peak == max(first.e0, first.equity)


def test_an_e0_that_does_not_fit_the_stored_close_stops_entries_until_it_fits(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        observed(desk)
    after_close(floor, 10)
    with floor.desk() as desk:
        observed(desk)
        name = f"{CLOSE_EQUITY_MARK}:{floor.session.isoformat()}"
        assert desk.journal.mark(desk.book, name) == "100000"
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        for stored, expected in (("100099", ()), ("100101", (Cause.EQUITY_MISMATCH,)), ("100000", ())):
            desk.journal.set_mark(desk.book, name, stored, desk.now_ns())
            assert protect_alone(desk, new_execution_id()).transient == expected
        assert desk.halts().causes == ()  # it lasts as long as its reason


def test_an_e0_that_does_not_fit_alerts_once_a_session(floor: TradingFloor) -> None:
    for _ in range(2):
        floor.go_to_session(floor.sessions.next(floor.session))
        with floor.desk() as desk:
            name = f"{CLOSE_EQUITY_MARK}:{floor.sessions.previous(floor.session).isoformat()}"
            desk.journal.set_mark(desk.book, name, "100101", desk.now_ns())
            for _ in range(2):
                assert protect_alone(desk, new_execution_id()).transient == (Cause.EQUITY_MISMATCH,)
                floor.keeper.move_to(desk.now_ns() + 60 * SECOND_NS)
            alerts = [(alert.key, alert.title) for alert in desk.journal.pending_alerts()]
            assert alerts[-1] == (
                f"{desk.book}:equity_mismatch:{floor.session.isoformat()}",
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
    floor: TradingFloor, e0: int, agrees: bool
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        previous = floor.sessions.previous(floor.session).isoformat()
        desk.journal.set_mark(desk.book, f"{CLOSE_EQUITY_MARK}:{previous}", "100000", desk.now_ns())
        observed(desk)
        floor.keeper.transfer(Decimal(5_000))
        assert observed(desk).transfers_today == 5_000
        account = replace(desk.broker.account(), last_equity=Decimal(e0))
        result = transient_causes(desk, account, broker_clock(desk))
        assert result == (() if agrees else (Cause.EQUITY_MISMATCH,))


def test_the_close_is_kept_as_it_was_first_seen_after_the_bell(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    name = f"{CLOSE_EQUITY_MARK}:{floor.session.isoformat()}"
    with floor.desk() as desk:
        observed(desk)
        assert desk.journal.mark(desk.book, name) is None
    after_close(floor, 1)
    floor.keeper.transfer(Decimal(5_000))
    for minutes in (2, 60):
        after_close(floor, minutes)
        with floor.desk() as desk:
            observed(desk)
            assert Decimal(str(desk.journal.mark(desk.book, name))) == 100_000
        floor.keeper.transfer(Decimal(1_000))


@pytest.mark.parametrize(
    ("skew_s", "stands", "expected"),
    [(0, False, ()), (3, False, (Cause.CLOCK_SKEW,)), (-3, False, (Cause.CLOCK_SKEW,)), (3, True, ())],
)
def test_a_venue_clock_apart_from_the_machines_stops_entries_unless_it_is_virtual(
    floor: TradingFloor, skew_s: int, stands: bool, expected: tuple[Cause, ...]
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        account, clock = desk.broker.account(), desk.broker.clock()
        now = system_now_ns() + skew_s * SECOND_NS
        desk.clock.stands = stands
        skewed = replace(clock, now_ns=now, is_open=desk.sessions.is_open(now))
        desk.broker = Altered(desk.broker, clock=lambda: skewed)
        result = transient_causes(desk, account, broker_clock(desk))
        assert tuple(cause for cause in result if cause is Cause.CLOCK_SKEW) == expected


def test_a_broker_whose_hours_are_not_the_calendars_stops_entries(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        account, clock = desk.broker.account(), desk.broker.clock()
        assert transient_causes(desk, account, ClockReading(clock, 0)) == ()
        early = replace(clock, next_close_ns=clock.next_close_ns - 3 * 3600 * SECOND_NS)
        for wrong in (replace(clock, is_open=False), early):
            assert transient_causes(desk, account, ClockReading(wrong, 0)) == (Cause.CALENDARS_DISAGREE,)
            desk.broker = Altered(desk.broker, clock=lambda wrong=wrong: wrong)
            assert protect_alone(desk, new_execution_id()).transient == (Cause.CALENDARS_DISAGREE,)
