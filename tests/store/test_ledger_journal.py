"""Opening positions, fills, adjustments, equity and breaks as stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import journal_samples as samples
import pytest
from journal_samples import BOOK, SECOND_NS, SESSION, TICK_NS

from trading_assets.store.journal import Journal


def test_opening_positions_are_stored_once_and_never_changed(journal: Journal) -> None:
    assert journal.opening(BOOK) == []
    begun = [samples.opening("", "100000"), samples.opening("AAPL", "-2.5")]
    assert journal.record_opening(begun) == begun
    more = [samples.opening("AAPL", "7"), samples.opening("IBM", "1")]
    assert journal.record_opening(more) == [more[1]]
    assert journal.opening(BOOK) == [*begun, more[1]]
    assert journal.opening("another") == []


def test_a_fill_is_stored_once_however_its_quantity_is_spelled(journal: Journal) -> None:
    assert journal.record_fills([samples.fill("1")]) == [samples.fill("1")]
    again = [samples.fill("1.0", activity_id="by another way"), samples.fill("2"), samples.fill("2.000")]
    assert journal.record_fills(again) == [samples.fill("2")]
    assert journal.record_fills([]) == []
    assert journal.fills(BOOK) == [samples.fill("1"), samples.fill("2")]


def test_two_books_may_see_the_same_broker_order(journal: Journal) -> None:
    both = [samples.fill("1"), samples.fill("1", book="another")]
    assert len(journal.record_fills(both)) == 2
    assert journal.fills("another") == [both[1]]


def test_a_fill_that_contradicts_the_stored_one_is_reported_and_not_stored(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.record_fills([samples.fill("1")])
    assert journal.record_fills([samples.fill("1", price=Decimal("530.20"))]) == []
    assert "contradicts" not in caplog.text
    assert journal.record_fills([samples.fill("1", price=Decimal("531"))]) == []
    assert "contradicts" in caplog.text
    assert journal.fills(BOOK) == [samples.fill("1")]


def test_fills_come_in_the_order_in_which_they_happened(journal: Journal) -> None:
    early = samples.fill("1", broker_order_id="b-0", at_ns=TICK_NS)
    late = [samples.fill("10"), samples.fill("9")]
    assert journal.record_fills(late) == [late[1], late[0]]
    journal.record_fills([early])
    assert journal.fills(BOOK) == [early, late[1], late[0]]


def test_fills_are_found_by_session_time_and_order(journal: Journal) -> None:
    first = samples.fill("1")
    second = samples.fill("2", at_ns=TICK_NS + 90 * SECOND_NS)
    foreign = samples.fill("5", broker_order_id="b-2", client_order_id=None, session="2012-05-21")
    journal.record_fills([first, second, foreign])
    assert journal.fills(BOOK, session="2012-05-21") == [foreign]
    assert journal.fills(BOOK, since_ns=second.at_ns) == [second]
    assert journal.fills(BOOK, client_order_id="ta-1") == [first, second]
    assert journal.fills(BOOK, broker_order_id="b-2", session=SESSION) == []
    assert journal.fills(BOOK, broker_order_id="b-2") == [foreign]


def test_what_was_filled_of_each_order_is_the_sum_of_its_fills_in_the_book(journal: Journal) -> None:
    journal.record_fills(
        [
            samples.fill("1"),
            samples.fill("2.5", qty=Decimal("1.5")),
            samples.fill("5", broker_order_id="b-2", client_order_id=None),
            samples.fill("9", broker_order_id="b-3", client_order_id=None, book="another"),
        ]
    )
    first = journal.fills(BOOK)[0]
    of_first = sum((f.qty for f in journal.fills(BOOK, broker_order_id=first.broker_order_id)), Decimal(0))
    assert of_first > first.qty
    ids = [first.broker_order_id, "b-2", "b-3", "b-4"]
    (of_second,) = journal.fills(BOOK, broker_order_id="b-2")
    assert journal.filled(BOOK, ids) == {
        first.broker_order_id: of_first,
        "b-2": of_second.qty,
        "b-3": Decimal(0),
        "b-4": Decimal(0),
    }
    assert journal.filled(BOOK, []) == {}


def test_adjustments_are_stored_once_by_their_id(journal: Journal) -> None:
    later = samples.adjustment("a-1", at_ns=TICK_NS + 1)
    earlier = samples.adjustment("a-2", cash_delta=Decimal("-0.0100"))
    assert journal.record_adjustments([later, earlier, later]) == [later, earlier]
    assert journal.record_adjustments([samples.adjustment("a-1", cash_delta=Decimal(9))]) == []
    assert journal.adjustments(BOOK) == [earlier, later]
    assert journal.adjustments("another") == []


def test_a_quantity_that_is_no_number_is_refused(journal: Journal) -> None:
    with pytest.raises(Exception, match="finite"):
        journal.record_fills([samples.fill("1"), samples.fill("2", price=Decimal("Infinity"))])
    assert journal.fills(BOOK) == []


def test_equity_of_a_moment_is_replaced_and_the_latest_is_found(journal: Journal) -> None:
    assert journal.latest_equity(BOOK) is None
    journal.record_equity(samples.equity(TICK_NS + 60 * SECOND_NS))
    journal.record_equity(samples.equity(TICK_NS, session="2012-05-17"))
    changed = samples.equity(TICK_NS + 60 * SECOND_NS, equity=Decimal("99999.99"))
    journal.record_equity(changed)
    journal.record_equity(samples.equity(TICK_NS + 99 * SECOND_NS, book="another"))
    assert journal.latest_equity(BOOK) == changed
    assert journal.equity(BOOK) == [samples.equity(TICK_NS, session="2012-05-17"), changed]
    assert journal.equity(BOOK, SESSION) == [changed]


def sight(journal: Journal, step: int, *sightings: tuple, **others: Any) -> list[tuple]:
    result = journal.record_sightings(BOOK, TICK_NS + step, list(sightings), **others)
    assert result == journal.open_breaks(BOOK)
    return [(b.kind, b.subject, b.theirs, b.sightings) for b in result]


def test_a_break_counts_its_consecutive_sightings_and_is_resolved_when_unseen(journal: Journal) -> None:
    aapl, cash = ("QUANTITY", "AAPL", "3", "4"), ("CASH", "cash", "1.00", "2.50")
    assert sight(journal, 1, aapl) == [("QUANTITY", "AAPL", "4", 1)]
    assert sight(journal, 2, ("QUANTITY", "AAPL", "3", "5"), cash) == [
        ("QUANTITY", "AAPL", "5", 2),
        ("CASH", "cash", "2.50", 1),
    ]
    assert sight(journal, 3, cash) == [("CASH", "cash", "2.50", 2)]
    assert sight(journal, 4, cash, aapl) == [("CASH", "cash", "2.50", 3), ("QUANTITY", "AAPL", "4", 1)]
    assert sight(journal, 5) == []


def test_the_same_reconciliation_told_twice_is_one_sighting(journal: Journal) -> None:
    aapl = ("QUANTITY", "AAPL", "3", "4")
    sight(journal, 1, aapl)
    assert sight(journal, 1, aapl) == [("QUANTITY", "AAPL", "4", 1)]


def test_a_break_that_was_not_looked_at_stays_as_it_is(journal: Journal) -> None:
    aapl, ibm = ("QUANTITY", "AAPL", "3", "4"), ("QUANTITY", "IBM", "0", "1")
    sight(journal, 1, aapl, ibm)
    assert sight(journal, 2, not_looked_at=["AAPL"]) == [("QUANTITY", "AAPL", "4", 1)]
    assert sight(journal, 3, aapl) == [("QUANTITY", "AAPL", "4", 2)]


def test_a_fill_that_came_before_its_orders_id_was_known_is_given_its_order_later(journal: Journal) -> None:
    early = samples.fill("1", client_order_id=None)
    assert journal.record_fills([early]) == [early]
    assert journal.record_fills([samples.fill("1")]) == []
    assert [fill.client_order_id for fill in journal.fills(BOOK)] == ["ta-1"]
    assert journal.record_fills([early]) == []
    assert [fill.client_order_id for fill in journal.fills(BOOK)] == ["ta-1"]
