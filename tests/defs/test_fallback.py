"""Dagster's insides, broken in real processes as another Dagster would have them: the instance opens, a run
is launched and done, an alert waits."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from trading_assets.dagster_instance import fallback
from trading_assets.store.journal import Journal

ROOT = Path(__file__).parents[2]
STOCK = {
    "runs": "SqliteRunStorage",
    "storage": "CleanEventLog",
    "output": "LocalComputeLogManager",
    "queue": "QueuedRunCoordinator",
    "launcher": "DefaultRunLauncher",
}
OURS = {
    "runs": "ReadableRunStorage",
    "storage": "PooledSqliteEventLogStorage",
    "output": "FileComputeLogManager",
    "queue": "PromptRunCoordinator",
    "launcher": "ForkingRunLauncher",
}
# In every process, the run's and the code server's too: no module of ours finds what is named, and a method
# is nobody's. What uses a name within Dagster finds it, as it would under its new name.
BREAKING = """
import builtins, os, sys
from importlib import import_module

broken = [one.split(":") for one in os.environ["BROKEN"].split()]
gone = {(module, name) for module, name in broken if "." not in name}
real = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    if fromlist and str((globals or {}).get("__name__")).startswith(("trading_assets", "__main__")):
        for one in fromlist:
            if (name, one) in gone:
                raise ImportError(f"cannot import name {one!r} from {name!r}")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = without
for module, name in broken:
    if "." in name:
        kind, _, method = name.partition(".")
        delattr(getattr(import_module(module), kind), method)
"""
DEFINITIONS = """
import dagster as dg

@dg.op
def look(context):
    context.log.info("looked")
    print("printed")

@dg.job(executor_def=dg.in_process_executor)
def looking():
    look()

defs = dg.Definitions(jobs=[looking])
"""
LAUNCH = """
import json, sys, time
import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

with dg.DagsterInstance.get() as instance:
    parts = {
        "runs": instance.run_storage,
        "storage": instance.event_log_storage,
        "output": instance.compute_log_manager,
        "queue": instance.run_coordinator,
        "launcher": instance.run_launcher,
    }
    target = ModuleTarget(
        module_name="looked_at", attribute="defs", working_directory=sys.argv[1], location_name="here"
    )
    with WorkspaceProcessContext(instance, target) as process:
        workspace = process.create_request_context()
        location = workspace.get_code_location("here")
        (repository,) = location.get_repositories().values()
        job = repository.get_full_job("looking")
        run = instance.create_run(
            job_name="looking", run_id=None, run_config={}, resolved_op_selection=None,
            step_keys_to_execute=None,
            status=None, tags={}, root_run_id=None, parent_run_id=None, job_snapshot=job.job_snapshot,
            execution_plan_snapshot=None, parent_job_snapshot=None, asset_selection=None,
            asset_check_selection=None, op_selection=None, asset_graph=workspace.asset_graph,
            remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin(),
        )
        instance.submit_run(run.run_id, workspace)
        queued = instance.get_run_by_id(run.run_id).status.value
        instance.launch_run(run.run_id, workspace)
        until = time.monotonic() + 90
        while not instance.get_run_by_id(run.run_id).is_finished and time.monotonic() < until:
            time.sleep(0.1)
        status = instance.get_run_by_id(run.run_id).status.value
        printed = [
            instance.compute_log_manager.get_log_data(
                [run.run_id, "compute_logs", entry.dagster_event.logs_captured_data.file_key]
            ).stdout
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event and entry.dagster_event.event_type_value == "LOGS_CAPTURED"
        ]
