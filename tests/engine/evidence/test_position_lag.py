"""The broker's positions lag behind its fills: nothing is sold a second time, nothing bought on top."""

from __future__ import annotations

from datetime import date

import pytest
from support.planted import Altered
from support.trading_floor import TradingFloor
from wire import at_broker, decided, failing, locked, look, recovered, send, signal

from trading_assets.broker.port import OutcomeUnknown
from trading_assets.core.orders import Kind
from trading_assets.core.words import Side
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.decide import decide
from trading_assets.engine.decision.inputs import ForcedExit, Phase
from trading_assets.engine.orders.follow import follow
from trading_assets.engine.orders.submit import UNRESOLVED_LOCK
from trading_assets.engine.protection.protect import new_execution_id
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.engine.reconciliation.reconcile import reconcile
from trading_assets.store.records import OrderRecord

SESSION = date(2012, 7, 5)
pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)


def filled(desk: Desk, value: float, key: str) -> OrderRecord:
    """An order by a signal, filled; its fill is journaled only if the test reconciles."""
    phase = Phase.ENTRIES if value > 0 else Phase.EXITS
    (order,) = follow(desk, send(desk, decided(desk, signal(desk, value=value, key=key), phase=phase)))
    assert order.state == "FILLED"
    return order


def lag(desk: Desk) -> None:
    """From now on positions are answered as they are now."""
    as_now = desk.broker.positions()
    desk.broker = Altered(desk.broker, positions=lambda: as_now)


@pytest.mark.parametrize("journaled", [True, False], ids=["fills journaled", "fills on the orders only"])
def test_what_is_sold_already_is_not_sold_again(desk: Desk, journaled: bool) -> None:
    bought = filled(desk, 1.0, "buy")
    lag(desk)
    filled(desk, -1.0, "sell")
    if journaled:
        reconcile(desk)
    given = look(desk, signal(desk, value=-1.0, key="sell more"), phase=Phase.EXITS)
    (view,) = given.symbols
    assert (view.qty, view.reserved_qty) == (float(bought.filled_qty),) * 2
    assert not decide(given).verdicts
    stop = ForcedExit("AAPL", Kind.STOP, "0" * 32, 1)
    given = take_snapshot(
        desk, SESSION, desk.now_ns(), new_execution_id(), Phase.PROTECT, forced_exits=[stop]
    )
    assert not decide(given).approved
    assert len(at_broker(desk)) == 2


def test_what_is_bought_already_counts_before_the_position_shows_it(desk: Desk) -> None:
    lag(desk)
    bought = filled(desk, 1.0, "buy")
    given = look(desk, signal(desk, key="buy more"))
    (view,) = given.symbols
    assert view.qty == 0
    assert view.open_entry_usd == float(bought.filled_qty) * view.last_trade
    assert not decide(given).approved


def test_a_position_that_has_caught_up_counts_once(desk: Desk) -> None:
    bought = filled(desk, 1.0, "buy")
    for reconciled in (False, True):
        if reconciled:
            reconcile(desk)
        (view,) = look(desk, signal(desk, key="again")).symbols
        assert (view.qty, view.reserved_qty, view.open_entry_usd) == (float(bought.filled_qty), 0, 0)


def test_a_difference_that_no_order_of_today_explains_is_left_to_the_reconciliation(desk: Desk) -> None:
    bought = filled(desk, 1.0, "buy")
    reconcile(desk)
    (position,) = desk.broker.positions()
    doubled = [type(position)(position.symbol, position.qty * 2, position.avg_entry_price, position.qty * 2)]
    desk.broker = Altered(desk.broker, positions=lambda: doubled)
    (view,) = look(desk, signal(desk, value=-1.0, key="sell"), phase=Phase.EXITS).symbols
    assert (view.qty, view.reserved_qty) == (float(bought.filled_qty) * 2, 0)


def test_an_exit_whose_shares_are_gone_is_not_sent_again(desk: Desk) -> None:
    bought = filled(desk, 1.0, "buy")
    reconcile(desk)
    broker = desk.broker
    lost = failing(OutcomeUnknown("scripted: it did not land"))
    desk.broker = Altered(broker, submit=lost, order_by_client_id=failing(OutcomeUnknown("scripted")))
    (order,) = send(desk, decided(desk, signal(desk, value=-1.0, key="sell"), phase=Phase.EXITS))
    assert order.state == "UNKNOWN"
    desk.broker = Altered(broker, positions=list)  # a person has sold them meanwhile
    (order,) = recovered(desk)
    assert order.state == "UNKNOWN"
    assert locked(desk) == {("AAPL", UNRESOLVED_LOCK)}
    assert [one.side for one in at_broker(desk)] == [Side.BUY]
    desk.broker = broker  # they are there after all
    (order,) = recovered(desk)
    assert follow(desk, [order])[0].filled_qty == bought.filled_qty
    assert not desk.broker.positions()
    assert len(at_broker(desk)) == 2


def test_shares_that_an_older_sale_left_over_are_sold_though_the_books_differ(
    floor: TradingFloor, desk: Desk
) -> None:
    filled(desk, 1.0, "buy")
    reconcile(desk)
    (position,) = desk.broker.positions()
    lag(desk)  # as many shares came into the account, and no line of it says so
    filled(desk, -1.0, "sell")
    reconcile(desk)
    (view,) = look(desk, signal(desk, value=-1.0, key="at once"), phase=Phase.EXITS).symbols
    assert view.reserved_qty == float(position.qty)
    floor.go_to_session(SESSION, 2)
    desk.begin()
    given = look(desk, signal(desk, value=-1.0, key="later"), phase=Phase.EXITS)
    (view,) = given.symbols
    assert (view.qty, view.reserved_qty) == (float(position.qty), 0)
    (verdict,) = decide(given).approved
    assert verdict.qty == position.qty
