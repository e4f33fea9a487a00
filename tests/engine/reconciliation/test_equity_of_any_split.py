"""Any split, booked in any way, at any true price: which loss is latched, and when entries wait.

The book, its journal and what reads the account are the real ones; the broker is a table of what it shows at
each moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import count
from math import exp, log, nan
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from trading_assets.broker.port import (
    AccountState,
    BarState,
    CorporateActionState,
    PositionState,
    QuoteState,
    Rows,
)
from trading_assets.config import Settings, limits
from trading_assets.core.breakers import is_tripped
from trading_assets.core.losses import LossFigures, losses_of
from trading_assets.core.losses import observe as figures_after
from trading_assets.engine.book.accounting import CASH, listed_mark
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.book.halts import Cause, in_force
from trading_assets.engine.reconciliation.closing_equity import keep_missing_at_close
from trading_assets.engine.reconciliation.equity import DOUBT_MARK, observe
from trading_assets.engine.reconciliation.split_equity import see_splits
from trading_assets.market.sessions import Sessions, new_york_midnight_ns
from trading_assets.store.journal import Journal
from trading_assets.store.records import AdjustmentRecord, FillRecord, OpeningPositionRecord

SESSIONS = Sessions()
EX_DATE = date(2012, 6, 11)
DAYS = [date(2012, 6, day) for day in (6, 7, 8, 11, 12, 13, 14)]
EX = DAYS.index(EX_DATE)
BEGAN = date(2012, 6, 1)
MINUTE_NS = 60 * 10**9
COST = 100.0
NUMBERS = count()
LIMITS = limits(Settings())
LOSSES = {
    Cause.SESSION_DRAWDOWN: LIMITS.session_drawdown,
    Cause.DAILY_LOSS: LIMITS.max_daily_loss,
    Cause.MAX_DRAWDOWN: LIMITS.max_drawdown,
}


class Moment(tuple[int, int]):
    """(number of the day, minutes from its open)."""

    @property
    def ns(self) -> int:
        return SESSIONS.open_ns(DAYS[self[0]]) + self[1] * MINUTE_NS


@dataclass
class Step:
    """From that moment on the broker shows so many shares, in cash beside them; its lines are listed then."""

    at: Moment
    shown: float
    cash: float
    lines: Sequence[tuple[str, str, Decimal, Decimal]]  # kind, reason, shares, cash


class World:
    """A book with one position, worth `worth` times 100 000 USD at 100 USD a share before the split."""

    def __init__(self, journal: Journal, ratio: Fraction, held: int, price: float, steps: list[Step]) -> None:
        self.journal, self.book, self.ratio, self.held, self.price = (
            journal,
            f"any-{next(NUMBERS)}",
            float(ratio),
            held,
            price,
        )
        self.steps, self.moves, self.now = steps, list[tuple[int, float]](), Moment((0, 0))
        self.cash = 100_000.0 - held * price
        began = new_york_midnight_ns(BEGAN)
        journal.record_opening(
            [
                OpeningPositionRecord(self.book, CASH, Decimal(100_000), Decimal(0), began, "test", "test"),
            ]
        )
        bought = SESSIONS.open_ns(date(2012, 6, 4))
        qty = Decimal(held)
        journal.record_fills(
            [
                FillRecord(
                    self.book,
                    "2012-06-04",
                    "buy",
                    None,
                    "AAPL",
                    1,
                    qty,
                    Decimal(repr(price)),
                    qty,
                    bought,
                    "b",
                    0,
                )
            ]
        )

    @property
    def now_ns(self) -> int:
        return self.now.ns

    def true_move(self, at_ns: int) -> float:
        """What a share is worth for each dollar at the beginning, beside the split."""
        return next((move for since, move in reversed(self.moves) if since <= at_ns), 1.0)

    def quoted(self, at_ns: int) -> float:
        in_new = at_ns >= SESSIONS.open_ns(EX_DATE)
        return self.price * self.true_move(at_ns) / (self.ratio if in_new else 1.0)

    def shown(self, at_ns: int) -> tuple[float, float]:
        """(shares, cash) by the broker."""
        past = [step for step in self.steps if step.at.ns <= at_ns]
        return (past[-1].shown, self.cash + past[-1].cash) if past else (float(self.held), self.cash)

    def stated(self, at_ns: int) -> float:
        shares, cash = self.shown(at_ns)
        return cash + shares * self.quoted(at_ns)

    def right(self, at_ns: int) -> float:
        """Once all is booked the broker states it: what was paid for a fraction is cash then."""
        if self.is_booked(at_ns) and at_ns >= SESSIONS.open_ns(EX_DATE):
            return self.stated(at_ns)
        return self.cash + self.held * self.price * self.true_move(at_ns)

    def is_booked(self, at_ns: int) -> bool:
        return at_ns >= self.steps[-1].at.ns

    def close_before(self) -> int:
        return SESSIONS.close_ns(SESSIONS.previous(DAYS[self.now[0]]))

    def desk(self) -> Any:
        desk: Any = SimpleNamespace(
            journal=self.journal,
            book=self.book,
            broker=self,
            sessions=SESSIONS,
            limits=LIMITS,
            clock=SimpleNamespace(stands=False),
            hurries=False,
            today=lambda: DAYS[self.now[0]],
            now_ns=lambda: self.now_ns,
            session_text=lambda: DAYS[self.now[0]].isoformat(),
            halts=lambda: in_force(self.journal, self.book),
        )
        desk.alert = partial(Desk.alert, desk)
        return desk

    def look(self, at: Moment) -> bool:
        """As a protection does; whether entries wait."""
        self.now = at
        self._list_lines()
        desk, held = self.desk(), self.positions()
        observe(desk, self.account(), held)
        keep_missing_at_close(desk, held)
        waits = self.journal.mark(self.book, DOUBT_MARK) not in (None, "null")
        if SESSIONS.is_open(self.now_ns):
            see_splits(desk, {one.symbol: one for one in held})  # as the stops do
        return waits

    def _list_lines(self) -> None:
        for number, step in enumerate(self.steps):
            if step.at.ns > self.now_ns:
                continue
            for place, (kind, reason, shares, cash) in enumerate(step.lines):
                name = f"{number}-{place}"
                day = new_york_midnight_ns(DAYS[step.at[0]])
                line = AdjustmentRecord(self.book, name, kind, "AAPL", shares, cash, day, "broker", reason)
                if self.journal.record_adjustments([line]):
                    self.journal.set_mark(self.book, listed_mark(name), str(self.now_ns), self.now_ns)

    # the broker

    def account(self) -> AccountState:
        equity, last = self.stated(self.now_ns), self.stated(self.close_before())
        cash = Decimal(repr(self.shown(self.now_ns)[1]))
        return AccountState(
            "1", "ACTIVE", True, Decimal(repr(equity)), Decimal(repr(last)), cash, cash, False, cash
        )

    def positions(self) -> Rows[PositionState]:
        shares = self.shown(self.now_ns)[0]
        price = self.quoted(self.now_ns)
        result = PositionState(
            "AAPL",
            Decimal(repr(shares)),
            Decimal(1),
            Decimal(repr(shares)),
            market_value=Decimal(repr(shares * price)),
            current_price=Decimal(repr(price)),
        )
        return Rows([result] if shares else [])

    def quotes(self, symbols: Sequence[str]) -> dict[str, QuoteState]:
        price = Decimal(repr(self.quoted(self.now_ns)))
        close = Decimal(repr(self.quoted(self.close_before())))
        return {"AAPL": QuoteState("AAPL", price, price, self.now_ns, price, self.now_ns, close)}

    def corporate_actions(
        self, symbols: Sequence[str], first: date, last: date
    ) -> Rows[CorporateActionState]:
        split = CorporateActionState("AAPL", EX_DATE, self.ratio, 0.0)
        return Rows([split] if "AAPL" in symbols and first <= EX_DATE <= last else [])

    def bars(self, symbols: Sequence[str], interval: str, start_ns: int, end_ns: int) -> list[BarState]:
        result = []
        for day in DAYS:
            at, open_ns = new_york_midnight_ns(day), SESSIONS.open_ns(day)
            if start_ns <= at < end_ns and open_ns <= self.now_ns:
                first, last = self.quoted(open_ns), self.quoted(min(SESSIONS.close_ns(day), self.now_ns))
                result.append(BarState("AAPL", at, first, max(first, last), min(first, last), last, 1.0))
        return result


class Ideal:
    """The breakers by the right equity, at the same looks."""

    def __init__(self) -> None:
        self.figures, self.session = LossFigures(nan), date.min
        self.tripped: dict[Cause, float] = dict.fromkeys(LOSSES, 0.0)
        self.running: dict[Cause, float] = {}

    def look(self, world: World) -> None:
        today, e0 = DAYS[world.now[0]], world.right(world.close_before())
        peak = self.figures.session_peak if today == self.session else nan
        self.figures = figures_after(
            self.figures._replace(e0=e0, session_peak=peak), world.right(world.now_ns)
        )
        self.session = today
        measured = losses_of(self.figures)
        now = (measured.session_drawdown, measured.daily_loss, measured.max_drawdown)
        self.running = {cause: loss / limit for (cause, limit), loss in zip(LOSSES.items(), now, strict=True)}
        for cause, share in self.running.items():
            self.tripped[cause] = max(self.tripped[cause], share)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal.open(tmp_path_factory.mktemp("any-split") / "journal.sqlite") as journal:
        yield journal


def booking(ratio: Fraction, held: int, price: float, how: str, first: Moment, second: Moment) -> list[Step]:
    new = Decimal(int(held * ratio))
    fraction = float(held * ratio - int(held * ratio)) * price / float(ratio)
    paid, old = Decimal(repr(fraction)), Decimal(-held)
    in_lieu = ("DIVIDEND", "CIL", Decimal(0), paid)
    if how == "one line":
        return [Step(first, float(new), fraction, [("SPLIT", "SPLIT", new + old, Decimal(0)), in_lieu])]
    kind = "SPLIT" if how.startswith("SPLIT") else "REORGANISATION"
    word = "SPLIT" if kind == "SPLIT" else "MA"
    carrying = word if kind == "SPLIT" else f"{word} from AAPL"
    gone, come = (kind, word, old, Decimal(0)), (kind, word, new, Decimal(0))
    if how.endswith("new first"):
        return [
            Step(first, held + float(new), 0.0, [come]),
            Step(second, float(new), fraction, [gone, in_lieu]),
        ]
    come = (kind, carrying, new, Decimal(0))
    return [Step(first, 0.0, 0.0, [gone]), Step(second, float(new), fraction, [come, in_lieu])]


MINUTES = (-60, -5, 5, 100, 300, 400)  # before the open, in the session, after the close
moments = st.builds(
    lambda day, minute: Moment((day, minute)),
    st.integers(0, len(DAYS) - 2),
    st.sampled_from(MINUTES),
)
moves = st.floats(log(0.7), log(1.3)).map(exp)
ratios = st.one_of(
    st.builds(Fraction, st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from([Fraction(3, 2), Fraction(1, 4)]),
).filter(lambda ratio: ratio != 1)


@pytest.mark.slow(seconds=30)
@settings(  # without shrinking, which takes minutes
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
)
@given(
    ratio=ratios,
    held=st.integers(1, 300),
    worth=st.sampled_from([0.003, 0.05, 0.2]),
    how=st.sampled_from(
        ["one line", "SPLIT old first", "SPLIT new first", "REORG old first", "REORG new first"]
    ),
    booked=st.tuples(moments, moments),
    path=st.lists(st.tuples(moments, moves), min_size=1, max_size=6, unique_by=lambda one: one[0]),
    looks=st.lists(moments, max_size=8, unique=True),
)
@example(  # booked early; nobody looks on the ex-date; what was kept then has old prices
    ratio=Fraction(15, 4),
    held=43,
    worth=0.2,
    how="one line",
    booked=(Moment((2, 5)), Moment((5, -60))),
    path=[(Moment((4, 5)), 1.0)],
    looks=[Moment((2, 100)), Moment((4, -60)), Moment((4, -5))],
)
def test_only_what_the_right_equity_would_latch_is_latched_and_entries_wait_while_it_is_misstated(
    journal: Journal,
    ratio: Fraction,
    held: int,
    worth: float,
    how: str,
    booked: tuple[Moment, Moment],
    path: list[tuple[Moment, float]],
    looks: list[Moment],
) -> None:
    first, second = sorted(booked)
    assume(first < second)
    assume((held * ratio).denominator == 1 or held * ratio >= 100)
    price = 100_000.0 * worth / held
    fraction_usd = price / float(ratio) if (held * ratio).denominator > 1 else 0.0  # at most, paid in cash
    world = World(journal, ratio, held, price, booking(ratio, held, price, how, first, second))
    world.moves = sorted((moment.ns, move) for moment, move in path)
    of_ex_date = [world.true_move(Moment((EX, minute)).ns) for minute in MINUTES if minute > 0]
    before = world.true_move(SESSIONS.close_ns(DAYS[EX - 1]))
    assume(all(0.7 <= move / before <= 1.3 for move in of_ex_date))
    ideal, start = Ideal(), Moment((0, 1))
    last = len(DAYS) - 1
    ends = [Moment((last, minute)) for minute in (30, 31, 32)]
    for moment in sorted({start, *looks, *ends}):
        waits = world.look(moment)
        ideal.look(world)
        latched = set(in_force(journal, world.book).causes)
        off = abs(world.stated(world.now_ns) - world.right(world.now_ns))
        assert waits or off <= 0.001 * world.right(world.now_ns) + fraction_usd, (moment, off)
        for cause in latched:
            assert ideal.tripped[cause] >= 0.9 - fraction_usd / 500, (moment, cause, ideal.tripped)
    assert not waits
    for cause, share in ideal.running.items():
        if cause is Cause.DAILY_LOSS and is_tripped(share, 1.1):
            assert cause in latched
