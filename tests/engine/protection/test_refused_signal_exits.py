"""The exit of a signal that does not get out: a person hears of it, and protection proposes it again until
the shares are sold, another signal supersedes it, or the session ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from counter import NS, SESSION, TICK_NS, Counter, desk_at
from engine_ticks import execute
from support.broker_words import activity, restated
from support.planted import Altered

from trading_assets.broker.port import AssetState, NewOrder, OrderState, Rejected
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.orders import submit
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.engine.records.projection import signal_outcomes
from trading_assets.engine.records.verify import verify
from trading_assets.engine.signals import tick_signals
from trading_assets.market.sessions import Sessions, new_york_midnight_ns

pytestmark = pytest.mark.slow

MINUTE_NS = 60 * NS


@contextmanager
def holding(tmp_path: Path, *symbols: str, counter: Counter | None = None) -> Iterator[tuple[Counter, Desk]]:
    """A desk with ten shares of each symbol."""
    counter = counter or Counter(dict.fromkeys(symbols, (10, 100)))
    with desk_at(counter, tmp_path, *symbols) as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        yield counter, desk


def later(counter: Counter, desk: Desk, minutes: int = 1) -> ProtectReport:
    """Protection, some minutes on."""
    counter.now_ns += minutes * MINUTE_NS
    return protect_alone(desk, new_execution_id())


def sell(desk: Desk, value: float = -1.0) -> str:
    """A signal by which a tick decides now; its decision."""
    desk.clock.sync()
    signal = tick_signals.receive(desk, "AAPL", value, source=str(desk.now_ns()))
    execute(desk, SESSION, desk.now_ns())
    return signal.decision_id


def titles(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


def test_an_exit_of_a_signal_that_the_gate_refuses_is_told_once_and_one_of_nothing_is_not(
    tmp_path: Path,
) -> None:
    counter = Counter({"AAPL": (10, 100)})
    with holding(tmp_path, "AAPL", "IBM", counter=counter) as (counter, desk):
        in_the_way_halted(counter, desk)
        for number in range(2):
            for symbol in ("AAPL", "IBM"):
                tick_signals.receive(desk, symbol, -1.0, source=f"producer {number}")
            report = execute(desk, SESSION, TICK_NS)
            assert not report.orders
        alerts = [alert for alert in desk.journal.pending_alerts() if "exit" in alert.title]
        assert [alert.title for alert in alerts] == ["AAPL: the exit of a signal is refused: SYMBOL_HALTED"]
        assert "tried again from" in alerts[0].body


InTheWay = Callable[[Counter, Desk], None]


def in_the_way_halted(counter: Counter, desk: Desk) -> None:
    def halted(symbol: str) -> AssetState:
        return replace(counter.asset(symbol), halted=True)

    desk.broker = Altered(counter, asset=halted, assets=list)


def in_the_way_not_tradable(counter: Counter, desk: Desk) -> None:
    def delisted(symbol: str) -> AssetState:
        return replace(counter.asset(symbol), tradable=False)

    desk.broker = Altered(counter, asset=delisted, assets=list)


def in_the_way_market_closed(counter: Counter, desk: Desk) -> None:
    """The broker's clock says that the market is closed, as in a halt of all trading."""
    desk.broker = Altered(counter, clock=lambda: replace(counter.clock(), is_open=False))


def in_the_way_persons_order(counter: Counter, desk: Desk) -> None:
    """A person's sale that holds all shares, and whose cancel does not take."""
    counter.submit(NewOrder("take-profit", "AAPL", Side.SELL, Decimal(10), Decimal(200)))
    desk.broker = Altered(counter, cancel=lambda _: None)


def in_the_way_rejection(counter: Counter, desk: Desk) -> None:
    def submit(order: NewOrder) -> OrderState:
        raise Rejected(403, 40310000, "potential wash trade detected")

    desk.broker = Altered(counter, submit=submit)


WAYS = {
    "SYMBOL_HALTED": in_the_way_halted,
    "ASSET_NOT_TRADABLE": in_the_way_not_tradable,
    "MARKET_CLOSED": in_the_way_market_closed,
    "a person's order": in_the_way_persons_order,
    "the broker's rejection": in_the_way_rejection,
}


