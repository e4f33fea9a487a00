"""What is asked of a broker no more often than needed: once in an execution, whatever the number of its
snapshots, and the clock where time may have passed."""

from __future__ import annotations

from collections import Counter

import pytest
import requests
from ground import Ground, execute, prepare

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.transport import BoundedAdapter
from trading_assets.core.gate import reason
from trading_assets.engine import signalling
from trading_assets.engine.desk import Desk
from trading_assets.engine.protect import new_execution_id, protect_alone


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each asset was asked for, and the actions of each session."""
    counts: Counter[str] = Counter()
    asset, actions = AlpacaBroker.asset, AlpacaBroker.corporate_actions

    def counting_asset(broker: AlpacaBroker, symbol: str) -> object:
        counts[symbol] += 1
        return asset(broker, symbol)

    def counting_actions(broker: AlpacaBroker, symbols: tuple[str, ...], *days: object) -> object:
        counts.update(f"actions of {symbol}" for symbol in symbols if days[0] == days[1])
        return actions(broker, symbols, *days)

    monkeypatch.setattr(AlpacaBroker, "asset", counting_asset)
    monkeypatch.setattr(AlpacaBroker, "corporate_actions", counting_actions)
    return counts


def go_to_tick(ground: Ground, desk: Desk, number: int) -> int:
    now = ground.go_to_tick(number)
    desk.clock.sync()
    return now


def test_a_tick_that_sells_and_buys_asks_for_each_asset_once(ground: Ground, asked: Counter[str]) -> None:
    with ground.desk() as desk:
        now = go_to_tick(ground, desk, 0)
        signalling.receive(desk, "AAPL", 0.15)
        prepare(desk, ground.session, now)
        execute(desk, ground.session, now)
        now = go_to_tick(ground, desk, 1)
        signalling.receive(desk, "AAPL", -1.0)
        signalling.receive(desk, "IBM", 0.15)
        prepare(desk, ground.session, now)
        asked.clear()
        report = execute(desk, ground.session, now)
    assert [order.state for order in report.orders] == ["FILLED", "FILLED"]
    # protect, for its stop, looks at all actions since the book began of what is held: of this day alone here
    assert asked == {"AAPL": 1, "IBM": 1, "actions of AAPL": 2, "actions of IBM": 1}


def test_the_next_tick_asks_again_and_sees_what_has_changed(ground: Ground, asked: Counter[str]) -> None:
    with ground.desk() as desk:
        for number in (0, 1):
            now = go_to_tick(ground, desk, number)
            signalling.receive(desk, "AAPL", 0.15 * (number + 1))
            prepare(desk, ground.session, now)
            asked.clear()
            report = execute(desk, ground.session, now)
            assert asked["AAPL"] == 1
            ground.keeper.halt("AAPL")
    assert [reason(verdict.failed) for verdict in report.verdicts] == ["SYMBOL_HALTED"]


def test_a_desk_that_opens_and_protects_reads_the_clock_twice_and_the_account_twice(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ground.desk() as desk:
        ground.go_to_tick(0)
        protect_alone(desk, new_execution_id())  # the book begins
    asked: Counter[str] = Counter()
    send = BoundedAdapter.send

    def counting(
        adapter: BoundedAdapter, request: requests.PreparedRequest, *args: object, **named: object
    ) -> requests.Response:
        asked[str(request.path_url).partition("?")[0].removeprefix("/v2/")] += 1
        return send(adapter, request, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(BoundedAdapter, "send", counting)
    with ground.desk() as desk:
        protect_alone(desk, new_execution_id())
    assert asked == {  # whose account it is, the time; then the reconciliation's time, account and lists
        "clock": 2,
        "account": 2,
        "positions": 1,
        "orders": 2,
        "account/activities": 1,
    }
