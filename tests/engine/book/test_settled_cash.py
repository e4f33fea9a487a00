"""What may be spent without borrowing: the broker's cash, in a cash account less what has not settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.planted import Altered, buy_behind_our_back, with_account
from support.trading_floor import TradingFloor
from wire import decided, failing, look, new_account, send, signal

from trading_assets.broker.port import AccountActivity, NewOrder, Unreachable
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.inputs import DecisionInput, Phase
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.reconciliation.reconcile import reconcile

SESSION = date(2012, 7, 5)  # a Thursday: what is sold settles on Tuesday, T+3
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


@pytest.fixture
def sold(floor: TradingFloor, tmp_path: Path) -> Iterator[tuple[Desk, Decimal]]:
    """A desk that has sold five shares today, and what for."""
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=10**9)
        buy_behind_our_back(desk, "AAPL", 10, "by-hand")
        bid = desk.broker.quotes(["AAPL"])["AAPL"].bid
        assert bid is not None
        limit = (bid * Decimal("0.99")).quantize(Decimal("0.01"))
        desk.broker.submit(NewOrder("by-hand-too", "AAPL", Side.SELL, Decimal(5), limit))
        desk.clock.sync()
        reconcile(desk)
        (sale,) = [fill for fill in desk.journal.fills(desk.book) if fill.side < 0]
        yield desk, sale.qty * sale.price


def test_a_cash_accounts_sales_buy_nothing_before_they_settle_and_a_margin_accounts_do(
    sold: tuple[Desk, Decimal],
) -> None:
    desk, proceeds = sold
    cash = float(desk.broker.account().cash)
    seen = look(desk)
    assert seen.multiplier == 1
    assert seen.settled_cash_usd == pytest.approx(cash - float(proceeds))
    assert seen.non_marginable_buying_power_usd == pytest.approx(cash)
    with_account(desk, multiplier=Decimal(4), non_marginable_buying_power=Decimal(7))
    seen = look(desk)
    assert seen.multiplier == 4
    assert seen.settled_cash_usd == pytest.approx(cash)
    assert seen.non_marginable_buying_power_usd == 7
    assert DecisionInput.from_json(seen.as_json()).as_json() == seen.as_json()


def test_a_sale_that_was_busted_brings_nothing_to_wait_for(
    floor: TradingFloor, sold: tuple[Desk, Decimal]
) -> None:
    desk, _ = sold
    (sale,) = [fill for fill in desk.journal.fills(desk.book) if fill.side < 0]
    floor.control("/bust", activity_id=sale.activity_id)
    reconcile(desk)
    assert look(desk).settled_cash_usd == pytest.approx(float(desk.broker.account().cash))


def test_sales_have_settled_three_sessions_later(sold: tuple[Desk, Decimal]) -> None:
    desk, proceeds = sold
    cash = float(desk.broker.account().cash)
    real = desk.broker.clock()
    for days, waiting in ((1, float(proceeds)), (4, float(proceeds)), (5, 0.0)):
        at = replace(real, now_ns=real.now_ns + days * 86_400 * 10**9)
        broker = desk.broker
        desk.broker = Altered(broker, clock=lambda at=at: at)
        assert look(desk).settled_cash_usd == pytest.approx(cash - waiting), days
        desk.broker = broker


def test_an_input_that_was_stored_before_there_was_a_multiplier_still_loads(
    sold: tuple[Desk, Decimal],
) -> None:
    stored = look(sold[0]).as_json()
    del stored["multiplier"], stored["non_marginable_buying_power_usd"]
    loaded = DecisionInput.from_json(stored)
    assert loaded.multiplier != loaded.multiplier


@pytest.mark.parametrize("priced", ["by the broker", "by nobody"])
def test_what_a_sale_of_ours_brought_is_not_settled_while_the_broker_hides_its_activity(
    floor: TradingFloor, tmp_path: Path, priced: str
) -> None:
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=10**9)
        send(desk, decided(desk, signal(desk)))
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        reconcile(desk)
        settled = look(desk).settled_cash_usd
        real = desk.broker
        hidden: list[AccountActivity] = list(real.activities(0))
        broken: dict[str, Any] = {} if priced == "by the broker" else {"order": failing(Unreachable("none"))}
        sold = send(desk, decided(desk, signal(desk, value=-1.0, key="out"), phase=Phase.EXITS))
        follow(desk, sold)
        desk.broker = Altered(real, activities=lambda since: hidden, **broken)
        reconcile(desk)
        assert float(desk.broker.account().cash) > settled
        assert all(fill.side > 0 for fill in desk.journal.fills(desk.book))
        seen = look(desk).settled_cash_usd
        if priced == "by the broker":
            assert seen == pytest.approx(settled)
        else:
            assert settled * 0.99 < seen < settled
        desk.broker = real  # it is listed
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        reconcile(desk)
        assert look(desk).settled_cash_usd == pytest.approx(settled)
