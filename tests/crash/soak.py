"""Cases of crashes and faults from the command line: the fixed choice, random ones without end, or one again.

python tests/crash/soak.py --part 1/2         a part of the fixed choice, as in the tests
python tests/crash/soak.py --seconds 600      random cases; --seed begins elsewhere, --cases ends them earlier
python tests/crash/soak.py --case CASE        one again; --log FILE keeps what desk and exchange said
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from choice import (
    DEATHS,
    RECOVERED,
    RECOVERIES,
    SCENARIOS,
    Reached,
    chosen,
    drawn,
    never_struck,
    part_of,
    random_cases,
)
from faults import FAULTS
from judge import judge, summary
from points import Point
from scenario import prepare, scenario, warm
from trial import ROOM, Case, Death, Ground, Trial


class Soak:
    """Cases one after the other, with the scenarios' states that they begin from.

    pasts: where those states and the points of their ticks are kept, for other parts of the same choice too
    """

    def __init__(self, home: Path, log: Path | None = None, pasts: Path | None = None) -> None:
        self._pasts = pasts or home / "pasts"
        self._pasts.mkdir(parents=True, exist_ok=True)
        (home / "warm").mkdir()
        warm(home / "warm")
        self._ground = Ground(log)
        self._dead = home / "dead"
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []

    def close(self) -> None:
        self._ground.close()

    def template(self, seed: int) -> Path:
        """The scenario's state, played when it is first asked for."""
        template = self._pasts / str(seed)
        if not template.exists():
            made = Path(tempfile.mkdtemp(dir=self._pasts))
            prepare(scenario(seed), made, self._ground.exchange)
            try:
                made.rename(template)
            except OSError:
                if not template.exists():
                    raise
                shutil.rmtree(made)  # another part was as quick
        return template

    def forget(self, seed: int) -> None:
        shutil.rmtree(self._pasts / str(seed))

    def reached_by(self, seeds: Sequence[int], recovered: Collection[int]) -> dict[int, Reached]:
        """`reached` of each; in this order: parts that begin elsewhere find the rest done."""
        reached = {}
        for seed in seeds:
            kept = self._pasts / f"{seed}.json"
            if not kept.exists():
                made = self._pasts / f"{seed}.{os.getpid()}"
                made.write_text(self.reached(seed, recovered=seed in recovered).as_json())
                made.replace(kept)
            reached[seed] = Reached.read(kept.read_text())
        return {seed: reached[seed] for seed in sorted(reached)}  # which cases are chosen goes by it

    def reached(self, seed: int, *, recovered: bool = True) -> Reached:
        """The points of the scenario's tick, and those of recoveries from its death while it sends."""

        def points(case: Case) -> list[Point]:
            trial = Trial(case, self.template(seed), self._ground)
            try:
                return trial.points()
            finally:
                trial.close()

        tick = points(Case(seed, None, None, 0))
        deaths = [point for point in DEATHS if recovered and point in tick]
        cases = [Case(seed, point, None, plan) for point in deaths for plan in RECOVERIES]
        return Reached(tick, {(case.point, case.plan): points(case) for case in cases})

    def run_all(self, cases: Sequence[Case]) -> None:
        """Each of them. Where neighbours have their past in common, its tick is killed once, and each of them
        begins with what that left."""
        for _, alike in groupby(enumerate(cases), lambda numbered: numbered[1].past or numbered[0]):
            together = [case for _, case in alike]
            death = self._death_of(together[0]) if len(together) > 1 else None
            for case in together:
                self.run(case, death=death)

    def _death_of(self, case: Case) -> Death:
        shutil.rmtree(self._dead, ignore_errors=True)
        trial = Trial(case, self.template(case.seed), self._ground)
        try:
            death = trial.death(self._dead)
            self.counts["ticks killed"] += death.ended.killed
            self.counts["runs of the desk"] += 1
            return death
        finally:
            trial.close()

    def run(self, case: Case, keep: Path | None = None, death: Death | None = None) -> list[str]:
        """What is wrong after the case; told at once, with the command that repeats it."""
        trial = Trial(case, self.template(case.seed), self._ground, death)
        try:
            evidence = trial.carry_out()
            wrong = judge(evidence)
            if keep is not None:
                evidence.keep(keep)
        finally:
            trial.close()
        self.counts["cases"] += 1
        if self.counts["cases"] % 100 == 0:
            print(f"{self.counts['cases']} cases, {len(self.failed)} failed", file=sys.stderr, flush=True)
        self.counts["ticks killed"] += evidence.hit and death is None
        self.counts["with a fault"] += case.strike is not None
        self.counts["runs of the desk"] += len(evidence.ends) - (death is not None)
        if wrong:
            self.failed.append(str(case))
            print(f"FAILED {case}", *(f"  {one}" for one in wrong), f"  {summary(evidence)}", sep="\n")
            print(f"  again: python tests/crash/soak.py --case '{case}'", flush=True)
        return wrong

    def report(self, seconds: float, seeds: Iterable[int]) -> str:
        listed = sorted(seeds)
        counts = ", ".join(f"{number} {what}" for what, number in self.counts.items())
        used = f"{sum(os.times()[:4]) / max(self.counts['cases'], 1):.2f} s of a core each"
        return f"{counts}; {len(self.failed)} failed; {seconds:.0f} s, {used}; scenarios {_ranges(listed)}"


