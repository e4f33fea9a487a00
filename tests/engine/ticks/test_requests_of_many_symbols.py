"""A desk of 500 symbols on an exchange with Alpaca's 200 requests a minute: what each step of a tick asks."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from engine_ticks import execute
from support.many_symbols import SESSION, Requests, many_symbols

from trading_assets.broker.port import NewOrder
from trading_assets.broker.purpose import Purpose
from trading_assets.broker.rate_budget import SHARES
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.checks import book_limits, data, orders, table
from trading_assets.engine.market_data import bars, feature_rows
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt
from trading_assets.engine.signals import tick_signals
from trading_assets.engine.ticks import books
from trading_assets.exchange.http.rate_limit import REQUESTS_PER_MINUTE
from trading_assets.market.sessions import Sessions

MINUTE_NS = 60 * 10**9
ONE, DEAR = Decimal(1), Decimal(2_000)
HELD = 60
MOST_ORDERS = 10

# what one protection asks, however many symbols are held
PROTECT = {
    "GET /v2/clock": 2,
    "GET /v2/account": 2,
    "GET /v2/positions": 1,
    "GET /v2/orders": 2,
    "GET /v2/account/activities": 1,
    "GET /v1/corporate-actions": 1,
    "GET /v2/stocks/snapshots": 1,
}
# the first one of a session looks for splits before it reads the equity
FIRST_PROTECT = {**PROTECT, "GET /v1/corporate-actions": 2, "GET /v2/stocks/snapshots": 2}
# step → at most so many requests of the trading and of the data API
STEPS = {
    "bars": (0, 12),  # 65 000 daily bars of the first look-back are seven pages
    "features and signals": (0, 0),
    "orders": (40 + MOST_ORDERS, 6),
    "fills": (3, 0),
    "positions": (8, 1),
    "checks": (8, 1),
}


def protects(desk: Desk) -> None:
    with Desk.open(desk.settings, environ={}) as another:
        report = protect_alone(another, new_execution_id())
    assert report.reconciliation.clean


@pytest.mark.slow(seconds=60)
def test_a_tick_and_a_protection_each_minute_with_500_symbols_stay_within_200_requests_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(monkeypatch)
    first, second, *_ = Sessions().ticks(SESSION, 5)
    with many_symbols(tmp_path, 500, max_position_pct=0.001, max_orders_per_execution=MOST_ORDERS) as (
        keeper,
        settings,
    ):
        keeper.move_to(first)
        with Desk.open(settings, environ={}) as desk:
            desk.begin()
            for number, symbol in enumerate(settings.symbols[:HELD]):
                desk.broker.submit(NewOrder(f"by-hand-{number}", symbol, Side.BUY, ONE, DEAR))
            keeper.move_to(first + MINUTE_NS)
            desk.begin()
            assert adopt(desk, author="test", reason="test") == HELD
            for minute in range(2, 5):
                keeper.move_to(first + minute * MINUTE_NS)
                requests.since()
                protects(desk)
                assert requests.paths == (FIRST_PROTECT if minute == 2 else PROTECT)
            keeper.move_to(second)
            desk.begin()
            for number, symbol in enumerate(settings.symbols):
                tick_signals.receive(desk, symbol, 0.5 + number / 2_000)
            requests.since()
            steps: dict[str, tuple[int, int]] = {}
            bars.store_bars(desk, SESSION, second)
            steps["bars"] = requests.since()
            table.record(desk, SESSION, second, data.bar_checks(desk, SESSION, second))
            feature_rows.store_features(desk, SESSION, second)
            table.record(desk, SESSION, second, data.feature_checks(desk, SESSION, second))
            tick_signals.store_signals(desk, SESSION, second)
            table.record(desk, SESSION, second, data.signal_checks(desk, SESSION, second))
            steps["features and signals"] = requests.since()
            report = execute(desk, SESSION, second)
            steps["orders"] = requests.since()
            books.book_fills(desk, SESSION, second)
            steps["fills"] = requests.since()
            reconciliation = books.reconcile_positions(desk, SESSION, second)
            steps["positions"] = requests.since()
            orders.order_checks(desk, SESSION)
            orders.fill_checks(desk, SESSION)
            book_limits.limit_checks(desk)
            steps["checks"] = requests.since()
            protects(desk)  # in the tick's own minute
            steps["protect"] = requests.since()
    assert not report.vetoed
    assert Counter(order.state for order in report.orders) == {"FILLED": MOST_ORDERS}
    assert len(report.verdicts) == 500
    assert reconciliation.clean
    assert requests.refused == 0
    for step, (trading, market) in STEPS.items():
        assert steps[step][0] <= trading, (step, steps)
        assert steps[step][1] <= market, (step, steps)
    # all in one minute of the exchange, and with what a tick must leave to protection still there
    used = [sum(counts[api] for counts in steps.values()) for api in (0, 1)]
    assert max(used) <= REQUESTS_PER_MINUTE * (1 - SHARES[Purpose.TICK].leaves)