@pytest.mark.parametrize("way", WAYS)
def test_an_exit_that_something_keeps_in_gets_out_once_that_is_gone_under_the_same_decision(
    tmp_path: Path, way: str
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        WAYS[way](counter, desk)
        decision = sell(desk)
        assert not later(counter, desk).reconciliation.positions["AAPL"].qty < 10
        desk.broker = counter
        orders = [*later(counter, desk).orders, *later(counter, desk).orders]  # the first may free the shares
        assert [(order.state, order.intent.decision_id) for order in orders] == [("FILLED", decision)]
        assert not counter.positions()
        sent = [order.intent for order in desk.journal.orders(desk.book)]
        assert [intent.attempt for intent in sent] == list(range(1, len(sent) + 1))
        assert not later(counter, desk).orders


def test_an_exit_that_is_dropped_before_the_wire_is_sent_as_its_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        with monkeypatch.context() as patch:
            patch.setattr(submit, "_obstacle", lambda *_: "halted between gate and wire")
            decision = sell(desk)
        (dropped,) = desk.journal.orders(desk.book)
        assert dropped.state == "DROPPED"
        (order,) = later(counter, desk).orders
        assert (order.state, order.intent.attempt, order.intent.decision_id) == ("FILLED", 2, decision)


def test_a_signal_to_hold_supersedes_an_exit_that_did_not_get_out_and_a_weak_one_does_not(
    tmp_path: Path,
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_halted(counter, desk)
        first = sell(desk)
        counter.now_ns += MINUTE_NS
        sell(desk, 0.05)
        assert [verdict.decision_id for verdict in later(counter, desk).verdicts] == [first]
        counter.now_ns += MINUTE_NS
        second = sell(desk, -0.5)
        assert [verdict.decision_id for verdict in later(counter, desk).verdicts] == [second]
        counter.now_ns += MINUTE_NS
        sell(desk, 0.001 + desk.limits.threshold)
        desk.broker = counter
        assert not later(counter, desk).verdicts
        assert counter.positions()


def test_a_kill_refuses_it_and_the_next_session_begins_without_it(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_halted(counter, desk)
        sell(desk)
        desk.broker = counter
        operator.kill(desk, reason="test", author="tester")
        assert not later(counter, desk).verdicts
        operator.rearm(desk, reason="test", author="tester")
        counter.now_ns += Sessions().open_ns(Sessions().next(SESSION)) - Sessions().open_ns(SESSION)
        assert not later(counter, desk).verdicts
        assert counter.positions()


class Illiquid(Counter):
    """Nobody buys: every order rests until it is cancelled."""

    def submit(self, order: NewOrder) -> OrderState:
        priced = replace(order, limit_price=order.limit_price + 10**6)
        state = replace(super().submit(priced), limit_price=order.limit_price)
        self.orders[state.id] = state
        return state


@pytest.mark.slow(seconds=40)
@pytest.mark.parametrize("every_tick", [False, True], ids=["one signal", "a signal at every tick"])
def test_an_exit_that_rests_all_day_is_tried_to_the_last_hour_within_its_share(
    tmp_path: Path, every_tick: bool
) -> None:
    counter = Illiquid({"AAPL": (10, 100)})
    counter.now_ns = opened = Sessions().open_ns(SESSION) + 2 * MINUTE_NS
    with holding(tmp_path, "AAPL", counter=counter) as (counter, desk):
        sell(desk)
        for minute in [*range(1, 15), *range(15, 387, 5)]:
            counter.now_ns = opened + minute * MINUTE_NS
            if every_tick and minute % 5 == 0:
                sell(desk)
            else:
                protect_alone(desk, new_execution_id())
        sent = [order.submitted_ns or 0 for order in desk.journal.orders(desk.book)]
        minutes = [(at_ns - opened) / MINUTE_NS for at_ns in sent]
        assert minutes[:5] == [0, 1, 2, 4, 9]
        assert all(after - before >= 9.7 for before, after in pairwise(minutes[4:]))
        assert 20 <= len(minutes) <= desk.limits.max_exit_orders_per_day / 10
        assert len([minute for minute in minutes if minute > 330]) >= 2
        assert len(minutes[1:]) == len(set(minutes[1:]))


def test_a_symbol_whose_exits_are_used_up_is_told_with_the_command_that_is_outside_the_cap(
    tmp_path: Path,
) -> None:
    with holding(tmp_path, "AAPL", counter=Illiquid({"AAPL": (10, 100)})) as (counter, desk):
        desk.limits = desk.limits._replace(max_exit_orders_per_day=10.0)
        sell(desk)
        later(counter, desk)
        later(counter, desk)
        (alerts,) = [one for one in desk.journal.pending_alerts() if "DAILY_ORDER_COUNT" in one.title]
        assert "`trading-assets flatten --reason …`" in alerts.body
        operator.flatten(desk, reason="used up", author="tester")
        assert [order.intent.kind for order in desk.journal.orders(desk.book)][-1] == "flatten"


class Thin(Counter):
    """Every sale trades one share, and rests with what is left."""

    def submit(self, order: NewOrder) -> OrderState:
        if order.side != Side.SELL or order.qty <= 1:
            return super().submit(order)
        filled = super().submit(replace(order, qty=Decimal(1)))
        state = restated(filled, qty=order.qty, status="partially_filled")
        self.orders[state.id] = state
        return state

    def open_orders(self) -> Sequence[OrderState]:
        return [one for one in self.orders.values() if one.status_word in ("new", "partially_filled")]


@pytest.mark.slow(seconds=60)
def test_an_exit_of_which_each_try_fills_a_part_keeps_tries_for_the_last_hour(tmp_path: Path) -> None:
    counter = Thin({"AAPL": (90, 100)})
    counter.now_ns = opened = Sessions().open_ns(SESSION) + 2 * MINUTE_NS
    with holding(tmp_path, "AAPL", counter=counter) as (counter, desk):
        sell(desk)
        for minute in [*range(1, 30), *range(30, 370, 10)]:
            counter.now_ns = opened + minute * MINUTE_NS
            protect_alone(desk, new_execution_id())
        sent = [order.submitted_ns or 0 for order in desk.journal.orders(desk.book)]
        minutes = [round((at_ns - opened) / MINUTE_NS) for at_ns in sent]
        assert minutes[:20] == list(range(20))
        assert any(minute > 330 for minute in minutes)
        assert len(minutes) <= desk.limits.max_exit_orders_per_day / 10


@pytest.mark.parametrize("dated", [False, True], ids=["its time is known", "only its date is known"])
@pytest.mark.parametrize(("brought", "held"), [(10, 20), (-5, 5)], ids=["two for one", "one for two"])
def test_an_exit_that_a_split_meets_sells_all_of_it_however_its_line_is_stamped(
    tmp_path: Path, dated: bool, brought: int, held: int
) -> None:
    """A line without a time bears the first moment of its day, which is before the signal."""
    counter = Counter({"AAPL": (10, 40)})
    counter.now_ns -= 24 * 60 * MINUTE_NS  # the book began the day before
    with holding(tmp_path, "AAPL", counter=counter) as (counter, desk):
        counter.now_ns = TICK_NS
        protect_alone(desk, new_execution_id())
        in_the_way_halted(counter, desk)
        decision = sell(desk)
        at_ns = new_york_midnight_ns(SESSION) if dated else counter.now_ns + NS
        line = activity("split", "SPLIT", at_ns, "AAPL", qty=Decimal(brought), dated=dated)
        counter.lines.append(line)
        counter.shares["AAPL"] = (Decimal(held), Decimal(50))
        later(counter, desk)
        desk.broker = counter
        (order,) = later(counter, desk).orders
        assert (order.intent.decision_id, order.filled_qty) == (decision, Decimal(held))
        assert not counter.positions()
        assert not later(counter, desk).orders


@pytest.mark.parametrize(("brought", "held"), [(10, 20), (-5, 5)], ids=["two for one", "one for two"])
def test_of_a_split_that_was_booked_with_the_tick_each_try_sells_all_that_is_left(
    tmp_path: Path, brought: int, held: int
) -> None:
    """The tick has seen what the line brought: it is not brought once more to what its orders leave."""
    thin = Thin({"AAPL": (10, 40)})
    thin.now_ns -= 24 * 60 * MINUTE_NS  # the book began the day before
    with holding(tmp_path, "AAPL", counter=thin) as (counter, desk):
        counter.now_ns = TICK_NS
        line = activity("split", "SPLIT", TICK_NS, "AAPL", qty=Decimal(brought))
        counter.lines.append(line)
        counter.shares["AAPL"] = (Decimal(held), Decimal(50))
        protect_alone(desk, new_execution_id())
        sell(desk)
        for _ in range(3):
            left = counter.shares["AAPL"][0]
            assert 0 < left < held
            (order,) = later(counter, desk).orders
            assert order.intent.qty == left


@pytest.mark.parametrize(("first", "then"), [(0.5, -1.0), (-0.5, -1.0), (-1.0, 0.5)])
def test_a_signal_that_comes_after_a_newer_one_was_taken_is_superseded(
    tmp_path: Path, first: float, then: float
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        if first < 0:
            in_the_way_halted(counter, desk)
        newer = sell(desk, first)
        as_of_ns = counter.now_ns - MINUTE_NS
        counter.now_ns += MINUTE_NS
        desk.clock.sync()
        older = tick_signals.receive(desk, "AAPL", then, source="late", as_of_ns=as_of_ns).decision_id
        report = execute(desk, SESSION, desk.now_ns())
        assert report.outcomes == {older: "SUPERSEDED"}
        assert [verdict.decision_id for verdict in report.verdicts] == ([newer] if first < 0 else [])
        (late,) = report.passed_over
        assert str(late).endswith("that was taken before it")
        outcomes = signal_outcomes(desk.journal, desk.book, SESSION.isoformat(), report.tick_ns)
        assert outcomes[older] == "SUPERSEDED"
        desk.broker = counter
        later(counter, desk)
        assert bool(counter.positions()) is (first > 0)


def test_a_stamp_ahead_of_time_does_not_outlast_the_signals_after_it(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        desk.clock.sync()
        tick_signals.receive(desk, "AAPL", 0.5, source="ahead", as_of_ns=desk.now_ns() + 60 * MINUTE_NS)
        execute(desk, SESSION, desk.now_ns())
        counter.now_ns += MINUTE_NS
        in_the_way_rejection(counter, desk)
        decision = sell(desk)
        desk.broker = counter
        (order,) = later(counter, desk).orders
        assert (order.state, order.intent.decision_id) == ("FILLED", decision)


@pytest.mark.parametrize(("ahead", "in_time"), [(0.5, -1.0), (0.0, -1.0), (-1.0, 0.5)])
def test_what_is_stamped_ahead_of_time_supersedes_no_exit_of_its_tick(
    tmp_path: Path, ahead: float, in_time: float
) -> None:
    """The gate would refuse to buy on it. To sell it would not: an exit that is ahead is the newest."""
    with holding(tmp_path, "AAPL") as (counter, desk):
        desk.clock.sync()
        later_ns = desk.now_ns() + 60 * MINUTE_NS
        early = tick_signals.receive(desk, "AAPL", ahead, source="ahead", as_of_ns=later_ns).decision_id
        proper = tick_signals.receive(desk, "AAPL", in_time, source="in time").decision_id
        listed = tick_signals.store_signals(desk, SESSION, desk.now_ns()).passed_over
        report = execute(desk, SESSION, desk.now_ns())
        sold_by, other = (early, proper) if ahead < 0 else (proper, early)
        assert report.outcomes == {sold_by: "ORDERED", other: "SUPERSEDED"}
        assert [one.decision_id for one in (*listed, *report.passed_over)] == [other, other]
        assert str(report.passed_over[0]).endswith("ahead of time") is (ahead >= 0)
        assert not counter.positions()
        assert verify(desk.journal, desk.history, desk.book, SESSION).differences == ()


def test_a_stamp_ahead_of_time_supersedes_no_exit_that_is_tried_again(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_halted(counter, desk)
        decision = sell(desk)
        counter.now_ns += MINUTE_NS
        desk.clock.sync()
        tick_signals.receive(desk, "AAPL", 0.5, source="ahead", as_of_ns=desk.now_ns() + 60 * MINUTE_NS)
        execute(desk, SESSION, desk.now_ns())
        desk.broker = counter
        later(counter, desk)
        assert not counter.positions()
        assert {one.intent.decision_id for one in desk.journal.orders(desk.book)} == {decision}


def test_a_session_with_late_signals_and_exits_that_wait_for_their_turn_verifies(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_rejection(counter, desk)
        for minute, (value, age_minutes) in enumerate(
            [(-1.0, 0), (-0.9, 0), (-0.8, 0), (0.5, 10), (-0.7, 0)]
        ):
            counter.now_ns += MINUTE_NS
            desk.clock.sync()
            as_of_ns = desk.now_ns() - age_minutes * MINUTE_NS
            tick_signals.receive(desk, "AAPL", value, source=str(minute), as_of_ns=as_of_ns)
            tick_signals.store_signals(desk, SESSION, desk.now_ns())
            execute(desk, SESSION, desk.now_ns())
        inputs = [one.payload for one in desk.journal.tick_inputs(desk.book, session=SESSION.isoformat())]
        assert any(one["waiting"] for one in inputs)
        assert any(one["superseded"] for one in inputs)
        assert verify(desk.journal, desk.history, desk.book, SESSION).differences == ()


def reduce(desk: Desk) -> str:
    """A signal whose target leaves a part of the position, by which a tick decides now; its decision."""
    desk.limits = desk.limits._replace(max_position_pct=0.00055)  # of a million: five shares and a half
    return sell(desk, 1.0)


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"a person's order"}))
def test_a_part_that_something_keeps_in_is_sold_once_that_is_gone_and_the_rest_is_kept(
    tmp_path: Path, way: str
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        WAYS[way](counter, desk)
        decision = reduce(desk)
        assert later(counter, desk).reconciliation.positions["AAPL"].qty == 10
        desk.broker = counter
        (order,) = later(counter, desk).orders
        assert (order.state, order.filled_qty, order.intent.decision_id) == ("FILLED", Decimal(4), decision)
        for _ in range(3):
            assert not later(counter, desk).orders
        assert counter.shares["AAPL"][0] == 6
        assert verify(desk.journal, desk.history, desk.book, SESSION).differences == ()


@pytest.mark.parametrize(("by_hand", "sold"), [(1, 3), (4, 0), (6, 0), (-5, 4)])
def test_of_a_part_no_more_is_sold_than_leaves_what_was_to_be_kept_whoever_has_sold_meanwhile(
    tmp_path: Path, by_hand: int, sold: int
) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_halted(counter, desk)
        reduce(desk)
        counter.shares["AAPL"] = (Decimal(10 - by_hand), Decimal(100))
        desk.broker = counter
        orders = [order for _ in range(3) for order in later(counter, desk).orders]
        assert sum(order.filled_qty for order in orders) == sold


def test_of_a_part_that_trickles_only_the_part_is_sold(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL", counter=Thin({"AAPL": (10, 100)})) as (counter, desk):
        in_the_way_halted(counter, desk)
        reduce(desk)
        desk.broker = counter
        sold = [order.filled_qty for _ in range(8) for order in later(counter, desk).orders]
        assert sold == [1, 1, 1, 1]
        assert counter.shares["AAPL"][0] == 6


def test_a_newer_signal_supersedes_a_part_that_was_kept_in(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        in_the_way_halted(counter, desk)
        reduce(desk)
        counter.now_ns += MINUTE_NS
        desk.limits = desk.limits._replace(max_position_pct=0.001)
        sell(desk, 1.0)  # ten shares are what it wants
        desk.broker = counter
        assert not later(counter, desk).orders
        assert counter.shares["AAPL"][0] == 10


def test_a_tick_that_is_done_again_sells_its_part_once(tmp_path: Path) -> None:
    with holding(tmp_path, "AAPL") as (counter, desk):
        desk.clock.sync()
        tick_signals.receive(desk, "AAPL", 1.0)
        desk.limits = desk.limits._replace(max_position_pct=0.00055)
        tick_signals.store_signals(desk, SESSION, TICK_NS)
        for share in (0.00055, 0.0003):  # what it would sell is another quantity now
            desk.limits = desk.limits._replace(max_position_pct=share)
            execute(desk, SESSION, TICK_NS)
        assert not later(counter, desk).orders
        assert counter.shares["AAPL"][0] == 6