def _ranges(seeds: list[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if seeds == list(range(seeds[0], seeds[0] + len(seeds))) else str(seeds)


@contextmanager
def _soak(log: Path | None = None, pasts: Path | None = None) -> Iterator[Soak]:
    home = Path(tempfile.mkdtemp(prefix="crash-past-", dir=ROOM))
    try:
        soak = Soak(home, log, pasts)
        try:
            yield soak
        finally:
            soak.close()
    finally:
        shutil.rmtree(home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--part", help="K/N: the K-th of N parts of the fixed choice")
    what.add_argument("--seconds", type=float, help="random cases for so long")
    what.add_argument("--case", help="one case, as a failure printed it")
    parser.add_argument("--cases", type=int, help="so many random cases at most")
    parser.add_argument("--pasts", type=Path, help="a directory of the scenarios' states, for all --part")
    parser.add_argument("--seed", type=int, default=0, help="of the random cases (0)")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="the only one of the random cases")
    parser.add_argument("--log", type=Path, help="what the processes of a --case said")
    parser.add_argument("--keep", type=Path, help="where the evidence of a --case goes")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # and what is under way is put away
    began = time.monotonic()
    with _soak(arguments.log, arguments.pasts) as soak:
        if arguments.case:
            seeds = {Case.read(arguments.case).seed}
            soak.run(Case.read(arguments.case), arguments.keep)
        elif arguments.part:
            part, parts = map(int, arguments.part.split("/"))
            seeds = set(SCENARIOS)
            first = (part - 1) * len(SCENARIOS) // parts
            reached = soak.reached_by([*SCENARIOS[first:], *SCENARIOS[:first]], RECOVERED)
            choice = chosen(reached)
            if missing := never_struck(choice):
                soak.failed += missing
                print(f"FAILED: no case of the choice has {', '.join(missing)}", flush=True)
            soak.run_all(part_of(choice, part, parts))
        else:
            seeds, over = set(), False
            for seed, number in drawn(arguments.seed):
                if arguments.fault and not FAULTS[arguments.fault].can_strike(scenario(seed).split):
                    continue
                seeds.add(seed)
                left = (arguments.cases or sys.maxsize) - soak.counts["cases"]
                cases = random_cases(seed, soak.reached(seed), min(number, left), arguments.fault)
                soak.run_all(sorted(cases, key=lambda case: str(case.past)))
                over = time.monotonic() - began > arguments.seconds or soak.counts["cases"] == arguments.cases
                soak.forget(seed)
                if over:
                    break
        print(soak.report(time.monotonic() - began, seeds))
    return 1 if soak.failed else 0


if __name__ == "__main__":
    sys.exit(main())
