"""A run of six assets and thirty checks on Dagster's SQLite event log, stock and pooled, in turn.

Prints the seconds of each and their ratio, as the median of the rounds with the least and the most.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

POOLED = """
event_log_storage:
  module: trading_assets.dagster_instance.fallback
  class: EventLogStorage
  config: {dagster_home: {env: DAGSTER_HOME}}
"""
ASSETS, CHECKS_EACH, ROUNDS = 6, 5, 7
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def asset(number: int) -> tuple[dg.AssetsDefinition, dg.AssetChecksDefinition]:
    key = f"asset_{number}"

    @dg.asset(name=key, deps=[f"asset_{number - 1}"] if number else [])
    def made() -> None:
        pass

    @dg.multi_asset_check(
        name=f"checks_{number}",
        specs=[dg.AssetCheckSpec(f"check_{n}", asset=key) for n in range(CHECKS_EACH)],
    )
    def checked() -> Iterator[dg.AssetCheckResult]:
        for n in range(CHECKS_EACH):
            yield dg.AssetCheckResult(passed=True, check_name=f"check_{n}", asset_key=key)

    return made, checked


def main() -> None:
    made = [asset(number) for number in range(ASSETS)]
    job = dg.Definitions(
        assets=[pair[0] for pair in made],
        asset_checks=[pair[1] for pair in made],
        jobs=[dg.define_asset_job("tick")],
        executor=dg.in_process_executor,
    ).resolve_job_def("tick")
    seconds: dict[str, list[float]] = {"stock": [], "pooled": []}
    for _ in range(ROUNDS):
        for name, extra in (("stock", ""), ("pooled", POOLED)):
            with tempfile.TemporaryDirectory() as home:
                Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n" + extra)
                os.environ["DAGSTER_HOME"] = home
                with dg.DagsterInstance.from_config(home) as instance:
                    job.execute_in_process(instance=instance, run_config=QUIET)  # creates the tables
                    began = time.perf_counter()
                    job.execute_in_process(instance=instance, run_config=QUIET)
                    seconds[name].append(time.perf_counter() - began)
    ratios = [pooled / stock for stock, pooled in zip(seconds["stock"], seconds["pooled"], strict=True)]
    for name, values in (*seconds.items(), ("pooled/stock", ratios)):
        print(f"{name:14s} {statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    sys.exit(main())
