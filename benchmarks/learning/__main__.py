"""Training and bulk features beside the plain ways of doing the same.

Features: 10 M rows by the desk's kernel, by plain pandas and by plain polars, equal within 1e-9 before a time
is printed. Training: 1 M rows × 30 features by the desk's training and by XGBoost from a pandas frame, the
same folds and parameters. CPU seconds of one thread, each in a process of its own, in turn. Leaves
`var/bench/learning.json` and `.png`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_by_side import BENCH, Failed, environment, performed, spread

HERE = Path(__file__).parent
SYMBOLS, SESSIONS, TRAINING_ROWS, ROUNDS = 4000, 2500, 1_000_000, 2
TOLERANCE = 1e-9


class Way(NamedTuple):
    name: str
    script: str
    packages: tuple[str, ...] = ()


DESK = "this desk"
FEATURES = (
    Way(DESK, "features_ours.py"),
    Way("pandas", "features_pandas.py"),
    Way("polars", "features_polars.py", ("polars==2.1.0", "numpy==2.4.6")),
)
TRAINING = (Way(DESK, "training_ours.py"), Way("plain XGBoost", "training_plain.py"))


class Figures(NamedTuple):
    """By name; who failed is in `failures` alone."""

    seconds: dict[str, list[float]]  # CPU, by round
    peak_mib: dict[str, float]
    apart: dict[str, float]  # from the desk's own result
    failures: dict[str, str]


def in_turn(
    what: str, ways: tuple[Way, ...], rounds: int, arguments: Callable[[Way], tuple[str, ...]]
) -> tuple[Figures, dict[str, dict[str, Any]]]:
    """The ways' figures, and what each printed last. One that fails is left out of later rounds."""
    figures, printed = Figures({}, {}, {}, {}), {}
    for number in range(rounds):
        for way in ways:
            if way.name in figures.failures:
                continue
            print(f"{what}, round {number + 1} of {rounds}: {way.name}", flush=True)
            try:
                python = environment(way.name, way.packages)
                found, peak_mib = performed(python, HERE / way.script, *arguments(way))
            except Failed as failure:
                figures.failures[way.name] = str(failure)
                continue
            figures.seconds.setdefault(way.name, []).extend(found["seconds"])
            figures.peak_mib[way.name] = max(figures.peak_mib.get(way.name, 0.0), peak_mib)
            printed[way.name] = found
    if DESK in figures.failures:
        sys.exit(f"{what}: {figures.failures[DESK]}")
    return figures, printed


def features() -> Figures:
    """Time the features; stops where a value is further than 1e-9 from the desk's own, relative to 1."""
    with tempfile.TemporaryDirectory() as folder:

        def sample(way: Way) -> Path:
            return Path(folder) / f"{way.name}.npy"

        figures, printed = in_turn(
            "features", FEATURES, ROUNDS, lambda way: (str(SYMBOLS), str(SESSIONS), str(sample(way)))
        )
        samples = {way.name: np.load(sample(way)) for way in FEATURES if way.name in printed}
    for name, found in samples.items():
        figures.apart[name] = distance(found, samples[DESK])
        if not figures.apart[name] <= TOLERANCE:
            sys.exit(f"{name}: {figures.apart[name]:.1e} from the desk's features")
    return figures


def distance(found: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """How far the furthest value is, relative to 1 or to itself if that is more; inf: other rows are NaN."""
    if not np.array_equal(np.isnan(found), np.isnan(own)):
        return inf
    return float(np.nanmax(np.abs(found - own) / np.maximum(np.abs(own), 1.0)))


def training() -> Figures:
    figures, printed = in_turn("training", TRAINING, ROUNDS, lambda way: (str(TRAINING_ROWS),))
    figures.apart.update({name: found["auc"] - printed[DESK]["auc"] for name, found in printed.items()})
    return figures


def table(title: str, apart: str, figures: Figures) -> list[str]:
    own = figures.seconds[DESK]
    lines = [title, "", f"| | CPU s | × the desk's time | peak MiB | {apart} |", "|---|---|---|---|---|"]
    for name, seconds in figures.seconds.items():
        against = [theirs / ours for theirs, ours in zip(seconds, own, strict=True)]
        lines.append(
            f"| {name} | {spread(seconds, '.1f')} | {spread(against)} | {figures.peak_mib[name]:.0f} "
            f"| {figures.apart[name]:.1e} |"
        )
    for name, failure in figures.failures.items():
        lines.append(f"| {name} | not run: {failure.splitlines()[-1]} | | | |")
    return lines


def draw(panels: dict[str, Figures], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.6 * len(panels)), layout="constrained")
    for axes, (title, figures) in zip(figure.subplots(len(panels)), panels.items(), strict=True):
        for name, seconds in reversed(figures.seconds.items()):
            middle = median(seconds)
            axes.barh(name, middle, xerr=[[middle - min(seconds)], [max(seconds) - middle]])
        axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel("CPU seconds")
    figure.savefig(path, dpi=120)


def main() -> None:
    panels = {
        f"{SYMBOLS * SESSIONS:,} rows of 18 features": features(),
        f"training on {TRAINING_ROWS:,} rows × 30 features": training(),
    }
    for (title, figures), apart in zip(
        panels.items(), ("furthest from the desk's", "AUC − the desk's"), strict=True
    ):
        print("", *table(title, apart, figures), sep="\n")
    BENCH.mkdir(parents=True, exist_ok=True)
    figures = {title: found._asdict() for title, found in panels.items()}
    (BENCH / "learning.json").write_text(json.dumps(figures, indent=1))
    draw(panels, BENCH / "learning.png")
    print(f"{BENCH / 'learning.json'} and .png")


if __name__ == "__main__":
    main()
