"""The whole replay through Dagster beside the bare sum of what it cannot do without.

A history of seeded minutes as an import leaves it (100 symbols × 258 sessions of 390 minutes: 10 M rows), a
model trained by the project's own training, and the job `replay` over all of it with a tick every five
minutes: reading bars, features, inference, core, storing everything, report, checks. Beside it, in the same
round: the features by their kernel, the inference, writing the same rows to DuckDB, and Dagster's events for
as many partitions; and the replay of the first half of the sessions. Every run is a process of its own with
one thread for OpenMP; the replay writes on a second thread while it walks. A person is taken to rearm before
each session, so that the work goes on.

    python benchmarks/replay_whole                                  10 M rows, half a minute a round
    python benchmarks/replay_whole --symbols 20 --sessions 20       a quick look

Prints ratios with their spread and leaves `var/bench/replay_whole.json` and `.png`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from market import Market, market

HERE = Path(__file__).parent
BENCH = HERE.parents[1] / "var" / "bench"
MIB = 1 << 20
PARTS = ("features", "inference", "writing", "events")
MOST_OF_PARTS, MOST_OF_HALF, MOST_MIB, TIMES_THE_PEER, MOST_START_SECONDS = 1.5, 2.2, 2048, 5.0, 3.0


def ran(script: str, *arguments: object) -> dict[str, Any]:
    """What a script printed, and the wall seconds of its process."""
    command = [sys.executable, "-W", "ignore", HERE / script, *map(str, arguments)]
    began = time.perf_counter()
    shown = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    if shown.returncode:
        sys.exit(f"{script} failed:\n{shown.stderr[-3000:]}")
    return {**json.loads(shown.stdout), "process_wall_seconds": time.perf_counter() - began}


def one_round(made: Market, minutes: int) -> dict[str, Any]:
    every = "--minutes", minutes
    half = ran("whole.py", made.config_path, made.first, made.middle, *every)
    whole = ran("whole.py", made.config_path, made.first, made.last, *every)
    parts = ran("parts.py", made.config_path, made.first, made.last, whole["history"], *every)
    session = one_session(made, minutes)
    return {"half": half, "whole": whole, "parts": parts, "session": session}


def one_session(made: Market, minutes: int) -> dict[str, float]:
    """A replay of the first session alone, as a person types it: wall seconds until its page is written, the
    process's own start and end with it."""
    given = {
        "--from": made.first,
        "--to": made.first,
        "--config": made.config_path,
        "--bars": "history",
        "--interval": minutes,
        "--cash": 1_000_000,
        "--name": "one-session",
    }
    words = [str(word) for pair in given.items() for word in pair]
    command = [sys.executable, "-m", "trading_assets.cli", "replay", *words]
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return {"process_wall_seconds": time.perf_counter() - began}


def ratios(found: dict[str, Any], rows: int, rows_of_half: int) -> dict[str, float]:
    """What is asked for, of one round. Wall seconds where nothing else is said."""
    whole, half, parts = found["whole"], found["half"], found["parts"]["seconds"]
    bare_cpu, bare = (sum(spent[clock] for spent in parts.values()) for clock in (0, 1))
    return {
        "whole / parts": whole["wall_seconds"] / bare,
        "whole / parts, CPU": whole["cpu_seconds"] / bare_cpu,
        "whole / half": whole["wall_seconds"] / half["wall_seconds"],
        "whole / half, CPU": whole["cpu_seconds"] / half["cpu_seconds"],
        "rows / rows of half": rows / rows_of_half,
        "rows a second": rows / whole["wall_seconds"],
        "rows a CPU second": rows / whole["cpu_seconds"],
        "peak MiB": whole["peak_rss_bytes"] / MIB,
        "one session, typed to done, s": found["session"]["process_wall_seconds"],
        **{f"{part}, s": spent[1] for part, spent in parts.items()},
        "whole, s": whole["wall_seconds"],
        "whole, CPU s": whole["cpu_seconds"],
    }


def fastest_peer() -> float | None:
    """Rows a second of the fastest event-driven peer on the standard work, where it was measured; it has one
    thread."""
    measured = BENCH / "replay_speed.json"
    if not measured.exists():
        return None
    return json.loads(measured.read_text())["rows_a_second_of_the_fastest_event_driven"].get("standard")


def report(rounds: list[dict[str, float]], peer: float | None) -> dict[str, list[float]]:
    """Print every figure with its spread and what was asked for."""
    figures = {name: [found[name] for found in rounds] for name in rounds[0]}
    if peer is not None:
        figures["times the peer"] = [found / peer for found in figures["rows a second"]]
        figures["times the peer, CPU"] = [found / peer for found in figures["rows a CPU second"]]
    asked = {
        "whole / parts": f"at most {MOST_OF_PARTS}",
        "whole / half": f"at most {MOST_OF_HALF} for twice the rows",
        "peak MiB": f"below {MOST_MIB}",
        "one session, typed to done, s": f"begins within {MOST_START_SECONDS:g}",
        "times the peer": f"at least {TIMES_THE_PEER:g}",
    }
    for name, values in figures.items():
        spread = f"({min(values):,.3f} … {max(values):,.3f})"
        print(f"{name:42} {median(values):14,.3f} {spread:32} {asked.get(name, '')}")
    return figures


def draw(figures: dict[str, list[float]], path: Path) -> None:
    """The whole, and below it its bare parts one after the other: medians, the whole with its spread."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.2), layout="constrained")
    axes = figure.subplots()
    whole, begun = figures["whole, s"], 0.0
    middle = median(whole)
    axes.barh("whole", middle, xerr=[[middle - min(whole)], [max(whole) - middle]], color="0.6")
    for part in PARTS:
        seconds = median(figures[f"{part}, s"])
        axes.barh("bare parts", seconds, left=begun, label=part)
        begun += seconds
    axes.axvline(MOST_OF_PARTS * begun, color="black", linestyle=":", label=f"{MOST_OF_PARTS:g} × the parts")
    axes.invert_yaxis()
    axes.set_xlabel("seconds by the clock")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    options = argparse.ArgumentParser(description="The whole replay beside its unavoidable parts.")
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--sessions", type=int, default=258)
    options.add_argument("--minutes", type=int, default=5, help="between two ticks")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--peer",
        type=float,
        default=fastest_peer(),
        help="rows a second of the fastest event-driven peer",
    )
    given = options.parse_args()
    print(f"making {given.symbols} symbols × {given.sessions} sessions, where they are not there", flush=True)
    made = market(BENCH / "replay_whole", given.symbols, given.sessions)
    rows, rows_of_half = made.rows(made.last), made.rows(made.middle)
    found = []
    for number in range(given.rounds):
        found.append(one_round(made, given.minutes))
        print(f"round {number + 1} of {given.rounds} done", flush=True)
    print(f"{rows:,} rows, {found[0]['parts']['rows_written']} rows written")
    figures = report([ratios(of_round, rows, rows_of_half) for of_round in found], given.peer)
    told = {"rows": rows, "rows_of_half": rows_of_half, "figures": figures, "rounds": found}
    (BENCH / "replay_whole.json").write_text(json.dumps(told, indent=1))
    draw(figures, BENCH / "replay_whole.png")
    print(f"{BENCH / 'replay_whole.json'} and .png")


if __name__ == "__main__":
    main()
