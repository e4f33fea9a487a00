"""A live book that is not armed and holds positions: nothing is sent, and a person hears what has no stop."""

from __future__ import annotations

from pathlib import Path

from counter import NS, SESSION, TICK_NS, Counter, desk_at

from trading_assets.engine.book.arming import arm, disarm
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.flattens import still_held
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.market.sessions import Sessions
from trading_assets.store.records import OutboxRecord

NEXT_OPEN_NS = Sessions().ticks(Sessions().next(SESSION), 30)[0]


def as_live(counter: Counter, data_dir: Path) -> Desk:
    desk = desk_at(counter, data_dir)
    desk.settings = desk.settings.model_copy(update={"mode": "live", "account_number": "C1"})
    desk.book = "embedded:C1:live"
    desk.begin()
    adopt(desk, author="tester", reason="held before")
    reconcile(desk)
    return desk


def alerts_with(desk: Desk, words: str) -> list[OutboxRecord]:
    return [alert for alert in desk.journal.pending_alerts() if words in alert.title]


def look(counter: Counter, desk: Desk, now_ns: int) -> None:
    counter.now_ns = now_ns
    assert protect_alone(desk, new_execution_id()).orders == ()


def test_positions_of_a_book_that_is_not_armed_are_told_at_once_and_then_once_a_session(
    tmp_path: Path,
) -> None:
    counter = Counter({"AAPL": (10, 100), "IBM": (7, 200)})  # IBM is at its stop
    with as_live(counter, tmp_path) as desk:
        arm(desk, reason="test", author="tester")
        disarm(desk, author="tester")
        for minutes in range(3):
            look(counter, desk, TICK_NS + minutes * 60 * NS)
        (alert,) = alerts_with(desk, "is not armed: 2 positions have no stop that fires")
        assert "AAPL: 10 shares, stop at 95.00 USD; IBM: 7 shares" in alert.body
        assert "`trading-assets arm --reason …`" in alert.body
        assert "`trading-assets flatten --reason …`" in alert.body
        (stopped,) = alerts_with(desk, "the stop does not fire")
        assert stopped.title.startswith("IBM: ")
        look(counter, desk, NEXT_OPEN_NS)
        assert len(alerts_with(desk, "have no stop that fires")) == 2
        assert desk.journal.orders(desk.book) == []
        arm(desk, reason="test", author="tester")
        counter.now_ns = NEXT_OPEN_NS + 60 * NS
        (sold,) = protect_alone(desk, new_execution_id()).orders
        assert (sold.intent.symbol, sold.state) == ("IBM", "FILLED")
        disarm(desk, author="tester")
        look(counter, desk, NEXT_OPEN_NS + 120 * NS)
        assert len(alerts_with(desk, "have no stop that fires")) == 3


def test_a_flatten_of_a_book_that_is_not_armed_says_that_arming_is_what_it_waits_for(tmp_path: Path) -> None:
    with as_live(Counter({"AAPL": (10, 100)}), tmp_path) as desk:
        report = operator.flatten_now(desk, reason="all out", author="tester")
        assert report.orders == ()
        (line,) = still_held(desk)
        assert line.summary == (
            "AAPL, 10 shares: live trading is not armed, and nothing is sent; "
            "tried again after `trading-assets arm --reason …`"
        )
        arm(desk, reason="test", author="tester")
        assert operator.flatten_now(desk, reason="all out", author="tester").flat
