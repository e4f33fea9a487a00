"""A run launcher that forks each run from a warm process, so that a run starts in milliseconds.

The stock launcher starts a new interpreter for every run, which imports and builds all definitions again.
Here the process that launches (the daemon) keeps one forkserver (`dagster_instance.launcher_forkserver`),
asks it for a fork for each run, and starts another when it is gone or the sources have changed. What a run
does after its fork is the forkserver's module. Where no forkserver can begin runs, the stock launcher does,
and an alert says so.

A run's process is known by the event that it writes into its own log, so any process of the instance can end
it or tell whether it lives. What is to end is interrupted, and killed where it does not end: one that is
stopped or hangs hears nothing. A run over its maximum time is killed by its forkserver too, whatever has
become of the daemon.
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
import psutil
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.events import DagsterEventType
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.launcher.base import CheckRunHealthResult
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.origin import RepositoryPythonOrigin
from dagster._serdes import ConfigurableClassData, serialize_value

from trading_assets import keyring
from trading_assets.dagster_instance.fallback import tell_fallback
from trading_assets.errors import TradingAssetsError
from trading_assets.log import get_logger
from trading_assets.market.clock import monotonic_ns
from trading_assets.runs.lanes import MAX_RUNTIME_TAG
from trading_assets.store.leases import process_start

log = get_logger(__name__)

FORKSERVER = "trading_assets.dagster_instance.launcher_forkserver"  # started by its name
PROCESS_START = "process_start"  # beside Dagster's "pid" in the event that names a run's process
GONE = "gone"  # in place of a process's start
CLOCK_SLACK_SECONDS = 60.0  # by which a process may seem to begin after its own first event: a clock was set
ATTEMPTS = 3  # somebody may be editing the sources
KILLED_AFTER_SECONDS = 10.0  # of an interrupted run
KILLED_BY_THE_FORKSERVER_AFTER = 30.0  # past a run's maximum time: the daemon's monitoring comes first
STOCK_SECONDS = 600  # until forkservers are tried again
FIRST_ANSWER_SECONDS = 110.0  # the first run waits for the imports; run monitoring gives up after 120
ANSWER_SECONDS = 30.0  # of a forkserver that has begun runs: no other run leaves the queue meanwhile
# Libraries that start threads as they are loaded are told not to: a thread does not survive a fork.
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


class ForkserverGone(TradingAssetsError):
    """It ended, or its sources changed, before the run was begun: another one can be asked."""


class RunNotBegun(TradingAssetsError):
    """The run's process, or the definitions, could not be made ready; the message is what they said."""


class ForkserverHangs(RunNotBegun):
    """It gave no sign of life. What it was asked for it may still begin, and a run that was given up then
    ends at once; it is asked for nothing more."""


class NoForkserver(RunNotBegun):
    """No forkserver could begin the run, and none has: another launcher may."""


