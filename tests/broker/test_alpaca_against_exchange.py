"""The adapter on the embedded exchange in a process of its own: a real server, the real client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.connection import connect
from trading_assets.broker.port import (
    DuplicateClientOrderId,
    NewOrder,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
    Unreachable,
)
from trading_assets.config import Settings
from trading_assets.config.settings import EmbeddedSettings
from trading_assets.core.words import Side
from trading_assets.errors import InvalidInput
from trading_assets.exchange.process import ExchangeProcess, start_process
from trading_assets.market.sessions import Sessions

TOKEN = "control"
pytestmark = pytest.mark.exchange
SESSION = date(2012, 7, 3)
MINUTE_NS = 60_000_000_000


@pytest.fixture
def start_ns() -> int:
    return Sessions().open_ns(SESSION) + 5 * MINUTE_NS


@pytest.fixture
def exchange(tmp_path: Path, start_ns: int) -> Iterator[ExchangeProcess]:
    state = tmp_path / "exchange"
    with start_process(
        public_keys=True, state_dir=state, token=TOKEN, start_ns=start_ns, cash=Decimal(100_000)
    ) as running:
        yield running


@pytest.fixture
def broker(exchange: ExchangeProcess, tmp_path: Path) -> Iterator[AlpacaBroker]:
    settings = Settings(
        embedded=EmbeddedSettings(url=exchange.url), account_number="PA0001", data_dir=tmp_path
    )
    connected = connect(settings, {})
    yield connected
    connected.close()


def control(exchange: ExchangeProcess, path: str, body: dict[str, object]) -> None:
    url, headers = f"{exchange.control_url}{path}", {"Authorization": f"Bearer {TOKEN}"}
    requests.post(url, json=body, headers=headers, timeout=10).raise_for_status()


def test_an_order_is_sent_filled_and_seen_from_every_side(broker: AlpacaBroker, start_ns: int) -> None:
    quote = broker.quotes(["AAPL"])["AAPL"]
    assert quote.bid is not None
    assert quote.ask is not None
    assert quote.bid < quote.ask
    assert quote.quote_ns == start_ns
    assert quote.previous_close == Decimal("592.52")

    placed = broker.submit(NewOrder("c-1", "AAPL", Side.BUY, Decimal("2.5"), quote.ask))
    filled = broker.order_by_client_id("c-1")
    assert filled is not None
    assert (filled.id, filled.status_word, filled.filled_qty) == (placed.id, "filled", Decimal("2.5"))
    assert broker.order(placed.id) == filled
    assert broker.open_orders() == []
    assert broker.orders_since(start_ns) == [filled]
    assert broker.orders_since(start_ns + 1) == []
    (position,) = broker.positions()
    assert (position.symbol, position.qty, position.available) == ("AAPL", Decimal("2.5"), Decimal("2.5"))
    (fill,) = broker.activities(start_ns)
    assert (fill.type.name, fill.order_id, fill.qty, fill.cum_qty) == (
        "FILL",
        placed.id,
        Decimal("2.5"),
        Decimal("2.5"),
    )
    assert fill.price == position.avg_entry_price
    account = broker.account()
    assert account.cash == Decimal(100_000) - fill.price * Decimal("2.5")

    with pytest.raises(DuplicateClientOrderId):
        broker.submit(NewOrder("c-1", "AAPL", Side.BUY, Decimal("2.5"), quote.ask))
    assert broker.order_by_client_id("c-2") is None


def test_a_resting_order_is_open_until_it_is_cancelled(broker: AlpacaBroker) -> None:
    placed = broker.submit(NewOrder("c-1", "MSFT", Side.BUY, Decimal(3), Decimal("20")))
    assert [one.id for one in broker.open_orders()] == [placed.id]
    broker.cancel(placed.id)
    assert broker.order(placed.id).status_word == "canceled"
    assert broker.open_orders() == []
    with pytest.raises(Rejected) as caught:
        broker.cancel(placed.id)
    assert caught.value.status == 422


def test_everything_that_rests_is_cancelled_in_one_call(broker: AlpacaBroker) -> None:
    assert broker.cancel_all() == {}
    placed = [
        broker.submit(NewOrder(f"c-{symbol}", symbol, Side.BUY, Decimal(1), Decimal("20")))
        for symbol in ("AAPL", "MSFT")
    ]
    assert broker.cancel_all() == {order.id: 200 for order in placed}
    assert broker.open_orders() == []


def test_refusals_keep_the_exchanges_status_and_code(broker: AlpacaBroker) -> None:
    with pytest.raises(Rejected) as caught:
        broker.submit(NewOrder("c-1", "AAPL", Side.BUY, Decimal(100_000), Decimal("600")))
    assert (caught.value.status, caught.value.code) == (403, 40310000)
    with pytest.raises(NotFound):
        broker.cancel("61e69015-8549-4bfd-b9c3-01e75843f47d")
    with pytest.raises(NotFound):
        broker.asset("NOPE")


def test_other_keys_than_the_exchanges_are_unauthorized(exchange: ExchangeProcess) -> None:
    stranger = AlpacaBroker(Origins(exchange.url, exchange.url), "PKREAL", "real")
    with pytest.raises(Unauthorized):
        stranger.account()
    stranger.close()


def test_an_account_that_is_not_the_pinned_one_is_not_connected_to(
    exchange: ExchangeProcess, tmp_path: Path
) -> None:
    settings = Settings(
        embedded=EmbeddedSettings(url=exchange.url), account_number="PA9999", data_dir=tmp_path
    )
    with pytest.raises(InvalidInput, match="not the pinned PA9999"):
        connect(settings, {})


def test_calendar_clock_bars_and_actions_agree_with_our_own_calendar(
    broker: AlpacaBroker, start_ns: int
) -> None:
    sessions = Sessions()
    hours = broker.calendar(date(2012, 6, 29), date(2012, 7, 9))
    assert hours == {
        day: (sessions.open_ns(day), sessions.close_ns(day))
        for day in sessions.between(date(2012, 6, 29), date(2012, 7, 9))
    }
    clock = broker.clock()
    assert (clock.now_ns, clock.is_open, clock.next_close_ns) == (start_ns, True, sessions.close_ns(SESSION))
    minutes = broker.bars(["MSFT", "AAPL"], "1m", start_ns - 5 * MINUTE_NS, start_ns + 5 * MINUTE_NS)
    assert [one.symbol for one in minutes] == ["AAPL"] * 5 + ["MSFT"] * 5
    assert max(one.start_ns for one in minutes) == start_ns - MINUTE_NS
    years = broker.bars(["IBM"], "1d", sessions.open_ns(date(2000, 3, 1)), start_ns - 5 * MINUTE_NS)
    assert len(years) > 3_000
    assert len({one.start_ns for one in years}) == len(years)
    (dividend,) = broker.corporate_actions(["IBM"], date(2012, 5, 1), date(2012, 5, 31))
    assert (dividend.ex_date, dividend.cash_usd, dividend.split_ratio) == (date(2012, 5, 8), 0.85, 1.0)


def test_a_halted_symbol_and_a_quote_with_one_side_are_seen(
    exchange: ExchangeProcess, broker: AlpacaBroker
) -> None:
    control(exchange, "/halt", {"symbol": "IBM", "halted": True})
    control(exchange, "/quote", {"symbol": "GOOG", "bid": 0, "ask": 580})
    assert broker.asset("IBM").halted
    assert not broker.asset("AAPL").halted
    goog = broker.quotes(["GOOG"])["GOOG"]
    assert (goog.bid, goog.ask) == (None, Decimal(580))


def test_a_transfer_is_an_activity_with_its_cash_effect(
    exchange: ExchangeProcess, broker: AlpacaBroker
) -> None:
    control(exchange, "/transfer", {"amount": -250})
    (transfer,) = broker.activities(0)
    assert (transfer.type.name, transfer.net_amount, transfer.symbol) == ("CSW", Decimal(-250), None)


def test_a_killed_exchange_leaves_a_write_unknown_and_a_read_unreachable(
    exchange: ExchangeProcess, broker: AlpacaBroker
) -> None:
    exchange.kill()
    with pytest.raises(OutcomeUnknown):
        broker.submit(NewOrder("c-1", "AAPL", Side.BUY, Decimal(1), Decimal("600")))
    with pytest.raises(Unreachable):
        broker.positions()
