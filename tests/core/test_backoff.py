"""When an exit that did not get out is tried again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from trading_assets.core.backoff import Share, is_due, spread_wait_ns, wait_ns

MINUTE_NS = 60 * 10**9


def test_a_try_is_repeated_at_once_and_then_after_one_two_five_and_ten_minutes() -> None:
    assert [wait_ns(tries) / MINUTE_NS for tries in range(8)] == [0, 0, 1, 2, 5, 10, 10, 10]


@pytest.mark.parametrize("tries", range(2, 8))
def test_a_look_that_comes_some_seconds_early_is_not_put_off_to_the_next(tries: int) -> None:
    sent_ns = 1_347_370_200 * 10**9
    due_ns = sent_ns + wait_ns(tries)
    assert is_due(wait_ns(tries), sent_ns, due_ns)
    assert is_due(wait_ns(tries), sent_ns, due_ns - 14 * 10**9)
    assert not is_due(wait_ns(tries), sent_ns, due_ns - 16 * 10**9)
    assert not is_due(wait_ns(tries), sent_ns, due_ns - MINUTE_NS)


def test_looks_at_each_minute_try_at_these_minutes() -> None:
    tried: list[int] = []
    for minute in range(40):
        if is_due(wait_ns(len(tried)), tried[-1] * MINUTE_NS if tried else 0, minute * MINUTE_NS):
            tried.append(minute)
    assert tried == [0, 1, 2, 4, 9, 19, 29, 39]


def tried_in_a_session(slices: int, share: float, minutes: int = 390) -> list[int]:
    """The minutes at which an exit is tried that never fills, while the symbol's share of exits lasts."""
    tried: list[int] = []
    for minute in range(minutes):
        left = share - slices * len(tried)
        last = tried[-1] if tried else 0
        wait = spread_wait_ns(len(tried), Share((minutes - last) * MINUTE_NS, slices, left, share))
        if left > 0 and is_due(wait, last * MINUTE_NS, minute * MINUTE_NS):
            tried.append(minute)
    return tried


def test_an_exit_that_never_fills_is_tried_from_the_first_minute_to_the_last_hour_within_its_share() -> None:
    tried = tried_in_a_session(1, 40.0)
    assert tried[:5] == [0, 1, 2, 4, 9]
    assert all(later - earlier >= 10 for earlier, later in pairwise(tried[4:]))
    assert len(tried) <= 40
    assert len([minute for minute in tried if minute >= 330]) >= 3


@pytest.mark.parametrize("slices", [2, 3, 5, 8, 13])
def test_an_exit_of_many_slices_is_spread_too_and_begins_as_every_exit_does(slices: int) -> None:
    tried = tried_in_a_session(slices, 40.0)
    assert tried[:2] == [0, 1]
    assert slices * (len(tried) - 1) < 40  # the last one may be cut by the gate
    assert tried[-1] >= 330


@pytest.mark.parametrize("share", [40.0, float("inf")])
def test_nothing_is_stretched_while_the_share_lasts(share: float) -> None:
    for tries in range(5):
        left = Share(390 * MINUTE_NS, 1, share - tries, share)
        assert spread_wait_ns(tries, left) == wait_ns(tries)
