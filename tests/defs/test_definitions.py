"""What Dagster loads: complete, quick, and without what a tick does not need."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.dagster_run import DagsterRun

from trading_assets.dagster_instance.run_queue import tags_of
from trading_assets.definitions import defs, modules_of
from trading_assets.defs import assets_desk
from trading_assets.defs.imported_bars import IMPORTED_JOBS, IMPORTED_SENSORS
from trading_assets.defs.jobs import JOBS
from trading_assets.defs.jobs_day import DAY_JOBS
from trading_assets.defs.jobs_operator import OPERATOR_JOBS
from trading_assets.defs.schedules import SCHEDULES
from trading_assets.defs.sensors import SENSORS
from trading_assets.defs.sensors_alerts import ALERT_SENSORS
from trading_assets.engine.checks.table import BLOCKING, CHECKS

ROOT = Path(__file__).parents[2]
GRAPH = defs.resolve_asset_graph()
LIVE = [asset.key for asset in assets_desk.CHAIN]


def test_every_definition_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_live_chain_depends_in_its_order() -> None:
    for before, after in pairwise(LIVE):
        assert GRAPH.get(after).parent_keys == {before}


@pytest.mark.parametrize("key", sorted(GRAPH.get_all_asset_keys()), ids=lambda key: key.to_user_string())
def test_an_asset_says_what_and_whose_it_is(key: dg.AssetKey) -> None:
    spec = defs.get_assets_def(key).specs_by_key[key]
    assert spec.description
    assert spec.owners
    assert spec.kinds
    assert spec.code_version
    assert spec.group_name in {"bars", "desk", "training", "replay"}


@pytest.mark.parametrize("key", LIVE, ids=lambda key: key.to_user_string())
def test_nothing_launches_a_live_asset_by_itself(key: dg.AssetKey) -> None:
    spec = defs.get_assets_def(key).specs_by_key[key]
    assert spec.automation_condition is None
    assert spec.freshness_policy is None
    assert spec.partitions_def is not None


def test_every_check_of_the_table_is_dagsters_and_none_stops_the_run() -> None:
    known = {
        (key.asset_key.to_user_string(), key.name): GRAPH.get(key)
        for key in GRAPH.asset_check_keys
        if key.asset_key in LIVE
    }
    assert known.keys() == {(check.asset, check.name) for check in CHECKS}
    for check in CHECKS:
        assert not known[check.asset, check.name].blocking
        assert known[check.asset, check.name].description == check.description


def test_checks_veto_entries_before_the_orders_and_never_after() -> None:
    assert {key.partition(".")[0] for key in BLOCKING} == {"bars", "features", "signals"}


def pools_of(job: str) -> set[str]:
    return {pool for node in defs.resolve_job_def(job).nodes for pool in node.definition.pools}


def test_a_tick_runs_the_chain_in_one_process_in_the_books_pool() -> None:
    job = defs.resolve_job_def("trading_tick")
    assert job.asset_layer.executable_asset_keys == set(LIVE)
    assert job.executor_def.name == "in_process"
    assert pools_of("trading_tick") == {"book"}


def test_whatever_protects_is_behind_no_tick_and_first_off_the_queue() -> None:
    jobs = {name: defs.resolve_job_def(name) for name in ("reconcile", "flatten", "kill", "trading_tick")}
    priority = {name: int(job.tags["dagster/priority"]) for name, job in jobs.items()}
    assert priority["kill"] > priority["flatten"] > priority["reconcile"] > priority["trading_tick"] > 0
    pools = [pools_of(name) for name in jobs]
    assert all(len(pool) == 1 for pool in pools)
    assert len(set().union(*pools)) == len(jobs)


def test_whatever_acts_on_the_book_takes_its_turn_in_one_pool_however_it_is_launched() -> None:
    """Of an asset's page too: an asset or op names its pool, where a job's tags could be left out."""
    for name in ("trading_tick", "premarket", "end_of_day", "rearm", "adopt"):
        assert pools_of(name) == {"book"}, name
    for asset in LIVE:
        assert defs.resolve_assets_def(asset).op.pool == "book"


@pytest.mark.parametrize("job", [*JOBS, *DAY_JOBS, *OPERATOR_JOBS, *IMPORTED_JOBS], ids=lambda job: job.name)
def test_every_run_has_a_maximum_time(job: dg.JobDefinition) -> None:
    tags = defs.resolve_job_def(job.name).tags
    assert 0 < int(tags["dagster/max_runtime"]) <= 24 * 3600
    if job.name in ("trading_tick", "reconcile", "kill"):
        assert tags["dagster/max_runtime"] == "120"


def test_every_sensor_and_schedule_has_a_thread_of_its_own() -> None:
    settings = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    for kind, count in (
        ("sensors", len([*SENSORS, *ALERT_SENSORS, *IMPORTED_SENSORS])),
        ("schedules", len(SCHEDULES)),
    ):
        assert settings[kind]["use_threads"] is True
        assert settings[kind]["num_workers"] >= count


@pytest.mark.parametrize(
    ("tags", "selected", "given"),
    [
        ({}, ["bars"], {"dagster/max_runtime": "120"}),
        ({"dagster/max_runtime": "9"}, ["fills"], {}),
        ({"dagster/backfill": "abc"}, ["bars", "fills"], {"dagster/max_runtime": "120"}),
        ({}, ["model"], {}),
        ({}, [], {}),
    ],
)
def test_a_run_of_live_assets_without_a_job_gets_a_ticks_maximum_time(
    tags: dict[str, str], selected: list[str], given: dict[str, str]
) -> None:
    run = DagsterRun(
        job_name="__ASSET_JOB", tags=tags, asset_selection=frozenset(map(dg.AssetKey, selected)) or None
    )
    assert tags_of(run) == given


def test_no_job_that_sends_orders_is_retried() -> None:
    settings = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    assert settings["run_retries"] == {"enabled": False}
    for name in ("trading_tick", "reconcile"):
        assert "dagster/max_retries" not in defs.resolve_job_def(name).tags


def test_telemetry_is_off() -> None:
    assert yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())["telemetry"] == {
        "enabled": False
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["dg"]["cli"]["telemetry"]["enabled"] is False


def test_both_ways_to_the_code_location_name_it_alike() -> None:
    module = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert module["location_name"] == project["code_location_name"]
    assert module["module_name"] == project["code_location_target_module"]


@pytest.mark.slow(seconds=4)
def test_loading_the_definitions_imports_no_library_that_only_a_step_needs() -> None:
    code = (
        "import sys, trading_assets.definitions;"
        "print(*sorted({'alpaca', 'matplotlib', 'numba', 'sklearn', 'scipy', 'xgboost'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == []


@pytest.mark.slow(seconds=3)
def test_no_warning_of_what_is_wanted_is_shown_and_every_other_one_is() -> None:
    code = """
