"""What the contestants' scripts have in common: the work by name in, CPU seconds, orders and equity out.

`script [REPETITIONS [WORK]]` prints one JSON object. Knows nothing of any contestant, and needs numpy only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from work import Work, accounts

Trade = tuple[int, int, int]
"""An order: the bar of its fill, symbol, signed shares."""
Outcome = tuple[Sequence[Trade], float]
"""All orders, and closing equity in USD."""
Found = dict[str, list[Trade] | list[float] | float]
Done = TypeVar("Done")


def asked() -> tuple[int, list[Work]]:
    """How often, and the accounts of the work, from the command line."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    return repetitions, accounts(sys.argv[2] if len(sys.argv) > 2 else "standard")


def merged(found: Sequence[dict]) -> Found:
    """The accounts' orders with the symbols of the whole work, their equity and seconds added up."""
    return {
        "orders": [
            (int(bar), first + int(row), int(qty))
            for first, account in enumerate(found)
            for bar, row, qty in account["orders"]
        ],
        "equity": sum(account["equity"] for account in found),
        "seconds": [sum(spent) for spent in zip(*(account["seconds"] for account in found), strict=True)],
    }


def contend(
    prepared: Callable[[Work], Callable[[], Done]], outcome: Callable[[Done], Outcome], *, warm: int = 0
) -> None:
    """Do the work that was asked for, so many times, and print what came of it.

    prepared: takes an account's work and gives what is timed; bars in the contestant's own types are ready
    outcome:  reads orders and equity from what that returned, untimed
    warm:     repetitions before those that count, where the first compiles
    """
    repetitions, works = asked()
    found = []
    for work in works:
        seconds = []
        for _ in range(warm + repetitions):
            run = prepared(work)
            began = time.process_time()
            done = run()
            seconds.append(time.process_time() - began)
        orders, equity = outcome(done)
        found.append({"orders": orders, "equity": equity, "seconds": seconds[warm:]})
    json.dump(merged(found), sys.stdout)
