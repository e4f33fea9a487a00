"""A part of the fixed choice of cases, tried in a process of its own that nothing else was imported into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SOAK = Path(__file__).with_name("soak.py")


def run_part(part: str, record_property: Callable[[str, object], None]) -> None:
    """Raises AssertionError with every case that failed and the command that repeats it."""
    told = subprocess.run(
        [sys.executable, str(SOAK), "--part", part], capture_output=True, text=True, check=False
    )
    *failures, counts = told.stdout.splitlines() or [""]
    record_property("in the summary", f"part {part} of the crash cases: {counts}")
    assert told.returncode == 0, "\n".join([*failures, counts, told.stderr[-20_000:]])
