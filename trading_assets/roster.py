"""Which processes a running `make up` is made of, kept in a file of the data directory: so that the next
start can say what an earlier one has left running, and what to type.

A process id is used again, so each is kept with the time at which its process started. Where a system does
not tell that, nothing is taken for a part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from trading_assets.errors import InvalidInput
from trading_assets.store.leases import process_start

ROSTER = "parts.json"
ITSELF = "make up"  # which ends the others when it is ended


def keep(directory: Path, parts: Mapping[str, int]) -> None:
    """Keep these process ids, by the names of the parts, and this process's, in place of those before."""
    running = {ITSELF: os.getpid(), **parts}
    part = directory / f".{ROSTER}.{os.getpid()}"
    part.write_text(json.dumps({name: (pid, process_start(pid)) for name, pid in running.items()}))
    part.replace(directory / ROSTER)


def forget(directory: Path) -> None:
    """All have ended."""
    (directory / ROSTER).unlink(missing_ok=True)


def left(directory: Path) -> dict[str, int]:
    """What still runs, by name, with its process id. A file that none of us has written names nothing."""
    try:
        kept = json.loads((directory / ROSTER).read_text())
        named = {str(name): (int(pid), str(start)) for name, (pid, start) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: pid for name, (pid, start) in named.items() if start and process_start(pid) == start}


def refuse_left(directory: Path) -> None:
    """Raises InvalidInput while an earlier start, or what it has left, runs on the same data directory."""
    found = left(directory)
    if not found:
        return
    names = ", ".join(f"{name} (process {pid})" for name, pid in found.items())
    ending = [found[ITSELF]] if ITSELF in found else found.values()
    raise InvalidInput(
        f"there still run {names}",
        where=f"an earlier start on {directory}",
        remedy=f"End it with Ctrl-C in its terminal, or type: kill {' '.join(map(str, ending))}",
    )
