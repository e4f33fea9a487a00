"""The works of the comparisons: their rule, the core beside a bare loop, and how peers are judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.replay_speed.contestants import BARE_LOOP, BT, CONTESTS, CORE
from benchmarks.replay_speed.runner import Entry, judge
from benchmarks.replay_speed.work import CHOSEN, FAST, SLOW, accounts, shares_to_trade, standard_work

FOLDER = Path(__file__).parents[2] / "benchmarks" / "replay_speed"


def done(script: str, work: str) -> dict[str, list[list[int]] | list[float] | float]:
    command = [sys.executable, str(FOLDER / script), "1", work]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


@pytest.mark.slow
@pytest.mark.parametrize("work", ["standard:390", "alone:80"])
def test_the_core_has_the_orders_and_the_equity_of_a_bare_loop(work: str) -> None:
    core, loop = done("core.py", work), done("bare_loop.py", work)
    assert len(loop["orders"]) > 50
    assert sorted(core["orders"]) == sorted(loop["orders"])
    assert core["equity"] == pytest.approx(loop["equity"], abs=0.005)


def test_a_symbol_is_wanted_where_its_fast_mean_is_above_and_fewer_than_twelve_before_it_are() -> None:
    work = standard_work(symbols=40, bars=120)
    for bar in range(120):
        above = [
            row
            for row in range(40)
            if bar >= SLOW - 1
            and np.mean(np.round(work.close[row, bar - FAST + 1 : bar + 1] * 100))
            > np.mean(np.round(work.close[row, bar - SLOW + 1 : bar + 1] * 100))
        ]
        assert np.flatnonzero(work.wanted[:, bar]).tolist() == above[:CHOSEN]
    assert work.wanted.sum(axis=0).max() == CHOSEN


@pytest.mark.parametrize(
    ("held", "weight", "price", "traded"),
    [
        (0.0, 0.05, 100.0, 500.0),  # 50 000 USD exactly
        (0.0, 0.05, 100.01, 499.0),
        (499.0, 0.05, 100.0, 1.0),
        (501.5, 0.05, 100.0, -1.0),
        (37.0, 0.0, 100.0, -37.0),
    ],
)
def test_whole_shares_are_traded_toward_the_weight(
    held: float, weight: float, price: float, traded: float
) -> None:
    assert shares_to_trade(held, weight, 1_000_000.0, price) == traded


def test_the_first_bars_of_a_work_are_those_of_the_whole() -> None:
    (whole,), (cut,) = accounts("daily"), accounts("daily:100")
    assert all(np.array_equal(part, column[:, :100]) for part, column in zip(cut, whole, strict=True))


def test_an_order_too_few_and_a_cent_of_equity_are_noticed() -> None:
    entries = [Entry(BARE_LOOP), Entry(CORE), Entry(BT)]
    orders = [(1, 0, 5), (2, 0, -5)]
    judge(
        entries,
        {
            BARE_LOOP.name: {"orders": orders, "equity": 10.0},
            CORE.name: {"orders": orders[::-1], "equity": 10.01},
            BT.name: {"orders": orders[:1], "equity": 10.000001},
        },
    )
    assert [(entry.differing, entry.same_equity, entry.agrees) for entry in entries] == [
        (0, True, True),
        (0, False, False),
        (1, True, False),
    ]


def test_every_contest_has_the_core_and_the_bare_loop_that_the_others_are_held_to() -> None:
    for contest in CONTESTS:
        everybody = (*contest.contestants, *contest.slow)
        assert {CORE, BARE_LOOP} <= set(everybody)
        assert all((FOLDER / contestant.script).is_file() for contestant in everybody)
