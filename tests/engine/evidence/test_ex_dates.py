"""Announced splits, true and false: no stop fires for one that is only announced, none is missed for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import count
from math import exp, log, nan
from types import SimpleNamespace
from typing import Any

import pytest
from engine_ticks import buy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.planted import Altered
from support.trading_floor import TradingFloor

from trading_assets.broker.port import (
    BarState,
    CorporateActionState,
    PositionState,
    QuoteState,
    Rows,
    SpinOffState,
    Unreachable,
)
from trading_assets.engine.book.accounting import CASH
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.decision.inputs import Phase
from trading_assets.engine.evidence.ex_dates import Prices as Seen
from trading_assets.engine.evidence.ex_dates import in_effect, is_true
from trading_assets.engine.evidence.stop_costs import SpunOff, held_by_ex_dates
from trading_assets.engine.protection.protect import new_execution_id, protect_alone
from trading_assets.engine.protection.snapshot import take_snapshot
from trading_assets.market.actions import TOLD_APART, counts_unseen, ex_date_shows
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

BEGAN = date(2012, 3, 1)
EX_DATE = date(2012, 6, 11)
HOUR_NS = 3600 * 10**9
COST = CLOSE = 100.0
STOP = 0.95
NUMBERS = count()


def at(day: date, hour: float) -> int:
    return new_york_midnight_ns(day) + int(hour * HOUR_NS)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal.open(tmp_path_factory.mktemp("ex-dates") / "journal.sqlite") as journal:
        yield journal


class World:
    """A book that holds AAPL at 100, its broker, and prices on each day."""

    def __init__(self, journal: Journal, held: int, opens: float = nan) -> None:
        self.journal, self.book, self.day = journal, f"book-{next(NUMBERS)}", BEGAN
        self.lines: list[tuple[date, AdjustmentRecord]] = []
        self._held, self._opens = held, opens
        began = at(BEGAN, 9)
        cash = OpeningPositionRecord(self.book, CASH, Decimal(10**6), Decimal(0), began, "test", "test")
        journal.record_opening([cash])
        qty, bought = Decimal(held), BEGAN + timedelta(days=5)
        first = FillRecord(
            self.book,
            bought.isoformat(),
            "buy",
            None,
            "AAPL",
            1,
            qty,
            Decimal(100),
            qty,
            at(bought, 10),
            "b",
            0,
        )
        journal.record_fills([first])

    @property
    def desk(self) -> Any:
        desk = SimpleNamespace(
            journal=self.journal,
            book=self.book,
            broker=SimpleNamespace(bars=self._bars),
            today=lambda: self.day,
            now_ns=lambda: at(self.day, 11),
            session_text=lambda: self.day.isoformat(),
            sessions=Sessions(),
        )
        desk.alert = partial(Desk.alert, desk)
        return desk

    def books(self, name: str, day: date, hour: float, qty: Decimal, *, kept_back: int = 0) -> None:
        """The broker's line, that the ledger has some days after the broker's position shows it."""
        line = AdjustmentRecord(
            self.book, name, "SPLIT", "AAPL", qty, Decimal(0), at(day, hour), "broker", "SPLIT"
        )
        self.lines.append((day + timedelta(days=kept_back), line))

    def cost(
        self,
        day: date,
        price: float,
        actions: Sequence[CorporateActionState],
        spun_off: SpunOff | None = None,
    ) -> float:
        """What the stop is measured from on that day, at that bid."""
        self.day = day
        known = [line for from_day, line in self.lines if from_day <= day and line.at_ns <= at(day, 11)]
        self.journal.record_adjustments(known)
        shown = self._held + sum((line.qty_delta for _, line in self.lines if line.at_ns <= at(day, 11)), 0)
        bid, now = Decimal(repr(price)), at(day, 11)
        quote = QuoteState("AAPL", bid, bid, now, bid, now, Decimal(repr(CLOSE)))
        position = PositionState("AAPL", Decimal(shown), Decimal(0), Decimal(shown))
        counted = in_effect(
            self.desk,
            actions,
            spun_off or {},
            symbols=["AAPL"],
            positions={"AAPL": position},
            quotes={"AAPL": quote},
            began=BEGAN,
        )
        return held_by_ex_dates(self.journal, self.book, ["AAPL"], counted, day, spun_off)["AAPL"].avg_cost

    def alert_titles(self) -> list[str]:
        return [one.title for one in self.journal.pending_alerts() if one.book == self.book]

    def _bars(self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int) -> list[BarState]:
        days = [(EX_DATE - timedelta(days=3), CLOSE, CLOSE), (EX_DATE, self._opens, self._opens)]
        return [
            BarState("AAPL", at(day, 0), open_, open_, open_, close, 1.0)
            for day, open_, close in days
            if start_ns <= at(day, 0) < end_ns
        ]


ratios = st.builds(Fraction, st.integers(1, 1000), st.integers(1, 1000)).filter(
    lambda ratio: not 1 / TOLD_APART < ratio < TOLD_APART
)
moves = st.floats(-0.45, 0.45)  # of the way in log from one price to the other: nearer to where it began
days = st.integers(-5, 20).map(lambda number: EX_DATE + timedelta(days=number))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ratio=ratios,
    held=st.integers(1, 4000),
    is_so=st.booleans(),
    booking=st.integers(-4, 15),
    two_lines=st.booleans(),
    kept_back=st.integers(0, 3),
    first_move=moves,
    looks=st.lists(st.tuples(days, moves, st.floats(0.5, 1.5)), min_size=1, max_size=3),
)
def test_no_stop_fires_falsely_and_none_is_missed_whether_the_announcement_is_true_or_not(
    journal: Journal,
    ratio: Fraction,
    held: int,
    is_so: bool,
    booking: int,
    two_lines: bool,
    kept_back: int,
    first_move: float,
    looks: list[tuple[date, float, float]],
) -> None:
    """A true split is booked early, late, in two lines, and by the broker's position before its line is read.
    A false one is never booked. The price may move on the ex-date by nearly half of what the split does, and
    afterwards as it likes."""
    after = Decimal(int(held * ratio))
    assume(after >= 1)
    actions = [CorporateActionState("AAPL", EX_DATE, float(ratio), 0.0)]
    apart = log(float(ratio)) if is_so else 0.0
    opens = CLOSE * exp(first_move * abs(log(float(ratio))) - apart)
    world = World(journal, held, opens)
    day = EX_DATE + timedelta(days=booking)
    if is_so and two_lines:
        world.books("new", day, 5.0, after, kept_back=kept_back)
        world.books("old", day, 5.5, Decimal(-held), kept_back=kept_back)
    elif is_so:
        world.books("one", day, 5.5, after - held, kept_back=kept_back)
    for look, move, later_move in sorted(looks):
        ideal = COST / float(ratio) if is_so and look >= EX_DATE else COST
        if look < EX_DATE:
            price = CLOSE * later_move
        elif look == EX_DATE:
            price = CLOSE * exp(move * abs(log(float(ratio))) - apart)
        else:
            price = opens * later_move
        price = max(round(price, 6), 1e-6)
        cost = world.cost(look, price, actions)
        assert (price <= STOP * cost) == (price <= STOP * ideal), (look, price, cost)
        if not is_so and look >= EX_DATE:
            assert world.alert_titles() == [
                f"AAPL: what is announced for {EX_DATE} shows neither at the broker nor in the price"
            ]
    assert is_so or cost == COST


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1 / TOLD_APART, 1.0, exclude_max=True), price=st.floats(10, 200))
def test_what_no_price_can_tell_counts_as_announced_and_moves_a_stop_by_a_sixth_at_most(
    journal: Journal, factor: float, price: float
) -> None:
    for action, spun_off in (
        (CorporateActionState("AAPL", EX_DATE, 1 / factor, 0.0), None),
        (CorporateActionState("AAPL", EX_DATE, 1.0, CLOSE * (1 - factor)), None),
        (
            CorporateActionState("AAPL", EX_DATE, 1.0, 0.0, (SpinOffState("SPUN", 0.5),)),
            {("AAPL", EX_DATE): 1 - factor},
        ),
    ):
        world = World(journal, 10)
        assert world.cost(EX_DATE, price, [action], spun_off) == pytest.approx(COST * factor)
        assert world.alert_titles() == []
    assert COST * factor >= COST / TOLD_APART


@pytest.mark.parametrize(
    "action",
    [
        CorporateActionState("AAPL", EX_DATE, 1.0, 90.0),
        CorporateActionState("AAPL", EX_DATE, 1.0, 300.0),
        CorporateActionState("AAPL", EX_DATE, 1.0, 0.0, (SpinOffState("SPUN", 500.0),)),
        CorporateActionState("AAPL", EX_DATE, 0.85, 0.0),
    ],
)
def test_a_large_dividend_spin_off_or_small_reverse_split_that_the_price_does_not_show_moves_no_stop(
    journal: Journal, action: CorporateActionState
) -> None:
    world = World(journal, 100)
    spun_off = {("AAPL", EX_DATE): 0.98} if action.spin_offs else None
    assert world.cost(EX_DATE, 99.0, [action], spun_off) == COST
    assert len(world.alert_titles()) == 1
    assert world.cost(EX_DATE + timedelta(days=1), 20.0, [action], spun_off) == COST
    assert len(world.alert_titles()) == 1


def test_a_large_dividend_that_the_price_shows_lowers_the_stop_for_good(journal: Journal) -> None:
    world, paid = World(journal, 100), [CorporateActionState("AAPL", EX_DATE, 1.0, 40.0)]
    assert world.cost(EX_DATE, 61.0, paid) == pytest.approx(60)
    assert world.cost(EX_DATE + timedelta(days=9), 99.0, paid) == pytest.approx(60)
    assert world.alert_titles() == []


def test_the_dividend_beside_a_false_split_counts(journal: Journal) -> None:
    world = World(journal, 100)
    assert world.cost(EX_DATE, 98.0, [CorporateActionState("AAPL", EX_DATE, 0.001, 2.0)]) == pytest.approx(98)


@pytest.mark.parametrize("announced", [1000.0, 0.001, 2.0])
@pytest.mark.parametrize("late", [0, 3])
def test_a_split_in_another_ratio_than_announced_counts_as_the_broker_booked_it(
    journal: Journal, announced: float, late: int
) -> None:
    """10 for 1."""
    world = World(journal, 100)
    world.books("one", EX_DATE + timedelta(days=late), 5.5, Decimal(900))
    actions = [CorporateActionState("AAPL", EX_DATE, announced, 0.0)]
    assert world.cost(EX_DATE + timedelta(days=late), 9.9, actions) == pytest.approx(10)


def test_without_prices_of_an_ex_date_the_cost_stands_and_a_person_is_told_once_a_session(
    journal: Journal,
) -> None:
    world = World(journal, 100)
    desk = world.desk

    def silent(*_: object) -> list[BarState]:
        raise Unreachable("no bars")

    desk.broker.bars = silent
    split = CorporateActionState("AAPL", EX_DATE, 10.0, 0.0)
    for day, times in ((1, 1), (1, 1), (2, 2)):
        world.day = EX_DATE + timedelta(days=day)
        result = in_effect(desk, [split], {}, symbols=["AAPL"], positions={}, quotes={}, began=BEGAN)
        assert (result, len(world.alert_titles())) == ([], times)


def test_nothing_is_asked_of_an_ex_date_on_which_nothing_was_held(journal: Journal) -> None:
    """Before the first purchase, and of a symbol that nobody holds."""
    world = World(journal, 100)
    earlier = CorporateActionState("AAPL", BEGAN + timedelta(days=2), 10.0, 0.0)
    assert world.cost(EX_DATE, 99.0, [earlier]) == COST
    assert world.alert_titles() == []


@pytest.mark.parametrize(
    ("close", "adjusted", "price", "shown"),
    [
        (100, 50, 70.8, False),
        (100, 50, 70.7, True),
        (1, 1000, 31.6, False),
        (1, 1000, 31.7, True),
        (100, -20, 90, False),
        (nan, 50, 50, None),
        (100, 50, nan, None),
        (100, 50, 0, None),
    ],
)
def test_the_nearer_of_two_closes_in_log_is_the_one_that_a_price_shows(
    close: float, adjusted: float, price: float, shown: bool | None
) -> None:
    assert ex_date_shows(close, adjusted, price) is shown


@pytest.mark.parametrize(
    ("factor", "unseen"),
    [(1.0, True), (1.01, False), (0.84, True), (1 / 1.2, True), (0.83, False), (nan, False)],
)
def test_only_what_lowers_a_price_by_a_sixth_at_most_counts_unseen(factor: float, unseen: bool) -> None:
    assert counts_unseen(factor) is unseen


@pytest.mark.parametrize(
    ("shown", "with_it", "without", "true"),
    [
        (1000.0, 1000.0, 100.0, True),
        (1000.5, 1000.0, 100.0, True),  # the rest is paid in cash
        (100.0, 1000.0, 100.0, False),  # not booked yet, or not true: the price says which
        (1.0, 0.1, 1.0, False),
        (nan, 1000.0, 100.0, False),
    ],
)
def test_the_brokers_quantity_shows_a_split_that_the_price_does_not(
    shown: float, with_it: float, without: float, true: bool
) -> None:
    prices = Seen(100.0, 100.0)
    assert is_true(prices, 10.0, shown_qty=shown, with_it=with_it, without=without) is true


def test_a_split_that_is_only_announced_sells_nothing_and_moves_no_previous_close(
    floor: TradingFloor,
) -> None:
    floor.go_to_tick(0)
    with floor.desk() as desk:
        buy(floor, desk)
    floor.go_to_session(floor.sessions.next(floor.session))
    with floor.desk() as desk:
        real, today = desk.broker, floor.session
        actions = [CorporateActionState(symbol, today, 0.001, 0.0) for symbol in ("AAPL", "IBM")]
        desk.broker = Altered(
            real,
            corporate_actions=lambda symbols, first, last: Rows.of(
                one for one in actions if one.symbol in symbols and first <= today <= last
            ),
        )
        assert protect_alone(desk, new_execution_id()).stopped == ()
        seen = take_snapshot(desk, desk.today(), desk.now_ns(), new_execution_id(), Phase.ENTRIES)
        (view,) = [symbol for symbol in seen.symbols if symbol.symbol == "AAPL"]
        assert view.previous_close == float(real.quotes(["AAPL"])["AAPL"].previous_close)
        assert [one.title for one in desk.journal.pending_alerts()] == [
            f"AAPL: what is announced for {today} shows neither at the broker nor in the price"
        ]
        # the stop of a true fall fires all the same
        actions.clear()
        actions.append(CorporateActionState("AAPL", today, 100.0, 0.0))
        stated = real.quotes(["AAPL"])["AAPL"]
        fallen = (stated.bid * Decimal("0.9")).quantize(Decimal("0.01"))
        low = replace(stated, bid=fallen, ask=fallen, last_trade=fallen)
        desk.broker = Altered(
            desk.broker,
            quotes=lambda symbols: {s: low if s == "AAPL" else q for s, q in real.quotes(symbols).items()},
        )
        assert protect_alone(desk, new_execution_id()).stopped == ("AAPL",)
