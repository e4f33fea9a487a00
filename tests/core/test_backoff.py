"""When an exit that did not get out is tried again."""

from __future__ import annotations

import pytest

from trading_assets.core.backoff import is_due, wait_ns

MINUTE_NS = 60 * 10**9


def test_a_try_is_repeated_at_once_and_then_after_one_two_five_and_ten_minutes() -> None:
    assert [wait_ns(tries) / MINUTE_NS for tries in range(8)] == [0, 0, 1, 2, 5, 10, 10, 10]


@pytest.mark.parametrize("tries", range(2, 8))
def test_a_look_that_comes_some_seconds_early_is_not_put_off_to_the_next(tries: int) -> None:
    sent_ns = 1_347_370_200 * 10**9
    due_ns = sent_ns + wait_ns(tries)
    assert is_due(tries, sent_ns, due_ns)
    assert is_due(tries, sent_ns, due_ns - 14 * 10**9)
    assert not is_due(tries, sent_ns, due_ns - 16 * 10**9)
    assert not is_due(tries, sent_ns, due_ns - MINUTE_NS)


def test_looks_at_each_minute_try_at_these_minutes() -> None:
    tried: list[int] = []
    for minute in range(40):
        if is_due(len(tried), tried[-1] * MINUTE_NS if tried else 0, minute * MINUTE_NS):
            tried.append(minute)
    assert tried == [0, 1, 2, 4, 9, 19, 29, 39]
