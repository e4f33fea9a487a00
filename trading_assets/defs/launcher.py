"""A run launcher that forks each run from a warm process, so that a run starts in milliseconds.

The stock launcher starts a new interpreter for every run, which imports and builds all definitions
again. Here the process that launches (the daemon) keeps one forkserver (`defs.launcher_forkserver`),
asks it for a fork for each run, and starts another when it is gone or the sources have changed. What a
run does after its fork is the forkserver's module. A run's process is known by the event that it writes
into its own log, so any process of the instance can end it or tell whether it lives. Taking the entry out
of dagster.yaml goes back to the stock launcher.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.events import DagsterEventType
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.launcher.base import CheckRunHealthResult
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.origin import RepositoryPythonOrigin
from dagster._serdes import ConfigurableClassData, serialize_value

from trading_assets.errors import TradingAssetsError
from trading_assets.store.leases import process_start

PROCESS_START = "process_start"  # beside Dagster's "pid" in the event that names a run's process
ATTEMPTS = 3  # somebody may be editing the sources
ANSWER_SECONDS = 110.0  # the first run waits for the imports; run monitoring gives up after 120
# Libraries that start threads as they are loaded are told not to: a thread does not survive a fork.
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


class ForkserverGone(TradingAssetsError):
    """It ended, or its sources changed, before the run was begun: another one can be asked."""


class RunNotBegun(TradingAssetsError):
    """The run's process, or the definitions, could not be made ready; the message is what they said."""


class Forkserver:
    """A forkserver of this process. It ends when this end of its socket closes.

    origin: the code location that it loads, a serialized RepositoryPythonOrigin
    """

    def __init__(self, origin: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trading_assets.defs.launcher_forkserver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=os.environ | SINGLE_THREADED,
                pass_fds=[theirs.fileno()],
            )
        self._control.send(origin.encode())

    def run(self, run_id: str, instance_ref: str) -> None:
        """Have the run begun in a process of its own.

        Raises ForkserverGone when nothing was begun and another one may be asked, RunNotBegun
        when the run's process, or the definitions, could not be made ready.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.settimeout(ANSWER_SECONDS)
            with theirs:
                request = json.dumps({"run_id": run_id, "instance_ref": instance_ref}).encode()
                try:
                    socket.send_fds(self._control, [request], [theirs.fileno()])
                except OSError as error:
                    raise ForkserverGone(f"it takes no request: {error}") from error
            try:
                answer = ours.recv(1 << 16)
            except TimeoutError as error:
                raise RunNotBegun(
                    f"the run's process gave no sign of life within {ANSWER_SECONDS:.0f} s"
                ) from error
            except ConnectionError:
                answer = b""
        if not answer:
            raise ForkserverGone("it ended, or the run's process did, before the run had begun")
        told: dict[str, str] = json.loads(answer)
        if "changed" in told:
            raise ForkserverGone(told["changed"])
        if "failed" in told:
            raise RunNotBegun(told["failed"])

    def close(self) -> None:
        """Ask nothing more of it. It ends when the last of its runs has."""
        self._control.close()


class ForkingRunLauncher(DefaultRunLauncher):
    """Forks runs of code locations of this interpreter; launches all others as the stock launcher does."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._servers: dict[str, Forkserver] = {}  # by origin
        self._retired: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Begin the run. Raises RunNotBegun."""
        run, origin = context.dagster_run, context.job_code_origin
        if origin is None or not _forks(origin.repository_origin):
            super().launch_run(context)
            return
        location = serialize_value(origin.repository_origin)
        instance_ref = serialize_value(self._instance.get_ref())
        for attempt in range(1, ATTEMPTS + 1):
            server = self._server(location)
            try:
                server.run(run.run_id, instance_ref)
                break
            except ForkserverGone as gone:
                self._retire(location, server)
                if attempt == ATTEMPTS:
                    raise RunNotBegun(f"{ATTEMPTS} forkservers in turn did not begin it: {gone}") from gone
        self._run_ids.add(run.run_id)

    def _server(self, origin: str) -> Forkserver:
        with self._lock:
            self._retired = [process for process in self._retired if process.poll() is None]
            if origin not in self._servers:
                self._servers[origin] = Forkserver(origin)
            return self._servers[origin]

    def _retire(self, origin: str, server: Forkserver) -> None:
        """Let go of a forkserver, unless another thread has done it."""
        with self._lock:
            if self._servers.get(origin) is server:
                self._retired.append(self._servers.pop(origin).process)
                server.close()

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run, which then reports itself as cancelled. False where there is none to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        worker = worker_of(self._instance, run_id)
        if worker is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        if not is_alive(*worker):
            return False
        with suppress(ProcessLookupError):
            os.kill(worker[0], signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives. Run monitoring fails a run whose process does not."""
        worker = worker_of(self._instance, run.run_id)
        if worker is None:  # it has not said yet where it runs
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if is_alive(*worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(worker[0]))
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {worker[0]} has ended")

    def dispose(self) -> None:
        with self._lock:
            for server in self._servers.values():
                server.close()
            self._servers.clear()


def _forks(origin: RepositoryPythonOrigin) -> bool:
    """Whether a fork can have the code location: a module of this very interpreter, on Linux."""
    return (
        sys.platform == "linux"
        and origin.executable_path == sys.executable
        and isinstance(origin.code_pointer, ModuleCodePointer)
    )


def worker_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, str] | None:
    """Process id and start of the process that executes the run, from the run's own log.

    The start is "" where the run was launched without this launcher; None: nothing is logged yet.
    """
    named: tuple[int, str] | None = None
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        metadata: dict[str, Any] = dict(entry.get_dagster_event().engine_event_data.metadata)
        if "pid" in metadata:
            start = metadata.get(PROCESS_START)
            if start is not None:
                return int(metadata["pid"].value), str(start.value)
            named = named or (int(metadata["pid"].value), "")
    return named


def is_alive(pid: int, start: str) -> bool:
    """Whether the process that started then is still there; any process `pid` where the start is ""."""
    now = process_start(pid)
    return now is not None and start in ("", now)
