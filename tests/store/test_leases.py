"""One living process at a time may write a book."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal_samples import BOOK
from sqlalchemy import update

from trading_assets.store import leases as leases_module
from trading_assets.store.journal import Journal, LeaseHeld, LeaseLost
from trading_assets.store.leases import Lease, process_start, when_free
from trading_assets.store.schema import leases

HOLD = """
import sys
from trading_assets.store.journal import Journal
journal = Journal.open(sys.argv[1])
journal.acquire_lease(sys.argv[2], "another run", 1000.0)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), BOOK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The machine's wall clock, in seconds, to be set."""
    now = [1_000]
    monkeypatch.setattr(leases_module, "system_now_ns", lambda: now[0] * 1_000_000_000)
    return now


def test_a_lease_is_held_until_it_is_released(journal: Journal) -> None:
    assert journal.lease_holder(BOOK) is None
    lease = journal.acquire_lease(BOOK, "tick")
    assert journal.lease_holder(BOOK) == lease
    assert lease.pid == os.getpid()
    assert journal.release_lease(lease)
    assert not journal.release_lease(lease)
    assert journal.lease_holder(BOOK) is None


def test_a_held_book_names_who_holds_it_since_when(journal: Journal, at: list[int]) -> None:
    journal.acquire_lease(BOOK, "tick 14:35")
    with pytest.raises(LeaseHeld, match=rf"'tick 14:35', process {os.getpid()} .* since 1970-01-01T00:16:40"):
        journal.acquire_lease(BOOK, "reconcile")
    journal.acquire_lease("another book", "reconcile")


def test_a_lease_ends_when_its_time_has_run_out(journal: Journal, at: list[int]) -> None:
    first = journal.acquire_lease(BOOK, "slow", ttl_seconds=10.0)
    at[0] += 9
    with pytest.raises(LeaseHeld):
        journal.acquire_lease(BOOK, "next", ttl_seconds=10.0)
    at[0] += 1
    assert journal.lease_holder(BOOK) is None
    second = journal.acquire_lease(BOOK, "next", ttl_seconds=10.0)
    with pytest.raises(LeaseLost, match=r"'slow' .* was lost and 'next'"):
        journal.renew_lease(first)
    assert not journal.release_lease(first)
    assert journal.lease_holder(BOOK) == second


def test_renewing_holds_the_book_longer(journal: Journal, at: list[int]) -> None:
    lease = journal.acquire_lease(BOOK, "tick", ttl_seconds=10.0)
    at[0] += 8
    renewed = journal.renew_lease(lease, ttl_seconds=10.0)
    at[0] += 8
    assert journal.lease_holder(BOOK) == renewed
    assert renewed.acquired_ns == lease.acquired_ns


def test_a_released_lease_cannot_be_renewed(journal: Journal) -> None:
    lease = journal.acquire_lease(BOOK, "tick")
    journal.release_lease(lease)
    with pytest.raises(LeaseLost, match="nobody"):
        journal.renew_lease(lease)


def test_the_book_is_given_back_after_an_error(journal: Journal) -> None:
    with pytest.raises(LeaseHeld), journal.lease(BOOK, "tick"):
        journal.acquire_lease(BOOK, "an error within")
    assert journal.lease_holder(BOOK) is None


def test_a_living_process_keeps_the_book_and_a_killed_one_loses_it_at_once(
    journal: Journal, tmp_path: Path
) -> None:
    with another_process_holding(tmp_path / "desk" / "journal.sqlite") as other:
        with pytest.raises(LeaseHeld, match=f"'another run', process {other.pid}"):
            journal.acquire_lease(BOOK, "tick")
        other.kill()  # not yet waited for: a zombie holds nothing either
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert journal.acquire_lease(BOOK, "tick").holder == "tick"
        other.wait()


def test_a_later_process_with_the_same_pid_is_not_the_holder(journal: Journal) -> None:
    lease = journal.acquire_lease(BOOK, "tick")
    with journal._writing() as connection:
        connection.execute(update(leases).values(process_start="1"))
    assert process_start(os.getpid()) != "1"
    assert journal.lease_holder(BOOK) is None
    assert journal.acquire_lease(BOOK, "next").token != lease.token


def test_whoever_waits_has_the_book_once_it_is_given_back(journal: Journal) -> None:
    held = journal.acquire_lease(BOOK, "a tick")
    waited_for: list[str] = []

    def waits(lease: Lease) -> None:
        waited_for.append(lease.holder)
        if len(waited_for) == 3:
            journal.release_lease(held)

    granted = when_free(lambda: journal.acquire_lease(BOOK, "a person"), waits)
    assert journal.lease_holder(BOOK) == granted
    assert waited_for == ["a tick"] * 3


def test_whoever_waits_is_told_who_has_the_book_when_the_patience_ends(journal: Journal) -> None:
    journal.acquire_lease(BOOK, "a tick")
    waited_for: list[Lease] = []
    with pytest.raises(LeaseHeld, match="held by 'a tick'"):
        when_free(lambda: journal.acquire_lease(BOOK, "a person"), waited_for.append, patience_seconds=0.15)
    assert waited_for


def test_of_a_holder_on_another_machine_only_its_time_tells(journal: Journal, at: list[int]) -> None:
    journal.acquire_lease(BOOK, "tick", ttl_seconds=10.0)
    with journal._writing() as connection:
        connection.execute(update(leases).values(host="elsewhere", pid=2**22 + 1))
    with pytest.raises(LeaseHeld, match="elsewhere"):
        journal.acquire_lease(BOOK, "next")
    at[0] += 10
    journal.acquire_lease(BOOK, "next")


def test_processes_are_told_apart_by_their_start() -> None:
    assert process_start(2**22 + 1) is None  # above the largest pid that Linux gives
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert process_start(child.pid) not in (None, "", process_start(os.getpid()))
        child.kill()
    assert process_start(child.pid) is None
