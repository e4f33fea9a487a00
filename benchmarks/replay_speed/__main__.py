"""`make bench`: the decision core beside other backtesters on the same work, each in its own environment.

Correct first: orders and closing equity of the core must be those of a bare loop, and backtrader's equity
must be theirs to the cent. Then CPU seconds, several repetitions in turn; prints ratios with their spread and
leaves `var/bench/replay_speed.json` and `.png`. The environments are made under `var/bench` on first use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
BENCH = HERE.parents[1] / "var" / "bench"
PEERS = {
    "backtrader": ["backtrader==1.9.78.123", "numpy<2.5"],
    "vectorbt": ["vectorbt", "plotly<6", "numpy<2.3"],
}
ROUNDS = 5


def environment(peer: str) -> Path:
    """The interpreter of the peer's environment, made where it is missing."""
    python = BENCH / peer / "bin" / "python"
    done = BENCH / peer / ".installed"
    if not done.exists():
        print(f"installing {peer} into {BENCH / peer}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", BENCH / peer], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[peer]], check=True)
        done.touch()
    return python


def measured(python: str | Path, script: str, *arguments: str) -> dict[str, Any]:
    """What a script printed, run by itself, single-threaded."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    shown = subprocess.run(
        [python, "-W", "ignore", HERE / script, *arguments],
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )
    if shown.returncode:
        sys.exit(f"{script} failed:\n{shown.stderr[-2000:]}")
    return dict(json.loads(shown.stdout))


def main() -> None:
    peers = {peer: environment(peer) for peer in PEERS}
    bare = measured(sys.executable, "bare_loop.py")
    seconds: dict[str, list[float]] = {"core": [], "bare loop": bare["seconds"], **{p: [] for p in peers}}
    for number in range(ROUNDS):
        core = measured(sys.executable, "core.py", "2")
        seconds["core"] += core["seconds"]
        seconds["vectorbt"] += measured(peers["vectorbt"], "peer_vectorbt.py", "2")["seconds"]
        if number == 0:
            ours, theirs = sorted(map(tuple, core["orders"])), sorted(map(tuple, bare["orders"]))
            if ours != theirs or round(core["equity"], 2) != bare["equity"]:
                sys.exit(f"the core has {len(ours)} orders and {core['equity']} USD, a bare loop "
                         f"{len(theirs)} and {bare['equity']}")  # fmt: skip
            other = measured(peers["backtrader"], "peer_backtrader.py")
            seconds["backtrader"] = other["seconds"]
            same = sorted(map(tuple, other["orders"])) == ours
            if not same or round(other["equity"], 2) != round(core["equity"], 2):
                sys.exit(f"backtrader has {len(other['orders'])} orders and {other['equity']} USD, the core "
                         f"{len(ours)} and {core['equity']}")  # fmt: skip
    report(seconds, len(core["orders"]), core["equity"])


def report(seconds: dict[str, list[float]], orders: int, equity: float) -> None:
    """Print the table; write the JSON and the plot."""
    print(f"{orders} orders, closing equity {equity:,.2f} USD: core, bare loop and backtrader agree")
    base = median(seconds["core"])
    for name, found in seconds.items():
        spread = f"{min(found):.3f} … {max(found):.3f}"
        print(f"{name:12} {median(found):8.3f} s CPU ({spread}), {median(found) / base:7.2f} × the core")
    BENCH.mkdir(parents=True, exist_ok=True)
    figures = {"orders": orders, "equity_usd": equity, "cpu_seconds": seconds}
    (BENCH / "replay_speed.json").write_text(json.dumps(figures, indent=1))
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    medians = [median(found) for found in seconds.values()]
    low = [middle - min(found) for middle, found in zip(medians, seconds.values(), strict=True)]
    high = [max(found) - middle for middle, found in zip(medians, seconds.values(), strict=True)]
    axes.barh(list(seconds), medians, xerr=[low, high], log=True)
    axes.set_xlabel("CPU seconds for the standard work, logarithmic")
    figure.savefig(BENCH / "replay_speed.png", dpi=120)
    print(f"{BENCH / 'replay_speed.json'} and .png")


if __name__ == "__main__":
    main()
