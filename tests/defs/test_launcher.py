"""The forking run launcher with real processes: what is killed, edited or ended while it works."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import psutil
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.monitoring import execute_run_monitoring_iteration, run_monitoring

from trading_assets.dagster_instance import launcher
from trading_assets.dagster_instance.launcher import (
    ForkingRunLauncher,
    ForkserverHangs,
    RunNotBegun,
    worker_of,
)
from trading_assets.store.journal import Journal
from trading_assets.store.leases import LeaseHeld

COMMITTED = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"
CONFIG = """
telemetry: {enabled: false}
run_monitoring: {enabled: true}
event_log_storage:
  module: trading_assets.dagster_instance.fallback
  class: EventLogStorage
  config: {dagster_home: {env: DAGSTER_HOME}}
run_launcher: {module: trading_assets.dagster_instance.fallback, class: RunLauncher}
compute_logs:  # the stock one leaves its processes where a run is killed
  module: trading_assets.dagster_instance.fallback
  class: ComputeLogManager
  config: {dagster_home: {env: DAGSTER_HOME}}
"""
SOURCE = """
import time
from pathlib import Path
import dagster as dg

@dg.op
def look(context):
    Path(__file__).with_name(context.run.run_id).write_text("edition 1")

@dg.op
def wait():
    until = time.monotonic() + 60
    while not Path(__file__).with_name("released").exists() and time.monotonic() < until:
        time.sleep(0.02)

@dg.op
def hold():
    from trading_assets.store.journal import Journal
    with Journal.open(Path(__file__).with_name("journal.sqlite")) as journal, journal.lease("book", "a tick"):
        Path(__file__).with_name("held").touch()
        time.sleep(60)

@dg.job(executor_def=dg.in_process_executor)
def holding():
    hold()

@dg.job(executor_def=dg.in_process_executor)
def looking():
    look()

@dg.job(executor_def=dg.in_process_executor)
def waiting():
    wait()

defs = dg.Definitions(jobs=[looking, waiting, holding])
"""


@dataclass(frozen=True)
class Ground:
    """An instance with the launcher, and a code location of its own to edit."""

    instance: dg.DagsterInstance
    source: Path

    @property
    def launcher(self) -> ForkingRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ForkingRunLauncher)
        return launcher

    def job(self, name: str) -> ReconstructableJob:
        pointer = ModuleCodePointer("desk_under_test.definitions", "defs", str(self.source.parents[1]))
        return ReconstructableRepository(pointer).get_reconstructable_job(name)

    def create(self, job: str, **tags: str) -> dg.DagsterRun:
        result = self.job(job)
        return self.instance.create_run_for_job(
            result.get_definition(), job_code_origin=result.get_python_origin(), tags=tags
        )

    def launch(self, job: str, **tags: str) -> str:
        run = self.create(job, **tags)
        self.launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        return run.run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def wait(self, run_id: str, status: dg.DagsterRunStatus) -> None:
        within(20, lambda: self.status(run_id) is status, f"{run_id} is {self.status(run_id)}")

    def begun(self, job: str = "waiting", **tags: str) -> tuple[str, psutil.Process]:
        """A run that waits, and its process."""
        run_id = self.launch(job, **tags)
        self.wait(run_id, dg.DagsterRunStatus.STARTED)
        return run_id, process_of(self.instance, run_id)

    def release(self) -> None:
        self.source.with_name("released").touch()

    def monitor(self) -> None:
        """What the daemon's run monitoring does every few seconds."""
        context = SimpleNamespace(instance=self.instance, create_request_context=lambda: None)
        for error in execute_run_monitoring_iteration(
            cast("IWorkspaceProcessContext[Any]", context), logging.getLogger("monitoring")
        ):
            assert error is None, error


