"""Every one of the broker's activity types, on its way from JSON to the ledger: what it moves, what its
status makes of it, whom it tells, and what shares cost that come by no trade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading.enums import ActivityType as ClientsActivityType
from planted import Altered
from trading_floor import TradingFloor, trading_floor
from wire import new_account

from trading_assets import config
from trading_assets.broker import parsing
from trading_assets.broker.port import (
    AccountActivity,
    CorporateActionState,
    PositionState,
    Rows,
    SpinOffState,
    Unreachable,
)
from trading_assets.core.ledger import Holding
from trading_assets.engine.accounting import ledger_of, transfers_since, whole_ledger_of
from trading_assets.engine.activity_types import ACTIVITY_TYPES, TRADE
from trading_assets.engine.desk import Desk
from trading_assets.engine.reads import Read
from trading_assets.engine.reconcile import ReconcileReport, look, reconcile

SESSION = date(2012, 7, 5)

# Alpaca's own words: `ActivityType` of trading-api.json in alpaca-mcp-server 2.4.0.
OF_THE_DOCUMENT = (
    "FILL,TRANS,MISC,ACATC,ACATS,CFEE,CGD,CSD,CSW,DIV,DIVCGL,DIVCGS,DIVFEE,DIVFT,DIVNRA,DIVROC,DIVTW,DIVTXEX,"
    "FEE,INT,INTNRA,INTTW,JNL,JNLC,JNLS,MA,NC,OPASN,OPCA,OPCSH,OPEXC,OPEXP,OPTRD,PTC,PTR,REO,REORG,SPIN,SPLIT,"
    "FOPT,OCT"
)
SHARES = {"SPLIT", "NC", "SPIN", "MA", "REO", "REORG", "VOF", "JNL", "JNLS", "ACATS", "FOPT", "OPTRD"}
NO_CASH = {"JNLS", "ACATS", "FOPT"}
TRANSFERS = {"TRANS", "CSD", "CSW", "ACATC", "ACATS", "JNL", "JNLC", "JNLS", "FOPT", "MEM", "OCT"}
TOLD = {"OCT", "OPTRD", "OPASN", "OPCA", "OPCSH", "OPEXC", "OPXRC", "OPEXP", "EXTRD", "FXTRD", "MISC"}
UNLISTED = "MOON"
AGAIN = ("FEE", "JNLS", "SPLIT")  # corrected a second time
WORDS = [*ACTIVITY_TYPES, UNLISTED]
COST = 600.0  # of the ten AAPL that are held


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingFloor]:
    with trading_floor(tmp_path_factory.mktemp("activities"), SESSION) as floor:
        floor.tick(SESSION, 1)
        yield floor


@pytest.fixture
def desk(floor: TradingFloor, tmp_path: Path) -> Iterator[Desk]:
    with new_account(floor, tmp_path) as desk:
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        yield desk


class Books:
    """A desk whose broker says more lines, other positions and other announcements than it has."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lines: list[AccountActivity] = []
        self.at_broker: dict[str, tuple[str, str]] = {}  # symbol → (quantity, average entry price)
        self.announced: list[CorporateActionState] = []
        self.unknown: set[str] = set()  # symbols that nobody quotes
        self.late_fails = False  # the second reading of a look
        self._told_before: set[str] = set()
        self._real = desk.broker
        desk.broker = Altered(
            self._real,
            activities=self._activities,
            positions=self._positions,
            corporate_actions=lambda symbols, first, last: Rows.of(
                one for one in self.announced if one.symbol in symbols and first <= one.ex_date <= last
            ),
            quotes=self._quotes,
        )

    def _activities(self, since: int) -> list[AccountActivity]:
        if self.late_fails and since < self.desk.now_ns() - 3600 * 10**9:
            raise Unreachable("the late ones are not readable")
        return [*self._real.activities(since), *self.lines]

    def _positions(self) -> list[PositionState]:
        true = {position.symbol: position for position in self._real.positions()}
        for symbol, (qty, price) in self.at_broker.items():
            true[symbol] = PositionState(symbol, Decimal(qty), Decimal(price), Decimal(qty))
        return [position for position in true.values() if position.qty]

    def _quotes(self, symbols: list[str]) -> Any:
        if self.unknown & set(symbols):
            raise Unreachable("a symbol that nobody quotes")
        return self._real.quotes(symbols)

    def say(self, *lines: AccountActivity) -> ReconcileReport:
        """More lines, and a reconciliation."""
        self.lines += lines
        return reconcile(self.desk)

    def held(self, symbol: str = "AAPL") -> Holding:
        ledger = ledger_of(self.desk.journal, self.desk.book)
        assert ledger == whole_ledger_of(self.desk.journal, self.desk.book)
        return ledger.holdings.get(symbol, Holding())

    @property
    def cash(self) -> float:
        return ledger_of(self.desk.journal, self.desk.book).cash_usd

    def titles(self) -> list[str]:
        """What a person has been told since the beginning of the test."""
        told = self.desk.journal.pending_alerts()
        return [alert.title for alert in told if alert.key not in self._told_before]

    def begin(self) -> None:
        self._told_before = {alert.key for alert in self.desk.journal.pending_alerts()}


