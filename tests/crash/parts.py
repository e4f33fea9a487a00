"""A half of the fixed choice of cases, tried in processes that nothing else was imported into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SOAK = Path(__file__).with_name("soak.py")
SECONDS = 478  # so much of CI's time is theirs
LANES = 2  # processes of a half: a case that waits leaves its core to another


def run_half(half: int, record_property: Callable[[str, object], None], temporary: Path) -> None:
    """Raises AssertionError with every case that failed and the command that repeats it.

    half:      0 or 1
    temporary: a worker's directory; beside it is what the processes of one test run share
    """
    shared = temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary
    within = [] if os.environ.get("ALL_CRASH_CASES") else ["--within", str(SECONDS)]
    parts = [f"{half * LANES + lane + 1}/{2 * LANES}" for lane in range(LANES)]
    tried = [
        subprocess.Popen(
            [sys.executable, str(SOAK), "--part", part, "--pasts", str(shared / "crash-pasts"), *within],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for part in parts
    ]
    said = [process.communicate()[0] for process in tried]
    for part, lines in zip(parts, said, strict=True):
        for line in lines.splitlines()[-2:]:
            record_property("in the summary", f"part {part} of the crash cases: {line}")
    assert [process.returncode for process in tried] == [0] * LANES, "\n".join(said)[-40_000:]
