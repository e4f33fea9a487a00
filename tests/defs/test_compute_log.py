"""What runs print: in the files where the stock manager has it, without a process beside the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from trading_assets.dagster_instance.fallback import FORKED

CONFIG = """
telemetry: {enabled: false}
compute_logs:
  module: trading_assets.dagster_instance.fallback
  class: ComputeLogManager
  config: {dagster_home: {env: DAGSTER_HOME}}
"""
SOURCE = """
import os, sys
from pathlib import Path
import dagster as dg

@dg.op
def say():
    print("a word")
    print("a cry", file=sys.stderr)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    print(f"{len(children)} processes beside it")

@dg.job(executor_def=dg.in_process_executor)
def saying():
    say()

with dg.DagsterInstance.get() as instance:
    print(saying.execute_in_process(instance=instance).run_id, file=sys.__stdout__)
"""


@pytest.mark.slow
def test_what_a_forked_run_prints_is_where_the_stock_manager_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv(FORKED, "1")
    run = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    assert "a word" not in run.stdout
    with dg.DagsterInstance.get() as instance:
        (captured,) = instance.all_logs(run.stdout.strip(), of_type=dg.DagsterEventType.LOGS_CAPTURED)
        key = [run.stdout.strip(), "compute_logs", captured.get_dagster_event().logs_captured_data.file_key]
        stock = LocalComputeLogManager(str(tmp_path / "storage"))
        assert stock.is_capture_complete(key)
        data = stock.get_log_data(key)
    assert data.stdout == b"a word\n0 processes beside it\n"
    assert data.stderr is not None
    assert b"a cry\n" in data.stderr


@pytest.mark.slow
def test_a_run_that_somebody_started_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(CONFIG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    run = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    assert "a word" in run.stdout
    assert "a cry" in run.stderr
