"""What is said of the figures: tables, the aims that are met or missed, a JSON file and a plot."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from statistics import median

from benchmarks.replay_speed.contestants import CORE, VECTORBT, Contest, Kind
from benchmarks.replay_speed.runner import Entry
from benchmarks.replay_speed.work import accounts
from benchmarks.side_by_side import spread

EVENT_DRIVEN_AIM = 20.0  # times the fastest
ARRAYS_AIM = 1.0  # of the time of vectorbt's from_orders
EVENT_DRIVEN = {Kind.EVENTS}
BAR_BY_BAR = {Kind.EVENTS, Kind.BARS}


def rows_of(work: str) -> int:
    return sum(account.close.size for account in accounts(work))


def middle(entry: Entry) -> float:
    """Median CPU seconds of all repetitions."""
    return median(second for round_ in entry.seconds for second in round_)


def ratios(entry: Entry, to: Entry) -> list[float]:
    """How many times the other's time, round by round."""
    return [median(mine) / median(other) for mine, other in zip(entry.seconds, to.seconds, strict=False)]


def verdict(entry: Entry) -> str:
    if entry.differing is None:
        return "not judged"
    if entry.agrees:
        return "same orders and equity"
    return f"{entry.differing} orders differ, equity {'the same' if entry.same_equity else entry.equity}"


def table(contest: Contest, entries: list[Entry]) -> list[str]:
    """The contest as lines of a Markdown table."""
    rows = rows_of(contest.work)
    core = next(entry for entry in entries if entry.contestant is CORE)
    lines = [
        f"{contest.work}: {contest.title}, {rows} rows",
        "",
        "| | CPU s | × the core's time | rows a second | peak MiB | orders | against the bare loop |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        who = entry.contestant.name
        if entry.failure:
            last = entry.failure.splitlines()[-1]
            lines.append(f"| {who} | not run: {last} | | | | | |")
            continue
        seconds = spread([second for round_ in entry.seconds for second in round_], ".3f")
        against = spread(ratios(entry, core)) if core.seconds else ""
        lines.append(
            f"| {who} | {seconds} | {against} | {rows / middle(entry):,.0f} | {entry.peak_mib:.0f} "
            f"| {entry.orders} | {verdict(entry)} |"
        )
    return lines


def fastest_of(entries: list[Entry], kinds: set[Kind]) -> Entry | None:
    done = [entry for entry in entries if entry.contestant.kind in kinds and entry.seconds]
    return min(done, key=middle, default=None)


def aims(contest: Contest, entries: list[Entry]) -> list[str]:
    """What the core was to reach in this contest, and whether it did."""
    by_name = {entry.contestant.name: entry for entry in entries if entry.seconds}
    core = by_name.get(CORE.name)
    if core is None:
        return []
    lines = []
    if (arrays := by_name.get(VECTORBT.name)) is not None:
        found = ratios(core, arrays)
        lines.append(
            f"{contest.work}: the core takes {spread(found)} × the time of vectorbt's from_orders; "
            f"aim at most {ARRAYS_AIM:g}: {'met' if median(found) <= ARRAYS_AIM else 'missed'}"
        )
    for kinds, named in ((EVENT_DRIVEN, "event-driven peer"), (BAR_BY_BAR, "peer that goes bar by bar")):
        if (fastest := fastest_of(entries, kinds)) is not None:
            found = ratios(fastest, core)
            lines.append(
                f"{contest.work}: the core is {spread(found, '.1f')} × as fast as the fastest {named}, "
                f"{fastest.contestant.name}; aim at least {EVENT_DRIVEN_AIM:g}: "
                f"{'met' if median(found) >= EVENT_DRIVEN_AIM else 'missed'}"
            )
    return lines


def write(results: list[tuple[Contest, list[Entry]]], folder: Path) -> None:
    """`replay_speed.json` and `replay_speed.png`."""
    rates = {
        contest.work: rows_of(contest.work) / middle(fastest)
        for contest, entries in results
        if (fastest := fastest_of(entries, EVENT_DRIVEN)) is not None
    }
    figures = {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "rows_a_second_of_the_fastest_event_driven": rates,
        "contests": {
            contest.work: {
                "title": contest.title,
                "rows": rows_of(contest.work),
                "contestants": {
                    entry.contestant.name: {
                        "packages": entry.contestant.packages,
                        "cpu_seconds_by_round": entry.seconds,
                        "peak_mib": round(entry.peak_mib, 1),
                        "orders": entry.orders,
                        "equity_usd": entry.equity,
                        "differing_orders": entry.differing,
                        "same_equity": entry.same_equity,
                        "failure": entry.failure,
                    }
                    for entry in entries
                },
            }
            for contest, entries in results
        },
    }
    (folder / "replay_speed.json").write_text(json.dumps(figures, indent=1))
    draw(results, folder / "replay_speed.png")


def draw(results: list[tuple[Contest, list[Entry]]], path: Path) -> None:
    """A panel for each contest: CPU seconds, logarithmic, from the lowest to the highest."""
    from matplotlib.figure import Figure

    heights = [len(entries) for _, entries in results]
    figure = Figure(figsize=(8, 0.4 * sum(heights) + len(results)), layout="constrained")
    panels = figure.subplots(len(results), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (contest, entries) in zip(panels, results, strict=True):
        done = [entry for entry in reversed(entries) if entry.seconds]
        times = [[second for round_ in entry.seconds for second in round_] for entry in done]
        medians = [median(found) for found in times]
        low = [medians[at] - min(found) for at, found in enumerate(times)]
        high = [max(found) - medians[at] for at, found in enumerate(times)]
        axes.barh([entry.contestant.name for entry in done], medians, xerr=[low, high], log=True)
        axes.set_title(f"{contest.work}: {contest.title}", fontsize="medium", loc="left")
    panels[-1].set_xlabel("CPU seconds")
    figure.savefig(path, dpi=120)
