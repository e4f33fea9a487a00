"""An exit that is over sells nothing more: what comes to its symbol afterwards is a person's. While it is
under way everything that comes is its own, and a fill of our own entry that arrives late above all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from counter import NS, SESSION, Counter, desk_at
from engine_ticks import execute
from support.broker_words import activity, restated, stated
from support.planted import Altered, plant_order

from trading_assets.broker.port import NewOrder, OrderState, Rejected
from trading_assets.core.orders import State
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.signal_exits import LAST_SIGNALS
from trading_assets.engine.protection.exits_over import STOP_LOCK, locks_in_force
from trading_assets.engine.protection.protect import ProtectReport, new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile
from trading_assets.engine.signals import tick_signals
from trading_assets.market.sessions import Sessions
from trading_assets.store.records import OrderRecord

pytestmark = pytest.mark.slow

MINUTE_NS = 60 * NS
ENTRY = "o-entry"


@pytest.fixture
def counter() -> Counter:
    """Ten shares of AAPL that have reached their stop, and ten of IBM that have not."""
    return Counter({"AAPL": (10, 110), "IBM": (10, 100)})


def opened(counter: Counter, tmp_path: Path) -> Desk:
    desk = desk_at(counter, tmp_path, "AAPL", "IBM")
    desk.begin()
    adopt(desk, author="tester", reason="held before")
    reconcile(desk)
    return desk


def later(counter: Counter, desk: Desk, ns: int = MINUTE_NS) -> ProtectReport:
    counter.now_ns += ns
    return protect_alone(desk, new_execution_id())


def comes(counter: Counter, symbol: str, qty: int, cost: int = 100, *, bought: bool = True) -> None:
    """Shares that a person bought, or that another broker transferred."""
    before, _ = counter.shares.get(symbol, (Decimal(0), Decimal(0)))
    counter.shares[symbol] = (before + qty, Decimal(cost))
    kind, side, price = ("FILL", Side.BUY, Decimal(cost)) if bought else ("ACATS", None, None)
    counter.cash -= qty * cost if bought else 0
    name = f"x{len(counter.lines)}"
    counter.lines.append(
        activity(name, kind, counter.now_ns, symbol, side, Decimal(qty), price, order_id=f"by-hand-{name}")
    )


def a_stop(counter: Counter, desk: Desk) -> str:
    """AAPL is sold at its stop."""
    (order,) = later(counter, desk).orders
    assert order.intent.kind == "stop"
    return "AAPL"


def refused(order: NewOrder) -> OrderState:
    raise Rejected(403, 40310000, "scripted")


def a_sale_that_is_refused(counter: Counter, desk: Desk) -> None:
    desk.broker = Altered(counter, submit=refused)
    desk.clock.sync()
    tick_signals.receive(desk, "IBM", -1.0, source="producer")
    execute(desk, SESSION, desk.now_ns())
    desk.broker = counter


def a_signal(counter: Counter, desk: Desk) -> str:
    """A signal sells IBM, and the broker refuses it until a person has sold it by hand."""
    a_sale_that_is_refused(counter, desk)
    comes(counter, "IBM", -10)
    counter.lines[-1] = replace(counter.lines[-1], side=Side.SELL, qty=Decimal(10))
    return "IBM"


def a_flatten(counter: Counter, desk: Desk) -> str:
    operator.flatten(desk, reason="all out", author="tester")
    later(counter, desk, 2 * MINUTE_NS)
    assert desk.journal.flatten_in_force(desk.book) is None
    return "IBM"


def a_signal_under_a_flatten(counter: Counter, desk: Desk) -> str:
    """What the signal was to sell, the flatten has sold."""
    a_sale_that_is_refused(counter, desk)
    return a_flatten(counter, desk)


WAYS = [a_stop, a_signal, a_flatten, a_signal_under_a_flatten]
Way = Callable[[Counter, Desk], str]


@pytest.mark.parametrize("bought", [True, False], ids=["bought by a person", "transferred"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_comes_after_an_exit_has_got_flat_is_not_sold_by_it(
    counter: Counter, tmp_path: Path, way: Way, bought: bool
) -> None:
    with opened(counter, tmp_path) as desk:
        symbol = way(counter, desk)
        later(counter, desk)
        assert not counter.shares[symbol][0]
        comes(counter, symbol, 5, bought=bought)
        for _ in range(3):
            assert later(counter, desk).orders == ()
        assert counter.shares[symbol][0] == 5
    with desk_at(counter, tmp_path, "AAPL", "IBM") as desk:  # another process, another day
        counter.now_ns += Sessions().open_ns(Sessions().next(SESSION)) - Sessions().open_ns(SESSION)
        assert later(counter, desk).orders == ()
        assert counter.shares[symbol][0] == 5
        assert desk.journal.locks(desk.book) == []


def test_a_person_may_buy_in_the_very_minute_after_a_stop_has_sold_all(
    counter: Counter, tmp_path: Path
) -> None:
    with opened(counter, tmp_path) as desk:
        a_stop(counter, desk)
        comes(counter, "AAPL", 5)
        assert later(counter, desk, 10 * NS).orders == ()
        assert counter.shares["AAPL"][0] == 5


def test_what_comes_before_a_stop_has_got_flat_is_sold_with_the_rest(
    counter: Counter, tmp_path: Path
) -> None:
    def submit(order: NewOrder) -> OrderState:
        raise Rejected(403, 40310000, "scripted")

    with opened(counter, tmp_path) as desk:
        desk.broker = Altered(counter, submit=submit)
        later(counter, desk)
        comes(counter, "AAPL", 5)
        desk.broker = counter
        (order,) = later(counter, desk).orders
        assert (order.intent.kind, order.filled_qty) == ("stop", Decimal(15))


def test_shares_that_come_after_a_stop_have_a_stop_of_their_own(counter: Counter, tmp_path: Path) -> None:
    with opened(counter, tmp_path) as desk:
        a_stop(counter, desk)
        first = desk.journal.locks(desk.book)
        comes(counter, "AAPL", 5, cost=120)
        (order,) = later(counter, desk).orders
        assert (order.intent.kind, order.state, order.filled_qty) == ("stop", "FILLED", Decimal(5))
        (second,) = desk.journal.locks(desk.book)
        assert (second.cause, second.at_ns > first[0].at_ns) == (STOP_LOCK, True)
        assert later(counter, desk).orders == ()
        assert locks_in_force(desk) == {}
        desk.clock.sync()
        tick_signals.receive(desk, "AAPL", 1.0)
        execute(desk, SESSION, desk.now_ns())  # no re-entry in that session
        assert not counter.shares["AAPL"][0]


def test_one_list_that_shows_nothing_ends_no_stop(counter: Counter, tmp_path: Path) -> None:
    def submit(order: NewOrder) -> OrderState:
        raise Rejected(403, 40310000, "scripted")

    with opened(counter, tmp_path) as desk:
        desk.broker = Altered(counter, submit=submit)
        later(counter, desk)
        desk.broker = Altered(counter, positions=list)
        later(counter, desk)
        desk.broker = counter
        (order,) = later(counter, desk).orders
        assert (order.intent.symbol, order.filled_qty) == ("AAPL", Decimal(10))


def working_entry(counter: Counter, desk: Desk) -> OrderRecord:
    """An entry of ours at work in AAPL, whose cancel takes no effect."""
    record = plant_order(desk, 1, symbol="AAPL", limit_price="90")
    counter.orders[ENTRY] = stated(
        id=ENTRY,
        client_order_id=record.intent.client_order_id,
        symbol="AAPL",
        side=Side.BUY,
        qty=record.intent.qty,
        limit_price=Decimal(90),
        status="new",
        filled_qty=Decimal(0),
        submitted_ns=counter.now_ns,
        updated_ns=counter.now_ns,
    )
    desk.journal.move(
        record.intent.client_order_id, State.ACCEPTED, at_ns=counter.now_ns, broker_order_id=ENTRY
    )
    return record


def fills(counter: Counter, record: OrderRecord) -> None:
    """The entry fills after all."""
    qty = record.intent.qty
    counter.orders[ENTRY] = restated(
        counter.orders[ENTRY], status="filled", filled_qty=qty, updated_ns=counter.now_ns
    )
    comes(counter, "AAPL", int(qty), 90)
    counter.lines[-1] = replace(counter.lines[-1], order_id=ENTRY)


def test_a_flatten_that_is_done_leaves_no_exit_behind_where_our_books_hold_more_than_the_broker(
    counter: Counter, tmp_path: Path
) -> None:
    """The broker has shown nothing for a minute, and no line says where the shares went."""

    def submit(order: NewOrder) -> OrderState:
        raise Rejected(403, 40310000, "scripted")

    with opened(counter, tmp_path) as desk:
        desk.broker = Altered(counter, submit=submit)
        desk.clock.sync()
        tick_signals.receive(desk, "IBM", -1.0, source="producer")
        execute(desk, SESSION, desk.now_ns())
        counter.shares.clear()
        operator.flatten(desk, reason="all out", author="tester")
        later(counter, desk, 2 * MINUTE_NS)
        assert desk.journal.flatten_in_force(desk.book) is None
        desk.broker = counter
        comes(counter, "IBM", 5)
        assert later(counter, desk, 10 * MINUTE_NS).orders == ()
        assert counter.shares["IBM"][0] == 5


@pytest.mark.parametrize("way", ["stop", "flatten"])
def test_a_late_fill_of_our_own_entry_is_sold_by_the_exit_that_is_under_way(
    counter: Counter, tmp_path: Path, way: str
) -> None:
    """The position was sold to the last share meanwhile."""
    with opened(counter, tmp_path) as desk:
        record = working_entry(counter, desk)
        stuck = Altered(counter, cancel=lambda _: None, cancel_all=dict)
        desk.broker = stuck
        if way == "flatten":
            operator.flatten(desk, reason="all out", author="tester")
        for _ in range(2):
            later(counter, desk)
        comes(counter, "AAPL", -10)  # a person sells what the stuck entry holds up
        counter.lines[-1] = replace(counter.lines[-1], side=Side.SELL, qty=Decimal(10))
        later(counter, desk)
        assert not counter.shares["AAPL"][0]
        fills(counter, record)
        desk.broker = counter
        sold = [order for _ in range(3) for order in later(counter, desk).orders]
        assert [
            (o.intent.kind, o.intent.symbol, o.filled_qty) for o in sold if o.intent.symbol == "AAPL"
        ] == [(way, "AAPL", record.intent.qty)]
        assert not counter.shares["AAPL"][0]


@pytest.mark.parametrize(("value", "sold"), [(0.5, {"AAPL"}), (-1.0, {"AAPL", "IBM"})])
def test_what_an_earlier_release_kept_of_a_signal_that_buys_sells_nothing(
    counter: Counter, tmp_path: Path, value: float, sold: set[str]
) -> None:
    """It kept what was held beside every signal, and not what a part was to leave: a desk that is upgraded in
    mid-session sold what a signal had been to hold or to buy. AAPL's stop sells in any case."""
    with opened(counter, tmp_path) as desk:
        tick_signals.receive(desk, "IBM", value, source="producer")
        desk.broker = Altered(counter, submit=refused)
        desk.clock.sync()
        execute(desk, SESSION, desk.now_ns())
        desk.broker = counter
        kept = json.loads(desk.journal.mark(desk.book, LAST_SIGNALS) or "{}")
        kept["signals"]["IBM"][5:] = ["10"]
        desk.journal.set_mark(desk.book, LAST_SIGNALS, json.dumps(kept), desk.now_ns())
        orders = [order for _ in range(3) for order in later(counter, desk).orders]
        assert {order.intent.symbol for order in orders} == sold
