"""The tables that come from the journal: the same however often projected, and made again after a loss."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from engine_ticks import buy, buy_dear, execute, prepare, run_tick
from support.trading_floor import TradingFloor

from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.records.projection import project_orders, rebuild
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import books
from trading_assets.store.history import History, HistoryLocked

FROM_THE_JOURNAL = ("verdicts", "orders", "fills", "signals", "positions", "equity")
NOT_IN_THE_JOURNAL = {
    "positions": {"mark", "market_value", "broker_qty"},
    "equity": {"gross_exposure"},
    "signals": {"source", "model_version", "score"},
}


def rows(
    desk: Desk, tables: Sequence[str] = (*FROM_THE_JOURNAL, "breaks")
) -> dict[str, list[dict[str, Any]]]:
    """Every row, in an order of its own, NaN as text."""
    result = {}
    for table in tables:
        lines = desk.history.query(f"SELECT * FROM {table}").to_pylist()
        plain = [{k: "nan" if v != v else v for k, v in line.items()} for line in lines]
        result[table] = sorted(plain, key=repr)
    return result


def a_session(floor: TradingFloor, desk: Desk) -> None:
    """Three ticks: a purchase and a refusal, a resting order, and a stop between ticks."""
    now = floor.go_to_tick(0)
    desk.clock.sync()
    tick_signals.receive(desk, "IBM", 0.5, as_of_ns=now - 300 * 10**9)
    buy_dear_and_keep(floor, desk)
    now = floor.go_to_tick(1)
    desk.clock.sync()
    bid = desk.broker.quotes(["MSFT"])["MSFT"].bid
    assert bid is not None
    tick_signals.receive(desk, "MSFT", 0.5, limit_price=bid * Decimal("0.996"))
    run_tick(desk, floor.session, now)
    floor.keeper.tape_quote("AAPL")
    floor.keeper.move_to(now + 60 * 10**9)
    protect_alone(desk, new_execution_id())
    now = floor.go_to_tick(2)
    desk.clock.sync()
    run_tick(desk, floor.session, now)


def buy_dear_and_keep(floor: TradingFloor, desk: Desk) -> None:
    floor.move_quote(desk, "AAPL", "1.065")
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    tick_signals.receive(desk, "AAPL", 1.0, reference_price=quote.bid)
    report, _ = run_tick(desk, floor.session, floor.ticks()[0])
    assert [order.state for order in report.orders] == ["FILLED"]


def test_projecting_again_changes_nothing(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        a_session(floor, desk)
        before = rows(desk)
        assert {table for table, lines in before.items() if lines} == set(FROM_THE_JOURNAL)
        for number in (0, 1, 2):
            project_orders(desk, floor.session, floor.ticks()[number])
        books.book_fills(desk, floor.session, floor.ticks()[2])
        books.reconcile_positions(desk, floor.session, floor.ticks()[2])
        assert rows(desk) == before


def test_verdicts_of_a_protect_between_ticks_come_with_the_next_tick(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        a_session(floor, desk)
        rows_of_ticks = desk.history.query("SELECT DISTINCT tick_ns FROM verdicts ORDER BY ALL").to_pylist()
        ticks = floor.ticks()
        assert [row["tick_ns"] for row in rows_of_ticks] == [ticks[0], ticks[1], ticks[1] + 60 * 10**9]
        sent = desk.history.query(
            "SELECT kind, state FROM orders WHERE tick_ns = ?", [ticks[1] + 60 * 10**9]
        ).to_pylist()
        assert sent == [{"kind": "stop", "state": "FILLED"}]


def test_what_a_locked_history_missed_comes_with_the_next_projection(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        tick_signals.receive(desk, "AAPL", 1.0)
        prepare(desk, floor.session, now)
        execute(desk, floor.session, now)
        history, desk.history = desk.history, History(desk.history.path, retry_seconds=0.05)
        with history.writing(), pytest.raises(HistoryLocked):
            books.book_fills(desk, floor.session, now)
        assert len(desk.journal.fills(desk.book)) == 1
        assert rows(desk)["orders"] == []
        later = floor.go_to_tick(1)
        desk.clock.sync()
        run_tick(desk, floor.session, later)
        assert {row["tick_ns"] for row in rows(desk)["verdicts"]} == {now}
        assert [row["outcome"] for row in rows(desk)["signals"]] == ["ORDERED"]


def test_the_history_can_be_made_again_from_the_journal(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        a_session(floor, desk)
        floor.go_to_session(floor.sessions.next(floor.session))
        desk.clock.sync()
        buy(floor, desk, "GOOG")
        before = rows(desk, FROM_THE_JOURNAL)
    desk.history.path.unlink()
    with floor.desk() as desk:
        assert rebuild(desk) == [floor.sessions.previous(floor.session), floor.session]
        after = rows(desk, FROM_THE_JOURNAL)
        for table in FROM_THE_JOURNAL:
            unknown = NOT_IN_THE_JOURNAL.get(table, set())
            known = [{k: v for k, v in row.items() if k not in unknown} for row in before[table]]
            assert [{k: v for k, v in row.items() if k not in unknown} for row in after[table]] == known, (
                table
            )
        rebuild(desk)
        assert rows(desk, FROM_THE_JOURNAL) == after


def test_rebuilding_what_is_there_takes_nothing_away(floor: TradingFloor) -> None:
    with floor.desk() as desk:
        a_session(floor, desk)
        before = rows(desk)
        rebuild(desk)
        assert rows(desk) == before


def test_every_outcome_of_a_signal_is_kept_with_it(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        for symbol, value in (("AAPL", 1.0), ("IBM", 0.05), ("MSFT", -1.0)):
            tick_signals.receive(desk, symbol, value)
        tick_signals.receive(desk, "GOOG", 0.5, as_of_ns=now - 300 * 10**9)
        run_tick(desk, floor.session, now)
        outcomes = {row["symbol"]: row["outcome"] for row in rows(desk)["signals"]}
        assert outcomes == {"AAPL": "ORDERED", "IBM": "BELOW_THRESHOLD", "MSFT": "HELD", "GOOG": "REFUSED"}


def test_a_break_is_in_the_history_of_the_tick_that_saw_it(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        operator.adjust(desk, symbol="IBM", qty_delta=Decimal(2), reason="planted", author="tester")
        now = floor.go_to_tick(1)
        desk.clock.sync()
        books.reconcile_positions(desk, floor.session, now)
        (row,) = rows(desk)["breaks"]
        assert (row["kind"], row["subject"], row["ours"], row["theirs"]) == (
            "QUANTITY",
            "IBM",
            "2",
            "0",
        )
