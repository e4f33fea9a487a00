"""Stops across splits and spin-offs: however the broker books one, the cost is what an owner would say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trading_assets.broker.port import CorporateActionState, SpinOffState
from trading_assets.engine.book.accounting import CANCELED, CASH, STOPS, carrying, ledger_of
from trading_assets.engine.evidence.stop_costs import (
    SpunOff,
    asked_until,
    costs_of,
    held_by_ex_dates,
    with_earlier_symbols,
)
from trading_assets.market.sessions import new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

BEGAN = date(2012, 3, 1)
EX_DATE = date(2012, 6, 11)
NUMBERS = count()
HOUR_NS = 3600 * 10**9
COST = 100.0


def at(day: date, hour: float) -> int:
    return new_york_midnight_ns(day) + int(hour * HOUR_NS)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal.open(tmp_path_factory.mktemp("stops") / "journal.sqlite") as journal:
        yield journal


class Book:
    """A new book of the journal, that begins with cash."""

    def __init__(self, journal: Journal) -> None:
        self.key = f"book-{next(NUMBERS)}"
        self._journal = journal
        cash = OpeningPositionRecord(self.key, CASH, Decimal(10**6), Decimal(0), at(BEGAN, 9), "test", "test")
        journal.record_opening([cash])

    def tell(self, *records: FillRecord | AdjustmentRecord) -> None:
        entries = [replace(record, book=self.key) for record in records]
        self._journal.record_fills([one for one in entries if isinstance(one, FillRecord)])
        self._journal.record_adjustments([one for one in entries if isinstance(one, AdjustmentRecord)])

    def costs(
        self, actions: Sequence[CorporateActionState], today: date, spun_off: SpunOff | None = None
    ) -> dict[str, float]:
        """As a look of that day asks for them."""
        known = [action for action in actions if action.ex_date <= asked_until(today)]
        symbols = ["AAPL", "SPUN"]
        return costs_of(held_by_ex_dates(self._journal, self.key, symbols, known, today, spun_off), symbols)

    def cost(self, actions: Sequence[CorporateActionState], today: date) -> float | None:
        return self.costs(actions, today).get("AAPL")

    def held(self) -> tuple[float, float]:
        holding = ledger_of(self._journal, self.key).holdings["AAPL"]
        return holding.qty, holding.avg_cost


def fill(name: str, day: date, side: int, qty: Decimal, price: float, symbol: str = "AAPL") -> FillRecord:
    return FillRecord(
        book="",
        session=day.isoformat(),
        broker_order_id=name,
        client_order_id=None,
        symbol=symbol,
        side=side,
        qty=qty,
        price=Decimal(repr(price)),
        cum_qty=qty,
        at_ns=at(day, 10),
        activity_id=name,
        received_ns=at(day, 10),
    )


def booked(
    name: str, day: date, hour: float, qty: Decimal, *, symbol: str = "AAPL", reason: str = "SPLIT"
) -> AdjustmentRecord:
    kind = "SPIN_OFF" if reason.startswith("SPIN") else "SPLIT"
    return AdjustmentRecord("", name, kind, symbol, qty, Decimal(0), at(day, hour), "broker", reason)


days = st.integers(-10, 40).map(lambda number: EX_DATE + timedelta(days=number))
moments = st.tuples(days, st.sampled_from([0.0, 5.5, 12.0, 23.9]))
ratios = st.builds(Fraction, st.integers(1, 50), st.integers(1, 50)).filter(lambda ratio: ratio != 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ratio=ratios,
    held=st.integers(1, 4000),
    lines=st.one_of(st.tuples(moments), st.tuples(moments, moments)),
    new_first=st.booleans(),
    whole=st.booleans(),
    looks=st.lists(days, min_size=1, max_size=3, unique=True),
)
def test_a_split_booked_whenever_in_one_line_or_two_gives_the_stop_of_an_ideal_booking(
    journal: Journal,
    ratio: Fraction,
    held: int,
    lines: tuple[tuple[date, float], ...],
    new_first: bool,
    whole: bool,
    looks: list[date],
) -> None:
    """`whole`: a fraction of a share is paid in cash."""
    exact = held * ratio
    after = Decimal(int(exact)) if whole else Decimal(exact.numerator) / Decimal(exact.denominator)
    after = after.quantize(Decimal("1e-9"))
    assume(exact >= 1)  # of less than a share, no line says whether another follows
    changes = [after - held] if len(lines) == 1 else [Decimal(-held), after]
    if new_first:
        changes.reverse()
    entries = [
        booked(f"split-{number}", day, hour, change)
        for number, ((day, hour), change) in enumerate(zip(lines, changes, strict=True))
    ]
    actions = [CorporateActionState("AAPL", EX_DATE, float(ratio), 0.0)]
    book = Book(journal)
    book.tell(fill("buy", BEGAN + timedelta(days=5), 1, Decimal(held), COST))
    last = max(day for day, _ in lines)
    for today in [*sorted(looks), max(last, EX_DATE) + timedelta(days=1)]:
        book.tell(*(line for line in entries if line.at_ns < at(today, 16)))
        ideal = COST if today < EX_DATE else COST / float(ratio)
        assert book.cost(actions, today) == pytest.approx(ideal), today
    assert book.held()[0] == pytest.approx(float(after))


@pytest.mark.parametrize("days_late", [-3, 0, 2, 9, 30])
@pytest.mark.parametrize("two_lines", [True, False])
def test_shares_traded_around_a_split_are_averaged_as_if_it_had_been_booked_on_its_day(
    journal: Journal, days_late: int, two_lines: bool
) -> None:
    """1:10 of 105 shares is 10 and cash for a half: sold and bought again, the half is nobody's."""
    actions = [CorporateActionState("AAPL", EX_DATE, 0.1, 0.0)]
    day = EX_DATE + timedelta(days=days_late)
    lines = [booked("a", day, 6, Decimal(-105)), booked("b", day, 6, Decimal(10))]
    book = Book(journal)
    book.tell(fill("buy", BEGAN + timedelta(days=5), 1, Decimal(105), COST))
    book.tell(*(lines if two_lines else [booked("a", day, 6, Decimal(-95))]))
    later = EX_DATE + timedelta(days=40)
    assert book.cost(actions, later) == pytest.approx(1000)
    book.tell(fill("sell", later, -1, Decimal(10), 1100.0))
    assert book.cost(actions, later) is None
    book.tell(fill("again", later + timedelta(days=1), 1, Decimal(3), 900.0))
    assert book.cost(actions, later + timedelta(days=1)) == pytest.approx(900)


