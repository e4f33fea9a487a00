"""What Dagster loads: complete, quick, and without what a tick does not need."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.dagster_run import DagsterRun

from trading_assets.dagster_instance.run_queue import tags_of
from trading_assets.definitions import defs
from trading_assets.defs.desk import assets as assets_desk
from trading_assets.engine.checks.table import BLOCKING, CHECKS

ROOT = Path(__file__).parents[2]
GRAPH = defs.resolve_asset_graph()
REPOSITORY = defs.get_repository_def()
JOBS = sorted(name for name in REPOSITORY.job_names if not name.startswith("__"))
LIVE = [asset.key for asset in assets_desk.CHAIN]


def test_every_definition_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("key", sorted(GRAPH.get_all_asset_keys()), ids=lambda key: key.to_user_string())
def test_an_asset_says_what_and_whose_it_is(key: dg.AssetKey) -> None:
    spec = defs.get_assets_def(key).specs_by_key[key]
    assert spec.description
    assert spec.owners
    assert spec.kinds
    assert spec.code_version or GRAPH.get(key).is_external
    assert spec.group_name in {"bars", "desk", "training", "replay", "sources"}


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


@pytest.mark.parametrize("job", JOBS)
def test_every_run_has_a_maximum_time(job: str) -> None:
    tags = defs.resolve_job_def(job).tags
    assert 0 < int(tags["dagster/max_runtime"]) <= 24 * 3600
    if job in ("trading_tick", "reconcile", "kill"):
        assert tags["dagster/max_runtime"] == "120"


def test_every_sensor_and_schedule_has_a_thread_of_its_own() -> None:
    settings = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    for kind, count in (
        ("sensors", len(REPOSITORY.sensor_defs)),
        ("schedules", len(REPOSITORY.schedule_defs)),
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


def test_each_definition_of_the_desk_is_loaded_and_no_class_of_the_instance_is() -> None:
    assert set(JOBS) == {
        *("trading_tick", "reconcile", "premarket", "end_of_day", "train", "replay"),
        *("kill", "flatten", "rearm", "adopt", "judge_bars"),
    }
    assert {one.name for one in REPOSITORY.sensor_defs} == {
        *("protection", "signal_inbox", "live_session", "virtual_clock"),
        *("alert_on_success", "alert_on_failure", "alert_on_cancellation", "alert_delivery"),
        "bars_imported",
    }
    assert {one.name for one in REPOSITORY.schedule_defs} == {
        *("trading_hours", "before_the_open", "after_the_close"),
    }
    code = (
        "import sys, trading_assets.definitions;"
        "print(*(name for name in sys.modules if name.startswith('trading_assets.dagster_instance')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == []
