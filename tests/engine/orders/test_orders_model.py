"""Whatever a broker says of orders, whatever is looked up, lost, refused or told late, and whatever a person
does in between: once the broker obeys, a flatten ends flat, and no order of the journal is left open.

A model test: hypothesis draws the sequence and shortens one that fails. MODEL_EXAMPLES sets how many.
"""

from __future__ import annotations

import os
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from itertools import count
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moody_broker import Moods, MoodyBroker
from wire import look, send, signal

from trading_assets.broker.port import BrokerError, OrderChanged, OrderState
from trading_assets.config import Settings
from trading_assets.core.orders import OPEN_STATES, TERMINAL_STATES, TRANSITIONS, State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.operation import operator
from trading_assets.engine.operation.trade_updates import take_updates
from trading_assets.engine.orders import follow, obstacles, submit
from trading_assets.engine.orders.close_order import close_order
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.errors import InvalidInput

FIRST_NS = 1_341_495_600_000_000_000  # 2012-07-05 09:40 in New York
MINUTE_NS = 60_000_000_000
ROUNDS_IN_SESSION = 8
ROUNDS_AFTER = 6
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "20"))
SYMBOLS = st.sampled_from(["AAPL", "IBM"])
ENDS = ["filled", "canceled", "expired", "done_for_day", "rejected"]
PASSING = ["suspended", "pending_replace", "of_next_year"]
GOES_ON = ["partially_filled", "pending_cancel", "new", *PASSING]
SEEN_BY = st.sampled_from(["protect", "the_listener", "nobody"])
numbers = count()


