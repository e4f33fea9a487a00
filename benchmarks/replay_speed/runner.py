"""Lets contestants do a work in turn and judges what they did.

What is made of the figures is in `report.py`, who takes part in `contestants.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.replay_speed.contestants import BARE_LOOP, Contest, Contestant
from benchmarks.side_by_side import Failed, environment, performed

HERE = Path(__file__).parent
Outcomes = dict[str, dict[str, Any]]


@dataclass
class Entry:
    """What a contestant did in a contest."""

    contestant: Contestant
    seconds: list[list[float]] = field(default_factory=list)  # CPU, by round
    peak_mib: float = 0.0
    orders: int = 0
    equity: float = 0.0
    differing: int | None = None  # orders that it or the bare loop has alone; None: not judged
    same_equity: bool = False  # to the cent
    failure: str = ""

    @property
    def agrees(self) -> bool:
        return self.differing == 0 and self.same_equity


def compete(contest: Contest) -> list[Entry]:
    """All rounds of a contest, the contestants in turn; orders and equity are those of the first.

    One that fails is left out of later rounds, and its entry says why.
    """
    entries = [Entry(contestant) for contestant in (*contest.contestants, *contest.slow)]
    outcomes: Outcomes = {}
    for number in range(contest.rounds):
        for entry in entries:
            contestant = entry.contestant
            if entry.failure or (contestant in contest.slow and number >= contest.slow_rounds):
                continue
            print(f"{contest.work}, round {number + 1} of {contest.rounds}: {contestant.name}", flush=True)
            try:
                python = environment(contestant.name, contestant.packages)
                script, repetitions = HERE / contestant.script, str(contestant.repetitions)
                found, peak_mib = performed(python, script, repetitions, contest.work)
            except Failed as failure:
                entry.failure = str(failure)
                continue
            entry.seconds.append(found["seconds"])
            entry.peak_mib = max(entry.peak_mib, peak_mib)
            outcomes.setdefault(contestant.name, found)
    judge(entries, outcomes)
    return entries


def judge(entries: list[Entry], outcomes: Outcomes) -> None:
    """Hold every entry's orders and equity against those of the bare loop."""
    rule = outcomes.get(BARE_LOOP.name)
    for entry in entries:
        if (found := outcomes.get(entry.contestant.name)) is None:
            continue
        entry.orders, entry.equity = len(found["orders"]), found["equity"]
        if rule is not None:
            orders, expected = ({tuple(order) for order in of["orders"]} for of in (found, rule))
            entry.differing = len(orders ^ expected)
            entry.same_equity = abs(found["equity"] - rule["equity"]) < 0.005
