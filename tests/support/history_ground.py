"""What tests of the history share: its rows, and other processes that have the file open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trading_assets.store.history import History


def rows(history: History, table: str) -> list[dict[str, Any]]:
    return list(history.query(f'SELECT * FROM "{table}" ORDER BY ALL').to_pylist())


def holding(path: Path, mode: str) -> str:
    return (
        "import duckdb, sys\n"
        f"connection = duckdb.connect({str(path)!r}, read_only={mode == 'reading'})\n"
        "print('open', flush=True)\n"
        "sys.stdin.readline()\n"
    )


@contextmanager
def another_process(code: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()