@pytest.fixture
def books(desk: Desk) -> Books:
    books = Books(desk)
    books.say(bought(desk, "AAPL", 10))
    books.begin()
    return books


def line(desk: Desk, type_: str, name: str, **fields: object) -> AccountActivity:
    """A line as the broker's JSON says it."""
    row = {
        "activity_type": type_,
        "id": name,
        "date": SESSION.isoformat(),
        "created_at": parsing.stamp(desk.now_ns()),
        "status": "executed",
        **fields,
    }
    return parsing.activity({name: value for name, value in row.items() if value is not None})


def bought(desk: Desk, symbol: str, qty: int, price: float = COST) -> AccountActivity:
    return line(
        desk,
        "FILL",
        f"fill-{symbol}",
        symbol=symbol,
        qty=str(qty),
        cum_qty=str(qty),
        price=str(price),
        side="buy",
        order_id=f"order-{symbol}",
        transaction_time=parsing.stamp(desk.now_ns() - 10**8),
    )


def test_the_table_has_every_word_of_the_document_and_of_the_client() -> None:
    words = {*OF_THE_DOCUMENT.split(","), *(one.value for one in ClientsActivityType)}
    assert words - {TRADE} <= ACTIVITY_TYPES.keys()
    assert {name for name, one in ACTIVITY_TYPES.items() if one.name != name} == set()


def of_every_type(desk: Desk, prefix: str, **fields: object) -> list[AccountActivity]:
    """A line of each type, each about a symbol of its own: three shares and 1.25 USD."""
    moved = {"qty": "3", "net_amount": "1.25", **fields}
    return [line(desk, name, f"{prefix}-{name}", symbol=f"{name}X", **moved) for name in WORDS]


def moved(books: Books) -> dict[str, tuple[float, float]]:
    """What each type has moved by what is journaled: shares, as the ledger holds them, and cash."""
    cash = dict.fromkeys(WORDS, Decimal(0))
    for entry in books.desk.journal.adjustments(books.desk.book):
        cash[entry.symbol[:-1]] += entry.cash_delta
    assert books.cash == pytest.approx(100_000 - 10 * COST + float(sum(cash.values())))
    return {name: (books.held(f"{name}X").qty, float(cash[name])) for name in WORDS}


def expected(qty: float, amount: float) -> dict[str, tuple[float, float]]:
    return {name: (qty if name in SHARES else 0.0, 0.0 if name in NO_CASH else amount) for name in WORDS}


NOTHING = dict.fromkeys(WORDS, (0.0, 0.0))


def test_every_type_moves_what_its_line_of_the_table_says_and_nothing_once_it_is_cancelled(
    books: Books,
) -> None:
    desk, before = books.desk, books.held()
    books.say(*of_every_type(desk, "a", status="canceled"))  # nothing was executed: it is none
    assert moved(books) == NOTHING
    for _ in range(2):
        books.say(*of_every_type(desk, "b"))
        assert moved(books) == expected(3, 1.25)
    about = {title.rpartition(": ")[2] for title in books.titles() if title.startswith("Account activity")}
    assert about == TOLD | {UNLISTED}
    assert books.held() == before
    by_own_id = of_every_type(desk, "b", status="canceled")
    by_name = [replace(one, id=f"c-{one.type}", changes=one.id) for one in by_own_id]
    books.say(*by_own_id[::2], *by_name[1::2])
    assert moved(books) == NOTHING
    assert books.held() == before


