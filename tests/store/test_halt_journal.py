"""Halts and locks as stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from journal_samples import BOOK, TICK_NS, halt

from trading_assets.store.journal import Journal
from trading_assets.store.records import FlattenRecord, LockRecord


def causes(journal: Journal) -> list[tuple[str, int]]:
    return [(record.cause, record.state) for record in journal.latched(BOOK)]


def test_a_cause_is_latched_once_until_it_is_cleared(journal: Journal) -> None:
    assert causes(journal) == []
    assert journal.record_halt(halt("latch", "KILL", 2))
    assert not journal.record_halt(halt("latch", "KILL", 2, reason="again"))
    assert journal.record_halt(halt("latch", "DAILY_LOSS"))
    assert causes(journal) == [("KILL", 2), ("DAILY_LOSS", 1)]
    assert journal.record_halt(halt("clear", "KILL", 2, author="pat", reason="checked"))
    assert causes(journal) == [("DAILY_LOSS", 1)]
    assert not journal.record_halt(halt("clear", "KILL", 2))
    assert journal.record_halt(halt("latch", "KILL", 2))
    assert [record.action for record in journal.halts(BOOK)] == ["latch", "latch", "clear", "latch"]
    assert journal.latched("another") == journal.halts("another") == []


def test_every_act_is_kept_as_it_was_with_its_number(journal: Journal) -> None:
    act = halt("latch", "BREAK", author="pat", reason="cash")
    journal.record_halt(act)
    (stored,) = journal.halts(BOOK)
    assert stored.sequence > 0
    assert replace(stored, sequence=0) == act


def test_a_latched_cause_may_tighten_and_not_loosen(journal: Journal) -> None:
    journal.record_halt(halt("latch", "BREAK", 1))
    assert journal.record_halt(halt("latch", "BREAK", 2))
    assert not journal.record_halt(halt("latch", "BREAK", 1))
    assert causes(journal) == [("BREAK", 2)]


def test_an_act_is_a_latch_or_a_clear(journal: Journal) -> None:
    with pytest.raises(ValueError, match="pause"):
        journal.record_halt(halt("pause", "KILL"))


def test_a_symbol_is_locked_once_for_each_cause_and_released_cause_by_cause(journal: Journal) -> None:
    by_break = LockRecord(BOOK, "AAPL", "BREAK", TICK_NS, "3 and 4")
    unresolved = LockRecord(BOOK, "AAPL", "UNRESOLVED", TICK_NS + 1, "ta-1")
    assert journal.lock(by_break)
    assert journal.lock(unresolved)
    assert not journal.lock(replace(by_break, at_ns=TICK_NS + 9, reason="again"))
    assert journal.locks(BOOK) == [by_break, unresolved]
    assert journal.unlock(BOOK, "AAPL", "BREAK", TICK_NS + 10, "pat", "explained")
    assert not journal.unlock(BOOK, "AAPL", "BREAK", TICK_NS + 11, "pat", "explained")
    assert journal.locks(BOOK) == [unresolved]
    assert journal.lock(replace(by_break, at_ns=TICK_NS + 12))
    assert [record.at_ns for record in journal.locks(BOOK)] == [TICK_NS + 1, TICK_NS + 12]
    assert journal.locks("another") == []


def test_what_was_found_foreign_waits_for_a_person_once(journal: Journal) -> None:
    assert journal.record_foreign(BOOK, [], TICK_NS) == []
    assert journal.record_foreign(BOOK, ["x has no intent", "y differs"], TICK_NS) == [
        "x has no intent",
        "y differs",
    ]
    assert journal.record_foreign(BOOK, ["y differs"], TICK_NS + 1) == ["y differs"]
    acknowledged = journal.acknowledge_foreign(BOOK, at_ns=TICK_NS + 2, author="pat", reason="an old program")
    assert acknowledged == ["x has no intent", "y differs"]
    assert journal.record_foreign(BOOK, ["y differs", "z has no intent"], TICK_NS + 3) == ["z has no intent"]
    assert journal.record_foreign("another book", ["y differs"], TICK_NS + 3) == ["y differs"]
    assert journal.acknowledge_foreign(BOOK, at_ns=TICK_NS + 4, author="pat", reason="mine") == [
        "z has no intent"
    ]
    assert journal.acknowledge_foreign(BOOK, at_ns=TICK_NS + 5, author="pat", reason="mine") == []


def test_a_flatten_is_in_force_until_it_is_ended_and_the_first_one_stays(journal: Journal) -> None:
    first = FlattenRecord(BOOK, TICK_NS, "pat", "storm")
    assert journal.flatten_in_force(BOOK) is None
    assert journal.latch_flatten(first) == first
    assert journal.latch_flatten(replace(first, at_ns=TICK_NS + 1, author="kim")) == first
    assert journal.flatten_in_force(BOOK) == first
    assert journal.flatten_in_force("another") is None
    assert journal.end_flatten(BOOK, at_ns=TICK_NS + 2, reason="flat")
    assert not journal.end_flatten(BOOK, at_ns=TICK_NS + 3, reason="flat")
    second = replace(first, at_ns=TICK_NS + 4)
    assert journal.latch_flatten(second) == second