class Orders(RuleBasedStateMachine):
    """One desk on one broker. `root` is where the journals of the sequences go."""

    root: Path
    beginning: tuple[Path, MoodyBroker]

    @initialize(
        stamps=st.sampled_from(["true", "of the submission"]),
        bought=st.sampled_from(["fills", "rests"]),
        sold=st.sampled_from(["", "rests", "lands_unheard", "is_lost", "rate_limits"]),
    )
    def open(self, stamps: str, bought: str, sold: str) -> None:
        begun, broker = self.beginning
        home = self.root / str(next(numbers))
        copytree(begun, home)
        self.broker = deepcopy(broker)
        self.broker.stamps = stamps
        self.begin_at(home)
        self.protect()
        self.buy("IBM", bought)
        assert len(self.desk.journal.orders(self.desk.book)) == 2
        if sold:
            self.sell("AAPL", sold)

    def begin_at(self, home: Path) -> None:
        self.desk = Desk.open(Settings(data_dir=home), {}, connect=lambda *_: self.broker)
        self.filled: dict[str, Decimal] = {}
        self.desk.begin()

    @classmethod
    def begin(cls, root: Path) -> None:
        """What every sequence begins with: an open book that holds AAPL."""
        first = cls()
        first.broker = MoodyBroker(FIRST_NS, "true")
        first.begin_at(root / "beginning")
        first.protect()
        first.buy("AAPL", "fills")
        first.desk.close()
        assert first.broker.held
        cls.root, cls.beginning = root, (root / "beginning", first.broker)

    # --- the desk at work

    def decided(self, symbol: str, value: float, phase: Phase) -> None:
        """A signal, decided on and sent as a tick sends it."""
        with suppress(BrokerError):
            self.desk.begin()
            seen = look(self.desk, signal(self.desk, symbol, value, key=str(next(numbers))), phase=phase)
            decision = decide(seen)
            send(self.desk, decision)

    @rule(symbol=SYMBOLS, mood=st.sampled_from(["fills", "rests", "lands_unheard", "is_lost", "refuses"]))
    def buy(self, symbol: str, mood: str) -> None:
        self.broker.moods.submit = mood
        self.decided(symbol, 1.0, Phase.ENTRIES)

    @rule(
        symbol=SYMBOLS, mood=st.sampled_from(["rests", "lands_unheard", "is_lost", "refuses", "rate_limits"])
    )
    def sell(self, symbol: str, mood: str) -> None:
        self.broker.moods.submit = mood
        self.decided(symbol, -1.0, Phase.EXITS)

    @rule()
    def protect(self) -> None:
        with suppress(BrokerError):
            protect_alone(self.desk, new_execution_id())

    @rule(minutes=st.sampled_from([0.1, 1, 31]))
    def time_passes(self, minutes: float) -> None:
        self.go_to(self.broker.now_ns + int(minutes * MINUTE_NS))

    def go_to(self, now_ns: int) -> None:
        sessions, broker = self.broker.sessions, self.broker
        today = sessions.new_york_date(broker.now_ns)
        if now_ns >= sessions.close_ns(today):
            broker.now_ns = sessions.close_ns(today)
            broker.end_day()
            now_ns = sessions.open_ns(sessions.next(today)) + 10 * MINUTE_NS
        broker.now_ns = now_ns
        self.desk.begin()

    # --- the broker

    @rule(
        submit=st.sampled_from(["fills", "rests", "refuses", "lands_unheard", "is_lost", "rate_limits"]),
        cancel=st.sampled_from(["obeys", "ignores", "refuses", "leaves_pending", "is_lost"]),
        lookup=st.sampled_from(["true", "true", "fails", "denies"]),
        lists=st.sampled_from(["true", "true", "fail", "are_old"]),
    )
    def the_broker_has_moods(self, submit: str, cancel: str, lookup: str, lists: str) -> None:
        self.broker.old_list = self.broker.known()
        self.broker.moods = Moods(submit, cancel, lookup, lists)

    @precondition(lambda self: self.broker.at_work())
    @rule(data=st.data(), status=st.sampled_from(ENDS), part=st.booleans(), seen_by=SEEN_BY)
    def the_broker_ends_an_order(self, data: st.DataObject, status: str, part: bool, seen_by: str) -> None:
        self.says(data.draw(st.sampled_from(self.broker.at_work())), status, part, seen_by)

    @precondition(lambda self: self.broker.at_work())
    @rule(data=st.data(), status=st.sampled_from(GOES_ON), part=st.booleans(), seen_by=SEEN_BY)
    def the_broker_says(self, data: st.DataObject, status: str, part: bool, seen_by: str) -> None:
        self.says(data.draw(st.sampled_from(self.broker.at_work())), status, part, seen_by)

    def says(self, order: OrderState, status: str, part: bool, seen_by: str) -> None:
        left = order.qty - order.filled_qty
        filled = left if status == "filled" else min(Decimal(1), left - 1) if part else Decimal(0)
        self.broker.word(order.id, status, filled)
        if seen_by == "protect":
            self.protect()
        elif seen_by == "the_listener":
            self.hear(order.id)
        if status in PASSING:  # it works all the same
            self.broker.word(order.id, "new")

    @precondition(lambda self: self.broker.at_work())
    @rule(data=st.data(), qty=st.sampled_from([1, 10, 60]))
    def a_person_replaces(self, data: st.DataObject, qty: int) -> None:
        order = data.draw(st.sampled_from(self.broker.at_work()))
        if order.side > 0 or qty <= self.broker.free(order.symbol):
            self.broker.replaced(order.id, Decimal(qty))

    @precondition(lambda self: self.broker.at_work())
    @rule(data=st.data())
    def the_broker_loses_an_order(self, data: st.DataObject) -> None:
        self.broker.lost.add(data.draw(st.sampled_from(self.broker.at_work())).id)

    @precondition(lambda self: self.broker.lost)
    @rule(data=st.data())
    def the_broker_finds_it_again(self, data: st.DataObject) -> None:
        order = self.broker.orders[data.draw(st.sampled_from(sorted(self.broker.lost)))]
        if order.side > 0 or order.qty - order.filled_qty <= self.broker.free(order.symbol):
            self.broker.lost.discard(order.id)

    @precondition(lambda self: self.broker.orders)
    @rule(data=st.data())
    def the_listener_hears(self, data: st.DataObject) -> None:
        self.hear(data.draw(st.sampled_from(sorted(self.broker.orders))))

    def hear(self, order_id: str) -> None:
        order = self.broker.orders[order_id]
        with suppress(BrokerError):
            take_updates(self.desk, [OrderChanged(order.id, order.client_order_id, "any")])

    # --- a person

    @precondition(lambda self: not self.desk.halts().causes)
    @rule()
    def kill(self) -> None:
        operator.kill(self.desk, reason="model", author="model")

    @precondition(lambda self: self.desk.halts().causes or self.desk.journal.locks(self.desk.book))
    @rule()
    def rearm(self) -> None:
        operator.rearm(self.desk, reason="model", author="model")

    @precondition(lambda self: any(self.broker.held.values()))
    @rule()
    def flatten(self) -> None:
        with suppress(BrokerError):
            operator.flatten(self.desk, reason="model", author="model")

    @precondition(lambda self: self.desk.journal.orders(self.desk.book))
    @rule(data=st.data())
    def close_order(self, data: st.DataObject) -> None:
        record = data.draw(st.sampled_from(self.desk.journal.orders(self.desk.book)))
        ended = State(record.state) in TERMINAL_STATES
        try:
            closed = close_order(self.desk, record.intent.client_order_id, reason="model", author="model")
        except InvalidInput:
            assert ended
            return
        assert not ended
        assert State(closed.order.state) in TERMINAL_STATES

    # --- what always holds

    @invariant()
    def nothing_is_sold_that_is_not_there(self) -> None:
        if hasattr(self, "broker"):
            assert all(qty >= 0 for qty in self.broker.held.values())

    @invariant()
    def fills_never_fall(self) -> None:
        if hasattr(self, "desk"):
            for record in self.desk.journal.orders(self.desk.book):
                name = record.intent.client_order_id
                assert record.filled_qty >= self.filled.get(name, 0)
                self.filled[name] = record.filled_qty

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        with self.desk:
            self.broker.moods = Moods()
            for number in range(ROUNDS_IN_SESSION + ROUNDS_AFTER):
                operator.flatten(self.desk, reason="model", author="model")
                if self.all_over():
                    break
                minutes = 10 if number != ROUNDS_IN_SESSION else 24 * 60
                self.go_to(self.broker.now_ns + minutes * MINUTE_NS)
                protect_alone(self.desk, new_execution_id())
            assert not {symbol: qty for symbol, qty in self.broker.held.items() if qty}
            left = self.desk.journal.open_orders(self.desk.book)
            assert not left, [(record.state, record.detail) for record in left]
            self.every_event_is_an_edge()

    def all_over(self) -> bool:
        return not (any(self.broker.held.values()) or self.desk.journal.open_orders(self.desk.book))

    def every_event_is_an_edge(self) -> None:
        """Of the table, a same state, or the end of what was open: nothing else."""
        for record in self.desk.journal.orders(self.desk.book):
            for event in self.desk.journal.events(record.intent.client_order_id):
                if event.from_state is None:
                    continue
                before, after = State(event.from_state), State(event.to_state)
                ended = before in OPEN_STATES and after in TERMINAL_STATES
                assert after is before or ended or after in TRANSITIONS[before], (before, after)


@pytest.fixture(autouse=True)
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits, and every sequence begins from one open book."""
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(obstacles, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(submit, "LOOKUP_PAUSES_SECONDS", (0.0,))
    Orders.begin(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("pending_cancel", "rejected"),
        ("partially_filled", "rejected"),
        ("of_next_year", "canceled"),
        ("pending_cancel", "new", "pending_cancel", "expired"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("seen_by", ["protect", "the_listener"])
def test_a_resting_exit_that_the_broker_ends_in_an_odd_way_is_sold_again(
    words: tuple[str, ...], seen_by: str
) -> None:
    machine = Orders()
    machine.open("true", "fills", "rests")
    (resting,) = machine.broker.at_work()
    for word in words:
        machine.says(machine.broker.orders[resting.id], word, word == "partially_filled", seen_by)
    assert State(machine.desk.journal.order(resting.client_order_id).state) in TERMINAL_STATES
    machine.teardown()


@pytest.mark.slow
def test_whatever_happens_to_orders_a_flatten_ends_flat_once_the_broker_obeys() -> None:
    run_state_machine_as_test(
        Orders,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
