"""Where a book stands: what `status` shows, before and after the first tick."""

from __future__ import annotations

from engine_ticks import run_tick
from support.trading_floor import TradingFloor

from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.records.status import book_status


def test_a_book_is_well_once_it_is_opened_and_its_equity_is_known(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        before = book_status(desk)
        assert not before.opened
        assert not before.well
        protect_alone(desk, new_execution_id(), holder="a test")
        after = book_status(desk)
        assert after.equity is not None
        assert after.well


def test_a_tick_that_had_nothing_to_decide_is_the_last_tick_too(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        assert book_status(desk).last_tick_ns is None
        for number in range(2):
            tick_ns = floor.go_to_tick(number)
            desk.clock.sync()
            run_tick(desk, floor.session, tick_ns)
            assert not desk.journal.tick_inputs(desk.book, session=floor.session.isoformat(), tick_ns=tick_ns)
            result = book_status(desk)
            assert result.last_tick_ns == tick_ns
            assert result.vetoed == ()
