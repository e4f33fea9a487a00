"""When the watchdog's protection is due: by the last one of anybody, whatever the clock does."""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.config import LastGood, Settings
from trading_assets.engine.book.place import journal_file
from trading_assets.engine.operation import ended_sessions
from trading_assets.engine.operation import watchdog as module
from trading_assets.engine.operation.watchdog import (
    Memory,
    Overdue,
    Rhythm,
    Watchdog,
    WatchdogLook,
    Why,
    overdue,
    remembered,
    rhythm_of,
)
from trading_assets.market.clock import monotonic_ns, system_now_ns
from trading_assets.store.journal import Journal

S = 10**9


RHYTHM = Rhythm(after_ns=180 * S, alone_ns=90 * S)


FAR = 1_800_000_000 * S


def walked(*looks: WatchdogLook) -> list[Overdue | None]:
    """What is due at each look of a watchdog that does nothing about it."""
    memory: Memory | None = None
    result = []
    for look in looks:
        result.append(overdue(memory, look, RHYTHM))
        memory = remembered(memory, look)
    return result


def at(seconds: float, marked: float | None, *, jumped: float = 0.0) -> WatchdogLook:
    """A look so many seconds after the first; `jumped`: of the machine's clock alone, until now."""
    mark = None if marked is None else FAR + int(marked * S)
    return WatchdogLook(FAR + int((seconds + jumped) * S), 1_000 * S + int(seconds * S), mark)


def test_a_protection_is_due_once_the_last_is_three_minutes_old_and_not_before() -> None:
    assert walked(at(0, -1), at(178, -1), at(179, -1)) == [None, None, Overdue(Why.LATE, 180 * S)]


def test_while_others_protect_none_is_ever_due() -> None:
    assert not any(walked(*(at(5 * k, 60 * (5 * k // 60)) for k in range(200))))


@pytest.mark.parametrize("marked", [None, -181, -1e9])
def test_at_its_start_it_protects_what_nobody_has_for_three_minutes(marked: float | None) -> None:
    (result,) = walked(at(0, marked))
    assert result is not None
    assert result.why is Why.BEGINS


def test_at_its_start_it_leaves_alone_what_was_just_protected() -> None:
    assert walked(at(0, -179)) == [None]


def test_after_its_own_protection_it_goes_on_at_a_pace_that_lets_the_others_come_first() -> None:
    own = at(0, 0)
    memory = Memory(own, own.monotonic_ns, own_ns=own.marked_ns)
    assert overdue(memory, at(89, 0), RHYTHM) is None
    assert overdue(memory, at(90, 0), RHYTHM) == Overdue(Why.ALONE, 90 * S)
    assert overdue(memory, at(100, 60), RHYTHM) is None  # somebody else's
    settings = Settings()
    assert rhythm_of(settings).alone_ns > settings.reconciliation_interval_seconds * S
    assert rhythm_of(settings) == RHYTHM


def test_a_clock_that_is_set_back_by_a_day_delays_no_protection() -> None:
    result = walked(at(0, -1), *(at(10 * k, -1, jumped=-86_400) for k in range(1, 19)))
    assert result[:-1] == [None] * 18
    assert result[-1] == Overdue(Why.LATE, 180 * S)


def test_a_machine_that_slept_protects_at_once_and_nobody_is_blamed() -> None:
    _, result = walked(at(0, -1), at(5, -1, jumped=3_600))
    assert result == Overdue(Why.SLEPT, 3_606 * S)
    assert remembered(remembered(None, at(0, -1)), at(5, -1, jumped=3_600)).awake_ns == 1_005 * S


@given(
    st.lists(st.tuples(st.floats(0.1, 30), st.floats(-1e6, 1e6)), min_size=40, max_size=80),
    st.none() | st.floats(-1e6, 1e6),
)
def test_however_the_clock_jumps_an_unprotected_book_is_due_within_the_rhythm_and_one_look(
    steps: list[tuple[float, float]], marked: float | None
) -> None:
    """The steps are looks, the machine's clock jumping between them; the mark stays what it is."""
    elapsed = list(itertools.accumulate(step for step, _ in steps))
    jumps = list(itertools.accumulate(jump for _, jump in steps))
    result = walked(
        at(0, marked), *(at(t, marked, jumped=jump) for t, jump in zip(elapsed, jumps, strict=True))
    )
    late = [t for t, due in zip([0.0, *elapsed], result, strict=True) if due is not None]
    if elapsed[-1] >= 180 + 30:
        assert late
        assert late[0] <= 180 + 30


@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=80), st.floats(1, 120))
def test_a_book_that_is_protected_in_time_is_never_due(steps: list[float], pace: float) -> None:
    elapsed = list(itertools.accumulate(steps))
    assert not any(walked(at(0, 0), *(at(t, pace * (t // pace)) for t in elapsed)))


def test_a_day_that_stays_owed_is_told_once_and_another_one_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config" / "execution.yaml"
    config.parent.mkdir()
    config.write_text("mode: paper\n")
    settings = LastGood(config).settings
    with Journal.open(journal_file(settings)) as journal:
        journal.set_mark("embedded:paper", "book", "embedded:PA0001:paper", 0)
    dog = Watchdog(LastGood(config), lambda _: pytest.fail("nothing is opened"), environ={})
    owed, now = [date(2012, 9, 11)], system_now_ns()
    monkeypatch.setattr(ended_sessions, "owed_long", lambda *_: tuple(owed))
    for look in range(6):
        monkeypatch.setattr(module, "system_now_ns", lambda look=look: now + look * 3600 * 10**9)
        dog._owed_looked_ns = monotonic_ns() - 3600 * 10**9
        dog._see_to_days_owed(settings)
        if look == 3:
            owed.append(date(2012, 9, 12))
    with Journal.open(journal_file(settings)) as journal:
        assert [alert.title for alert in journal.pending_alerts()] == [
            "The end of a day is owed: 2012-09-11",
            "The end of a day is owed: 2012-09-11, 2012-09-12",
        ]
