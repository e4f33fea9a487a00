"""The account's equity while price and position are in different shares: a split that the broker books late
or early is no profit and no loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from split_broker import MINUTE_NS, SplitBroker, look
from support.planted import Altered, with_less, with_limits
from support.trading_floor import TradingFloor

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.port import (
    AccountState,
    CorporateActionState,
    PositionState,
    QuoteState,
    Rows,
    Unreachable,
    Unreadable,
)
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone


@pytest.mark.parametrize("ratio", [Decimal(2), Decimal("0.25"), Decimal(10)])
def test_a_split_that_is_booked_late_latches_no_loss_and_lifts_no_peak(
    floor: TradingFloor, held: Desk, ratio: Decimal
) -> None:
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    assert before is not None
    broker = SplitBroker(held, floor.session, ratio)
    for _ in range(13):  # longer than an equity that nothing explains is waited for
        report = look(floor, held)
        assert Cause.EQUITY_UNCONFIRMED in report.transient
        assert report.stopped == ()
        journaled = held.journal.latest_equity(held.book)
        assert journaled is not None
        assert journaled.equity == pytest.approx(before.equity, rel=Decimal("0.001"))  # the right one
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes
    after = held.journal.latest_equity(held.book)
    assert after is not None
    assert after.unit_peak == pytest.approx(before.unit_peak, rel=0.01)
    titles = [one.title for one in held.journal.pending_alerts()]
    assert titles.count("AAPL: a split is not in price and position alike") == 1


def test_a_split_that_is_booked_before_its_ex_date_latches_none_either(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.sessions.next(floor.session), Decimal(2), in_price=False)
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert Cause.EQUITY_UNCONFIRMED in report.transient
    broker.in_price, broker.ex_date = True, floor.session
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes


def test_a_loss_beside_it_latches_all_the_same(floor: TradingFloor, held: Desk) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal("0.1"))
    look(floor, held)
    assert not held.halts().causes
    broker.factor = Decimal("0.4")  # 3 % of the equity, that the unbooked split makes a profit of
    for _ in range(3):
        look(floor, held)
    assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= set(held.halts().causes)


def test_a_close_that_a_split_misstates_makes_no_loss_of_the_next_session(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal("0.25"))
    look(floor, held)
    floor.keeper.move_to(floor.sessions.close_ns(floor.session) + MINUTE_NS)
    protect_alone(held, new_execution_id())
    stated = held.broker.account().equity
    floor.go_to_session(floor.sessions.next(floor.session))
    account = held.broker.account
    held.broker = Altered(held.broker, account=lambda: replace(account(), last_equity=stated))
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert Cause.EQUITY_UNCONFIRMED not in report.transient
    assert not held.halts().causes


def test_announcements_that_cannot_be_read_meanwhile_latch_no_loss(floor: TradingFloor, held: Desk) -> None:
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(2))
    look(floor, held)

    def unreachable(*_: object) -> Rows[CorporateActionState]:
        raise Unreachable("no answer")

    whole = held.broker
    held.broker = Altered(whole, corporate_actions=unreachable)
    for _ in range(3):
        report = look(floor, held)
        assert Cause.EQUITY_UNCONFIRMED in report.transient
    assert not held.halts().causes
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes


def test_a_position_that_cannot_be_read_meanwhile_latches_no_loss(floor: TradingFloor, held: Desk) -> None:
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(2))
    look(floor, held)
    whole = held.broker
    others = [one for one in whole.positions() if one.symbol != "AAPL"]
    held.broker = Altered(whole, positions=lambda: Rows.of(others, [Unreadable("AAPL", "planted")]))
    for _ in range(3):
        report = look(floor, held)
        assert Cause.EQUITY_UNCONFIRMED in report.transient
    held.broker = whole
    look(floor, held)
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes


def test_cash_that_is_gone_beside_it_counts_after_ten_minutes(floor: TradingFloor, held: Desk) -> None:
    protect_alone(held, new_execution_id())
    SplitBroker(held, floor.session, Decimal(2))
    look(floor, held)
    with_less(held, 15_000)
    for _ in range(9):
        look(floor, held)
    assert Cause.DAILY_LOSS not in held.halts().causes
    for _ in range(4):
        look(floor, held)
    assert {Cause.DAILY_LOSS, Cause.MAX_DRAWDOWN} <= set(held.halts().causes)


def test_what_a_person_books_of_a_split_without_a_line_ends_it(floor: TradingFloor, held: Desk) -> None:
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(2))
    look(floor, held)
    came = next(one.qty for one in held.broker.positions() if one.symbol == "AAPL")
    broker.in_position = True
    look(floor, held)
    operator.adjust(held, symbol="AAPL", qty_delta=came, reason="no line came", author="tester")
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes


@pytest.mark.parametrize("price_first", [False, True])
def test_one_that_shows_in_price_or_position_alone_before_the_open_latches_nothing(
    floor: TradingFloor, held: Desk, price_first: bool
) -> None:
    protect_alone(held, new_execution_id())
    before = held.journal.latest_equity(held.book)
    floor.session = floor.sessions.next(floor.session)
    open_ns = floor.sessions.open_ns(floor.session)
    floor.keeper.move_to(open_ns - 60 * MINUTE_NS)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(4), in_price=price_first)
    if not price_first:
        broker.book()
    for _ in range(3):
        report = look(floor, held)
        assert Cause.EQUITY_UNCONFIRMED in report.transient
    floor.keeper.move_to(open_ns + MINUTE_NS)
    if price_first:
        broker.book()
    broker.in_price = True
    for _ in range(3):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes
    after = held.journal.latest_equity(held.book)
    assert before is not None
    assert after is not None
    assert after.unit_peak == pytest.approx(before.unit_peak, rel=0.01)
    titles = [one.title for one in held.journal.pending_alerts()]
    assert "AAPL: a split is not in price and position alike" not in titles


@pytest.mark.parametrize("ratio", [Decimal("0.25"), Decimal(2)])
@pytest.mark.parametrize("kind", ["NC", "REORG", "MA"])
def test_one_that_is_booked_as_a_symbol_change_or_a_reorganisation_is_in_both(
    floor: TradingFloor, held: Desk, kind: str, ratio: Decimal
) -> None:
    """The old shares go by a line of that type, the new ones come by another, under a new symbol or not."""
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, ratio)
    look(floor, held)
    qty = next(one.qty for one in held.broker.positions() if one.symbol == "AAPL")
    name = "AAPLX" if kind == "NC" else "AAPL"
    broker.in_position = True
    whole = held.broker

    def quotes(symbols: Sequence[str]) -> Mapping[str, QuoteState]:
        result = dict(whole.quotes(["AAPL" if symbol == name else symbol for symbol in symbols]))
        return {name if symbol == "AAPL" else symbol: quote for symbol, quote in result.items()}

    def positions() -> Rows[PositionState]:
        return Rows(replace(one, symbol=name) if one.symbol == "AAPL" else one for one in whole.positions())

    for number, (symbol, came) in enumerate((("AAPL", -qty), (name, qty * ratio))):
        fields = {"id": f"line-{number}", "activity_type": kind, "symbol": symbol, "qty": f"{came:f}"}
        broker.lines.append(
            parsing.activity({**fields, "net_amount": "0", "date": held.session_text(), "price": None})
        )
    held.broker = Altered(whole, quotes=quotes, positions=positions)
    for _ in range(4):
        report = look(floor, held)
    assert report.transient == ()
    assert not held.halts().causes


def test_an_equity_of_old_shares_at_old_prices_is_right(floor: TradingFloor, held: Desk) -> None:
    """Only the quotes are in new shares: a loss is one."""
    with_limits(held, stop_loss=0.99)
    protect_alone(held, new_execution_id())
    left = Decimal("0.3")
    broker = SplitBroker(held, floor.session, Decimal(10), factor=left)
    whole = held.broker

    def old(one: PositionState) -> PositionState:
        assert one.market_value is not None
        assert one.current_price is not None
        return replace(one, market_value=one.market_value * left, current_price=one.current_price * left)

    def account() -> AccountState:
        real, value = broker._real.account(), broker._held().market_value
        assert value is not None
        return replace(real, equity=real.equity - value * (1 - left))

    def positions() -> Rows[PositionState]:
        return Rows(old(one) if one.symbol == "AAPL" else one for one in broker._real.positions())

    held.broker = Altered(whole, account=account, positions=positions)
    for _ in range(3):
        look(floor, held)
    assert {Cause.DAILY_LOSS, Cause.SESSION_DRAWDOWN} <= set(held.halts().causes)


def test_a_split_in_two_lines_latches_no_loss_between_them(floor: TradingFloor, held: Desk) -> None:
    """The position shows the first one before it is listed."""
    protect_alone(held, new_execution_id())
    broker = SplitBroker(held, floor.session, Decimal(3))
    look(floor, held)
    whole = held.broker

    def half(one: PositionState) -> PositionState:
        assert one.market_value is not None
        return replace(one, qty=one.qty * 2, available=one.available * 2, market_value=one.market_value * 2)

    def account() -> AccountState:
        real = whole.account()
        value = next(one.market_value for one in whole.positions() if one.symbol == "AAPL")
        return replace(real, equity=real.equity + value)

    held.broker = Altered(
        whole,
        account=account,
        positions=lambda: Rows(half(one) if one.symbol == "AAPL" else one for one in whole.positions()),
    )
    for _ in range(3):
        report = look(floor, held)
        assert Cause.EQUITY_UNCONFIRMED in report.transient
    held.broker = whole
    broker.book()
    for _ in range(3):
        report = look(floor, held)
    assert not held.halts().causes


def test_a_person_takes_the_equity_as_it_is_stated_where_shares_are_never_booked(
    floor: TradingFloor, held: Desk
) -> None:
    protect_alone(held, new_execution_id())
    SplitBroker(held, floor.session, Decimal(2))
    assert Cause.EQUITY_UNCONFIRMED in look(floor, held).transient
    operator.rearm(held, reason="the announcement is wrong", author="tester")
    for _ in range(3):
        report = look(floor, held)
    assert Cause.EQUITY_UNCONFIRMED not in report.transient
    assert Cause.DAILY_LOSS in held.halts().causes  # as it is stated it is a loss
    operator.rearm(held, reason="taken", author="tester")
    assert look(floor, held).transient == ()
    assert not held.halts().causes