def test_an_unlisted_type_locks_nothing(books: Books) -> None:
    desk = books.desk
    books.lines.append(line(desk, UNLISTED, "a", symbol="IBM", qty="3"))
    books.at_broker["AAPL"] = ("10", "600")
    for _ in range(3):
        desk.clock.sync()
        assert [found.subject for found in reconcile(desk).breaks if found.kind == "QUANTITY"] == []
    assert "IBM" not in {lock.symbol for lock in desk.journal.locks(desk.book)}


def test_a_line_whose_type_was_garbled_is_booked_as_what_it_is_once_that_is_said(books: Books) -> None:
    desk = books.desk
    books.say(*(replace(one, type=UNLISTED) for one in of_every_type(desk, "a")))
    books.lines.clear()
    for _ in range(2):
        books.say(*of_every_type(desk, "a"))
        assert moved(books) == expected(3, 1.25)


@pytest.mark.parametrize("own", [True, False])
def test_a_correct_line_of_every_type_takes_the_place_of_the_one_before(books: Books, own: bool) -> None:
    desk = books.desk
    books.say(*of_every_type(desk, "a"))
    corrections = of_every_type(desk, "a", qty="5", net_amount="2.50", status="correct")
    if not own:
        corrections = [replace(one, id=f"b-{one.type}", changes=one.id) for one in corrections]
    for _ in range(2):
        books.say(*corrections)
        assert moved(books) == expected(5, 2.5)
    again = [replace(one, net_amount=Decimal(4), qty=Decimal(6)) for one in corrections if one.type in AGAIN]
    if not own:
        again = [replace(one, id=f"c-{one.type}", changes=one.id) for one in again]
    books.say(*again)
    only = expected(6, 4.0)
    assert moved(books) == expected(5, 2.5) | {name: only[name] for name in AGAIN}


def test_a_correct_line_of_something_unknown_is_booked_by_itself_and_told(books: Books) -> None:
    cash = books.cash
    for _ in range(2):
        books.say(line(books.desk, "FEE", "b", net_amount="-2", previous_id="a", status="correct"))
    assert books.cash == pytest.approx(cash - 2)
    assert books.titles() == ["Account activity FEE corrects one that is not in the journal"]


def test_a_second_correction_of_the_first_line_takes_the_place_of_the_first_correction(books: Books) -> None:
    """Each names the line that it began with, and each is read again."""
    cash = books.cash
    first = line(books.desk, "FEE", "a", net_amount="-2")
    fixes = [
        line(books.desk, "FEE", name, net_amount=usd, previous_id="a", status="correct")
        for name, usd in (("b", "-3"), ("c", "-5"), ("d", "-4"))
    ]
    books.say(first)
    for fix, usd in zip(fixes, (3, 5, 4), strict=True):
        books.say(fix)
        assert books.cash == pytest.approx(cash - usd)
        reconcile(books.desk)
        assert books.cash == pytest.approx(cash - usd)
    books.say(replace(fixes[-1], id="e", status="canceled", changes="a"))
    assert books.cash == pytest.approx(cash)


def test_a_late_reading_that_fails_is_no_sighting_of_a_break(floor: TradingFloor, books: Books) -> None:
    desk = books.desk
    before = tuple(desk.journal.open_breaks(desk.book))
    books.at_broker["IBM"] = ("7", "200")
    books.late_fails = True
    for _ in range(3):
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        report = look(desk)
        assert (report.breaks, set(report.missed)) == (before, {Read.ACTIVITIES})
        assert not desk.journal.locks(desk.book)
    books.late_fails = False
    seen = {record.subject: record.sightings for record in reconcile(desk).breaks}
    assert seen["IBM"] == 1
    assert set(seen.values()) == {1, 2}  # and those of before are seen again