class Forkserver:
    """A forkserver of this process. It ends when this end of its socket closes.

    origin: the code location that it loads, a serialized RepositoryPythonOrigin
    """

    def __init__(self, origin: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "trading_assets.dagster_instance.launcher_forkserver",
                    str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                env=os.environ | keyring.given(*keyring.SECRETS) | SINGLE_THREADED,  # it begins the runs
                pass_fds=[theirs.fileno()],
            )
        self._control.send(origin.encode())
        self._has_begun_runs = False

    def run(self, run_id: str, instance_ref: str, max_seconds: float) -> None:
        """Have the run begun in a process of its own, and killed when it takes longer; 0: however long.

        Raises ForkserverGone when nothing was begun and another one may be asked, ForkserverHangs when it
        does not answer, RunNotBegun when the run's process, or the definitions, could not be made ready.
        """
        patience = ANSWER_SECONDS if self._has_begun_runs else FIRST_ANSWER_SECONDS
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.settimeout(patience)
            with theirs:
                request = json.dumps(
                    {"run_id": run_id, "instance_ref": instance_ref, "max_seconds": max_seconds}
                ).encode()
                try:
                    socket.send_fds(self._control, [request], [theirs.fileno()])
                except OSError as error:
                    raise ForkserverGone(f"it takes no request: {error}") from error
            try:
                answer = ours.recv(1 << 16)
            except TimeoutError as error:
                raise ForkserverHangs(
                    f"the run's process gave no sign of life within {patience:.0f} s"
                ) from error
            except ConnectionError:
                answer = b""
        if not answer:
            raise ForkserverGone("it ended, or the run's process did, before the run had begun")
        reply: dict[str, str] = json.loads(answer)
        if "changed" in reply:
            raise ForkserverGone(reply["changed"])
        if "unfit" in reply:
            raise NoForkserver(reply["unfit"])
        if "failed" in reply:
            raise RunNotBegun(reply["failed"])
        self._has_begun_runs = True

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
        self._stock_until_ns = 0

    def launch_run(self, context: LaunchRunContext) -> None:
        """Begin the run. Raises RunNotBegun."""
        origin = context.job_code_origin
        if origin is None or not _forks(origin.repository_origin) or monotonic_ns() < self._stock_until_ns:
            super().launch_run(context)
            return
        try:
            self._fork(context, origin.repository_origin)
        except NoForkserver as error:
            if context.workspace is None:  # of which the stock launcher knows the code server
                raise
            self._stock_until_ns = monotonic_ns() + STOCK_SECONDS * 10**9
            tell_fallback("the forking run launcher", str(error))
            super().launch_run(context)

    def _fork(self, context: LaunchRunContext, origin: RepositoryPythonOrigin) -> None:
        run, location = context.dagster_run, serialize_value(origin)
        max_seconds = self._max_seconds(run)
        instance_ref = serialize_value(self._instance.get_ref())
        for attempt in range(1, ATTEMPTS + 1):
            server = self._server(location)
            try:
                server.run(run.run_id, instance_ref, max_seconds)
                break
            except ForkserverHangs:
                self._retire(location, server)
                server.process.kill()  # its runs go on without it
                raise
            except ForkserverGone as gone:
                self._retire(location, server)
                if attempt == ATTEMPTS:
                    raise NoForkserver(f"{ATTEMPTS} forkservers in turn did not begin it: {gone}") from gone
        self._run_ids.add(run.run_id)

    def _max_seconds(self, run: dg.DagsterRun) -> float:
        """The run's maximum time, with what the daemon is given first to end it in; 0: it has none."""
        given = run.tags.get(MAX_RUNTIME_TAG) or self._instance.run_monitoring_max_runtime_seconds
        try:
            seconds = float(given)
        except ValueError:  # Dagster passes over such a tag as well
            return 0.0
        return seconds + KILLED_BY_THE_FORKSERVER_AFTER if seconds > 0 else 0.0

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
        """Interrupt the run, which then reports itself as cancelled; kill it where it does not end by then.
        False where there is none to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        worker = self._worker(run_id)
        if worker is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        pid, start = worker
        if not is_alive(pid, start):
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        threading.Thread(
            target=self._see_it_end, args=(run, pid, start), name=f"end-{run_id}", daemon=True
        ).start()
        return True

    def _worker(self, run_id: str) -> tuple[int, str] | None:
        try:
            return worker_of(self._instance, run_id)
        except (AttributeError, TypeError, ValueError) as error:  # of another Dagster's events
            tell_fallback("what tells a run's process", f"{type(error).__name__}: {error}")
            return None

    def _see_it_end(self, run: dg.DagsterRun, pid: int, start: str) -> None:
        if not start or _has_ended(pid, start, KILLED_AFTER_SECONDS):
            return  # where the system tells no start the process may be another that was given the same id
        log.error("run killed: it did not end when it was interrupted", run_id=run.run_id, pid=pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _has_ended(pid, start, KILLED_AFTER_SECONDS)
        now = self._instance.get_run_by_id(run.run_id)
        if now is not None and not now.is_finished:
            self._instance.report_run_canceled(
                now, f"Its process {pid} did not end within {KILLED_AFTER_SECONDS:.0f} s and was killed."
            )

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives. Run monitoring fails a run whose process does not."""
        worker = self._worker(run.run_id)
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

    Of a run that was launched without this launcher the log has no start: it is that of the process which has
    the id now, and "gone" where that one began after the run did. None: nothing is logged yet.
    """
    named: tuple[int, str] | None = None
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        metadata: dict[str, Any] = dict(entry.get_dagster_event().engine_event_data.metadata)
        if "pid" in metadata:
            start = metadata.get(PROCESS_START)
            if start is not None:
                return int(metadata["pid"].value), str(start.value)
            named = named or _process_then(int(metadata["pid"].value), entry.timestamp)
    return named


def _process_then(pid: int, at: float) -> tuple[int, str]:
    """The process that had the id at a time in seconds since 1970: its start, or "gone"."""
    try:
        began = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return pid, GONE
    start = process_start(pid)
    return pid, GONE if start is None or began > at + CLOCK_SLACK_SECONDS else start


def _has_ended(pid: int, start: str, seconds: float) -> bool:
    """Whether it ends within that time."""
    until_ns = monotonic_ns() + int(seconds * 1e9)
    pause = threading.Event()
    while is_alive(pid, start):
        if monotonic_ns() > until_ns:
            return False
        pause.wait(0.1)
    return True


def is_alive(pid: int, start: str) -> bool:
    """Whether the process that started then is still there; any process `pid` where the start is ""."""
    now = process_start(pid)
    return now is not None and start in ("", now)
