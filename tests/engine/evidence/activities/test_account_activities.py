"""Every one of the broker's activity types, on its way from JSON to the ledger: what it moves, and what its
correction and its cancellation make of that."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from activity_lines import COST, SESSION, SHARES, TRANSFERS, Books, line, mid_of
from alpaca.trading.enums import ActivityType as ClientsActivityType
from support.broker_words import reworded
from support.trading_floor import TradingFloor

from trading_assets import config
from trading_assets.broker.alpaca import parsing
from trading_assets.broker.alpaca.activity_types import ACTIVITY_TYPES, TRADE
from trading_assets.broker.port import (
    AccountActivity,
)
from trading_assets.core.activities import ActivityKind
from trading_assets.engine.book.accounting import transfers_since
from trading_assets.engine.book.desk import Desk
from trading_assets.engine.evidence.reads import Read
from trading_assets.engine.reconciliation.reconcile import look, reconcile

pytestmark = pytest.mark.floor(SESSION, shared=True, tick=1)

# Alpaca's own words: `ActivityType` of trading-api.json in alpaca-mcp-server 2.4.0.
OF_THE_DOCUMENT = (
    "FILL,TRANS,MISC,ACATC,ACATS,CFEE,CGD,CSD,CSW,DIV,DIVCGL,DIVCGS,DIVFEE,DIVFT,DIVNRA,DIVROC,DIVTW,DIVTXEX,"
    "FEE,INT,INTNRA,INTTW,JNL,JNLC,JNLS,MA,NC,OPASN,OPCA,OPCSH,OPEXC,OPEXP,OPTRD,PTC,PTR,REO,REORG,SPIN,SPLIT,"
    "FOPT,OCT"
)


NO_CASH = {"JNLS", "ACATS", "FOPT"}


ALERTED = {"OCT", "OPTRD", "OPASN", "OPCA", "OPCSH", "OPEXC", "OPXRC", "OPEXP", "EXTRD", "FXTRD", "MISC"}


UNLISTED = "MOON"


AGAIN = ("FEE", "JNLS", "SPLIT")  # corrected a second time


WORDS = [*ACTIVITY_TYPES, UNLISTED]


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
    assert about == ALERTED | {UNLISTED}
    assert books.held() == before
    by_own_id = of_every_type(desk, "b", status="canceled")
    by_name = [replace(one, id=f"c-{one.type.name}", changes=one.id) for one in by_own_id]
    books.say(*by_own_id[::2], *by_name[1::2])
    assert moved(books) == NOTHING
    assert books.held() == before


def test_an_unlisted_type_locks_nothing(books: Books) -> None:
    desk = books.desk
    books.lines.append(line(desk, UNLISTED, "a", symbol="IBM", qty="3"))
    books.at_broker["AAPL"] = ("10", "600")
    for _ in range(3):
        desk.clock.sync()
        assert [
            one_break.subject for one_break in reconcile(desk).breaks if one_break.kind == "QUANTITY"
        ] == []
    assert "IBM" not in {lock.symbol for lock in desk.journal.locks(desk.book)}


def test_a_line_whose_type_was_garbled_is_booked_as_what_it_is_once_that_is_said(books: Books) -> None:
    desk = books.desk
    books.say(*(reworded(one, word=UNLISTED) for one in of_every_type(desk, "a")))
    books.lines.clear()
    for _ in range(2):
        books.say(*of_every_type(desk, "a"))
        assert moved(books) == expected(3, 1.25)


@pytest.mark.parametrize("first", sorted(name for name, one in ACTIVITY_TYPES.items() if one.kind == "OTHER"))
def test_a_line_that_was_booked_by_a_listed_type_is_not_booked_anew_by_another(
    books: Books, first: str
) -> None:
    desk, cash = books.desk, books.cash
    first_line = line(desk, first, "a", symbol="AAPL", qty="3", net_amount="1.25")
    books.say(first_line)
    books.lines.clear()
    books.say(reworded(first_line, word="SPLIT"))
    assert books.cash == pytest.approx(cash + 1.25)
    assert books.held().qty == 10


@pytest.mark.parametrize("own", [True, False])
def test_a_correct_line_of_every_type_takes_the_place_of_the_one_before(books: Books, own: bool) -> None:
    desk = books.desk
    books.say(*of_every_type(desk, "a"))
    corrections = of_every_type(desk, "a", qty="5", net_amount="2.50", status="correct")
    if not own:
        corrections = [replace(one, id=f"b-{one.type.name}", changes=one.id) for one in corrections]
    for _ in range(2):
        books.say(*corrections)
        assert moved(books) == expected(5, 2.5)
    again = [
        replace(one, net_amount=Decimal(4), qty=Decimal(6)) for one in corrections if one.type.name in AGAIN
    ]
    if not own:
        again = [replace(one, id=f"c-{one.type.name}", changes=one.id) for one in again]
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
    books.say(reworded(fixes[-1], id="e", status="canceled", changes="a"))
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
    requested = parsing.activity({**row, "created_at": "2012-07-02T14:00:00Z"})
    assert (requested.at_ns, requested.dated) == (midnight.at_ns, True)
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
        reworded(hole, id="b", word="FILL"),
        reworded(hole, id="c", word="TRADE_BUST"),
        line(desk, "FEE", "fee", net_amount="-1"),
    )
    assert books.cash == cash - 1
    assert books.titles() == [
        "IBM: FILL that cannot be read",
        "IBM: TRADE_BUST that cannot be read",
    ]


def transferred(desk: Desk) -> float:
    return float(transfers_since(desk.journal, desk.book, 0))


def test_every_transfer_of_cash_counts_as_one_and_nothing_else_does(books: Books) -> None:
    total = 0.0
    for number, (name, one) in enumerate(ACTIVITY_TYPES.items(), start=1):
        books.lines.append(line(books.desk, name, f"cash-{name}", net_amount=str(number)))
        total += number if name in TRANSFERS - NO_CASH else 0
        assert (one.kind is ActivityKind.TRANSFER) == (name in TRANSFERS), name
    reconcile(books.desk)
    assert transferred(books.desk) == pytest.approx(total)


def test_transferred_shares_count_at_what_they_are_worth_until_they_are_taken_back(books: Books) -> None:
    desk = books.desk
    quote = desk.broker.quotes(["AAPL"])["AAPL"]
    mid = mid_of(quote)
    total = 0.0
    for name in sorted(TRANSFERS & SHARES):
        for qty, price in (("20", "650.5"), ("-5", None)):
            books.lines.append(line(desk, name, f"{name}{qty}", symbol="AAPL", qty=qty, price=price))
            total += float(qty) * (float(price) if price else mid)
    reconcile(desk)
    assert transferred(desk) == pytest.approx(total, abs=0.1)
    books.say(*(reworded(one, status="canceled") for one in books.lines if one.type.name != TRADE))
    assert transferred(desk) == 0
    assert books.held()[0] == 10
    assert books.held()[1] == pytest.approx(COST)


def test_what_transferred_shares_are_worth_is_asked_until_somebody_says_it(books: Books) -> None:
    desk = books.desk
    books.unknown = {"IBM"}
    for _ in range(2):
        books.say(*([] if books.lines[1:] else [line(desk, "ACATS", "in", symbol="IBM", qty="5")]))
        assert transferred(desk) == 0
    alerts = [title for title in books.titles() if "value that nobody says" in title]
    assert alerts == ["IBM: +5 shares were transferred at a value that nobody says"]
    books.unknown = set()
    reconcile(desk)
    quote = desk.broker.quotes(["IBM"])["IBM"]
    assert transferred(desk) == pytest.approx(5 * mid_of(quote), abs=0.01)