@pytest.mark.parametrize(
    "made",
    [{"created_at": None}, {"created_at": "2012-07-02T14:00:00Z"}],
    ids=["only a date", "asked for earlier"],
)
def test_a_line_dated_on_the_day_of_the_opening_counts_unless_the_opening_has_it(
    floor: TradingFloor, tmp_path: Path, made: dict[str, str | None]
) -> None:
    floor.control("/account/reset", cash="100000")
    settings = config.load(floor.config_path).model_copy(update={"data_dir": tmp_path})
    with Desk.open(settings, environ={}) as desk:
        books = Books(desk)
        contained = line(desk, "CSD", "contained", net_amount="1000", **made)
        books.lines.append(contained)
        reconcile(desk)
        assert books.cash == 100_000
        floor.control("/clock", step_ns=10**9)
        desk.clock.sync()
        books.say(line(desk, "DIV", "later", symbol="AAPL", net_amount="7", **made))
        assert books.cash == 100_007
        yesterday = {"date": "2012-07-03", **made}
        books.say(line(desk, "DIV", "yesterday's", symbol="AAPL", net_amount="9", **yesterday))
        assert books.cash == 100_007


def test_a_transfer_counts_on_its_date_and_not_when_it_was_asked_for() -> None:
    row = {"id": "a", "activity_type": "CSD", "net_amount": "1", "date": "2012-07-05"}
    midnight = parsing.activity(row)
    assert midnight.dated
    asked = parsing.activity({**row, "created_at": "2012-07-02T14:00:00Z"})
    assert (asked.at_ns, asked.dated) == (midnight.at_ns, True)
    made = parsing.activity({**row, "created_at": "2012-07-05T14:00:00Z"})
    assert (made.at_ns, made.dated) == (midnight.at_ns + 10 * 3600 * 10**9, False)


def test_an_amount_in_another_currency_is_not_booked_as_dollars_and_told(books: Books) -> None:
    cash = books.cash
    books.say(line(books.desk, "DIV", "a", symbol="AAPL", qty="10", net_amount="5", currency="CAD"))
    assert books.cash == cash
    assert books.titles() == ["Account activity in CAD: DIV"]


def test_a_trade_without_a_needed_field_costs_itself_and_no_other_line(books: Books) -> None:
    cash, desk = books.cash, books.desk
    hole = replace(line(desk, "FEE", "hole"), symbol="IBM", order_id="broker-1")
    books.say(
        replace(hole, id="b", type="FILL"),
        replace(hole, id="c", type="TRADE_BUST"),
        line(desk, "FEE", "fee", net_amount="-1"),
    )
    assert books.cash == cash - 1
    assert books.titles() == [
        "IBM: FILL that cannot be read",
        "IBM: TRADE_BUST that cannot be read",
    ]


# --- transfers are neither profit nor loss


def transferred(desk: Desk) -> float:
    return float(transfers_since(desk.journal, desk.book, 0))


def test_every_transfer_of_cash_counts_as_one_and_nothing_else_does(books: Books) -> None:
    total = 0.0
    for number, (name, one) in enumerate(ACTIVITY_TYPES.items(), start=1):
        books.lines.append(line(books.desk, name, f"cash-{name}", net_amount=str(number)))
        total += number if name in TRANSFERS - NO_CASH else 0
        assert one.is_transfer == (name in TRANSFERS), name
    reconcile(books.desk)
    assert transferred(books.desk) == pytest.approx(total)


def test_transferred_shares_count_at_what_they_are_worth_until_they_are_taken_back(books: Books) -> None:
    desk = books.desk
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    mid = float(quote.bid + quote.ask) / 2
    total = 0.0
    for name in sorted(TRANSFERS & SHARES):
        for qty, price in (("20", "650.5"), ("-5", None)):
            books.lines.append(line(desk, name, f"{name}{qty}", symbol="AAPL", qty=qty, price=price))
            total += float(qty) * (float(price) if price else mid)
    reconcile(desk)
    assert transferred(desk) == pytest.approx(total, abs=0.1)
    books.say(*(replace(one, status="canceled") for one in books.lines if one.type != TRADE))
    assert transferred(desk) == 0
    assert books.held()[:2] == (10, pytest.approx(COST))


def test_what_transferred_shares_are_worth_is_asked_until_somebody_says_it(books: Books) -> None:
    desk = books.desk
    books.unknown = {"IBM"}
    for _ in range(2):
        books.say(*([] if books.lines[1:] else [line(desk, "ACATS", "in", symbol="IBM", qty="5")]))
        assert transferred(desk) == 0
    told = [title for title in books.titles() if "value that nobody says" in title]
    assert told == ["IBM: +5 shares were transferred at a value that nobody says"]
    books.unknown = set()
    reconcile(desk)
    quote = desk.broker.quotes(["IBM"])["IBM"]
    assert transferred(desk) == pytest.approx(5 * float(quote.bid + quote.ask) / 2, abs=0.01)


