"""Every kind of break, caused at the exchange: what it locks, whom it tells, what repairs it, what not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from support.broker_words import restated
from support.planted import Altered, buy_behind_our_back, plant_order
from support.trading_floor import TradingFloor
from wire import at_broker, decided, new_account, send, signal

from trading_assets.broker.port import NewOrder
from trading_assets.core.ledger import Holding
from trading_assets.core.orders import PREFIX, State
from trading_assets.core.words import HaltState, Side
from trading_assets.engine.book.accounting import ledger_of
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.evidence.breaks import BreakKind
from trading_assets.engine.operation import operator
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import (
    BREAK_LOCK,
    AnotherAccount,
    ReconcileReport,
    adopt,
    reconcile,
)
from trading_assets.store.records import OrderRecord

BEFORE_THE_SPLIT = date(2005, 2, 25)
pytestmark = pytest.mark.floor(BEFORE_THE_SPLIT, shared=True, symbols=["AAPL", "IBM", "MSFT"], tick=1)
SPLIT = date(2005, 2, 28)  # AAPL 2:1
SECOND_NS = 10**9


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=SECOND_NS)  # what is traded now is traded after the opening
        desk.clock.sync()
        yield desk
    floor.control("/faults", faults=[])


def hidden(desk: Desk, kind: str) -> None:
    """The broker books no activity of this type for the time being."""
    real = desk.broker
    desk.broker = Altered(
        real, activities=lambda since: [one for one in real.activities(since) if one.type.name != kind]
    )


def bought(desk: Desk, symbol: str = "AAPL") -> OrderRecord:
    """An order of ours, filled at the broker; not reconciled yet."""
    (order,) = send(desk, decided(desk, signal(desk, symbol)))
    return order


def later(floor: TradingFloor, desk: Desk, seconds: float = 1.0) -> ReconcileReport:
    floor.control("/clock", step_ns=int(seconds * SECOND_NS))
    return reconcile(desk)


def locked(desk: Desk) -> set[str]:
    return {lock.symbol for lock in desk.journal.locks(desk.book) if lock.cause == BREAK_LOCK}


def alert_titles(desk: Desk) -> set[str]:
    return {alert.title for alert in desk.journal.pending_alerts()}


# --- what causes each kind; each returns the subjects that it is found at


def a_fill_without_its_activity(floor: TradingFloor, desk: Desk) -> str:
    floor.control("/faults", faults=[{"kind": "missing_fill_activity", "reads": 100}])
    return bought(desk).intent.client_order_id


def a_persons_resting_order(floor: TradingFloor, desk: Desk) -> str:
    desk.broker.submit(NewOrder("by-hand", "AAPL", Side.BUY, Decimal(1), Decimal(1)))
    return "by-hand"


def an_order_that_the_broker_lost(floor: TradingFloor, desk: Desk) -> str:
    return plant_order(desk, 1).intent.client_order_id


def an_order_that_works_though_it_was_refused(floor: TradingFloor, desk: Desk) -> str:
    intent = plant_order(desk, 1, limit_price="1", states=(State.SUBMITTING,)).intent
    desk.broker.submit(NewOrder(intent.client_order_id, "AAPL", Side.BUY, intent.qty, intent.limit_price))
    desk.journal.move(intent.client_order_id, State.REJECTED, at_ns=desk.now_ns())
    return intent.client_order_id


def positions_that_lag(floor: TradingFloor, desk: Desk) -> str:
    bought(desk)
    reconcile(desk)
    floor.control("/faults", faults=[{"kind": "position_lag", "reads": 100}])
    buy_behind_our_back(desk, "AAPL", 1, "by-hand")
    operator.rearm(desk, reason="the trade was mine", author="tester")  # the order itself is no break then
    return "AAPL"


def shares_that_nothing_explains(floor: TradingFloor, desk: Desk) -> str:
    hidden(desk, "JNLS")
    floor.control("/position", symbol="AAPL", qty_change="3")
    return "AAPL"


def a_fee_that_is_not_booked(floor: TradingFloor, desk: Desk) -> str:
    hidden(desk, "FEE")
    floor.control("/activity", kind="FEE", amount="-1.01")
    return "cash"


@dataclass(frozen=True)
class Broken:
    cause: Callable[[TradingFloor, Desk], str]
    also: Mapping[BreakKind, set[str]]  # what the same cause breaks besides


BROKEN = {
    BreakKind.MISSING_FILL: Broken(
        a_fill_without_its_activity, {BreakKind.UNEXPECTED_POSITION: {"AAPL"}, BreakKind.CASH: {"cash"}}
    ),
    BreakKind.ORPHAN_ORDER: Broken(a_persons_resting_order, {}),
    BreakKind.MISSING_ORDER: Broken(an_order_that_the_broker_lost, {}),
    BreakKind.ORDER_STATUS: Broken(an_order_that_works_though_it_was_refused, {}),
    BreakKind.QUANTITY: Broken(positions_that_lag, {}),
    BreakKind.UNEXPECTED_POSITION: Broken(shares_that_nothing_explains, {}),
    BreakKind.CASH: Broken(a_fee_that_is_not_booked, {}),
}


@pytest.mark.parametrize("kind", BROKEN, ids=str)
def test_a_break_counts_at_the_second_sighting_locks_alerts_and_overwrites_nothing(
    floor: TradingFloor, desk: Desk, kind: BreakKind
) -> None:
    broken = BROKEN[kind]
    subject = broken.cause(floor, desk)
    expected = {kind: {subject}, **broken.also}
    first = reconcile(desk)
    assert {one_break.kind for one_break in first.breaks} == {str(kind) for kind in expected}
    assert all(one_break.sightings == 1 for one_break in first.breaks)
    assert not locked(desk)
    assert desk.halts().state is HaltState.ACTIVE
    assert reconcile(desk).breaks == first.breaks  # another look at the same moment is no second sighting
    second = later(floor, desk)
    seen: dict[str, set[str]] = {}
    for one_break in second.breaks:
        assert one_break.sightings == 2
        seen.setdefault(one_break.kind, set()).add(one_break.subject)
    assert seen == expected
    assert second.ledger == first.ledger
    symbols = set() if kind is BreakKind.CASH else {"AAPL"}
    assert locked(desk) == symbols
    assert {f"{symbol} locked: BREAK" for symbol in symbols} <= alert_titles(desk)
    cash = BreakKind.CASH in expected
    assert desk.halts().causes == ((Cause.BREAK,) if cash else ())
    assert ("REDUCE_ONLY: BREAK" in alert_titles(desk)) == cash


@pytest.mark.parametrize("fault", ["missing_fill_activity", "position_lag"])
def test_a_break_ends_by_the_brokers_evidence_and_its_lock_by_a_person(
    floor: TradingFloor, desk: Desk, fault: str
) -> None:
    floor.control("/faults", faults=[{"kind": fault, "reads": 100}])
    order = bought(desk)
    reconcile(desk)
    assert later(floor, desk).breaks
    floor.control("/faults", faults=[])
    report = later(floor, desk)
    assert report.clean
    assert report.ledger.holdings["AAPL"].qty == float(order.intent.qty)
    assert locked(desk) == {"AAPL"}
    operator.rearm(desk, reason="seen", author="tester")
    assert later(floor, desk).clean
    assert not locked(desk)


def test_a_symbol_that_moved_in_the_last_five_seconds_is_passed_over(floor: TradingFloor, desk: Desk) -> None:
    desk.clock.stands = False
    floor.control("/faults", faults=[{"kind": "position_lag", "reads": 3}])
    bought(desk)
    assert reconcile(desk).breaks == ()
    assert later(floor, desk, 3).breaks == ()
    (result,) = later(floor, desk, 3).breaks  # six seconds after the fill
    assert (result.kind, result.subject) == ("QUANTITY", "AAPL")
    assert later(floor, desk).clean


def test_a_fill_whose_activity_is_under_way_is_passed_over(floor: TradingFloor, desk: Desk) -> None:
    desk.clock.stands = False
    floor.control("/faults", faults=[{"kind": "missing_fill_activity", "reads": 100}])
    bought(desk)
    assert reconcile(desk).breaks == ()
    assert {one_break.kind for one_break in later(floor, desk, 6).breaks} >= {"MISSING_FILL"}


# --- busts and corrections at the broker


def fill_activity(desk: Desk) -> str:
    (fill,) = desk.journal.fills(desk.book)
    return fill.activity_id


@pytest.mark.parametrize("what", ["bust", "correct"])
def test_a_fill_that_the_broker_busts_or_corrects_is_no_break(
    floor: TradingFloor, desk: Desk, what: str
) -> None:
    order = bought(desk)
    reconcile(desk)
    (fill,) = desk.journal.fills(desk.book)
    amended = {"price": str(fill.price + Decimal("0.25"))} if what == "correct" else {}
    floor.control(f"/{what}", activity_id=fill.activity_id, **amended)
    report = later(floor, desk)
    assert report.clean
    held = report.ledger.holdings.get("AAPL", Holding())
    assert held.qty == (0 if what == "bust" else float(order.intent.qty))
    assert report.ledger.cash_usd == pytest.approx(float(report.account.cash))
    assert len(alert_titles(desk)) == 1
    assert later(floor, desk).clean
    assert len(desk.journal.adjustments(desk.book)) == 1


# --- foreign orders and the person who has seen them


def stray(desk: Desk, number: int) -> str:
    """An order with our prefix that no intent has."""
    client_id = f"{PREFIX}stray-{number}"
    desk.broker.submit(NewOrder(client_id, "AAPL", Side.BUY, Decimal(1), Decimal(1)))
    return client_id


def test_a_foreign_order_that_a_person_has_seen_halts_no_more_and_a_new_one_does(
    floor: TradingFloor, desk: Desk
) -> None:
    first = stray(desk, 1)
    report = protect_alone(desk, new_execution_id()).reconciliation
    assert [first in sentence for sentence in report.foreign] == [True]
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
    assert [order.status_word for order in at_broker(desk)] == ["canceled"]
    assert operator.rearm(desk, reason="an old program of mine", author="tester") == (Cause.FOREIGN_ORDER,)
    for _ in range(2):  # the overlap of the watermark shows it for a quarter of an hour
        protect_alone(desk, new_execution_id())
        assert later(floor, desk).clean
    assert desk.halts().state is HaltState.ACTIVE
    second = stray(desk, 2)
    (sentence,) = later(floor, desk).foreign
    assert second in sentence
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)


def test_a_rearm_before_anybody_saw_the_foreign_order_does_not_cover_it(
    floor: TradingFloor, desk: Desk
) -> None:
    stray(desk, 1)
    operator.rearm(desk, reason="for something else", author="tester")
    assert later(floor, desk).foreign
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)


def test_a_foreign_order_that_a_person_has_seen_halts_again_when_it_does_something_else(
    floor: TradingFloor, desk: Desk
) -> None:
    intent = plant_order(desk, 1).intent
    desk.broker.submit(NewOrder(intent.client_order_id, "AAPL", Side.BUY, Decimal(2), Decimal("1.5")))
    reconcile(desk)
    assert desk.halts().causes == (Cause.FOREIGN_ORDER,)
    operator.rearm(desk, reason="seen", author="tester")
    assert not later(floor, desk).foreign
    real = desk.broker
    grown = [restated(order, qty=Decimal(9)) for order in at_broker(desk)]
    desk.broker = Altered(real, orders_since=lambda _: grown, open_orders=lambda: grown)
    assert later(floor, desk).foreign


# --- another account


def test_a_reset_account_is_another_book_and_the_old_one_is_left_as_it_was(
    floor: TradingFloor, tmp_path: Path, desk: Desk
) -> None:
    bought(desk)
    reconcile(desk)
    old, before = desk.book, ledger_of(desk.journal, desk.book)
    floor.control("/account/reset", cash="50000")
    with pytest.raises(AnotherAccount):
        reconcile(desk)
    with Desk.open(desk.settings, environ={}) as new:
        assert new.book != old
        buy_behind_our_back(new, "IBM", 2, "by-hand")
        assert not reconcile(new).opened
        assert not new.reconciled
        assert adopt(new, author="tester", reason="my account, reset") == 1
        assert later(floor, new).opened
        assert ledger_of(new.journal, new.book).holdings["IBM"].qty == 2
        assert ledger_of(new.journal, old) == before
        assert [fill.symbol for fill in new.journal.fills(old)] == ["AAPL"]
        assert new.journal.open_breaks(old) == []
