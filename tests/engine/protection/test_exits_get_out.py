"""Whatever is in an exit's way: once it is gone, a flatten and a stop end flat, today or at the next open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import decided, new_account, send, signal

from trading_assets.broker.port import NewOrder, OrderState, Rejected
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.protection.flattens import still_held
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.exchange.credentials import KEY_ID, SECRET

FIRST = date(2012, 5, 1)
pytestmark = pytest.mark.floor(FIRST, shared=True)
MINUTE_NS = 60 * 10**9
Away = Callable[[], None]
"""Takes the obstacle away."""


class Trial:
    """A desk on a new account that holds AAPL, bought so dear that its stop is through."""

    def __init__(self, floor: TradingFloor, session: date, desk: Desk) -> None:
        self.floor, self.session, self.desk = floor, session, desk
        self.move_market("1.065")
        (self.entry,) = follow(desk, send(desk, decided(desk, signal(desk))))
        assert self.entry.state == "FILLED"
        floor.control("/quote", symbol="AAPL")
        self.later(1)

    def later(self, minutes: int) -> None:
        self.floor.control("/clock", step_ns=minutes * MINUTE_NS)
        self.desk.begin()

    def at_the_next_open(self) -> None:
        self.floor.control("/quote", symbol="AAPL")
        self.session = self.floor.sessions.next(self.session)
        self.floor.keeper.move_to(self.floor.sessions.open_ns(self.session) + 2 * MINUTE_NS)
        self.desk.begin()

    def move_market(self, factor: str) -> None:
        bid = self.desk.broker.quotes(["AAPL"])["AAPL"].bid
        assert bid is not None
        price = (bid * Decimal(factor)).quantize(Decimal("0.01"))
        self.floor.control("/quote", symbol="AAPL", bid=str(price), ask=str(price + Decimal("0.01")))

    def bid(self) -> Decimal:
        bid = self.desk.broker.quotes(["AAPL"])["AAPL"].bid
        assert bid is not None
        return bid

    def held(self) -> Decimal:
        return sum((one.qty for one in self.desk.broker.positions()), Decimal(0))

    def by_hand(self, side: str, factor: str, **members: str) -> None:
        """A person's order at the broker, at `factor` times the bid."""
        price = str((self.bid() * Decimal(factor)).quantize(Decimal("0.01")))
        kind = members.get("type", "limit")
        body = {
            "symbol": "AAPL", "side": side, "qty": str(self.held()), "time_in_force": "day", "type": kind,
            ("stop_price" if kind == "stop" else "limit_price"): price,
        }  # fmt: skip
        headers = {"APCA-API-KEY-ID": KEY_ID, "APCA-API-SECRET-KEY": SECRET}
        url = f"{self.floor.exchange.url}/v2/orders"
        requests.post(url, json=body, headers=headers, timeout=30).raise_for_status()

    def alerts(self) -> list[str]:
        return [alert.title for alert in self.desk.journal.pending_alerts()]


def rejected(trial: Trial) -> Away:
    real = trial.desk.broker

    def submit(order: NewOrder) -> OrderState:
        raise Rejected(403, 40310000, "insufficient qty available for order")

    trial.desk.broker = Altered(real, submit=submit)

    def away() -> None:
        trial.desk.broker = real

    return away


def refused(trial: Trial) -> Away:
    """By the gate: the broker's clock says that the market is closed."""
    real = trial.desk.broker
    trial.desk.broker = Altered(real, clock=lambda: replace(real.clock(), is_open=False))

    def away() -> None:
        trial.desk.broker = real

    return away


def halted(trial: Trial) -> Away:
    trial.floor.control("/halt", symbol="AAPL", halted=True)
    return lambda: trial.floor.control("/halt", symbol="AAPL", halted=False)


def unfilled(trial: Trial) -> Away:
    """The market leaves each sale as it is sent. In the next session it has expired."""
    real = trial.desk.broker

    def submit(order: NewOrder) -> OrderState:
        trial.move_market("0.99")
        return real.submit(order)

    trial.desk.broker = Altered(real, submit=submit)

    def away() -> None:
        trial.desk.broker = real
        trial.floor.control("/quote", symbol="AAPL")

    return away


def stuck(trial: Trial) -> Away:
    """No cancel of a symbol's order takes."""
    fault = {"kind": "ignored_cancel", "symbol": "AAPL", "times": None}
    trial.floor.control("/faults", faults=[fault])
    return lambda: trial.floor.control("/faults", faults=[])


def gone_by_itself() -> None:
    """Nothing to take away: the desk cancels it."""


def persons_limit(trial: Trial) -> Away:
    trial.by_hand("sell", "1.2")
    return gone_by_itself


def persons_stop(trial: Trial) -> Away:
    trial.by_hand("sell", "0.8", type="stop")
    return gone_by_itself


def persons_buy(trial: Trial) -> Away:
    trial.by_hand("buy", "0.9998")  # the broker lets no sale of ours meet it
    return gone_by_itself


