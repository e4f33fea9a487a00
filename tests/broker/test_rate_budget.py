"""The rate limit that all processes of a desk share: what it holds back, what it leaves, what it forgets."""

from __future__ import annotations

import multiprocessing
import os
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca_payloads import ORDER
from scripted_server import Reply, ScriptedServer

from trading_assets.broker.alpaca import AlpacaBroker, Origins
from trading_assets.broker.port import NewOrder, RateLimited
from trading_assets.broker.rate_budget import RateBudget
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
        budget.take("trading", write=False)


def test_reads_stop_where_a_tenth_is_left_and_writes_at_nothing(budget: RateBudget) -> None:
    budget.learn("trading", 200, headers(22))
    budget.take("trading", write=False)
    budget.take("trading", write=False)
    with pytest.raises(RateLimited) as refused:
        budget.take("trading", write=False)
    assert refused.value.reset_epoch_s == EPOCH + 20
    for _ in range(20):
        budget.take("trading", write=True)
    with pytest.raises(RateLimited):
        budget.take("trading", write=True)


def test_each_api_has_a_limit_of_its_own(budget: RateBudget) -> None:
    budget.learn("data", 200, headers(0))
    budget.take("trading", write=False)
    with pytest.raises(RateLimited):
        budget.take("data", write=True)


def test_a_429_leaves_nothing_whatever_its_headers_say(budget: RateBudget) -> None:
    budget.learn("trading", 429, headers(150))
    with pytest.raises(RateLimited):
        budget.take("trading", write=True)


def test_the_window_ends_when_the_broker_says_by_its_own_date(budget: RateBudget, clock: ManualClock) -> None:
    budget.learn("trading", 200, headers(0, reset=EPOCH + 20))
    clock.advance(19 * SECOND)
    with pytest.raises(RateLimited):
        budget.take("trading", write=True)
    clock.advance(SECOND)
    budget.take("trading", write=True)


@pytest.mark.parametrize("reset", [EPOCH - 5, EPOCH + 400_000_000], ids=["past", "another-time"])
def test_a_reset_that_does_not_fit_the_date_is_of_a_virtual_time_and_holds_nothing_back(
    budget: RateBudget, reset: int
) -> None:
    budget.learn("trading", 429, headers(0, reset=reset))
    budget.take("trading", write=False)


def test_a_window_noted_before_the_machine_started_again_is_forgotten(
    budget: RateBudget, clock: ManualClock
) -> None:
    budget.learn("trading", 200, headers(0))
    clock.set(SECOND)
    budget.take("trading", write=True)


def test_answers_without_the_headers_teach_nothing(budget: RateBudget) -> None:
    budget.learn("trading", 200, headers(0) | {"X-RateLimit-Remaining": "soon"})
    budget.learn("trading", 200, {})
    budget.take("trading", write=True)


def test_a_place_that_cannot_be_written_costs_the_foresight_and_no_request(tmp_path: Path) -> None:
    budget = RateBudget(tmp_path / "not-there" / "rate_limit")
    budget.learn("trading", 200, headers(0))
    budget.take("trading", write=True)


def test_the_file_is_private_to_its_user(budget: RateBudget, tmp_path: Path) -> None:
    budget.learn("trading", 200, headers(5))
    assert (tmp_path / "rate_limit").stat().st_mode & 0o777 == 0o600


def _take_many(path: Path, times: int) -> None:
    budget = RateBudget(path)
    for _ in range(times):
        budget.take("trading", write=True)
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
    last.take("trading", write=True)
    with pytest.raises(RateLimited):
        last.take("trading", write=True)


def test_a_request_that_the_limit_forbids_never_reaches_the_broker(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Learned by one connection from an order's answer, kept by another."""
    path = tmp_path / "rate_limit"
    at = Origins(server.url, server.url)
    told = headers(0, reset=system_now_ns() // SECOND + 50)
    del told["Date"]  # the server's own is the world's
    server.on("POST", "/v2/orders", Reply(200, ORDER, told))
    new = NewOrder(ORDER["client_order_id"], ORDER["symbol"], Side.BUY, Decimal(1), Decimal(100))
    first, second = (AlpacaBroker(at, "key-id", "secret", budget=RateBudget(path)) for _ in range(2))
    try:
        first.submit(new)
        with pytest.raises(RateLimited):
            second.submit(new)
        with pytest.raises(RateLimited):
            second.positions()
    finally:
        first.close()
        second.close()
    assert len(server.requests) == 1
