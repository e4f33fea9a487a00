"""No broker client can be had in a replay: none is imported, and no connection is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_assets.engine.replay import ModelSignals

pytestmark = pytest.mark.slow  # each begins a process of its own, imports and all

# Everything that could reach a broker cannot be imported, and no socket can connect.
WALLED_IN = """
import socket, sys
from datetime import date
from pathlib import Path

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {forbidden_packages} or name.startswith({forbidden_modules}):
            raise ImportError("a replay has no business with " + name)

def no_connection(*args, **keywords):
    raise AssertionError("a replay opened a connection")

sys.meta_path.insert(0, Wall())
socket.socket.connect = socket.socket.connect_ex = no_connection
socket.create_connection = no_connection
"""
RUN_ENGINE = """
from trading_assets.config import Settings
from trading_assets.engine.replay import ModelSignals, ReplaySpec, run

root, model, features = map(Path, sys.argv[1:])
for interval in ("daily", 60):
    spec = ReplaySpec(date(2012, 9, 10), date(2012, 9, 14), ModelSignals(model, features), interval=interval)
    report = run(Settings(data_dir=root), spec)
    assert len(report.sessions) == 5
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("alpaca", "requests", "urllib3")))
print(*sorted(name for name in sys.modules if name.startswith("trading_assets.broker")))
"""
RUN_DAGSTER = """
import os

import dagster as dg
from trading_assets.definitions import build_definitions

root, model, features = map(Path, sys.argv[1:])
(root / "execution.yaml").write_text(f"data_dir: {root}\\nmodel_path: {model}\\nfeatures_path: {features}\\n")
os.environ["TRADING_ASSETS_CONFIG"] = str(root / "execution.yaml")
job = build_definitions().resolve_job_def("replay")
whole = "dagster/asset_partition_range_"
tags = {whole + "start": "2012-09-10", whole + "end": "2012-09-14"}
with dg.instance_for_test() as instance:
    assert job.execute_in_process(instance=instance, tags=tags).success
print(*sorted(name for name in sys.modules if name.split(".")[0] == "alpaca"))
print(*sorted(name for name in sys.modules if name.startswith("trading_assets.broker.")))
"""


def walled_in(
    body: str, packages: set[str], modules: tuple[str, ...], root: Path, model: ModelSignals
) -> str:
    wall = WALLED_IN.replace("{forbidden_packages}", repr(packages)).replace(
        "{forbidden_modules}", repr(modules)
    )
    shown = subprocess.run(
        [sys.executable, "-c", wall + body, str(root), str(model.model_path), str(model.features_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "APCA_API_KEY_ID": "must-not-be-used", "APCA_API_SECRET_KEY": "must-not-be-used"},
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-4000:]
    return shown.stdout


def test_the_engine_replays_without_any_broker_module(tmp_path: Path, small_model: ModelSignals) -> None:
    forbidden = ("trading_assets.broker", "trading_assets.exchange", "trading_assets.engine.book.desk")
    shown = walled_in(RUN_ENGINE, {"alpaca", "requests", "httpx"}, forbidden, tmp_path, small_model)
    assert shown.split() == []


def test_dagster_replays_without_a_broker_client(tmp_path: Path, small_model: ModelSignals) -> None:
    forbidden = tuple(f"trading_assets.broker.{module}" for module in ("alpaca", "connection"))
    shown = walled_in(RUN_DAGSTER, {"alpaca"}, forbidden, tmp_path, small_model)
    assert shown.splitlines()[-2:] == ["", "trading_assets.broker.port"]
