from __future__ import annotations

import pytest

from trading_assets.errors import TradingAssetsError
from trading_assets.market import clock as clock_module
from trading_assets.market.clock import ClockUnread, ManualClock, VenueClock


class Venue:
    """A venue's clock that can be set and broken."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.broken = False

    def read(self) -> int:
        if self.broken:
            raise TradingAssetsError("no answer")
        return self.now_ns


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    hand = ManualClock(0)
    monkeypatch.setattr(clock_module, "monotonic_ns", hand.now_ns)
    return hand


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance(7)
    assert clock.now_ns() == 12
    clock.set(3)
    assert clock.now_ns() == 3


def test_a_manual_clock_does_not_advance_backward() -> None:
    with pytest.raises(ValueError, match="use set"):
        ManualClock(5).advance(-1)


def test_a_running_venue_clock_goes_on_with_the_monotonic_clock(monotonic: ManualClock) -> None:
    clock = VenueClock(Venue(1_000).read, stands=False)
    assert clock.sync()
    monotonic.advance(250)
    assert clock.now_ns() == 1_250


def test_a_reading_is_as_of_the_middle_of_its_round_trip(monotonic: ManualClock) -> None:
    def slow_read() -> int:
        monotonic.advance(100)
        return 1_000

    clock = VenueClock(slow_read, stands=False)
    clock.sync()
    assert clock.now_ns() == 1_050


def test_a_standing_venue_clock_moves_only_when_it_is_read_again(monotonic: ManualClock) -> None:
    venue = Venue(1_000)
    clock = VenueClock(venue.read, stands=True)
    clock.sync()
    monotonic.advance(10**12)
    venue.now_ns = 2_000
    assert clock.now_ns() == 1_000
    clock.sync()
    assert clock.now_ns() == 2_000


def test_a_failed_sync_keeps_the_offset_and_is_remembered(monotonic: ManualClock) -> None:
    venue = Venue(1_000)
    clock = VenueClock(venue.read, stands=False)
    states = [clock.synced, clock.sync(), clock.synced]
    venue.broken = True
    monotonic.advance(30)
    states += [clock.sync(), clock.synced]
    assert "no answer" in str(clock.failure)
    assert clock.now_ns() == 1_030
    venue.broken, venue.now_ns = False, 5_000
    states += [clock.sync(), clock.synced]
    assert states == [False, True, True, False, False, True, True]
    assert clock.failure is None
    assert clock.now_ns() == 5_000


def test_a_clock_that_was_never_read_reads_itself_or_says_so() -> None:
    venue = Venue(1_000)
    assert VenueClock(venue.read, stands=True).now_ns() == 1_000
    venue.broken = True
    with pytest.raises(ClockUnread, match="no answer"):
        VenueClock(venue.read, stands=True).now_ns()


def test_a_programming_error_in_the_reading_is_not_taken_for_a_failed_sync() -> None:
    def wrong() -> int:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        VenueClock(wrong, stands=False).sync()


def test_an_answer_that_says_more_than_the_time_sets_the_clock_as_well(monotonic: ManualClock) -> None:
    clock = VenueClock(Venue(1_000).read, stands=True)
    clock.sync()
    assert clock.sync(lambda: 2_000)
    assert clock.now_ns() == 2_000
    venue = Venue(3_000)
    venue.broken = True
    assert not clock.sync(venue.read)
    assert clock.now_ns() == 2_000
    assert not clock.synced
