"""The inbox, tick inputs, blocking checks, marks and the outbox."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import nan

from journal_samples import BOOK, SESSION, TICK_NS, alert, signal

from trading_assets.store.journal import Journal
from trading_assets.store.records import GateCheckRecord, TickInputRecord


def test_a_signal_is_taken_in_once_and_consumed_once(journal: Journal) -> None:
    first, other = signal(), signal(symbol="IBM", limit_price=Decimal("200.10"))
    assert journal.record_signals([first, other]) == [first, other]
    assert journal.record_signals([signal(value=-1.0), signal("x-2")]) == [signal("x-2")]
    assert journal.pending_signals(BOOK) == [first, other, signal("x-2")]
    assert journal.consume_signals(BOOK, [("x-1", "AAPL"), ("x-9", "AAPL")], TICK_NS) == 1
    assert journal.consume_signals(BOOK, [("x-1", "AAPL")], TICK_NS + 1) == 0
    assert journal.consume_signals(BOOK, [], TICK_NS) == 0
    assert journal.pending_signals(BOOK) == [other, signal("x-2")]
    assert journal.record_signals([first]) == []
    assert journal.pending_signals("another") == []


def test_tick_inputs_are_kept_in_order_with_what_is_not_a_number(journal: Journal) -> None:
    exits = TickInputRecord(BOOK, SESSION, TICK_NS, "run-1", "exits", TICK_NS, {"bid": nan, "ids": ["NaN"]})
    entries = replace(exits, phase="entries", payload={"qty": 0.1})
    later = replace(exits, tick_ns=TICK_NS + 1, execution_id="run-2")
    for record in (exits, entries, later):
        journal.record_tick_input(record)
    assert repr(journal.tick_inputs(BOOK, SESSION, TICK_NS)) == repr([exits, entries])
    assert repr(journal.tick_inputs(BOOK)) == repr([exits, entries, later])
    assert journal.tick_inputs(BOOK, "2012-05-21") == []


def test_a_blocking_check_has_one_outcome_a_tick_the_latest(journal: Journal) -> None:
    passed = GateCheckRecord(BOOK, TICK_NS, "bars_fresh", True, TICK_NS, "5 symbols")
    other = replace(passed, check="bars_complete")
    journal.record_gate_checks([passed, other])
    journal.record_gate_checks([replace(passed, passed=False, detail="IBM is late")])
    journal.record_gate_checks([replace(passed, tick_ns=TICK_NS + 1)])
    assert journal.gate_checks(BOOK, TICK_NS) == [
        other,
        replace(passed, passed=False, detail="IBM is late"),
    ]
    assert journal.gate_checks(BOOK, TICK_NS + 2) == []


def test_a_mark_has_one_value_for_each_book(journal: Journal) -> None:
    assert journal.mark(BOOK, "watermark") is None
    journal.set_mark(BOOK, "watermark", "1", TICK_NS)
    journal.set_mark(BOOK, "watermark", "2", TICK_NS + 1)
    journal.set_mark("another", "watermark", "3", TICK_NS)
    assert journal.mark(BOOK, "watermark") == "2"
    assert journal.mark("another", "watermark") == "3"


def test_an_alert_waits_until_it_is_sent_and_its_key_is_never_enqueued_again(journal: Journal) -> None:
    assert journal.enqueue_alert(alert("halt:1"))
    assert not journal.enqueue_alert(alert("halt:1", title="the same"))
    assert journal.enqueue_alert(alert("a:2", book="another"))
    assert journal.pending_alerts() == [alert("halt:1"), alert("a:2", book="another")]
    assert journal.mark_alert_sent("halt:1", TICK_NS)
    assert not journal.mark_alert_sent("halt:1", TICK_NS)
    assert not journal.enqueue_alert(alert("halt:1"))
    assert journal.pending_alerts() == [alert("a:2", book="another")]


def test_a_tick_sees_what_waits_and_what_it_took_itself(journal: Journal) -> None:
    journal.record_signals([signal("x-1"), signal("x-2"), signal("x-3")])
    journal.consume_signals(BOOK, [("x-1", "AAPL")], TICK_NS)
    journal.consume_signals(BOOK, [("x-2", "AAPL")], TICK_NS - 1)
    seen = journal.signals_for_tick(BOOK, TICK_NS)
    assert [(record.decision_id, record.consumed_tick_ns) for record in seen] == [
        ("x-1", TICK_NS),
        ("x-3", None),
    ]
