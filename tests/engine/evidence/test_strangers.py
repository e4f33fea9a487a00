"""What a person's account holds beside the desk's own, and what a broker gets wrong in one row, on the real
exchange over HTTP: another symbol's stop sells all the same, and so do a signal's exit, kill and flatten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from between import Answer, Between, BrokerRequest, Change
from support.planted import Altered
from support.trading_floor import SESSION, TradingFloor
from wire import decided, look, send, signal

from trading_assets import config
from trading_assets.config import EmbeddedSettings
from trading_assets.core.gate import reason
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.operation import operator
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import reconcile

pytestmark = [pytest.mark.exchange, pytest.mark.floor(shared=True, tick=1, requests_per_minute=100_000)]

LEGS = {
    "id": "7a1f5c1e-0c5f-4d0e-9a55-0d6f3c1b2a90",
    "client_order_id": "web-7a1f5c1e",
    "created_at": "2012-09-11T14:01:00Z",
    "updated_at": "2012-09-11T14:01:00Z",
    "submitted_at": "2012-09-11T14:01:00Z",
    "asset_class": "",
    "symbol": "",
    "side": "",
    "qty": "2",
    "filled_qty": "0",
    "order_class": "mleg",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "0.85",
    "status": "new",
    "legs": None,
    "replaced_by": None,
}
COIN = {
    "asset_id": "1d2b7c5e-3a53-4b57-a5e2-7a9c3d8a0f11",
    "symbol": "BTCUSD",
    "asset_class": "crypto",
    "qty": "0.4",
    "qty_available": "0.4",
    "side": "long",
    "avg_entry_price": "9000",
    "market_value": "4400",
    "current_price": "11000",
}
RIGHT = {**COIN, "symbol": "77CVR099", "asset_class": "us_equity", "market_value": "0", "current_price": "0"}


def with_row(path: str, row: dict[str, Any]) -> Change:
    return lambda request, answer: Answer(200, [*answer.body, row]) if request.path == path else answer


def refused(path: str, status: int, message: str) -> Change:
    return lambda request, answer: (
        Answer(status, {"message": message}) if request.path.startswith(path) else answer
    )


def without_field(path: str, name: str) -> Change:
    def change(request: BrokerRequest, answer: Answer) -> Answer:
        if request.path != path:
            return answer
        return Answer(200, {key: value for key, value in answer.body.items() if key != name})

    return change


def a_right_without_quotes(request: BrokerRequest, answer: Answer) -> Answer:
    """A contingent value right: no quote, no asset, and the whole list of quotes is refused for it."""
    symbol = RIGHT["symbol"]
    if request.path == "/v2/positions":
        return Answer(200, [*answer.body, RIGHT])
    if symbol in request.query.get("symbols", "").split(",") and request.path == "/v2/stocks/snapshots":
        return Answer(400, {"message": f"invalid symbol: {symbol}"})
    return answer


def a_foreign_dividend(request: BrokerRequest, answer: Answer) -> Answer:
    if request.path != "/v1/corporate-actions":
        return answer
    row = {"symbol": "IBM", "ex_date": str(SESSION), "rate": 0.85, "currency": "CAD", "foreign": True}
    return Answer(200, {"corporate_actions": {"cash_dividends": [row]}, "next_page_token": None})


def an_unknown_line(request: BrokerRequest, answer: Answer) -> Answer:
    row = {"activity_type": "FILL", "id": "20120911000000000::x", "symbol": "GE", "qty": "several"}
    return Answer(200, [*answer.body, row]) if request.path == "/v2/account/activities" else answer


CHANGES: dict[str, tuple[Change, str]] = {  # and what a person is told
    "an order of several legs": (with_row("/v2/orders", LEGS), "one row of the broker's"),
    "a coin": (with_row("/v2/positions", COIN), "BTCUSD: a position that this desk does not trade"),
    "a right without quotes": (a_right_without_quotes, "77CVR099: one row of the broker's quotes"),
    "a foreign dividend": (a_foreign_dividend, "IBM: one row of the broker's corporate actions"),
    "corporate actions down": (refused("/v1/", 503, "down"), "corporate actions cannot be read"),
    "a line nobody can read": (an_unknown_line, "one row of the broker's activities"),
    "activities down": (refused("/v2/account/activities", 500, "down"), "activities cannot be read"),
    "the account down": (refused("/v2/account", 502, "down"), "account cannot be read"),
    "an account flag missing": (
        without_field("/v2/account", "trading_blocked"),
        "No entries: ACCOUNT_BLOCKED",
    ),
    "orders down": (refused("/v2/orders", 503, "down"), "orders cannot be read"),
    "assets gone": (refused("/v2/assets", 404, "not found"), ""),
    "the clock down": (refused("/v2/clock", 503, "down"), "clock cannot be read"),
}


@pytest.fixture(scope="module")
def between(shared_floor: TradingFloor) -> Iterator[Between]:
    with Between(shared_floor.exchange.url).serving() as between:
        yield between


@pytest.fixture
def desk(floor: TradingFloor, between: Between, tmp_path: Path) -> Iterator[Desk]:
    """A reconciled desk behind the proxy, on a new account."""
    between.change = lambda _, answer: answer
    floor.control("/account/reset", cash="100000")
    settings = config.load(floor.config_path)
    behind = EmbeddedSettings(url=between.url, control_url=settings.embedded.control_url)
    changed = settings.model_copy(update={"data_dir": tmp_path / "desk", "embedded": behind})
    with Desk.open(changed, environ={}) as desk:
        reconcile(desk)
        yield desk
    floor.control("/quote", symbol="AAPL")


def hold(floor: TradingFloor, desk: Desk) -> None:
    """Some IBM, and some AAPL bought 7 % above the market, whose stop is reached when it comes back."""
    bid = desk.broker.quotes(["AAPL"])["AAPL"].bid
    assert bid is not None
    dear = (bid * Decimal("1.07")).quantize(Decimal("0.01"))
    floor.control("/quote", symbol="AAPL", bid=str(dear), ask=str(dear + Decimal("0.01")))
    for symbol in ("AAPL", "IBM"):
        (order,) = follow(desk, send(desk, decided(desk, signal(desk, symbol, value=0.5, key="in"))))
        assert order.state == "FILLED"
    reconcile(desk)
    floor.control("/quote", symbol="AAPL")


def held(desk: Desk) -> set[str]:
    """What the desk trades of what the account holds."""
    return {one.symbol for one in desk.broker.positions() if one.symbol in desk.settings.symbols}


@pytest.mark.parametrize("what", CHANGES)
def test_it_keeps_no_stop_no_signal_no_kill_and_no_flatten_from_getting_out(
    floor: TradingFloor, between: Between, desk: Desk, what: str
) -> None:
    hold(floor, desk)
    between.change, alerts = CHANGES[what]
    desk.begin()
    report = protect_alone(desk, new_execution_id())
    assert report.stopped == ("AAPL",)
    assert [order.intent.symbol for order in report.orders] == ["AAPL"]
    assert held(desk) == {"IBM"}
    titles = [alert.title for alert in desk.journal.pending_alerts()]
    assert any(alerts in title for title in titles), titles
    (verdict,) = decide(look(desk, signal(desk, "IBM", -1.0, key="out"), phase=Phase.EXITS)).verdicts
    assert reason(verdict.failed, verdict.cause) == "PASS"
    operator.kill(desk, reason="enough", author="tester")
    assert Cause.KILL in desk.halts().causes
    operator.flatten(desk, reason="all of it", author="tester")
    assert held(desk) == set()


def test_an_order_of_several_legs_and_a_coin_count_into_the_exposure(
    floor: TradingFloor, between: Between, desk: Desk
) -> None:
    opinion = signal(desk, "IBM")

    def gross() -> float:
        (verdict,) = decide(look(desk, opinion)).verdicts
        return float(verdict.gate_input["activity"]["gross_exposure_usd"])

    before = gross()
    between.change = with_row("/v2/orders", LEGS)
    assert gross() == pytest.approx(before + 2 * 0.85 * 100)
    between.change = with_row("/v2/positions", COIN)
    assert gross() == pytest.approx(before + 4_400)
    between.change = with_row("/v2/positions", {**COIN, "market_value": None})
    decision = decide(look(desk, opinion))  # nobody knows what room there is: nothing is bought
    assert (decision.verdicts, decision.outcomes) == ((), {opinion.decision_id: "HELD"})


@pytest.mark.parametrize(
    "row", [{**LEGS, "client_order_id": "ta-not-readable"}, {**LEGS, "limit_price": None}]
)
def test_entries_wait_for_an_order_that_may_be_ours_or_whose_worth_nobody_knows(
    floor: TradingFloor, between: Between, desk: Desk, row: dict[str, Any]
) -> None:
    between.change = with_row("/v2/orders", row)
    assert protect_alone(desk, new_execution_id()).transient == (Cause.UNREADABLE_ROW,)
    (verdict,) = decide(look(desk, signal(desk, "IBM"))).verdicts
    assert reason(verdict.failed, verdict.cause) == "REDUCE_ONLY cause=UNREADABLE_ROW"


@pytest.mark.parametrize(
    ("name", "value"), [("trading_blocked", True), ("account_blocked", True), ("status", "ACCOUNT_CLOSED")]
)
def test_a_blocked_account_refuses_entries_while_it_lasts_tells_once_and_tries_exits(
    floor: TradingFloor, between: Between, desk: Desk, name: str, value: object
) -> None:
    hold(floor, desk)
    between.change = lambda request, answer: (
        Answer(200, {**answer.body, name: value}) if request.path == "/v2/account" else answer
    )
    for _ in range(2):
        report = protect_alone(desk, new_execution_id())
        assert report.transient == (Cause.ACCOUNT_BLOCKED,)
    titles = [alert.title for alert in desk.journal.pending_alerts()]
    assert titles.count("No entries: ACCOUNT_BLOCKED") == 1
    assert held(desk) == {"IBM"}
    (verdict,) = decide(look(desk, signal(desk, "IBM", key="more"))).verdicts
    assert reason(verdict.failed, verdict.cause) == "REDUCE_ONLY cause=ACCOUNT_BLOCKED"
    between.change = lambda _, answer: answer
    assert protect_alone(desk, new_execution_id()).transient == ()


def test_a_position_that_cannot_be_read_is_not_flat(
    floor: TradingFloor, between: Between, desk: Desk
) -> None:
    hold(floor, desk)

    def without_a_side(request: BrokerRequest, answer: Answer) -> Answer:
        if request.path != "/v2/positions":
            return answer
        return Answer(200, [{**row, "side": None} if row["symbol"] == "IBM" else row for row in answer.body])

    between.change = without_a_side
    for _ in range(2):
        report = protect_alone(desk, new_execution_id())
        assert (report.transient, report.reconciliation.breaks) == ((Cause.UNREADABLE_ROW,), ())
        assert not report.reconciliation.is_flat("IBM")
        assert not report.reconciliation.clean
    assert held(desk) == set()  # what can be read of it: AAPL is sold
    between.change = lambda _, answer: answer
    assert held(desk) == {"IBM"}
    assert protect_alone(desk, new_execution_id()).reconciliation.clean


def test_without_the_list_of_orders_no_more_is_sold_than_the_broker_calls_available(
    floor: TradingFloor, between: Between, desk: Desk
) -> None:
    hold(floor, desk)
    (ibm,) = (one for one in desk.broker.positions() if one.symbol == "IBM")
    real = desk.broker

    def positions() -> list[Any]:
        return [
            replace(one, available=Decimal(1)) if one.symbol == "IBM" else one for one in real.positions()
        ]

    between.change = refused("/v2/orders", 503, "down")
    desk.broker = Altered(real, positions=positions)
    (verdict,) = decide(look(desk, signal(desk, "IBM", -1.0, key="out"), phase=Phase.EXITS)).verdicts
    assert (verdict.qty, verdict.gate_input["position"]["reserved_qty"]) == (Decimal(1), float(ibm.qty) - 1)
