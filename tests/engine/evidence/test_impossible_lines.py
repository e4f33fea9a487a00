"""Lines of the account's history that say what cannot be: they cost themselves, and no position its stop."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from counter import Counter, desk_at
from support.broker_words import activity

from trading_assets.broker.alpaca.activity_types import ACTIVITY_TYPES, TRADE
from trading_assets.broker.port import AccountActivity
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import adopt, reconcile

NUMBERS = tuple(map(Decimal, (-30, -10, -1, 0, 1)))


@pytest.fixture
def counter() -> Counter:
    return Counter({"AAPL": (10, 100), "IBM": (10, 200)})


@pytest.fixture
def desk(counter: Counter, tmp_path: Path) -> Iterator[Desk]:
    """It holds AAPL, and IBM, which is at its stop."""
    with desk_at(counter, tmp_path, "AAPL", "IBM") as desk:
        desk.begin()
        adopt(desk, author="tester", reason="held before")
        reconcile(desk)
        counter.now_ns += 10**9
        desk.begin()
        yield desk


def trade(counter: Counter, name: str, word: str, qty: Decimal, price: Decimal) -> AccountActivity:
    """A line of a fill, or of a change of the fill "made"."""
    changes = None if word == TRADE else "made"
    return activity(
        name,
        word,
        counter.now_ns,
        "AAPL",
        -1,
        qty,
        price,
        cum_qty=qty,
        order_id=f"of {name}",
        changes=changes,
    )


def other(counter: Counter, name: str, word: str, symbol: str, qty: Decimal) -> AccountActivity:
    return activity(name, word, counter.now_ns, symbol, None, qty, qty, net_amount=qty)


@pytest.mark.parametrize("word", [TRADE, "TRADE_BUST", "TRADE_CORRECT"])
@pytest.mark.parametrize("known", [True, False], ids=["of a fill that is known", "of none"])
def test_whatever_trades_are_told_a_stop_fires(desk: Desk, counter: Counter, word: str, known: bool) -> None:
    if known:
        counter.lines.append(trade(counter, "made", TRADE, Decimal(1), Decimal(100)))
    counter.lines += [
        trade(counter, f"{qty} {price}", word, qty, price) for qty, price in product(NUMBERS, repeat=2)
    ]
    (order,) = protect_alone(desk, new_execution_id()).orders
    assert (order.intent.symbol, order.state) == ("IBM", "FILLED")
    assert any("cannot be read" in alert.title for alert in desk.journal.pending_alerts())


@pytest.mark.parametrize("symbol", ["AAPL", "NEW"])
def test_whatever_lines_of_any_type_are_told_a_stop_fires(desk: Desk, counter: Counter, symbol: str) -> None:
    for word, qty in product(ACTIVITY_TYPES.keys() - {TRADE}, NUMBERS):
        counter.lines.append(other(counter, f"{word} {qty}", word, symbol, qty))
    (order,) = protect_alone(desk, new_execution_id()).orders
    assert (order.intent.symbol, order.state) == ("IBM", "FILLED")
