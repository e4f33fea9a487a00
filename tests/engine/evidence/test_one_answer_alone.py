"""One answer of the broker that nothing else bears out: it ends no flatten, opens no position, and releases
no stop; a number that no account has enters no book."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_ticks import buy, buy_dear, run_tick
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.alpaca import parsing
from trading_assets.broker.alpaca.fields import Malformed
from trading_assets.broker.port import Rejected
from trading_assets.core.gate import reason
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.exits_over import STOP_LOCK
from trading_assets.engine.protection.flattens import still_held
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.signals import tick_signals
from trading_assets.errors import InvalidInput

pytestmark = pytest.mark.exchange


def held(desk: Desk) -> set[str]:
    return {position.symbol for position in desk.broker.positions() if position.qty}


def titles(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


def test_an_empty_list_of_positions_ends_no_flatten(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.go_to_tick(1)
        real = desk.broker
        desk.broker = Altered(real, positions=list)
        report = operator.flatten_now(desk, reason="storm", author="ada")
        assert not report.flat
        assert [line.symbol for line in still_held(desk)] == ["AAPL"]
        desk.broker = real
        floor.go_to_tick(2)
        protect_alone(desk, new_execution_id())
        assert held(desk) == set()
        assert desk.journal.flatten_in_force(desk.book) is None


def test_a_flatten_ends_where_the_broker_shows_nothing_for_longer_and_the_difference_is_told(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.go_to_tick(1)
        desk.broker = Altered(desk.broker, positions=list)
        operator.flatten_now(desk, reason="storm", author="ada")
        floor.go_to_tick(2)
        protect_alone(desk, new_execution_id())
        assert desk.journal.flatten_in_force(desk.book) is None
        (done,) = [one for one in desk.journal.pending_alerts() if "Flatten done" in one.title]
        assert "Our books still hold" in done.body
        assert done.severity == "ERROR"


def test_an_empty_list_of_positions_lets_nobody_buy_on_top_of_what_is_held(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, value=1.0)
        shares = {position.symbol: position.qty for position in desk.broker.positions()}
        now = floor.go_to_tick(1)
        desk.begin()
        real = desk.broker
        desk.broker = Altered(real, positions=list)
        tick_signals.receive(desk, "AAPL", 1.0)
        report, _ = run_tick(desk, floor.session, now)
        assert [reason(verdict.failed, verdict.cause) for verdict in report.verdicts] == [
            "RECONCILIATION_LOCK"
        ]
        assert {position.symbol: position.qty for position in real.positions()} == shares


def test_an_empty_list_of_positions_releases_no_stop_of_an_earlier_session(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        real = desk.broker
        desk.broker = Altered(real, submit=_refused)
        protect_alone(desk, new_execution_id())
        assert [lock.cause for lock in desk.journal.locks(desk.book)] == [STOP_LOCK]
        floor.go_to_session(floor.sessions.next(floor.session))
        desk.broker = Altered(real, positions=list)
        protect_alone(desk, new_execution_id())
        assert STOP_LOCK in [lock.cause for lock in desk.journal.locks(desk.book)]


def test_a_bid_through_a_stop_that_nothing_confirms_is_told_once_a_session(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.move_quote(desk, "AAPL", "0.90")  # no trade says so
        for _ in range(2):
            assert protect_alone(desk, new_execution_id()).stopped == ()
        assert titles(desk).count("AAPL: the bid is through its stop, and nothing confirms it") == 1


def test_a_last_trade_through_a_stop_without_a_bid_is_told_once_a_session(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        floor.move_quote(desk, "AAPL", "1.065")
        buy(floor, desk)
        ask = desk.broker.quotes(["AAPL"])["AAPL"].ask
        floor.keeper.quote("AAPL", 0, float(ask or 0))  # the last trade is what it was all the time
        for _ in range(2):
            assert protect_alone(desk, new_execution_id()).stopped == ()
        assert titles(desk).count("AAPL: the last trade is through its stop, and there is no bid") == 1


@pytest.mark.parametrize(
    ("symbol", "shares", "usd"),
    [("aapl", "1", "0"), ("AAPLE", "1", "0"), ("AAPL", "1e30", "0"), ("", "0", "1e400"), ("", "0", "NaN")],
)
def test_an_adjustment_that_no_account_can_have_is_refused_and_the_books_stay(
    floor: TradingFloor, symbol: str, shares: str, usd: str
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        protect_alone(desk, new_execution_id())
        before = ledger_of(desk.journal, desk.book)
        with pytest.raises(InvalidInput):
            operator.adjust(
                desk,
                symbol=symbol,
                qty_delta=Decimal(shares),
                cash_delta=Decimal(usd),
                reason="a typo",
                author="ada",
            )
        assert ledger_of(desk.journal, desk.book) == before


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e15", "NaN", "Infinity"])
def test_a_number_that_no_account_has_is_no_number(number: str) -> None:
    row = {"activity_type": "FEE", "id": "1::a", "date": "2012-09-11", "net_amount": number}
    with pytest.raises(Malformed):
        parsing.activity(row)


def _refused(order: object) -> None:
    raise Rejected(403, 40310000, "not now")
