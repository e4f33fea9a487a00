"""The tables that come from the journal: the same however often projected, and made again after a loss."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from ground import Ground, buy, buy_dear, execute, prepare, run_tick

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


def a_session(ground: Ground, desk: Desk) -> None:
    """Three ticks: a purchase and a refusal, a resting order, and a stop between ticks."""
    now = ground.go_to_tick(0)
    desk.clock.sync()
    tick_signals.receive(desk, "IBM", 0.5, as_of_ns=now - 300 * 10**9)
    buy_dear_and_keep(ground, desk)
    now = ground.go_to_tick(1)
    desk.clock.sync()
    bid = desk.broker.quotes(["MSFT"])["MSFT"].bid
    assert bid is not None
    tick_signals.receive(desk, "MSFT", 0.5, limit_price=bid * Decimal("0.996"))
    run_tick(desk, ground.session, now)
    ground.keeper.tape_quote("AAPL")
    ground.keeper.move_to(now + 60 * 10**9)
    protect_alone(desk, new_execution_id())
    now = ground.go_to_tick(2)
    desk.clock.sync()
    run_tick(desk, ground.session, now)


def buy_dear_and_keep(ground: Ground, desk: Desk) -> None:
    ground.move_quote(desk, "AAPL", "1.065")
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    tick_signals.receive(desk, "AAPL", 1.0, reference_price=quote.bid)
    report, _ = run_tick(desk, ground.session, ground.ticks()[0])
    assert [order.state for order in report.orders] == ["FILLED"]


def test_projecting_again_changes_nothing(ground: Ground) -> None:
    with ground.desk() as desk:
        a_session(ground, desk)
        before = rows(desk)
        assert {table for table, lines in before.items() if lines} == set(FROM_THE_JOURNAL)
        for number in (0, 1, 2):
            project_orders(desk, ground.session, ground.ticks()[number])
        books.book_fills(desk, ground.session, ground.ticks()[2])
        books.reconcile_positions(desk, ground.session, ground.ticks()[2])
        assert rows(desk) == before


def test_verdicts_of_a_protect_between_ticks_come_with_the_next_tick(ground: Ground) -> None:
    with ground.desk() as desk:
        a_session(ground, desk)
        rows_of_ticks = desk.history.query("SELECT DISTINCT tick_ns FROM verdicts ORDER BY ALL").to_pylist()
        ticks = ground.ticks()
        assert [row["tick_ns"] for row in rows_of_ticks] == [ticks[0], ticks[1], ticks[1] + 60 * 10**9]
        sent = desk.history.query(
            "SELECT kind, state FROM orders WHERE tick_ns = ?", [ticks[1] + 60 * 10**9]
        ).to_pylist()
        assert sent == [{"kind": "stop", "state": "FILLED"}]


def test_what_a_locked_history_missed_comes_with_the_next_projection(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        tick_signals.receive(desk, "AAPL", 1.0)
        prepare(desk, ground.session, now)
        execute(desk, ground.session, now)
        history, desk.history = desk.history, History(desk.history.path, retry_seconds=0.05)
        with history.writing(), pytest.raises(HistoryLocked):
            books.book_fills(desk, ground.session, now)
        assert len(desk.journal.fills(desk.book)) == 1
        assert rows(desk)["orders"] == []
        later = ground.go_to_tick(1)
        desk.clock.sync()
        run_tick(desk, ground.session, later)
        assert {row["tick_ns"] for row in rows(desk)["verdicts"]} == {now}
        assert [row["outcome"] for row in rows(desk)["signals"]] == ["ORDERED"]


def test_the_history_can_be_made_again_from_the_journal(ground: Ground) -> None:
    with ground.desk() as desk:
        a_session(ground, desk)
        ground.go_to_session(ground.sessions.next(ground.session))
        desk.clock.sync()
        buy(ground, desk, "GOOG")
        before = rows(desk, FROM_THE_JOURNAL)
    desk.history.path.unlink()
    with ground.desk() as desk:
        assert rebuild(desk) == [ground.sessions.previous(ground.session), ground.session]
        after = rows(desk, FROM_THE_JOURNAL)
        for table in FROM_THE_JOURNAL:
            unknown = NOT_IN_THE_JOURNAL.get(table, set())
            known = [{k: v for k, v in row.items() if k not in unknown} for row in before[table]]
            assert [{k: v for k, v in row.items() if k not in unknown} for row in after[table]] == known, (
                table
            )
        rebuild(desk)
        assert rows(desk, FROM_THE_JOURNAL) == after


def test_rebuilding_what_is_there_takes_nothing_away(ground: Ground) -> None:
    with ground.desk() as desk:
        a_session(ground, desk)
        before = rows(desk)
        rebuild(desk)
        assert rows(desk) == before


def test_every_outcome_of_a_signal_is_kept_with_it(ground: Ground) -> None:
    now = ground.go_to_tick(0)
    with ground.desk() as desk:
        for symbol, value in (("AAPL", 1.0), ("IBM", 0.05), ("MSFT", -1.0)):
            tick_signals.receive(desk, symbol, value)
        tick_signals.receive(desk, "GOOG", 0.5, as_of_ns=now - 300 * 10**9)
        run_tick(desk, ground.session, now)
        outcomes = {row["symbol"]: row["outcome"] for row in rows(desk)["signals"]}
        assert outcomes == {"AAPL": "ORDERED", "IBM": "BELOW_THRESHOLD", "MSFT": "HELD", "GOOG": "REFUSED"}


def test_a_break_is_in_the_history_of_the_tick_that_saw_it(ground: Ground) -> None:
    ground.go_to_tick(0)
    with ground.desk() as desk:
        buy_dear(ground, desk)
        operator.adjust(desk, symbol="IBM", qty_delta=Decimal(2), reason="planted", author="tester")
        now = ground.go_to_tick(1)
        desk.clock.sync()
        books.reconcile_positions(desk, ground.session, now)
        (row,) = rows(desk)["breaks"]
        assert (row["kind"], row["subject"], row["ours"], row["theirs"]) == (
            "QUANTITY",
            "IBM",
            "2",
            "0",
        )
