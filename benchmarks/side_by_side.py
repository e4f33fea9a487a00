"""What a comparison needs: a peer's own environment, a script run by itself, figures with their spread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

BENCH = Path(__file__).parents[1] / "var" / "bench"
MEASURED = Path(__file__).parent / "measured.py"
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR", "POLARS")


class Failed(Exception):
    """A peer does not install, or did not do its work: the last lines of what it said."""


def environment(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of the environment that has these packages, made where there is none.

    No packages: this project's own.
    """
    if not packages:
        return Path(sys.executable)
    home = BENCH / name
    python, installed, wanted = home / "bin" / "python", home / ".installed", "\n".join(packages)
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {', '.join(packages)} into {home}", flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", home],
            [python, "-m", "pip", "install", "--quiet", *packages],
        ):
            _checked(subprocess.run(command, capture_output=True, text=True, check=False))
        installed.write_text(wanted)
    return python


def performed(python: Path, script: Path, *arguments: str) -> tuple[dict[str, Any], float]:
    """The JSON that a script printed, and its peak memory in MiB. Single-threaded."""
    single = {f"{library}_{'MAX' if library == 'POLARS' else 'NUM'}_THREADS": "1" for library in THREADS}
    with tempfile.NamedTemporaryFile("r") as peak:
        done = subprocess.run(
            [python, "-W", "ignore", MEASURED, peak.name, script, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **single},
            check=False,
        )
        return json.loads(_checked(done)), int(peak.read()) / 1024


def spread(figures: Sequence[float], form: str = ".2f") -> str:
    """median (lowest … highest)"""
    text = format(median(figures), form)
    return f"{text} ({min(figures):{form}} … {max(figures):{form}})" if len(figures) > 1 else text


def _checked(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise Failed("\n".join(done.stderr.strip().splitlines()[-3:]) or f"exit {done.returncode}")
    return done.stdout
