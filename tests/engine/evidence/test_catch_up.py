"""A history longer than one look: where reading begins, how it goes on, and what does not wait for it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_ticks import buy, buy_dear
from support.broker_words import activity, stated
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import AccountActivity, MoreActivities, MoreOrders, OrderState
from trading_assets.core.orders import State
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause
from trading_assets.engine.evidence import catch_up
from trading_assets.engine.evidence.catch_up import LATE_AGAIN_NS, OVERLAP_NS, WATERMARK
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.reconciliation.reconcile import StillReading, adopt, reconcile
from trading_assets.market.sessions import new_york_midnight_ns

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 24 * 3600 * SECOND_NS
A_LOOK = 1_000  # activities, as ten pages of a hundred are


class History:
    """The broker's activities behind those of the real account: `read` and `looks` tell what was asked."""

    def __init__(self, desk: Desk, rows: Sequence[AccountActivity], a_look: int = A_LOOK) -> None:
        self._real = desk.broker
        self._a_look = a_look
        self._rows = sorted(rows, key=lambda one: one.at_ns)
        self._times = [one.at_ns for one in self._rows]
        self._places = {one.id: number for number, one in enumerate(self._rows)}
        self.looks: list[tuple[int, str | None]] = []
        self.read: list[str] = []
        desk.broker = Altered(self._real, activities=self)

    def __call__(self, since_ns: int, *, after_id: str | None = None) -> list[AccountActivity]:
        self.looks.append((since_ns, after_id))
        last = len(self._rows) - 1  # the real account's come after these
        first = self._places.get(after_id, last) + 1 if after_id else bisect_left(self._times, since_ns)
        result = self._rows[first : first + self._a_look]
        self.read += [one.id for one in result]
        if len(result) == self._a_look:
            raise MoreActivities(result, result[-1].id)
        return [*result, *self._real.activities(since_ns)]


def fees(count: int, first_ns: int, last_ns: int) -> list[AccountActivity]:
    """Lines of a cent and back, over that time: in all they change nothing."""
    return [
        activity(
            f"{n:08d}::fee",
            "FEE",
            first_ns + (last_ns - first_ns) * n // count,
            net_amount=Decimal("0.01") if n % 2 else Decimal("-0.01"),
        )
        for n in range(count)
    ]


def begun(floor: TradingFloor, number: int = 1) -> Callable[[], Desk]:
    """A desk whose book is open, as processes would open it again."""
    floor.go_to_tick(number)
    with floor.desk() as desk:
        desk.begin()
        assert reconcile(desk).clean
    return floor.desk


def test_activities_are_read_from_the_watermark_and_never_from_the_beginning(floor: TradingFloor) -> None:
    floor.go_to_tick(1)
    with floor.desk() as desk:
        desk.begin()
        began = desk.now_ns()
        history = History(desk, fees(50_000, began - 300 * DAY_NS, began - DAY_NS))
        assert reconcile(desk).clean  # the opening, and the first comparison
        floor.go_to_tick(2)
        desk.begin()
        assert reconcile(desk).clean
        day_began = new_york_midnight_ns(desk.today())  # whose lines the opening names
        assert {since for since, _ in history.looks} == {day_began, began - OVERLAP_NS}
        assert history.read == []


