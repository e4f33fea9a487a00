"""The rate limit that all processes of a desk share: what it holds back, what it leaves, what it forgets."""

from __future__ import annotations

import multiprocessing
import os
import struct
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path

import pytest
from alpaca_payloads import ORDER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_server import Reply, ScriptedServer

from trading_assets.broker.alpaca.adapter import AlpacaBroker
from trading_assets.broker.alpaca.origins import Origins
from trading_assets.broker.port import NewOrder, RateLimited
from trading_assets.broker.purpose import Purpose, asking_for
from trading_assets.broker.rate_budget import SHARES, RateBudget, RequestShare
from trading_assets.core.words import Side
from trading_assets.market.clock import ManualClock, system_now_ns

SECOND = 10**9
START = 5_000 * SECOND
DATE = {"Date": "Mon, 02 Jul 2012 14:00:00 GMT"}
EPOCH = 1_341_237_600  # that date


def headers(remaining: int, reset: int = EPOCH + 20, limit: int = 200) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
        **DATE,
    }


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def budget(tmp_path: Path, clock: ManualClock) -> RateBudget:
    return RateBudget(tmp_path / "rate_limit", now_ns=clock.now_ns)


def test_what_was_never_answered_is_not_held_back(budget: RateBudget) -> None:
    for _ in range(300):
        budget.take("trading", Purpose.TICK)


@pytest.mark.parametrize(("purpose", "left"), [(one, int(200 * SHARES[one].leaves)) for one in Purpose])
def test_each_purpose_stops_where_what_more_important_ones_need_is_left(
    budget: RateBudget, purpose: Purpose, left: int
) -> None:
    budget.learn("trading", 200, headers(left + 2))
    budget.take("trading", purpose)
    budget.take("trading", purpose)
    with pytest.raises(RateLimited) as refused:
        budget.take("trading", purpose)
    assert refused.value.reset_epoch_s == EPOCH + 20
    for _ in range(left):
        budget.take("trading", Purpose.PROTECT)
    with pytest.raises(RateLimited):
        budget.take("trading", Purpose.PROTECT)


def test_the_more_important_a_purpose_the_further_down_it_may_go() -> None:
    leaves = [SHARES[purpose].leaves for purpose in Purpose]
    assert leaves == sorted(leaves)
    assert len(set(leaves)) == len(leaves)
    assert SHARES[Purpose.PROTECT] == RequestShare(leaves=0.0, most=1.0)


@pytest.mark.parametrize(
    ("purpose", "most"), [(Purpose.FOLLOW, 60), (Purpose.LOOK, 40), (Purpose.HISTORY, 60)]
)
def test_who_only_looks_on_has_a_share_of_each_minute_whatever_is_left(
    budget: RateBudget, clock: ManualClock, purpose: Purpose, most: int
) -> None:
    budget.learn("trading", 200, headers(200, reset=EPOCH + 60))
    for _ in range(most):
        budget.take("trading", purpose)
    with pytest.raises(RateLimited):
        budget.take("trading", purpose)
    budget.take("trading", Purpose.TICK)
    clock.advance(60 * SECOND)
    budget.take("trading", purpose)


def test_each_api_has_a_limit_of_its_own(budget: RateBudget) -> None:
    budget.learn("data", 200, headers(0))
    budget.take("trading", Purpose.TICK)
    with pytest.raises(RateLimited):
        budget.take("data", Purpose.PROTECT)


def test_a_429_leaves_nothing_whatever_its_headers_say(budget: RateBudget) -> None:
    budget.learn("trading", 429, headers(150))
    with pytest.raises(RateLimited):
        budget.take("trading", Purpose.PROTECT)


def test_the_window_ends_when_the_broker_says_by_its_own_date(budget: RateBudget, clock: ManualClock) -> None:
    budget.learn("trading", 200, headers(0, reset=EPOCH + 20))
    clock.advance(19 * SECOND)
    with pytest.raises(RateLimited):
        budget.take("trading", Purpose.PROTECT)
    clock.advance(SECOND)
    budget.take("trading", Purpose.PROTECT)


