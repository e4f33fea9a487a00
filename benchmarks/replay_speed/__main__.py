"""The decision core beside other backtesters on the same works, each in its own environment.

Correct first: everybody must have the orders of a bare loop, and its closing equity to the cent; otherwise
this ends with an error. A peer that cannot be installed or run is reported as such. Prints tables and ratios
with their spread, and leaves `var/bench/replay_speed.json` and `.png`. Environments are made under
`var/bench` on first use.

`python -m benchmarks.replay_speed [WORK ...]`: all works, or these.
"""

from __future__ import annotations

import sys

from benchmarks.replay_speed.contestants import CONTESTS
from benchmarks.replay_speed.real_bars import write_real_bars
from benchmarks.replay_speed.report import aims, table, write
from benchmarks.replay_speed.runner import compete
from benchmarks.side_by_side import BENCH


def main() -> None:
    asked = sys.argv[1:]
    if unknown := set(asked) - {contest.work for contest in CONTESTS}:
        sys.exit(f"no such work: {', '.join(sorted(unknown))}")
    write_real_bars()
    results = []
    for contest in CONTESTS:
        if not asked or contest.work in asked:
            entries = compete(contest)
            print("", *table(contest, entries), "", *aims(contest, entries), "", sep="\n", flush=True)
            results.append((contest, entries))
    write(results, BENCH)
    print(f"{BENCH / 'replay_speed.json'} and .png")
    wrong = [
        f"{contest.work}: {entry.contestant.name}"
        for contest, entries in results
        for entry in entries
        if not (entry.agrees or (entry.failure and entry.contestant.packages))
    ]
    if wrong:
        sys.exit(f"not the orders and the equity of the bare loop: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
