"""A flatten is kept until every position is zero, says what it holds meanwhile, and lets no entry pass."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_ticks import buy, buy_dear, run_tick
from support.planted import Altered, with_limits
from support.trading_floor import TradingFloor

from trading_assets.broker.port import NewOrder, OrderState, OutcomeUnknown, Rejected, Unreachable
from trading_assets.core.gate import reason
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.checks.book_limits import limit_checks
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.flattens import still_held
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.engine.records.status import book_status
from trading_assets.engine.signals import tick_signals
from trading_assets.store.journal import LeaseHeld


def protect(desk: Desk) -> ProtectReport:
    return protect_alone(desk, new_execution_id())


def flatten(desk: Desk) -> operator.Flattening:
    return operator.flatten_now(desk, reason="all out", author="tester")


def held(desk: Desk) -> dict[str, Decimal]:
    return {position.symbol: position.qty for position in desk.broker.positions()}


def titles(desk: Desk) -> list[str]:
    return [alert.title for alert in desk.journal.pending_alerts()]


class Refusing:
    """The broker's `submit`, that refuses a symbol's orders until it is told to obey."""

    def __init__(self, desk: Desk, symbol: str) -> None:
        self.symbol: str | None = symbol
        self.refused = 0
        self._real = desk.broker.submit
        desk.broker = Altered(desk.broker, submit=self)

    def __call__(self, order: NewOrder) -> OrderState:
        if order.symbol == self.symbol:
            self.refused += 1
            raise Rejected(403, 40310000, "insufficient qty available for order")
        return self._real(order)


def test_at_a_closed_market_it_waits_for_the_next_open_and_says_when_that_is(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        floor.keeper.move_to(floor.sessions.close_ns(floor.session) + 10**9)
        report = flatten(desk)
        assert not report.flat
        assert (report.verdicts, report.orders, report.failure) == ((), (), "")
        (line,) = report.held
        assert (line.symbol, line.qty, line.why) == ("AAPL", held(desk)["AAPL"], "the market is closed")
        assert line.again == "at the next open, 2012-09-12 09:30:00 EDT"
        shown = book_status(desk)
        assert (shown.well, shown.held) == (False, report.held)
        assert shown.flatten is not None
        assert (shown.flatten.author, shown.flatten.reason) == ("tester", "all out")
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:  # another process, another day
        (order,) = protect(desk).orders
        assert (order.intent.kind, order.state) == ("flatten", "FILLED")
        assert held(desk) == {}
        assert desk.journal.flatten_in_force(desk.book) is None
        protect(desk)
        assert titles(desk).count("Flatten done: every position is zero") == 1
        assert book_status(desk).flatten is None


def test_no_entry_passes_while_it_is_in_force_and_a_rearm_ends_it(floor: TradingFloor) -> None:
    now = floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        Refusing(desk, "AAPL")
        assert [line.symbol for line in flatten(desk).held] == ["AAPL"]
        tick_signals.receive(desk, "IBM", 1.0)
        report, _ = run_tick(desk, floor.session, now)
        entry = next(verdict for verdict in report.verdicts if verdict.symbol == "IBM")
        assert reason(entry.failed, entry.cause) == "REDUCE_ONLY cause=FLATTEN"
        assert operator.rearm(desk, reason="I keep it", author="ada") == (Cause.FLATTEN,)
        assert desk.halts().causes == ()
        assert still_held(desk) == ()
        floor.go_to_tick(1)
        assert protect(desk).orders == ()  # nor is the decision's rest sold
        assert len(held(desk)) == 1


def test_a_rearm_cancels_what_a_flatten_has_at_work_as_part_of_the_act(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        real = desk.broker

        def submit(order: NewOrder) -> OrderState:
            floor.move_quote(desk, order.symbol, "0.99")  # the market leaves the sale behind
            return real.submit(order)

        desk.broker = Altered(real, submit=submit)
        (order,) = flatten(desk).orders
        assert (order.state, len(real.open_orders())) == ("ACCEPTED", 1)
        operator.rearm(desk, reason="I keep it", author="ada")
        assert real.open_orders() == []
        assert desk.journal.order(order.intent.client_order_id).state == "CANCELED"
        floor.go_to_tick(1)
        assert protect(desk).orders == ()
        assert len(held(desk)) == 1


def test_where_a_rearm_cannot_cancel_it_the_next_protection_does(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        real = desk.broker

        def submit(order: NewOrder) -> OrderState:
            floor.move_quote(desk, order.symbol, "0.99")
            return real.submit(order)

        def unreachable(_: str) -> None:
            raise Unreachable("scripted: no answer")

        desk.broker = Altered(real, submit=submit, cancel=unreachable)
        flatten(desk)
        assert operator.rearm(desk, reason="I keep it", author="ada") == (Cause.FLATTEN,)
        assert len(real.open_orders()) == 1
        desk.broker = real
        protect(desk)  # within its execution timeout
        assert real.open_orders() == []
        assert len(held(desk)) == 1


def test_a_rearm_beside_a_flatten_that_is_sending_keeps_in_what_has_not_left(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk, floor.desk() as beside:
        for symbol in ("AAPL", "IBM"):
            buy(floor, desk, symbol)
        real = desk.broker

        def submit(order: NewOrder) -> OrderState:
            operator.rearm(beside, reason="I keep the rest", author="ada")
            return real.submit(order)

        desk.broker = Altered(real, submit=submit)
        sent = {order.intent.symbol: order for order in flatten(desk).orders}
        assert [(symbol, order.state) for symbol, order in sorted(sent.items())] == [
            ("AAPL", "FILLED"),
            ("IBM", "DROPPED"),
        ]
        assert sent["IBM"].detail == "the flatten was ended between gate and wire"
        desk.broker = real
        assert protect(desk).orders == ()
        assert held(desk).keys() == {"IBM"}


def test_a_second_one_goes_on_with_the_first_and_tries_at_once(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        broker = Refusing(desk, "AAPL")
        flatten(desk)
        first = desk.journal.flatten_in_force(desk.book)
        for _ in range(3):
            protect(desk)
        assert broker.refused == 2  # at once, then not before a minute has passed
        (line,) = still_held(desk)
        assert "attempt 2 is REJECTED: the broker refused it" in line.why
        assert line.again == "after 2012-09-11 10:01:00 EDT"
        flatten(desk)
        assert broker.refused == 3
        assert desk.journal.flatten_in_force(desk.book) == first
        broker.symbol = None
        assert flatten(desk).flat
        assert held(desk) == {}


def test_it_is_durable_before_a_lease_or_a_broker_is_needed(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        with desk.journal.lease(desk.book, "a tick at work"):
            with pytest.raises(LeaseHeld):
                operator.flatten(desk, reason="all out", author="tester")
            assert "a tick at work" in flatten(desk).failure
        real = desk.broker

        def unread() -> None:
            raise Unreachable("scripted: no answer")

        desk.broker = Altered(real, account=unread, positions=unread)
        report = flatten(desk)
        assert "no answer" in report.failure
        assert not report.flat
        desk.broker = real
        assert [order.state for order in protect(desk).orders] == ["FILLED"]
        assert held(desk) == {}


def test_it_does_not_end_while_the_broker_shows_no_position_for_what_was_filled(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        real = desk.broker
        desk.broker = Altered(real, positions=list)  # they lag behind the fill
        report = flatten(desk)
        assert not report.flat
        (line,) = report.held
        assert (line.symbol, "our books hold" in line.why) == ("AAPL", True)
        assert desk.journal.flatten_in_force(desk.book) is not None
        desk.broker = real
        protect(desk)
        assert held(desk) == {}
        assert desk.journal.flatten_in_force(desk.book) is None


def test_a_kill_that_flattens_latches_the_same_intent(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk(flatten_on_kill=True) as desk:
        buy(floor, desk)
        broker = Refusing(desk, "AAPL")
        operator.kill(desk, reason="stop it", author="ada")
        flattening = desk.journal.flatten_in_force(desk.book)
        assert flattening is not None
        assert (flattening.author, flattening.reason) == ("ada", "flatten_on_kill: stop it")
        broker.symbol = None
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk(flatten_on_kill=True) as desk:
        protect(desk)
        assert held(desk) == {}
        assert desk.halts().causes == (Cause.KILL,)
        protect(desk)
        assert desk.journal.flatten_in_force(desk.book) is None  # nothing is held: no other begins


def test_one_symbol_that_burns_rejections_stops_no_other_symbols_stop_and_no_flatten(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        floor.move_quote(desk, "IBM", "1.065")
        buy(floor, desk, "IBM")  # its stop is hit as soon as the market comes back
        buy_dear(floor, desk)
        broker = Refusing(desk, "AAPL")
        with_limits(desk, max_exit_orders_per_day=20.0)
        refusals = set()
        for minute in range(12):
            floor.keeper.move_to(floor.ticks()[0] + minute * 60 * 10**9)
            refusals |= {reason(v.failed, v.cause) for v in protect(desk).verdicts}
        assert broker.refused == 2  # its share
        assert refusals == {"PASS", "DAILY_ORDER_COUNT"}
        assert titles(desk).count("AAPL: the broker refused an exit") == 1
        assert titles(desk).count("AAPL: exit refused: DAILY_ORDER_COUNT") == 1
        assert held(desk).keys() == {"AAPL", "IBM"}
        floor.keeper.tape_quote("IBM")
        floor.go_to_tick(1)
        sold = [order for order in protect(desk).orders if order.intent.symbol == "IBM"]
        assert [(order.intent.kind, order.state) for order in sold] == [("stop", "FILLED")]
        assert held(desk).keys() == {"AAPL"}
        broker.symbol = None
        with_limits(desk, max_exit_orders_per_day=0.0)
        operator.kill(desk, reason="stop it", author="tester")
        assert flatten(desk).flat
        assert held(desk) == {}
        assert desk.journal.sent_counts(desk.book, desk.session_text())["AAPL"].flattens == 1


@pytest.mark.parametrize("way", ["stop", "signal"])
def test_a_persons_order_that_holds_an_exits_shares_is_cancelled_at_once_and_a_person_told(
    floor: TradingFloor, way: str
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk, "IBM")
        (buy if way == "signal" else buy_dear)(floor, desk)
        for symbol, qty in held(desk).items():
            bid = desk.broker.quotes([symbol])[symbol].bid
            assert bid is not None
            limit = (bid * Decimal("1.3")).quantize(Decimal("0.01"))
            desk.broker.submit(NewOrder(f"take-profit-{symbol}", symbol, Side.SELL, qty, limit))
        if way == "signal":
            floor.go_to_tick(1)
            desk.clock.sync()
            tick_signals.receive(desk, "AAPL", -1.0)
            report, _ = run_tick(desk, floor.session, desk.now_ns())
            orders = report.orders
        else:
            orders = protect(desk).orders
        assert [(order.intent.symbol, order.state) for order in orders] == [("AAPL", "FILLED")]
        assert [order.client_order_id for order in desk.broker.open_orders()] == ["take-profit-IBM"]
        assert "AAPL: a person's order is cancelled" in titles(desk)
        assert "IBM: a person's order is cancelled" not in titles(desk)


def test_a_persons_order_that_does_not_go_is_told_of_in_stages_and_not_at_each_look(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        bid = desk.broker.quotes(["AAPL"])["AAPL"].bid
        assert bid is not None
        limit = (bid * Decimal("1.3")).quantize(Decimal("0.01"))
        desk.broker.submit(NewOrder("take-profit", "AAPL", Side.SELL, held(desk)["AAPL"], limit))
        desk.broker = Altered(desk.broker, cancel=lambda _: None)
        alerts = []
        for minute in range(8):
            floor.keeper.move_to(floor.ticks()[0] + minute * 60 * 10**9)
            assert protect(desk).orders == ()
            alerts.append(titles(desk).count("AAPL: cancel not confirmed"))
        assert alerts == [1, 2, 2, 2, 2, 3, 3, 3]


def test_a_kill_asks_for_every_cancel_in_one_call_and_where_that_fails_for_each(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    for answers in (True, False):
        with floor.desk() as desk:
            protect(desk)
            for symbol in ("AAPL", "IBM", "MSFT"):
                desk.broker.submit(NewOrder(f"{symbol}-{answers}", symbol, Side.BUY, Decimal(1), Decimal(10)))
            real, requests = desk.broker, list[str]()

            def cancel(order_id: str, real: object = real, requests: list[str] = requests) -> None:
                requests.append(order_id)
                real.cancel(order_id)  # type: ignore[attr-defined]

            def cancel_all(real: object = real, answers: bool = answers) -> object:
                if not answers:
                    raise OutcomeUnknown("cancel all orders: HTTP 500")
                return real.cancel_all()  # type: ignore[attr-defined]

            desk.broker = Altered(real, cancel=cancel, cancel_all=cancel_all)
            operator.kill(desk, reason="stop it", author="tester")
            assert real.open_orders() == []
            assert len(requests) == (0 if answers else 3)
            operator.rearm(desk, reason="again", author="tester")


def test_what_a_flatten_sends_is_in_no_count_of_the_exit_cap(floor: TradingFloor) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        for symbol in ("AAPL", "IBM"):
            buy(floor, desk, symbol)
        with_limits(desk, max_exit_orders_per_day=1.0)
        assert flatten(desk).flat
        assert not [
            outcome for outcome in limit_checks(desk) if "exit" in outcome.check.name and not outcome.passed
        ]