kinds = {name: type(part).__name__ for name, part in parts.items()}
said = [(text or b"").decode() for text in printed]
print(json.dumps({"kinds": kinds, "queued": queued, "status": status, "printed": said}))
"""


def launched(home: Path, broken: Sequence[str]) -> dict[str, object]:
    """What a process sees that opens the committed instance and launches a run on it."""
    (home / "dagster_home").mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home / "dagster_home")
    (home / "config").mkdir()
    (home / "config" / "execution.yaml").write_text("mode: paper\n")
    (home / "here").mkdir()
    (home / "here" / "sitecustomize.py").write_text(BREAKING)
    (home / "here" / "looked_at.py").write_text(DEFINITIONS)
    run = subprocess.run(
        [sys.executable, "-c", LAUNCH, str(home / "here")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=ROOT,
        env=os.environ
        | {
            "DAGSTER_HOME": str(home / "dagster_home"),
            "TRADING_ASSETS_CONFIG": str(home / "config" / "execution.yaml"),
            "PYTHONPATH": str(home / "here"),
            "BROKEN": " ".join(broken),
        },
    )
    assert run.returncode == 0, run.stderr[-4000:]
    (output,) = [line for line in run.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(output))


def alerts(home: Path) -> list[str]:
    journal = home / "var" / "journal.sqlite"
    if not journal.exists():
        return []
    with Journal.open(journal) as opened:
        return [alert.title for alert in opened.pending_alerts()]


SQLITE = "dagster._core.storage.event_log.sqlite.sqlite_event_log"
SQL = "dagster._core.storage.event_log.sql_event_log:SqlEventLogStorage"


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize(
    ("broken", "ours", "stand_in_for"),
    [
        pytest.param(
            (
                f"{SQLITE}:SqliteEventLogStorageWatchdog",
                "dagster._core.execution.compute_logs:redirect_to_file",
                "dagster._core.run_coordinator.base:SubmitRunContext",
                "dagster._core.launcher:WorkerStatus",
            ),
            ("runs",),
            ("the event log", "printed output", "the run launcher", "the run queue"),
            id="names",
        ),
        pytest.param(
            (
                f"{SQL}.delete_events_for_run",
                "dagster._utils:touch_file",
                "dagster._utils.hosted_user_process:recon_repository_from_origin",
            ),
            ("runs", "queue", "launcher"),
            ("the event log", "the forking run launcher", "printed output"),
            id="methods",
        ),
    ],
)
def test_an_instance_opens_and_runs_whatever_of_dagsters_insides_is_gone(
    tmp_path: Path, broken: Sequence[str], ours: Sequence[str], stand_in_for: Sequence[str]
) -> None:
    result = launched(tmp_path, broken)
    assert result["kinds"] == {name: (OURS if name in ours else STOCK)[name] for name in OURS}
    assert (result["queued"], result["status"]) == ("QUEUED", "SUCCESS")
    assert result["printed"] == ["printed\n"]
    assert set(alerts(tmp_path)) == {f"Dagster's own stands in for {part}" for part in stand_in_for}


PARTS = {
    "trading_assets.dagster_instance.event_log": (fallback.EventLogStorage, {"dagster_home": ""}),
    "trading_assets.dagster_instance.run_storage": (fallback.RunStorage, {"dagster_home": ""}),
    "trading_assets.dagster_instance.compute_log": (fallback.ComputeLogManager, {"dagster_home": ""}),
    "trading_assets.dagster_instance.run_queue": (fallback.RunCoordinator, {}),
    "trading_assets.dagster_instance.launcher": (fallback.RunLauncher, {}),
}


@pytest.fixture
def nothing_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fallback, "_reported", set())
    monkeypatch.setattr(fallback, "_tried", set())
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(tmp_path / "config" / "execution.yaml"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "execution.yaml").write_text("mode: paper\n")


def built(module: str, place: Path) -> Any:
    part, config = PARTS[module]
    return part.from_config_value(None, {name: str(place) for name in config})


@pytest.mark.parametrize("module", PARTS)
def test_each_is_ours_where_nothing_is_broken(module: str, tmp_path: Path, nothing_told: None) -> None:
    assert type(built(module, tmp_path)).__module__ == module
    assert alerts(tmp_path) == []


def names_taken_from_dagster(module: str) -> Iterator[str]:
    """Each name that one of ours imports of Dagster's insides."""
    source = Path(import_module(module).__file__ or "").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
            for name in node.names:
                if not isinstance(getattr(import_module(node.module or ""), name.name), ModuleType):
                    yield f"{node.module}:{name.name}"


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in PARTS for name in names_taken_from_dagster(module)]
)
def test_each_falls_back_and_alerts_where_any_name_that_it_imports_is_gone(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_told: None
) -> None:
    where, _, what = name.partition(":")
    monkeypatch.delitem(sys.modules, module, raising=False)
    without = ModuleType(where)  # as another Dagster has it; what uses the name within Dagster still finds it
    without.__dict__.update({key: value for key, value in vars(import_module(where)).items() if key != what})
    monkeypatch.setitem(sys.modules, where, without)
    assert type(built(module, tmp_path)) is PARTS[module][0].__bases__[-1]
    (alert,) = alerts(tmp_path)
    assert alert.startswith("Dagster's own stands in for")


def test_what_is_made_wrongly_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_told: None
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TypeError("__init__() got an unexpected keyword argument")

    for name, kind in fallback.OURS.values():
        with monkeypatch.context() as patch:
            patch.setattr(getattr(import_module(name), kind), "__init__", fails)
            assert type(built(name, tmp_path)) is PARTS[name][0].__bases__[-1]
    assert len(alerts(tmp_path)) == 5


def test_without_a_configuration_it_falls_back_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_told: None, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRADING_ASSETS_CONFIG", str(tmp_path / "nowhere.yaml"))
    fallback.tell_fallback("a part", "it is gone")
    assert "Dagster's own stands in for a part: it is gone" in capfd.readouterr().err


def test_a_dagster_yaml_with_the_module_names_of_before_opens_the_same_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_told: None
) -> None:
    """The desk's own dagster.yaml is not ours to edit: `trading_assets.defs.fallback` goes on working."""
    named = (ROOT / "dagster_home" / "dagster.yaml").read_text()
    before = named.replace("trading_assets.dagster_instance.fallback", "trading_assets.defs.fallback")
    assert before != named
    (tmp_path / "dagster.yaml").write_text(before)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        opened = {
            "runs": instance.run_storage,
            "storage": instance.event_log_storage,
            "output": instance.compute_log_manager,
            "queue": instance.run_coordinator,
            "launcher": instance.run_launcher,
        }
        assert {part: type(one).__name__ for part, one in opened.items()} == OURS