@pytest.mark.parametrize("reset", [EPOCH - 5, EPOCH + 400_000_000], ids=["past", "another-time"])
def test_a_reset_that_does_not_fit_the_date_is_of_a_virtual_time_and_holds_nothing_back(
    budget: RateBudget, reset: int
) -> None:
    budget.learn("trading", 429, headers(0, reset=reset))
    budget.take("trading", Purpose.TICK)


def test_a_window_noted_before_the_machine_started_again_is_forgotten(
    budget: RateBudget, clock: ManualClock
) -> None:
    budget.learn("trading", 200, headers(0))
    clock.set(SECOND)
    budget.take("trading", Purpose.PROTECT)


def test_after_a_window_its_successor_is_counted_before_the_broker_has_stated_it(
    budget: RateBudget, clock: ManualClock
) -> None:
    budget.learn("trading", 200, headers(0))
    clock.advance(20 * SECOND)
    for _ in range(200):
        budget.take("trading", Purpose.PROTECT)
    with pytest.raises(RateLimited):
        budget.take("trading", Purpose.PROTECT)


def test_an_answer_that_comes_late_gives_back_nothing_that_has_left_since(budget: RateBudget) -> None:
    budget.learn("trading", 200, headers(3))
    for _ in range(3):
        budget.take("trading", Purpose.PROTECT)
    budget.learn("trading", 200, headers(2))  # the first one's answer
    with pytest.raises(RateLimited):
        budget.take("trading", Purpose.PROTECT)


def test_a_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "rate_limit"
    path.write_bytes(struct.pack("<qqqq", 200, 0, EPOCH + 20, START + 20 * SECOND) * 2)
    budget = RateBudget(path, now_ns=lambda: START)
    budget.take("trading", Purpose.LOOK)
    budget.learn("data", 200, headers(0))
    budget.take("trading", Purpose.LOOK)
    with pytest.raises(RateLimited):
        budget.take("data", Purpose.PROTECT)


def test_answers_without_the_headers_teach_nothing(budget: RateBudget) -> None:
    budget.learn("trading", 200, headers(0) | {"X-RateLimit-Remaining": "soon"})
    budget.learn("trading", 200, {})
    budget.take("trading", Purpose.PROTECT)


def test_a_place_that_cannot_be_written_costs_the_foresight_and_no_request(tmp_path: Path) -> None:
    budget = RateBudget(tmp_path / "not-there" / "rate_limit")
    budget.learn("trading", 200, headers(0))
    budget.take("trading", Purpose.PROTECT)


def test_the_file_is_private_to_its_user(budget: RateBudget, tmp_path: Path) -> None:
    budget.learn("trading", 200, headers(5))
    assert (tmp_path / "rate_limit").stat().st_mode & 0o777 == 0o600


def _take_many(path: Path, times: int) -> None:
    budget = RateBudget(path)
    for _ in range(times):
        budget.take("trading", Purpose.PROTECT)
    os._exit(0)


def test_processes_share_one_allowance_to_the_last_request(tmp_path: Path) -> None:
    path = tmp_path / "rate_limit"
    RateBudget(path).learn("trading", 200, headers(151, reset=EPOCH + 60))
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=_take_many, args=(path, 50)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    last = RateBudget(path)
    last.take("trading", Purpose.PROTECT)
    with pytest.raises(RateLimited):
        last.take("trading", Purpose.PROTECT)