def test_a_cancelled_line_of_a_split_counts_for_nothing(journal: Journal) -> None:
    actions = [CorporateActionState("AAPL", EX_DATE, 2.0, 0.0)]
    line = booked("a", EX_DATE, 1, Decimal(30))
    book = Book(journal)
    book.tell(fill("buy", BEGAN, 1, Decimal(10), COST))
    wrong = booked("a" + CANCELED, EX_DATE, 1, Decimal(-30))
    book.tell(line, wrong, booked("b", EX_DATE, 2, Decimal(10)))
    assert book.cost(actions, EX_DATE) == pytest.approx(50)
    assert book.held() == (20, 50)


def test_two_splits_within_weeks_each_take_their_own_line(journal: Journal) -> None:
    second = EX_DATE + timedelta(days=28)
    actions = [
        CorporateActionState("AAPL", EX_DATE, 2.0, 0.0),
        CorporateActionState("AAPL", second, 3.0, 0.0),
    ]
    book = Book(journal)
    book.tell(fill("buy", BEGAN, 1, Decimal(10), COST))
    book.tell(booked("a", EX_DATE + timedelta(days=3), 1, Decimal(10)))
    assert book.cost(actions, second - timedelta(days=1)) == pytest.approx(50)
    book.tell(booked("b", second - timedelta(days=2), 1, Decimal(40)))
    assert book.cost(actions, second - timedelta(days=1)) == pytest.approx(50)
    assert book.cost(actions, second) == pytest.approx(100 / 6)


