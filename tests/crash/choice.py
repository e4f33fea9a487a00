"""Which cases are tried: the fixed choice that stands for all of them, and random ones without end.

The fixed choice holds every pair of a kind of point and a fault, in whichever scenario comes to such a
point, and every point of some scenarios without a fault.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import NamedTuple

from faults import FAULTS, Strike
from points import Point
from scenario import scenario
from trial import PLANS, Case

SCENARIOS = range(12)
CASES = 2_000
PHASES = ("tick", "recovery")
RUNS_OF_A_RECOVERY = 3  # of the desk, about
CASES_OF_A_SCENARIO = 100  # of random ones: its past costs as much as some of them
SEND = "POST/v2/orders"
DEATHS = (Point(f"request:{SEND}", 1), Point(f"answer:{SEND}", 1))  # recoveries that look an order up
RECOVERIES = (1, 5)  # the plans that begin with a protection, and with a kill
RECOVERED = range(3)  # of the fixed choice, the scenarios whose recoveries are looked into


class Reached(NamedTuple):
    """The points that one scenario's runs come to when nothing fails."""

    tick: Sequence[Point]
    recovery: Mapping[tuple[Point, int], Sequence[Point]]  # by the tick's death and the plan

    def as_json(self) -> str:
        recovery = [(str(death), plan, [*map(str, of)]) for (death, plan), of in self.recovery.items()]
        return json.dumps([[*map(str, self.tick)], recovery])

    @staticmethod
    def read(text: str) -> Reached:
        tick, recovery = json.loads(text)
        return Reached(
            [*map(Point.read, tick)],
            {(Point.read(death), plan): [*map(Point.read, of)] for death, plan, of in recovery},
        )


def chosen(reached: Mapping[int, Reached]) -> list[Case]:
    """CASES cases, the same ones for the same points, in an order that leaves no kind to the end."""
    cases = [*_every_pair(reached), *_every_pair_of_a_recovery(reached)]
    every = [(seed, point) for seed, runs in reached.items() for point in runs.tick]
    for number, (seed, point) in enumerate(every[: max(0, CASES - len(cases))]):
        cases.append(Case(seed, point, None, number % len(PLANS)))
    Random("order").shuffle(cases)
    return cases


def part_of(cases: Sequence[Case], part: int, parts: int) -> list[Case]:
    """The cases of the part-th of so many parts, in order, but for those whose tick dies the same death: they
    follow the first of them. Each part has about as many runs of a tick and of a recovery."""
    alike: dict[object, list[Case]] = {}
    for number, case in enumerate(cases):
        alike.setdefault(case.past or number, []).append(case)
    mine, runs = [], [0] * parts
    for together in alike.values():
        least = runs.index(min(runs))
        runs[least] += 1 + len(together) * RUNS_OF_A_RECOVERY
        if least == part - 1:
            mine += together
    return mine


def never_struck(cases: Sequence[Case]) -> list[str]:
    """The faults that none of the cases meets in the tick, and those that none meets in its recovery."""
    met = {str(case.strike) for case in cases}
    every = (str(Strike(fault, phase)) for fault in FAULTS for phase in PHASES)
    return [strike for strike in every if strike not in met]


def _every_pair(reached: Mapping[int, Reached]) -> Iterator[Case]:
    """Each kind of point of a tick with each fault, met by the tick or by its recovery. Faults of one family
    take turns from kind to kind."""
    places: dict[str, list[Case]] = defaultdict(list)
    for seed in sorted(reached, key=lambda seed: scenario(seed).whole):
        for point in reached[seed].tick:
            if not (scenario(seed).whole and places[point.kind]):  # a whole tick costs several others
                places[point.kind].append(Case(seed, point, None, 0))
    rng = Random("every pair")
    for turn, fault, able in _pairs(places):
        case = rng.choice(able)
        second = rng.choice(reached[case.seed].tick) if rng.random() < 0.25 else None
        strike = Strike(fault, PHASES[turn % 2])
        yield replace(case, strike=strike, plan=turn % len(PLANS), second=second)


def _every_pair_of_a_recovery(reached: Mapping[int, Reached]) -> Iterator[Case]:
    """Each kind of point that only a recovery comes to, where it dies too, with each fault."""
    known = {point.kind for runs in reached.values() for point in runs.tick}
    places: dict[str, list[Case]] = defaultdict(list)
    for seed, runs in reached.items():
        for (death, plan), points in runs.recovery.items():
            for point in points:
                if point.kind not in known and not scenario(seed).whole:
                    places[point.kind].append(Case(seed, death, None, plan, point))
    rng = Random("every pair of a recovery")
    for _, fault, able in _pairs(places):
        yield replace(rng.choice(able), strike=Strike(fault, rng.choice(PHASES)))


def _pairs(places: Mapping[str, Sequence[Case]]) -> Iterator[tuple[int, str, list[Case]]]:
    """(a number that turns, fault, the cases that it can strike) for each kind of point and each fault, or
    one of its family; a fault that can strike no case of a kind leaves its turn to the next."""
    families: dict[str, list[str]] = defaultdict(list)
    for name, fault in FAULTS.items():
        families[fault.family or name].append(name)
    for row, kind in enumerate(sorted(places)):
        for column, members in enumerate(families.values()):
            first = row % len(members)
            for name in (*members[first:], *members[:first]):
                able = [one for one in places[kind] if FAULTS[name].can_strike(scenario(one.seed).split)]
                if able:
                    yield row // len(members) + column, name, able
                    break


def drawn(seed: int) -> Iterator[tuple[int, int]]:
    """(scenario, cases of it), endless, from a seed."""
    rng = Random(f"soak {seed}")
    for _ in count():
        yield rng.randrange(10**9), CASES_OF_A_SCENARIO


def random_cases(seed: int, reached: Reached, number: int, fault: str | None = None) -> Iterator[Case]:
    """Random cases of one scenario; `fault`: all with this one."""
    rng = Random(f"cases {seed}")
    able = [name for name in FAULTS if FAULTS[name].can_strike(scenario(seed).split)]
    for _ in range(number):
        strike = Strike(fault or rng.choice(able), rng.choice(PHASES))
        if not fault and rng.random() < 0.3:
            strike = None
        if reached.recovery and rng.random() < 0.25:
            (death, plan), points = rng.choice(list(reached.recovery.items()))
            yield Case(seed, death, strike, plan, rng.choice(points))
            continue
        point = rng.choice(reached.tick) if rng.random() < 0.95 else None
        second = rng.choice(reached.tick) if rng.random() < 0.2 else None
        yield Case(seed, point, strike, rng.randrange(len(PLANS)), second)