def persons_limit_stuck(trial: Trial) -> Away:
    trial.by_hand("sell", "1.2")
    return stuck(trial)


def own_exit(trial: Trial) -> Away:
    resting = signal(trial.desk, value=-1.0, key="out")
    high = float((trial.bid() * Decimal("1.02")).quantize(Decimal("0.01")))
    wanted = replace(resting, limit_price=high)
    (order,) = send(trial.desk, decided(trial.desk, wanted, phase=Phase.EXITS))
    assert order.state == "ACCEPTED"
    return gone_by_itself


def own_exit_stuck(trial: Trial) -> Away:
    own_exit(trial)
    return stuck(trial)


def working_entry(trial: Trial) -> Away:
    trial.desk.limits = trial.desk.limits._replace(max_position_pct=0.10)
    (order,) = send(trial.desk, decided(trial.desk, signal(trial.desk, resting=True, key="more")))
    assert order.state == "ACCEPTED"
    return gone_by_itself


def working_entry_stuck(trial: Trial) -> Away:
    working_entry(trial)
    return stuck(trial)


OBSTACLES = (
    rejected,
    refused,
    halted,
    unfilled,
    persons_limit,
    persons_stop,
    persons_buy,
    persons_limit_stuck,
    own_exit,
    own_exit_stuck,
    working_entry,
    working_entry_stuck,
)


@pytest.fixture(params=[10.0])
def trial(request: pytest.FixtureRequest, floor: TradingFloor, tmp_path: Path) -> Iterator[Trial]:
    """In a session of its own, from so many minutes after its open on, or before its close (< 0)."""
    floor.control("/faults", faults=[])
    floor.control("/halt", symbol="AAPL", halted=False)
    floor.control("/quote", symbol="AAPL")
    now = floor.control("/clock", step_ns=0)["now_ns"]
    session = floor.sessions.next(floor.sessions.new_york_date(now))
    near_ns = floor.sessions.open_ns(session) if request.param > 0 else floor.sessions.close_ns(session)
    floor.keeper.move_to(near_ns + int(request.param * MINUTE_NS))
    with new_account(floor, tmp_path) as desk:
        yield Trial(floor, session, desk)


def protect(trial: Trial) -> None:
    protect_alone(trial.desk, new_execution_id())


def a_flatten(trial: Trial) -> None:
    operator.flatten(trial.desk, reason="all out", author="tester")


def a_kill_and_a_flatten(trial: Trial) -> None:
    operator.kill(trial.desk, reason="stop it", author="tester")
    a_flatten(trial)


WAYS = {"flatten": a_flatten, "kill and flatten": a_kill_and_a_flatten, "stop": protect}


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda obstacle: obstacle.__name__)
@pytest.mark.parametrize("way", WAYS)
def test_an_exit_gets_out_once_what_was_in_its_way_is_gone(
    trial: Trial, way: str, obstacle: Callable[[Trial], Away]
) -> None:
    away = obstacle(trial)
    WAYS[way](trial)
    if away is not gone_by_itself:
        assert trial.held() == trial.entry.intent.qty
        trial.later(1)
        protect(trial)
        assert trial.held() == trial.entry.intent.qty
        assert trial.alerts()
        if obstacle is refused:
            assert "AAPL: exit refused: MARKET_CLOSED" in trial.alerts()
        if way != "stop":
            assert [held.symbol for held in still_held(trial.desk)] == ["AAPL"]
            assert "FLATTEN" in trial.desk.halts().causes
        away()
        trial.later(10)
        protect(trial)
    elif obstacle is persons_buy and way == "stop":  # it goes after a first attempt that was refused
        trial.later(1)
        protect(trial)
    assert_flat(trial)
    assert trial.desk.halts().causes == (("KILL",) if way.startswith("kill") else ())


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda obstacle: obstacle.__name__)
@pytest.mark.parametrize("way", ["flatten", "stop"])
@pytest.mark.parametrize("trial", [-10.0], indirect=True, ids=["ten minutes before the close"])
def test_an_exit_that_did_not_get_out_today_gets_out_at_the_next_open(
    trial: Trial, way: str, obstacle: Callable[[Trial], Away]
) -> None:
    away = obstacle(trial)
    if away is gone_by_itself:
        away = stuck(trial)
    WAYS[way](trial)
    assert trial.held() == trial.entry.intent.qty
    trial.at_the_next_open()
    away()
    for _ in range(2):
        protect(trial)
    assert_flat(trial)


def assert_flat(trial: Trial) -> None:
    desk = trial.desk
    assert desk.broker.positions() == []
    assert sum(order.side * order.filled_qty for order in desk.broker.orders_since(0)) == 0  # and never short
    assert desk.broker.open_orders() == []
    assert desk.journal.open_orders(desk.book) == []
    assert desk.journal.flatten_in_force(desk.book) is None
    assert still_held(desk) == ()
