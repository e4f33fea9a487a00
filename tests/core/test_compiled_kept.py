"""Whether a compiled function's machine code is on disk from before: who waits for a compiler is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CODE = """
from adder import add
from trading_assets.core.compiled import is_kept
print(is_kept(add))
add(1.0, 2.0)
print(is_kept(add))
"""


def printed_lines(place: Path, **environ: str) -> list[str]:
    (place / "adder.py").write_text(
        "from trading_assets.core.compiled import compiled\n\n\n@compiled\ndef add(a, b):\n    return a + b\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", _CODE],
        env=os.environ | {"NUMBA_CACHE_DIR": str(place / "cache"), "PYTHONPATH": str(place), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split()


def test_a_function_is_kept_from_its_first_call_on_for_every_later_process(tmp_path: Path) -> None:
    assert printed_lines(tmp_path) == ["False", "True"]
    assert printed_lines(tmp_path) == ["True", "True"]


def test_plain_python_waits_for_no_compiler(tmp_path: Path) -> None:
    assert printed_lines(tmp_path, NUMBA_DISABLE_JIT="1") == ["True", "True"]