# --- cost follows shares


def test_shares_that_come_without_a_cost_take_the_brokers_average_entry_price_and_those_that_go_take_theirs(
    books: Books,
) -> None:
    desk, names = books.desk, sorted(TRANSFERS & SHARES)
    books.lines += [bought(desk, f"{name}X", 10) for name in names]
    books.say(*(line(desk, name, f"in-{name}", symbol=f"{name}X", qty="20") for name in names))
    for name in names:  # the broker's position does not show them yet: nobody knows their cost
        assert books.held(f"{name}X")[:2] == (30, pytest.approx(COST))
        books.at_broker[f"{name}X"] = ("30", "300")
    for _ in range(2):
        reconcile(desk)
        for name in names:
            assert books.held(f"{name}X")[:2] == (30, pytest.approx(400))
    books.say(*(line(desk, name, f"out-{name}", symbol=f"{name}X", qty="-4") for name in names))
    for name in names:
        assert books.held(f"{name}X")[:2] == (26, pytest.approx(400))


def test_shares_whose_cost_the_broker_does_not_state_are_told_once(books: Books) -> None:
    books.at_broker["436CVR021"] = ("10", "0")
    books.say(line(books.desk, "JNLS", "in", symbol="436CVR021", qty="10", price="0.05"))
    reconcile(books.desk)
    assert books.held("436CVR021").avg_cost == 0
    assert books.titles() == [
        "436CVR021: 10 shares came without a cost",
        "436CVR021 is held at cost 0: its stop cannot fire",
    ]
    books.at_broker["436CVR021"] = ("10", "0.02")
    reconcile(books.desk)
    assert books.held("436CVR021").avg_cost == pytest.approx(0.02)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_symbol_change_carries_the_cost_from_the_old_symbol_in_whichever_order_it_is_told(
    books: Books, grouped: bool
) -> None:
    desk = books.desk
    books.say(bought(desk, "OLD", 4, 100), bought(desk, "SAME", 7, 50))
    group = [{"group_id": f"g-{number}"} if grouped else {} for number in range(3)]
    for one in (
        line(desk, "NC", "a", symbol="NEWA", qty="10", **group[0]),
        line(desk, "NC", "b", symbol="AAPL", qty="-10", **group[0]),
        line(desk, "NC", "c", symbol="OLD", qty="-4", **group[1]),
        line(desk, "NC", "d", symbol="NEWO", qty="4", **group[1]),
        line(desk, "NC", "e", symbol="SAME", qty="7", **group[2]),  # another CUSIP, the same symbol
        line(desk, "NC", "f", symbol="SAME", qty="-7", **group[2]),
    ):
        books.lines.append(one)
    reconcile(desk)
    for symbol, qty, cost in (("NEWA", 10, COST), ("NEWO", 4, 100), ("SAME", 7, 50)):
        assert books.held(symbol)[:2] == (qty, pytest.approx(cost))
    assert (books.held("AAPL").qty, books.held("OLD").qty) == (0, 0)


def test_a_symbol_change_is_carried_over_looks(books: Books) -> None:
    books.say(line(books.desk, "NC", "b", symbol="AAPL", qty="-10"))
    assert books.held().qty == 0
    books.say(line(books.desk, "NC", "a", symbol="NEWA", qty="10"))
    assert books.held("NEWA")[:2] == (10, pytest.approx(COST))


@pytest.mark.parametrize("type_", ["NC", "MA", "REO"])
@pytest.mark.parametrize("later_s", [-1, 1])
def test_shares_that_are_stamped_apart_from_those_they_replace_carry_their_cost(
    books: Books, type_: str, later_s: int
) -> None:
    desk = books.desk
    stamps = [parsing.stamp(desk.now_ns() + (2 + number) * 10**9) for number in (0, later_s)]
    books.say(
        line(desk, type_, "a", symbol="NEWA", qty="10", created_at=stamps[0]),
        line(desk, type_, "b", symbol="AAPL", qty="-10", created_at=stamps[1]),
    )
    assert books.held("NEWA")[:2] == (10, pytest.approx(COST))
    assert (books.held().qty, books.held().waiting_usd) == (0, 0)