def within(seconds: float, condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def process_of(instance: dg.DagsterInstance, run_id: str) -> psutil.Process:
    worker = worker_of(instance, run_id)
    assert worker is not None
    return psutil.Process(worker[0])


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home, place = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("location")
    source = place / "desk_under_test" / "definitions.py"
    source.parent.mkdir()
    source.with_name("__init__.py").touch()
    source.write_text(SOURCE)
    (home / "dagster.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield Ground(instance, source)


@pytest.fixture(autouse=True)
def nobody_released(ground: Ground) -> None:
    ground.source.with_name("released").unlink(missing_ok=True)


pytestmark = pytest.mark.slow


def test_runs_are_forks_of_one_process_that_has_one_thread_and_no_store_open(ground: Ground) -> None:
    first, process = ground.begun()
    parent = process.parent()
    assert parent is not None
    assert parent.num_threads() == 1
    assert not parent.open_files()
    second, other = ground.begun()
    assert other.parent() == parent
    ground.release()
    for run_id in (first, second):
        ground.wait(run_id, dg.DagsterRunStatus.SUCCESS)
    within(10, lambda: not parent.children(), "ended runs are reaped")


def test_an_edited_source_is_what_the_next_run_runs(ground: Ground) -> None:
    def edition() -> str:
        run_id = ground.launch("looking")
        ground.wait(run_id, dg.DagsterRunStatus.SUCCESS)
        return ground.source.with_name(run_id).read_text()

    assert edition() == "edition 1"
    ground.source.write_text(SOURCE.replace("edition 1", "edition two"))
    assert edition() == "edition two"
    ground.source.write_text("this is no Python\n")
    with pytest.raises(RunNotBegun, match="SyntaxError"):
        ground.launch("looking")
    ground.source.write_text(SOURCE)
    assert edition() == "edition 1"


def test_a_run_whose_process_was_killed_is_failed_by_run_monitoring(ground: Ground) -> None:
    run_id, process = ground.begun()
    ground.monitor()
    assert ground.status(run_id) is dg.DagsterRunStatus.STARTED
    process.kill()
    within(10, lambda: has_ended(process), "it was killed")
    ground.monitor()
    assert ground.status(run_id) is dg.DagsterRunStatus.FAILURE


def test_a_killed_forkserver_takes_no_run_with_it_and_the_next_run_starts_another(ground: Ground) -> None:
    run_id, process = ground.begun()
    parent = process.parent()
    assert parent is not None
    parent.kill()
    within(10, lambda: has_ended(parent), "it was killed")
    ground.monitor()
    assert ground.status(run_id) is dg.DagsterRunStatus.STARTED
    next_id, next_process = ground.begun()
    assert next_process.parent() not in (None, parent)
    ground.release()
    for one in (run_id, next_id):
        ground.wait(one, dg.DagsterRunStatus.SUCCESS)


def test_any_process_of_the_instance_can_cancel_a_run(ground: Ground) -> None:
    run_id, process = ground.begun()
    with dg.DagsterInstance.from_ref(ground.instance.get_ref()) as webserver:
        assert webserver.run_launcher.terminate(run_id)
    ground.wait(run_id, dg.DagsterRunStatus.CANCELED)
    within(10, lambda: has_ended(process), "the process of the cancelled run ends")
    assert not ground.launcher.terminate(run_id)


def test_a_run_that_was_cancelled_before_it_began_never_begins(ground: Ground) -> None:
    run = ground.create("looking")
    ground.instance.report_run_canceling(run)
    ground.launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    ground.wait(run.run_id, dg.DagsterRunStatus.CANCELED)
    assert not ground.source.with_name(run.run_id).exists()


def test_a_run_whose_process_is_told_to_end_is_failed_at_once_by_itself(ground: Ground) -> None:
    run_id, process = ground.begun()
    process.terminate()  # as the end of `up` does
    ground.wait(run_id, dg.DagsterRunStatus.FAILURE)


def test_the_forkserver_ends_with_its_launcher_after_the_last_run(ground: Ground) -> None:
    run_id, process = ground.begun()
    parent = process.parent()
    assert parent is not None
    ground.launcher.dispose()
    time.sleep(0.5)
    assert not has_ended(parent)
    ground.release()
    ground.wait(run_id, dg.DagsterRunStatus.SUCCESS)
    within(10, lambda: has_ended(parent), "the forkserver ends")


def test_a_run_that_no_launcher_launched_is_failed_too_when_it_was_killed(ground: Ground) -> None:
    command = [sys.executable, "-m", "dagster", "job", "execute", "-j", "waiting"]
    command += ["-m", "desk_under_test.definitions", "-d", str(ground.source.parents[1])]
    before = {run.run_id for run in ground.instance.get_runs()}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        within(30, lambda: ground.instance.get_runs_count() > len(before), "the run is there")
        (run_id,) = {run.run_id for run in ground.instance.get_runs()} - before
        within(20, lambda: worker_of(ground.instance, run_id), "it has begun")
        ground.monitor()
        assert ground.status(run_id) is dg.DagsterRunStatus.STARTED
        os.kill(process.pid, signal.SIGKILL)
    ground.monitor()
    assert ground.status(run_id) is dg.DagsterRunStatus.FAILURE


def left_by_a_crash(ground: Ground, *events: DagsterEventType, **process: int | str) -> dg.DagsterRun:
    """A run with these events, whose log names this process; nobody works on it."""
    run = ground.create("looking")
    for event in events:
        ground.instance.report_dagster_event(DagsterEvent(event.value, job_name="looking"), run.run_id)
    if process:
        ground.instance.report_engine_event("began", run, EngineEventData(metadata=process))
    return run


def test_what_a_crash_left_is_ended_by_run_monitoring_when_the_desk_is_next_up(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the machine as well, when its processes' ids are those of others."""
    starting, started = DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START
    dead = subprocess.Popen(["true"])
    dead.wait()
    others = os.getpid()
    ended = [
        left_by_a_crash(ground, starting, started, pid=dead.pid, process_start="1"),
        left_by_a_crash(ground, starting, started, pid=others, process_start="1"),
        left_by_a_crash(ground, starting, started, pid=dead.pid),
    ]
    works = left_by_a_crash(ground, starting, started, pid=others)
    begun = left_by_a_crash(ground, starting)
    cancelled = left_by_a_crash(ground, starting, DagsterEventType.RUN_CANCELING)
    ground.monitor()
    assert {ground.status(run.run_id) for run in ended} == {dg.DagsterRunStatus.FAILURE}
    later = time.time() + 181.0  # the instance's timeouts are the stock ones
    with monkeypatch.context() as patch:
        patch.setattr(run_monitoring, "get_current_timestamp", lambda: later)
        patch.setattr(run_monitoring, "time", SimpleNamespace(time=lambda: later))
        ground.monitor()
    assert ground.status(begun.run_id) is dg.DagsterRunStatus.FAILURE
    assert ground.status(cancelled.run_id) is dg.DagsterRunStatus.CANCELED
    assert ground.status(works.run_id) is dg.DagsterRunStatus.STARTED
    ground.instance.delete_run(works.run_id)


def test_a_run_of_no_launchers_is_not_taken_for_a_later_process_with_its_id(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = left_by_a_crash(ground, DagsterEventType.RUN_START, pid=os.getpid())
    began = time.time() + 2 * launcher.CLOCK_SLACK_SECONDS
    monkeypatch.setattr(psutil, "Process", lambda pid: SimpleNamespace(pid=pid, create_time=lambda: began))
    assert not ground.launcher.terminate(run.run_id)  # else this very process is interrupted
    ground.wait(run.run_id, dg.DagsterRunStatus.CANCELING)
    ground.instance.delete_run(run.run_id)


def stopped(ground: Ground, max_seconds: str) -> tuple[str, psutil.Process]:
    """A run that holds a book's lease and hears no signal but SIGKILL."""
    held = ground.source.with_name("held")
    held.unlink(missing_ok=True)
    run_id, process = ground.begun("holding", **{"dagster/max_runtime": max_seconds})
    within(20, held.exists, "it holds the lease")
    process.suspend()
    return run_id, process


def take_the_lease(ground: Ground) -> None:
    """What the next protection does first. Raises LeaseHeld."""
    with Journal.open(ground.source.with_name("journal.sqlite")) as journal, journal.lease("book", "next"):
        pass


def test_a_stopped_run_over_its_time_is_ended_for_certain_and_its_lease_with_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "KILLED_AFTER_SECONDS", 1.0)
    run_id, process = stopped(ground, "1")
    with pytest.raises(LeaseHeld):
        take_the_lease(ground)
    within(20, lambda: ground.monitor() or ground.status(run_id) is dg.DagsterRunStatus.FAILURE, "its time")
    within(20, lambda: has_ended(process), "it was killed")
    take_the_lease(ground)


def test_a_stopped_run_that_a_person_ends_is_killed_and_cancelled(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "KILLED_AFTER_SECONDS", 1.0)
    run_id, process = stopped(ground, "600")
    assert ground.launcher.terminate(run_id)
    ground.wait(run_id, dg.DagsterRunStatus.CANCELED)
    assert has_ended(process)
    take_the_lease(ground)


def test_a_run_that_ends_when_it_is_interrupted_is_not_killed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    real = os.kill
    monkeypatch.setattr(os, "kill", lambda pid, number: (killed.append(number), real(pid, number))[1])
    monkeypatch.setattr(launcher, "KILLED_AFTER_SECONDS", 20.0)
    run_id, process = ground.begun()
    assert ground.launcher.terminate(run_id)
    ground.wait(run_id, dg.DagsterRunStatus.CANCELED)
    within(20, lambda: has_ended(process), "it ends by itself")
    assert killed == [signal.SIGINT]


def test_without_a_daemon_the_forkserver_kills_what_is_over_its_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "KILLED_BY_THE_FORKSERVER_AFTER", 2.0)
    _, process = stopped(ground, "1")
    unlimited, waits = ground.begun(**{"dagster/max_runtime": "0"})
    within(20, lambda: has_ended(process), "it was killed")
    take_the_lease(ground)
    assert not has_ended(waits)
    ground.release()
    ground.wait(unlimited, dg.DagsterRunStatus.SUCCESS)


def test_a_forkserver_whose_launcher_is_gone_kills_what_is_over_its_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "KILLED_BY_THE_FORKSERVER_AFTER", 2.0)
    _, process = stopped(ground, "1")
    ground.launcher.dispose()
    within(20, lambda: has_ended(process), "it was killed")


def test_a_forkserver_that_hangs_is_given_up_and_the_next_run_starts_another(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "ANSWER_SECONDS", 1.0)
    on, process = ground.begun()
    parent = process.parent()
    assert parent is not None
    parent.suspend()
    with pytest.raises(ForkserverHangs, match="no sign of life"):
        ground.launch("looking")
    within(10, lambda: has_ended(parent), "it was killed")
    monkeypatch.undo()
    ground.wait(ground.launch("looking"), dg.DagsterRunStatus.SUCCESS)
    ground.release()
    ground.wait(on, dg.DagsterRunStatus.SUCCESS)


def test_one_line_less_is_the_stock_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    lines = COMMITTED.read_text().splitlines(keepends=True)
    launchers = []
    for kept in (lines, [line for line in lines if not line.startswith("run_launcher:")]):
        (tmp_path / "dagster.yaml").write_text("".join(kept))
        with dg.DagsterInstance.get() as instance:
            launchers.append(type(instance.run_launcher))
    assert len(lines) - len(kept) == 1
    assert launchers == [ForkingRunLauncher, DefaultRunLauncher]
