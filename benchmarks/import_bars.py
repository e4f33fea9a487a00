"""What an import costs: made-up daily bars of many symbols with splits and dividends, as one Parquet file.

    python benchmarks/import_bars.py --symbols 7072 --sessions 442

Each command runs in a process of its own: `import-bars` into an empty desk, the same file again, and `data
report`. Prints the CPU seconds and the peak memory of each. Another version of the package is measured with
PYTHONPATH on its tree.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from trading_assets.market.sessions import Sessions

MEASURED = Path(__file__).with_name("measured.py")
LAST = date(2024, 6, 28)
COMMAND = """
from trading_assets.cli.application import main
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
"""
EPOCH_DAY = date(1970, 1, 1).toordinal()


def bars(symbols: int, sessions: int) -> pa.Table:
    """A market that all share, fat tails, a split of one symbol in ten and dividends of every second."""
    rng = np.random.default_rng(7)
    days = Sessions().between(date(2015, 1, 2), LAST)[-sessions:]
    shape = (symbols, sessions)
    moved = rng.standard_normal(sessions) * 0.01 + rng.standard_t(3, shape) * 0.007
    close = np.exp(np.cumsum(moved, axis=1)) * rng.uniform(10, 200, (symbols, 1))
    split, cash = np.ones(shape), np.zeros(shape)
    split[np.arange(0, symbols, 10), rng.integers(1, sessions, len(range(0, symbols, 10)))] = 2.0
    cash[::2, 60::63] = 0.25
    close /= np.cumprod(split, axis=1)
    open_ = close * np.exp(-moved * 2 / 3)
    spread = 1 + rng.exponential(0.004, shape)
    volume = np.round(np.exp(rng.normal(11, 1.5, (symbols, 1)) + rng.standard_normal(shape) * 0.5))
    columns: dict[str, NDArray[np.floating]] = {
        "open": open_,
        "high": np.maximum(open_, close) * spread,
        "low": np.minimum(open_, close) / spread,
        "close": close,
        "volume": volume,
        "split_ratio": split,
        "cash_usd": cash,
    }
    ordinals = np.array([day.toordinal() for day in days]) - EPOCH_DAY
    names = pa.array([f"S{number}" for number in range(symbols)])
    return pa.table(
        {
            "date": pa.array(np.tile(ordinals, symbols).astype(np.int32)).cast(pa.date32()),
            "symbol": names.take(pa.array(np.repeat(np.arange(symbols), sessions))),
            **{name: column.ravel() for name, column in columns.items()},
        }
    )


def measured(root: Path, name: str, *arguments: str) -> None:
    """Run a command of `trading-assets` and say what it cost."""
    script, peak = root / "command.py", root / "peak"
    script.write_text(COMMAND)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, str(MEASURED), str(peak), str(script), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TRADING_ASSETS_CONFIG": str(root / "config" / "execution.yaml")},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(f"{name:24}{seconds:8.1f} CPU s{int(peak.read_text()) / 2**20:8.2f} GiB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=7072)
    parser.add_argument("--sessions", type=int, default=442)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "config").mkdir()
        (root / "config" / "execution.yaml").write_text("mode: paper\n")
        file = root / "vendor.parquet"
        pyarrow.parquet.write_table(bars(given.symbols, given.sessions), file)
        sys.stdout.write(f"{given.symbols} symbols, {given.symbols * given.sessions} rows\n")
        imported = ("import-bars", str(file), "--interval", "1d", "--adjusted", "no")
        measured(root, "import", *imported)
        measured(root, "the same file again", *imported)
        measured(root, "data report", "data", "report")


if __name__ == "__main__":
    main()