def test_a_merger_carries_the_cost_less_the_cash_that_was_paid_and_a_removal_ends_it(books: Books) -> None:
    desk = books.desk
    books.say(
        line(desk, "MA", "a", symbol="AAPL", qty="-10", net_amount="1000"),
        line(desk, "MA", "b", symbol="BUYR", qty="5"),
    )
    assert books.held("BUYR")[:2] == (5, pytest.approx((10 * COST - 1000) / 5))
    books.say(line(desk, "REORG", "c", symbol="BUYR", qty="-5"))
    assert books.held("BUYR").qty == 0


def test_a_spin_off_splits_the_cost_by_value(books: Books) -> None:
    books.announced = [CorporateActionState("AAPL", SESSION, 1.0, 0.0, (SpinOffState("SPUN", 0.5),))]
    quote = books.desk.broker.quotes(["AAPL"])["AAPL"]
    share = 50 / (50 + float(quote.bid + quote.ask) / 2)
    books.say(line(books.desk, "SPIN", "a", symbol="SPUN", qty="5", price="100"))
    assert books.held("SPUN")[:2] == (5, pytest.approx(10 * COST * share / 5))
    assert books.held("AAPL")[:2] == (10, pytest.approx(COST * (1 - share)))


def test_a_spin_off_of_a_parent_that_nobody_knows_takes_the_brokers_average_entry_price(
    books: Books,
) -> None:
    before = books.held()
    books.at_broker["SPUN"] = ("5", "77")
    books.say(line(books.desk, "SPIN", "a", symbol="SPUN", qty="5", price="100"))
    assert books.held("SPUN")[:2] == (5, pytest.approx(77))
    assert books.held("AAPL") == before


def test_shares_of_an_options_exercise_cost_what_was_paid_for_them(books: Books) -> None:
    books.say(line(books.desk, "OPTRD", "a", symbol="IBM", qty="100", net_amount="-20000"))
    assert books.held("IBM").avg_cost == pytest.approx(200)


def test_shares_that_an_option_takes_away_leave_the_others_at_their_cost(books: Books) -> None:
    books.say(line(books.desk, "OPTRD", "a", symbol="AAPL", qty="-4", net_amount="3600"))
    assert books.held()[:2] == (6, pytest.approx(COST))


def test_a_split_in_two_lines_keeps_the_cost_whichever_comes_first_and_whenever_the_other(
    books: Books,
) -> None:
    desk, told = books.desk, []
    books.lines += [bought(desk, f"{order}{new}", 10) for order in ("OLD", "NEW") for new in (20, 70, 5)]
    for order in ("OLD", "NEW"):
        for new in (20, 70, 5):
            minus = line(desk, "SPLIT", f"a{order}{new}", symbol=f"{order}{new}", qty="-10")
            plus = line(desk, "SPLIT", f"b{order}{new}", symbol=f"{order}{new}", qty=str(new))
            told.append((minus, plus) if order == "OLD" else (plus, minus))
    books.say(*(first for first, _ in told))
    books.say(*(second for _, second in told))
    for order in ("OLD", "NEW"):
        for new in (20, 70, 5):
            holding = books.held(f"{order}{new}")
            assert (holding.qty, holding.avg_cost) == (new, pytest.approx(10 * COST / new))
            assert holding.realized_usd == pytest.approx(0)


def test_cash_in_lieu_of_a_fraction_takes_its_part_of_the_cost_along(books: Books) -> None:
    desk, fraction = books.desk, f"{COST * 3 / 3:.2f}"  # a third of a new share of 1:3, at its cost
    books.lines.append(bought(desk, "TWO", 10))
    books.say(
        line(desk, "SPLIT", "a", symbol="AAPL", qty="-7", net_amount=fraction),
        line(desk, "SPLIT", "b", symbol="TWO", qty="-10", net_amount=fraction),
        line(desk, "SPLIT", "c", symbol="TWO", qty="3"),
    )
    assert books.held("AAPL")[:2] == (3, pytest.approx(COST * 3))
    assert books.held("TWO")[:2] == (3, pytest.approx(COST * 3))
