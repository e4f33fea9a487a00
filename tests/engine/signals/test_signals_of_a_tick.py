"""Which signals a tick decides on, in which order, and that it says which it passed over."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from engine_ticks import buy, execute, prepare, run_tick
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, OrderState, Rejected
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks import data, table
from trading_assets.engine.market_data import feature_rows
from trading_assets.engine.orders.signal_exits import last_signals
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.records.explain import explained
from trading_assets.engine.records.verify import verify
from trading_assets.engine.signals import tick_signals
from trading_assets.market.sessions import new_york_time

NS = 10**9


def held(desk: Desk) -> dict[str, Decimal]:
    return {position.symbol: position.qty for position in desk.broker.positions()}


def lose_a_day(desk: Desk, session: date, tick_ns: int, symbol: str) -> None:
    """Have the tick's bars without one of the symbol's days, and all that is made of them done again."""
    with desk.history.writing() as connection:
        connection.execute(
            "DELETE FROM bars WHERE symbol = ? AND \"interval\" = '1d' AND session = '2012-08-15'", [symbol]
        )
    table.record(desk, session, tick_ns, data.bar_checks(desk, session, tick_ns))
    feature_rows.store_features(desk, session, tick_ns)
    table.record(desk, session, tick_ns, data.feature_checks(desk, session, tick_ns))


def test_a_sell_that_came_last_is_sent_and_what_it_superseded_is_said(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        for number in range(12):  # among twelve ids, some sort before and some behind the sell's
            tick_signals.receive(desk, "AAPL", 0.5, as_of_ns=now, source=f"producer {number}")
        sell = tick_signals.receive(desk, "AAPL", -1.0, as_of_ns=now, source="the last")
        stored = tick_signals.store_signals(desk, floor.session, now)
        assert len(stored.passed_over) == 12
        report, _ = run_tick(desk, floor.session, now)
        (verdict,) = report.verdicts
        assert (verdict.side, verdict.decision_id) == (Side.SELL, sell.decision_id)
        assert report.outcomes[sell.decision_id] == "ORDERED"
        assert len(report.passed_over) == 12
        passed_over = str(report.passed_over[0])
        assert passed_over.startswith(
            "AAPL=0.5 as of 2012-09-11 10:30:00 EDT was passed over: SUPERSEDED by AAPL=-1 as of"
        )
        assert not desk.journal.pending_signals(desk.book)
        verified = verify(desk.journal, desk.history, desk.book, floor.session)
        assert verified.identical, verified.differences


def test_a_symbol_with_a_missing_day_waits_while_others_are_bought_and_it_is_sold(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, "IBM", 0.3)
    now = floor.go_to_tick(1)
    with floor.desk() as desk:
        tick_signals.receive(desk, "IBM", 1.0)
        tick_signals.receive(desk, "AAPL", 0.5)
        prepare(desk, floor.session, now)
        lose_a_day(desk, floor.session, now, "IBM")
        report = execute(desk, floor.session, now)
        assert report.vetoed == ()
        assert [verdict.symbol for verdict in report.verdicts if not verdict.failed] == ["AAPL"]
        (waiting,) = report.passed_over
        assert (waiting.symbol, waiting.value, waiting.outcome) == ("IBM", 1.0, "INCOMPLETE_BARS")
        assert "its bars have gaps" in str(waiting)
        lines = explained(desk.journal, desk.book, floor.session.isoformat(), symbol="IBM")
        assert lines[-1].outcome == "INCOMPLETE_BARS"
    now = floor.go_to_tick(2)
    with floor.desk() as desk:
        tick_signals.receive(desk, "IBM", -1.0)
        prepare(desk, floor.session, now)
        report = execute(desk, floor.session, now)
        assert [(verdict.symbol, verdict.side, verdict.failed) for verdict in report.verdicts] == [
            ("IBM", Side.SELL, 0)
        ]
        assert table.incomplete_symbols(desk, now) == {"IBM"}
        verified = verify(desk.journal, desk.history, desk.book, floor.session)
        # nothing differs but what the first tick saw of the day that is gone since
        assert {(difference.of, difference.subject) for difference in verified.differences} == {
            ("features", f"IBM at {new_york_time(floor.ticks()[0])}")
        }


def test_the_strongest_signals_have_the_orders_of_an_execution(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    values = {"AAPL": 0.2, "GOOG": 0.4, "IBM": 0.9, "MSFT": 0.9}
    with floor.desk(max_orders_per_execution=2) as desk:
        for symbol, value in values.items():
            tick_signals.receive(desk, symbol, value)
        report, _ = run_tick(desk, floor.session, now)
        assert [verdict.symbol for verdict in report.verdicts] == ["IBM", "MSFT", "GOOG", "AAPL"]
        assert [order.intent.symbol for order in report.orders] == ["IBM", "MSFT"]


@pytest.mark.parametrize("after", [20, 45], ids=["ahead no longer", "ahead still"])
def test_a_signal_that_is_bought_on_after_the_exits_took_their_time_is_the_symbols_last_one(
    floor: TradingFloor, after: int
) -> None:
    """Ahead when the tick took it, it superseded nothing; half a minute later the gate lets it pass."""
    floor.go_to_tick(0)
    with floor.desk() as desk:
        for symbol in ("AAPL", "IBM"):
            buy(floor, desk, symbol, 0.4)
        real, before = desk.broker, held(desk)

        def submit(order: NewOrder) -> OrderState:
            if order.side == Side.SELL and order.symbol == "AAPL":
                raise Rejected(403, 40310000, "scripted")
            if order.side == Side.SELL:
                floor.keeper.move_to(now + 30 * NS)
            return real.submit(order)

        desk.broker = Altered(real, submit=submit)
        now = floor.go_to_tick(1)
        desk.clock.sync()
        tick_signals.receive(desk, "AAPL", -1.0)
        run_tick(desk, floor.session, now)
        now = floor.go_to_tick(2)
        desk.clock.sync()
        ahead = tick_signals.receive(desk, "AAPL", 1.0, as_of_ns=now + after * NS, source="ahead")
        tick_signals.receive(desk, "IBM", -1.0)
        report, _ = run_tick(desk, floor.session, now)
        is_bought = after < 30
        assert report.outcomes[ahead.decision_id] == ("ORDERED" if is_bought else "REFUSED")
        assert (last_signals(desk)["AAPL"].decision_id == ahead.decision_id) is is_bought
        desk.broker = real
        floor.keeper.move_to(now + 120 * NS)
        protect_alone(desk, new_execution_id())
        assert (held(desk).get("AAPL", 0) > before["AAPL"]) is is_bought
        verified = verify(desk.journal, desk.history, desk.book, floor.session)
        assert verified.identical, verified.differences