def test_an_account_of_50000_activities_is_adopted_and_protected_with_one_look_each(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(1)
    with floor.desk() as desk:
        desk.begin()
        began = desk.now_ns()
        history = History(desk, fees(50_000, began - 300 * DAY_NS, began - SECOND_NS))
        assert adopt(desk, author="test", reason="test") == 0
        assert reconcile(desk).clean
        assert desk.journal.opening(desk.book)[0].qty == desk.broker.account().cash
        assert len(history.looks) == 2
        assert len(history.read) < A_LOOK
        assert desk.journal.adjustments(desk.book) == []


@pytest.mark.slow(seconds=20)
def test_after_a_long_absence_a_history_is_read_on_from_look_to_look_while_stops_fire(
    floor: TradingFloor,
) -> None:
    """The desk was off, and somebody's program used the account meanwhile."""
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy_dear(floor, desk)
        watermark = int(desk.journal.mark(desk.book, WATERMARK) or 0)
        now = floor.go_to_tick(2)
        desk.begin()
        rows = fees(10_000, watermark + SECOND_NS, now - SECOND_NS)
        history = History(desk, rows, a_look=2_000)
        first = protect_alone(desk, new_execution_id())
        assert first.reconciliation.catching_up
        assert not first.reconciliation.clean
        assert not first.reconciliation.breaks
        assert first.stopped == ("AAPL",)  # in the first look, with 8 000 activities unread
        assert [order.state for order in first.orders] == [State.FILLED]
        assert first.transient == (Cause.CATCHING_UP,)  # entries wait
        looks = 1
        while True:  # one a minute, at the exchange's real limit of requests
            floor.keeper.move_to(now + looks * MINUTE_NS)
            desk.begin()
            if not reconcile(desk).catching_up:
                break
            looks += 1
            assert len(history.looks) == looks
            assert int(desk.journal.mark(desk.book, WATERMARK) or 0) == watermark
        assert looks == len(rows) // 2_000
        assert history.read == [one.id for one in rows]  # each once
        floor.keeper.move_to(now + (looks + 1) * MINUTE_NS)
        assert protect_alone(desk, new_execution_id()).transient == ()
        assert len(desk.journal.adjustments(desk.book)) == len(rows)
        report = reconcile(desk)
        assert report.clean
        assert int(desk.journal.mark(desk.book, WATERMARK) or 0) == desk.now_ns()
        alerts = [alert for alert in desk.journal.pending_alerts() if "history is long" in alert.title]
        assert len(alerts) == 1


def test_a_reading_goes_on_in_the_next_process_and_who_only_looks_on_leaves_it_alone(
    floor: TradingFloor,
) -> None:
    opened = begun(floor)
    now = floor.go_to_tick(3)
    rows = fees(2_500, now - 1_000 * SECOND_NS, now - SECOND_NS)
    read: list[str] = []
    for last in (False, False, True):
        with opened() as desk:
            desk.begin()
            history = History(desk, rows)
            assert reconcile(desk).catching_up is not last
            read += history.read
            looks = len(history.looks)
            if not last:
                assert catch_up.take_activities(desk).complete is False  # the listener, a tick's fills
                assert len(history.looks) == looks
    assert read == [one.id for one in rows]


def test_an_opening_that_shares_its_moment_with_more_than_a_look_goes_on_at_the_next_adoption(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(1)
    with floor.desk() as desk:
        desk.begin()
        now = desk.now_ns()
        History(desk, fees(2_500, now, now + 1))
        for _ in range(2):
            with pytest.raises(StillReading, match="adopt"):
                adopt(desk, author="test", reason="test")
            assert not desk.journal.opening(desk.book)
        adopt(desk, author="test", reason="test")
        assert desk.journal.opening(desk.book)
        while reconcile(desk).catching_up:
            pass
        assert desk.journal.adjustments(desk.book) == []  # all of it is in the opening entry
        assert reconcile(desk).clean


def test_what_is_booked_late_is_looked_for_at_once_then_every_ten_minutes_and_never_without_bound(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
        desk.begin()
        now = desk.now_ns()
        history = History(desk, fees(2_500, now - 5 * DAY_NS, now - 4 * DAY_NS))
        real = desk.broker
        account = real.account()
        desk.broker = Altered(real, account=lambda: replace(account, cash=account.cash - 50))

        def late() -> int:
            """How many looks this reconciliation took for what was booked late."""
            floor.keeper.move_to(desk.now_ns() + SECOND_NS)
            desk.begin()
            history.looks.clear()
            assert not reconcile(desk).clean
            return len(history.looks) - 1

        assert [late() for _ in range(4)] == [1, 1, 0, 0]  # two sightings make a break
        floor.keeper.move_to(desk.now_ns() + LATE_AGAIN_NS)
        desk.begin()
        assert [late() for _ in range(2)] == [1, 0]


def test_a_list_of_orders_longer_than_a_look_is_read_on_by_time(floor: TradingFloor) -> None:
    opened = begun(floor)
    now = floor.go_to_tick(3)
    with opened() as desk:
        desk.begin()
        real = desk.broker
        sample = _order(now)
        rows = [
            replace(
                sample, id=f"o{n}", client_order_id=f"theirs-{n}", submitted_ns=now - (2_000 - n) * SECOND_NS
            )
            for n in range(1_500)
        ]
        requests: list[int] = []

        def orders_since(since: int) -> list[OrderState]:
            requests.append(since)
            later = [one for one in rows if one.submitted_ns >= since]
            if len(later) > 600:
                raise MoreOrders(later[:600], later[599].submitted_ns)
            return later

        desk.broker = Altered(real, orders_since=orders_since)
        seen = []
        for _ in range(3):
            report = reconcile(desk)
            seen.append((report.catching_up, report.orders_seen))
        assert seen == [(True, 600), (True, 600), (False, 302)]
        assert requests[1:] == [rows[599].submitted_ns, rows[1_198].submitted_ns]


def test_what_became_of_many_old_orders_is_one_list_and_no_request_for_each(floor: TradingFloor) -> None:
    """Ended while nobody looked, and sent before the watermark."""
    from wire import decided, send, signal

    floor.go_to_tick(1)
    with floor.desk() as desk:
        desk.begin()
        reconcile(desk)
        names = ("AAPL", "IBM", "GOOG", "MSFT")
        orders = send(desk, decided(desk, *(signal(desk, name, resting=True) for name in names)))
        for order in orders:
            desk.broker.cancel(str(order.broker_order_id))
        floor.go_to_tick(2)
        desk.begin()
        desk.journal.set_mark(desk.book, WATERMARK, str(desk.now_ns()), desk.now_ns())
        real, requests = desk.broker, []

        def by_client_id(client_id: str) -> OrderState | None:
            requests.append(client_id)
            return real.order_by_client_id(client_id)

        desk.broker = Altered(real, order_by_client_id=by_client_id)
        reconcile(desk)
        assert requests == []
        states = {desk.journal.order(order.intent.client_order_id).state for order in orders}
        assert states == {State.CANCELED}


def _order(at_ns: int) -> OrderState:
    return stated(
        id="o",
        client_order_id="theirs",
        symbol="IBM",
        side=1,
        qty=Decimal(1),
        limit_price=Decimal(100),
        status="canceled",
        filled_qty=Decimal(0),
        submitted_ns=at_ns,
        updated_ns=at_ns,
    )
