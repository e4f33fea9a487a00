"""A journal that is new for an account which has traded under another begins REDUCE_ONLY until a rearm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from engine_ticks import buy, execute, prepare
from support.trading_floor import TradingFloor

from trading_assets.broker.port import BrokerError, MoreOrders, Unreachable
from trading_assets.core.words import HaltState
from trading_assets.engine.book import earlier_trading
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.operation import operator
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.engine.signals import tick_signals


def traded(floor: TradingFloor) -> None:
    """A desk has traded in this account, and holds nothing any more."""
    floor.go_to_tick(0)
    with floor.desk() as desk:
        desk.begin()
        reconcile(desk)
        assert desk.halts().state is HaltState.ACTIVE  # a first start meets nothing
        buy(floor, desk)
        operator.flatten(desk, reason="done", author="a person")
    floor.go_to_tick(3)


def elsewhere(floor: TradingFloor) -> Desk:
    desk = floor.desk(data_dir=floor.settings.data_dir.with_name("another"))
    desk.begin()
    return desk


@pytest.mark.parametrize("way", ["an edited data_dir", "a lost file"])
def test_neither_an_edited_data_dir_nor_a_lost_file_loosens_anything(floor: TradingFloor, way: str) -> None:
    traded(floor)
    if way == "a lost file":
        shutil.rmtree(floor.settings.data_dir)
        desk = floor.desk()
        desk.begin()
    else:
        desk = elsewhere(floor)
    with desk:
        reconcile(desk)
        assert desk.halts().causes == (Cause.NEW_JOURNAL,)
        (halt,) = desk.journal.latched(desk.book)
        assert "bear our prefix ta-" in halt.reason
        assert "trading-assets rearm" in halt.reason
        assert "REDUCE_ONLY: NEW_JOURNAL" in [alert.title for alert in desk.journal.pending_alerts()]

        now = desk.now_ns()
        tick_signals.receive(desk, "IBM", 1.0)
        prepare(desk, floor.session, now)
        report = execute(desk, floor.session, now)
        (refused,) = report.verdicts
        assert (refused.symbol, refused.cause) == ("IBM", Cause.NEW_JOURNAL)
        assert not report.orders

        operator.rearm(desk, reason="the other journal is gone for good", author="a person")
        assert desk.halts().state is HaltState.ACTIVE
        reconcile(desk)
        assert desk.halts().state is HaltState.ACTIVE


def test_an_account_that_is_adopted_begins_in_the_same_way(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    floor.go_to_tick(3)
    with elsewhere(floor) as desk:
        adopt(desk, author="a person", reason="the other journal is gone")
        assert desk.halts().causes == (Cause.NEW_JOURNAL,)


def test_a_restored_backup_of_the_same_journal_does_not_meet_it(floor: TradingFloor, tmp_path: Path) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        backup = tmp_path / "backup"
    shutil.copytree(floor.settings.data_dir, backup)
    floor.go_to_tick(3)
    with floor.desk(data_dir=backup) as desk:
        desk.begin()
        assert reconcile(desk).clean
        assert desk.halts().state is HaltState.ACTIVE


def test_while_the_orders_cannot_be_read_the_book_does_not_open(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded(floor)
    with elsewhere(floor) as desk:

        def unreadable(since_ns: int) -> None:
            raise Unreachable("no orders today")

        with monkeypatch.context() as failing:
            failing.setattr(desk.broker, "orders_since", unreadable)
            with pytest.raises(BrokerError):
                reconcile(desk)
        assert not desk.journal.opening(desk.book)
        reconcile(desk)
        assert desk.halts().causes == (Cause.NEW_JOURNAL,)


def test_more_orders_than_can_be_read_are_held_to_be_of_another_journal(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.go_to_tick(0)
    looks = []

    def endless(since_ns: int) -> None:
        looks.append(since_ns)
        raise MoreOrders([], since_ns + 1)

    with floor.desk() as desk:
        desk.begin()
        monkeypatch.setattr(desk.broker, "orders_since", endless)
        earlier_trading.see_earlier_trading(desk)
        assert desk.halts().causes == (Cause.NEW_JOURNAL,)
    assert looks == list(range(1, earlier_trading.LOOKS + 1))
