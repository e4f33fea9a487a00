"""The fixed choice of crash cases: what it holds whatever the points are that the ticks come to."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, product

from choice import CASES, SCENARIOS, Reached, chosen, never_struck, part_of
from faults import FAULTS, Strike
from points import Point
from scenario import scenario
from trial import Case

KINDS = tuple(f"before:commit_{number}" for number in range(9))
REACHED = {
    seed: Reached([Point(kind, nth) for kind in KINDS for nth in range(1, 30)], {}) for seed in SCENARIOS
}


def test_each_kind_of_point_meets_each_fault_and_each_fault_strikes_tick_and_recovery() -> None:
    cases = chosen(REACHED)
    met = {(case.point.kind, case.strike.name) for case in cases if case.point and case.strike}
    alone = [name for name, fault in FAULTS.items() if not fault.family]
    assert met.issuperset(product(KINDS, alone))
    for family in {fault.family for fault in FAULTS.values()} - {""}:
        names = {name for name, fault in FAULTS.items() if fault.family == family}
        assert {kind for kind, name in met if name in names} == set(KINDS)
        assert {name for _, name in met} >= names
    assert never_struck(cases) == []
    assert len(cases) == CASES
    assert cases == chosen(REACHED)


def test_a_fault_strikes_only_scenarios_that_it_concerns() -> None:
    for case in chosen(REACHED):
        if case.strike is not None:
            assert FAULTS[case.strike.name].can_strike(scenario(case.seed).split), case
    splits = {split.today for seed in SCENARIOS if (split := scenario(seed).split) is not None}
    assert splits == {True, False}


def test_faults_that_no_case_has_are_named() -> None:
    without = [case for case in chosen(REACHED) if str(case.strike) != "drop@tick"]
    assert never_struck(without) == ["drop@tick"]


def test_parts_have_every_case_once_and_those_of_one_death_together() -> None:
    cases = chosen(REACHED)
    parts = [part_of(cases, part, 2) for part in (1, 2)]
    assert sorted(map(str, [*parts[0], *parts[1]])) == sorted(map(str, cases))
    assert min(map(len, parts)) > 0.45 * len(cases)
    deaths = [[past for past, _ in groupby(case.past for case in part) if past is not None] for part in parts]
    for result in deaths:
        assert len(result) == len(set(result))
    assert not set(deaths[0]) & set(deaths[1])


def test_a_fault_in_the_tick_makes_a_death_its_own_and_one_of_a_split_what_came_before_it() -> None:
    point = Point("before:move", 1)
    alone = Case(3, point, None, 0)
    assert replace(alone, strike=Strike("drop", "tick")).past is None
    assert replace(alone, strike=Strike("drop", "recovery"), plan=2, second=point).past == alone.past
    assert replace(alone, strike=Strike("split_late", "recovery")).past not in (None, alone.past)
    assert replace(alone, point=Point("before:move", 2)).past != alone.past
    assert replace(alone, seed=4).past != alone.past
