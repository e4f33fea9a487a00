"""A year of operation: how large the instance and the stores get, how fast the web interface answers then.

Really run sessions go through the real definitions on the embedded exchange; of the others the runs are
written through Dagster's storage with the events of the session really run last. Every session ends with the
real end_of_day, which deletes old runs as the year goes. Then a real webserver is asked what its pages ask,
and the instance is held against the year: every session materialized, reported and checked, and nothing left
of the runs that were deleted. Exit status 1 where something of it is not so.

    python benchmarks/year_of_operation --sessions 250 --really 20
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
from holdings import Sizes, problems, sizes
from interface import timed, webserver
from year import PROTECTED_DAYS, Year, days, opened, really_run

from trading_assets.defs.desk.assets import CHAIN
from trading_assets.engine.checks.table import CHECKS

ANSWER_SECONDS = 2.0
MB = 1e6


def lived(year: Year, sessions: int, really: int) -> dict[str, Any]:
    """Trade or write every session; what it took and what it left."""
    calendar, traded = days(sessions), really_run(sessions, really)
    took: dict[str, list[float]] = {"really run": [], "written": [], "end of day": []}
    stores: list[Sizes] = []
    deleted = runs = 0
    for number, session in enumerate(calendar):
        began = time.perf_counter()
        if number in traded:
            year.trade(session)
            stores.append(sizes(year.home))
        else:
            year.write(session)
        if number >= sessions - PROTECTED_DAYS:
            year.write_protections(session)
        runs += len(year.ticks(session))
        took["really run" if number in traded else "written"].append(time.perf_counter() - began)
        began = time.perf_counter()
        deleted += year.end(session)
        took["end of day"].append(time.perf_counter() - began)
        print(f"{session}  {number + 1} of {sessions}, {deleted} runs deleted", file=sys.stderr, flush=True)
    growth = [
        (after.journal - before.journal, after.history - before.history) for before, after in pairwise(stores)
    ]
    return {
        "sessions": sessions,
        "really_run": len(traded),
        "tick_runs": runs,
        "runs_deleted": deleted,
        "seconds": {what: median(of) for what, of in took.items() if of},
        "bytes": sizes(year.home)._asdict(),
        "bytes_a_traded_session": {
            name: median(of)
            for name, of in zip(("journal", "history"), zip(*growth, strict=True), strict=False)
        },
        "problems": problems(year.instance, year.home / "dagster_home", calendar),
    }


def asked(year: Year, sessions: int) -> dict[str, Any]:
    """The web interface's answers, and what they say of the year."""
    calendar = days(sessions)
    keys = [{"path": list(asset.key.path)} for asset in CHAIN]
    positions, check = keys[-1], next(check for check in CHECKS if check.asset == "reconciled_positions")
    (last,) = year.instance.get_runs(dg.RunsFilter(job_name="trading_tick"), limit=1)
    with webserver(year.home / "webserver.log") as served:
        seconds = timed(
            served,
            {
                "asset graph": {},
                "asset states": {"keys": keys},
                "asset partitions": {"key": positions},
                "asset history": {"key": positions},
                "one partition": {"key": positions, "partition": calendar[0].isoformat()},
                "check history": {"key": {"path": [check.asset]}, "check": check.name},
                "runs": {},
                "one run": {"run": last.run_id},
            },
        )
        states = served.ask("asset states", keys=keys)["assetNodes"]
        first = served.ask("one partition", key=positions, partition=calendar[0].isoformat())
    wrong = [
        f"{'/'.join(node['assetKey']['path'])}: the interface counts {node['partitionStats']}"
        for node in states
        if node["partitionStats"]["numMaterialized"] != sessions or node["partitionStats"]["numFailed"]
    ]
    (told,) = first["assetNodeOrError"]["latestMaterializationByPartition"]
    if not told["metadataEntries"]:
        wrong.append(f"the interface shows no figures of {calendar[0]}")
    return {
        "answers": {page: of._asdict() for page, of in seconds.items()},
        "slow": [page for page, of in seconds.items() if of.worst > ANSWER_SECONDS],
        "wrong": wrong,
    }


def show(found: dict[str, Any]) -> None:
    print(
        f"{found['sessions']} sessions, {found['really_run']} really run; {found['tick_runs']} runs of "
        f"ticks, {found['runs_deleted']} runs deleted by end_of_day"
    )
    print("seconds a session, median: " + ", ".join(f"{k} {v:.2f}" for k, v in found["seconds"].items()))
    print("\nMB on disk")
    for what, size in found["bytes"].items():
        print(f"  {what.replace('_', ' '):14s} {size / MB:10.1f}")
    for store, size in found["bytes_a_traded_session"].items():
        print(
            f"  {store}: {size / MB:.2f} a traded session, "
            f"{size * found['sessions'] / MB:.0f} in {found['sessions']} of them"
        )
    print("\nseconds to answer           first  median   worst")
    for page, of in found["answers"].items():
        print(f"  {page:24s} {of['first']:7.2f} {of['median']:7.2f} {of['worst']:7.2f}")
    for page in found["slow"]:
        print(f"MISSED: {page} takes more than {ANSWER_SECONDS:g} s")
    for problem in (*found["problems"], *found["wrong"]):
        print(f"WRONG: {problem}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=250)
    parser.add_argument("--really", type=int, default=20, help="of these sessions")
    parser.add_argument("--ticks", type=int, help="of a session at most; all of them where not given")
    parser.add_argument("--protections", type=int, default=312, help="of each of the last two sessions")
    parser.add_argument("--home", type=Path, help="a new directory, kept; else one that is removed")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    home = (arguments.home or Path(tempfile.mkdtemp(prefix="year_of_operation-"))).resolve()
    home.mkdir(parents=True, exist_ok=True)
    with opened(home, ticks_a_session=arguments.ticks, protections=arguments.protections) as year:
        found = lived(year, arguments.sessions, arguments.really)
        found |= asked(year, arguments.sessions)
    show(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    if arguments.home is None:
        shutil.rmtree(home)
    sys.exit(1 if found["problems"] or found["wrong"] or found["slow"] else 0)


if __name__ == "__main__":
    main()
