"""A part of the fixed choice of cases, tried in a process of its own that nothing else was imported into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SOAK = Path(__file__).with_name("soak.py")


def run_part(part: str, record_property: Callable[[str, object], None], temporary: Path) -> None:
    """Raises AssertionError with every case that failed and the command that repeats it.

    temporary: a worker's directory; beside it is what the parts of one test run share
    """
    shared = temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary
    command = [sys.executable, str(SOAK), "--part", part, "--pasts", str(shared / "crash-pasts")]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in output.stdout.splitlines()[-1:]:
        record_property("in the summary", f"part {part} of the crash cases: {line}")
    assert output.returncode == 0, output.stdout + output.stderr[-20_000:]