def test_a_request_that_the_limit_forbids_never_reaches_the_broker(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Learned by one connection from an order's answer, kept by another."""
    path = tmp_path / "rate_limit"
    at = Origins(server.url, server.url)
    answered = headers(0, reset=system_now_ns() // SECOND + 50)
    del answered["Date"]  # the server's own is the world's
    server.on("POST", "/v2/orders", Reply(200, ORDER, answered))
    new = NewOrder(ORDER["client_order_id"], ORDER["symbol"], Side.BUY, Decimal(1), Decimal(100))
    first, second = (AlpacaBroker(at, "key-id", "secret", budget=RateBudget(path)) for _ in range(2))
    try:
        first.submit(new)
        with pytest.raises(RateLimited):
            second.submit(new)
        with pytest.raises(RateLimited), asking_for(Purpose.PROTECT):
            second.positions()
    finally:
        first.close()
        second.close()
    assert len(server.requests) == 1


def test_a_cancel_is_protections_and_a_read_is_for_whom_its_caller_says(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """With as much left as a tick must leave."""
    answered = headers(int(200 * SHARES[Purpose.TICK].leaves), reset=system_now_ns() // SECOND + 50)
    del answered["Date"]
    server.on("GET", "/v2/positions", Reply(200, [], answered))
    server.on("POST", "/v2/orders", Reply(200, ORDER, answered))
    server.on("DELETE", "/v2/orders/one", Reply(204))
    new = NewOrder(ORDER["client_order_id"], ORDER["symbol"], Side.BUY, Decimal(1), Decimal(100))
    broker = AlpacaBroker(
        Origins(server.url, server.url), "key-id", "secret", budget=RateBudget(tmp_path / "rate_limit")
    )
    try:
        broker.positions()
        with pytest.raises(RateLimited):
            broker.positions()
        with asking_for(Purpose.LOOK):
            with pytest.raises(RateLimited):
                broker.positions()
            broker.submit(new)  # an order is an order
            broker.cancel("one")
            with asking_for(Purpose.PROTECT):
                broker.positions()
    finally:
        broker.close()
    assert [one.method for one in server.requests] == ["GET", "POST", "DELETE", "GET"]


class Counting:
    """A broker that counts as Alpaca does: a window begins with its first request, lasts a minute, and what
    comes beyond the limit in it is refused."""

    def __init__(self, limit: int, now_s: int) -> None:
        self.limit, self.ends_s, self.left = limit, now_s, 0

    def ask(self, now_s: int) -> tuple[int, dict[str, str]]:
        if now_s >= self.ends_s:
            self.ends_s, self.left = now_s + 60, self.limit
        refused = self.left == 0
        self.left -= not refused
        when = formatdate(EPOCH + now_s, usegmt=True)
        stated = headers(self.left, reset=EPOCH + self.ends_s, limit=self.limit) | {"Date": when}
        return 429 if refused else 200, stated


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(Purpose), st.integers(1, 40)),
        st.tuples(st.just("answer"), st.integers(0, 5), st.integers(1, 40)),
        st.tuples(st.just("wait"), st.integers(1, 70), st.just(0)),
    ),
    max_size=30,
)


@given(steps=STEPS, limit=st.sampled_from([1, 3, 10, 50, 200]), others=st.integers(0, 40))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_more_than_the_limit_leave_and_no_reserve_is_eaten_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], limit: int, others: int
) -> None:
    """Requests of every purpose, answered in any order and late, beside another program of the account."""
    now_s = 0
    budget = RateBudget(
        tmp_path_factory.mktemp("budget") / "rate_limit", now_ns=lambda: START + now_s * SECOND
    )
    broker = Counting(limit, now_s)
    for _ in range(min(others, limit - 1)):  # somebody else's, before we know anything
        broker.ask(now_s)
    budget.learn("trading", *broker.ask(now_s))
    waiting: list[tuple[int, dict[str, str]]] = []
    minute: list[tuple[int, int]] = []
    for what, which, times in steps:
        if what == "wait":
            now_s += which
        elif what == "ask":
            purpose = Purpose(which)
            for _ in range(times):
                left = limit if now_s >= broker.ends_s else broker.left
                try:
                    budget.take("trading", purpose)
                except RateLimited:
                    break
                assert left > int(limit * SHARES[purpose].leaves)
                answer = broker.ask(now_s)
                assert answer[0] == 200
                waiting.append(answer)
                minute.append((now_s, purpose))
                recent = sum(of == purpose and at > now_s - 60 for at, of in minute)
                assert recent <= 2 * max(int(limit * SHARES[purpose].most), 1)  # a minute may lie across two
        else:
            for _ in range(min(times, len(waiting))):
                budget.learn("trading", *waiting.pop(which % len(waiting)))