def test_a_capital_gain_lowers_the_cost_as_a_dividend_does(journal: Journal) -> None:
    book = Book(journal)
    book.tell(fill("buy", BEGAN, 1, Decimal(10), COST))
    gains = [CorporateActionState("AAPL", EX_DATE, 1.0, 9.0)]
    assert book.cost(gains, EX_DATE) == pytest.approx(91)


@pytest.mark.parametrize("kind", ["NAME_CHANGE", "REORGANISATION"])
def test_a_dividend_under_an_earlier_symbol_still_lowers_the_stop(journal: Journal, kind: str) -> None:
    """The same with the checkpoints of the time before, and folded anew."""
    book, before, after = Book(journal), EX_DATE + timedelta(days=1), EX_DATE + timedelta(days=3)
    book.tell(fill("buy", BEGAN + timedelta(days=5), 1, Decimal(10), COST, symbol="FIRST"))
    for old, new, day in (("FIRST", "SECOND", before), ("SECOND", "AAPL", after)):
        gone = booked(f"-{old}", day, 6, Decimal(-10), symbol=old, reason="NC")
        come = booked(f"+{new}", day, 6, Decimal(10), symbol=new, reason=carrying("NC", old))
        book.tell(replace(gone, kind=kind), replace(come, kind=kind))
    symbols = with_earlier_symbols(journal, book.key, ["AAPL"])
    assert symbols == {"AAPL", "SECOND", "FIRST"}
    paid = [CorporateActionState(symbol, EX_DATE + timedelta(days=days), 1.0, 4.5) for symbol, days in PAID]
    for today in (EX_DATE, before, after, after + timedelta(days=30)):
        held_by_ex_dates(journal, book.key, symbols, paid, today)
    for _ in range(2):
        held = held_by_ex_dates(journal, book.key, symbols, paid, today)
        assert held["AAPL"].avg_cost == pytest.approx(91)
        journal.drop_checkpoints(book.key, STOPS)


PAID = (("FIRST", 0), ("SECOND", 2))  # symbol → days after EX_DATE


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    share=st.floats(0.01, 0.9),
    booking=st.integers(-5, 40),
    looks=st.lists(days, min_size=1, max_size=3, unique=True),
    dividend=st.sampled_from([0.0, 8.0]),
)
def test_a_spin_off_booked_whenever_splits_the_stops_cost_by_value_on_its_ex_date_and_once(
    journal: Journal, share: float, booking: int, looks: list[date], dividend: float
) -> None:
    """A dividend before it has lowered what is split."""
    earlier = EX_DATE - timedelta(days=30)
    actions = [CorporateActionState("AAPL", EX_DATE, 1.0, 0.0, (SpinOffState("SPUN", 0.5),))]
    if dividend:
        actions.insert(0, CorporateActionState("AAPL", earlier, 1.0, dividend))
    day = EX_DATE + timedelta(days=booking)
    line = booked("spin", day, 6, Decimal(5), symbol="SPUN", reason=carrying("SPIN", "AAPL", share))
    before = COST - dividend
    book = Book(journal)
    book.tell(fill("buy", BEGAN + timedelta(days=5), 1, Decimal(10), COST))
    for today in sorted({*looks, EX_DATE + timedelta(days=41)}):
        book.tell(*([line] if day <= today else []))
        result = book.costs(actions, today, {("AAPL", EX_DATE): share})
        parted = today >= min(EX_DATE, day)
        assert result["AAPL"] == pytest.approx(before * (1 - share) if parted else before), today
        if day <= today:
            assert result["SPUN"] == pytest.approx(2 * before * share)