import trading_assets.definitions
from dagster_shared.utils.warnings import beta_warning
trading_assets.definitions.defs.get_repository_def()
beta_warning("Parameter `backfill_policy` of function `another`")
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stderr.count("Warning: ") == 1, shown.stderr
    assert "`backfill_policy` of function `another` is currently in beta" in shown.stderr


@pytest.mark.slow(seconds=6)
def test_a_file_dropped_into_the_folder_is_found_without_an_entry_anywhere(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "trading_assets", tmp_path / "trading_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    place = tmp_path / "trading_assets" / "defs"
    (place / "scaffolded.py").write_text("import dagster as dg\n\n@dg.asset\ndef at_the_top(): ...\n")
    (place / "research" / "plain").mkdir(parents=True)
    (place / "research" / "__init__.py").touch()
    (place / "research" / "plain" / "scaffolded.py").write_text(
        "import dagster as dg\n\n@dg.asset\ndef in_a_folder_without_init(): ...\n"
    )
    (place / ".ipynb_checkpoints").mkdir()
    (place / ".ipynb_checkpoints" / "scaffolded.py").write_text("an editor's copy, half written")
    (place / "research" / "scaffolded.py").write_text(
        "import dagster as dg\n\n"
        "@dg.asset\ndef in_a_folder(): ...\n\n"
        "@dg.op\ndef work(): ...\n\n"
        "@dg.job\ndef new_job(): work()\n\n"
        "@dg.schedule(job=new_job, cron_schedule='0 9 * * *')\ndef new_schedule(): ...\n\n"
        "@dg.sensor(job=new_job)\ndef new_sensor(): ...\n"
    )
    code = """
import json
from trading_assets.definitions import __file__ as file, defs
found = defs.get_repository_def()
assets = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]
named = [one.name for one in (*found.schedule_defs, *found.sensor_defs)]
print(json.dumps([file, sorted({*assets, *found.job_names, *named})]))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    file, names = json.loads(shown.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assets = {"at_the_top", "in_a_folder", "in_a_folder_without_init"}
    assert {*assets, "new_job", "new_schedule", "new_sensor"} <= set(names)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def half(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_that_does_not_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path.parent)
    with pytest.raises(ImportError) as raised:
        modules_of(import_module(tmp_path.name))
    assert str(raised.value).startswith(f"{tmp_path.name}.broken does not load: {why}")
    assert str(raised.value).endswith("Mend that file, or move it away")


def test_each_definition_of_the_desk_is_loaded_and_no_class_of_the_instance_is() -> None:
    result = defs.get_repository_def()
    assert {job.name for job in (*JOBS, *DAY_JOBS, *OPERATOR_JOBS, *IMPORTED_JOBS)} == {
        name for name in result.job_names if not name.startswith("__")
    }
    assert {one.name for one in result.sensor_defs} == {
        one.name for one in (*SENSORS, *ALERT_SENSORS, *IMPORTED_SENSORS)
    }
    assert {one.name for one in result.schedule_defs} == {one.name for one in SCHEDULES}
    code = (
        "import sys, trading_assets.definitions;"
        "print(*(name for name in sys.modules if name.startswith('trading_assets.dagster_instance')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == []
