"""One replay of the market through Dagster, in a process of its own: the job `replay` over a range.

Prints CPU and wall seconds of the run, of the whole process from its start, and the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("config", type=Path)
    options.add_argument("first")
    options.add_argument("last")
    options.add_argument("--minutes", default="5")
    options.add_argument("--cash", type=float, default=1_000_000.0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.config.parent) as home:
        (Path(home) / "dagster.yaml").write_text(HOME.read_text())
        os.environ["DAGSTER_HOME"] = home
        found = replayed(given)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["process_cpu_seconds"] = usage.ru_utime + usage.ru_stime
    found["peak_rss_bytes"] = usage.ru_maxrss * 1024
    json.dump(found, sys.stdout)


def replayed(given: argparse.Namespace) -> dict[str, object]:
    import dagster as dg

    from trading_assets.definitions import build_definitions

    os.environ["TRADING_ASSETS_CONFIG"] = str(given.config)
    job = build_definitions().resolve_job_def("replay")
    config = {
        "bars": "history",
        "interval": given.minutes,
        "cash_usd": given.cash,
        "rearm_daily": True,
        "name": "whole",
    }
    whole = "dagster/asset_partition_range_"
    with dg.DagsterInstance.get() as instance:
        cpu, wall = time.process_time(), time.perf_counter()
        result = job.execute_in_process(
            instance=instance,
            tags={f"{whole}start": given.first, f"{whole}end": given.last},
            run_config={"ops": {"replay__replay": {"config": config}}},
        )
        seconds = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        (done,) = [e for e in result.get_asset_materialization_events() if e.partition == given.last]
    shown = {name: entry.value for name, entry in done.materialization.metadata.items()}
    return {
        **seconds,
        "sessions": shown["sessions"],
        "closing_equity_usd": shown["closing_equity_usd"],
        "history": str(shown["history"]),
    }


if __name__ == "__main__":
    main()
