"""The forkserver behind `dagster_instance.launcher`: it has imported everything and runs nothing itself.

Each run is a child of it, made by a fork, which begins with all modules loaded and all definitions built.
The server opens no instance, store or connection and has no thread but its own: none would survive a
fork. It ends with the process that launched it, after the last of its runs.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import site
import socket
import sys
import threading
import traceback
from contextlib import suppress
from importlib.machinery import PathFinder
from math import inf
from pathlib import Path
from typing import NoReturn

from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.instance import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._grpc.impl import core_execute_run
from dagster._serdes import deserialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.hosted_user_process import recon_job_from_origin, recon_repository_from_origin
from dagster._utils.interrupts import capture_interrupts

from trading_assets import keyring, process_setup
from trading_assets.dagster_instance.fallback import FORKED
from trading_assets.dagster_instance.launcher import PROCESS_START
from trading_assets.market.clock import monotonic_ns
from trading_assets.redaction import CleanStream
from trading_assets.store.leases import process_start

REAP_SECONDS = 1.0
_Sources = frozenset[tuple[str, int, int]]


def serve(control: socket.socket) -> None:
    """Take requests until the launcher is gone, then wait for the runs that are on.

    A request is JSON {"run_id", "instance_ref", "max_seconds"} with a socket for its answer, which the run's
    process gives as it begins ({}), or this one where there will be none: {"changed"}, {"unfit"}, {"failed"}.
    """
    runs = Runs()
    origin = deserialize_value(control.recv(1 << 20).decode(), RepositoryPythonOrigin)
    before = _sources(origin)
    failed = _preload(origin)
    while True:
        readable, _, _ = select.select([control], [], [], REAP_SECONDS)
        runs.look()
        if not readable:
            continue
        request, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not request:
            break
        with socket.socket(fileno=descriptors[0]) as answer:
            if _sources(origin) != before:
                _answer(answer, changed="the sources have changed since it loaded them")
            elif failed:
                _answer(answer, failed=failed)
            elif threads := _threads():
                _answer(answer, unfit=threads)
            else:
                _begin(control, answer, runs, **json.loads(request))
    control.close()
    pause = threading.Event()
    while runs.look():
        pause.wait(REAP_SECONDS)


def _begin(
    control: socket.socket,
    answer: socket.socket,
    runs: Runs,
    run_id: str,
    instance_ref: str,
    max_seconds: float,
) -> None:
    pid = os.fork()
    if pid == 0:
        control.close()
        _run(answer, run_id, instance_ref)
    runs.begun(pid, max_seconds)


def _preload(origin: RepositoryPythonOrigin) -> str:
    """Import what runs import and build the definitions; why that failed, or "". Nothing is opened."""
    try:
        recon_repository_from_origin(origin).get_definition()
    except Exception:  # noqa: BLE001 - told to each launch, until the sources have changed
        return f"the definitions do not load:\n{traceback.format_exc()}"
    try:
        from trading_assets.dagster_instance import launcher_preload

        launcher_preload.warm()
    except Exception:  # noqa: BLE001 - it saves time and nothing else: a run does without
        traceback.print_exc()
    gc.collect()
    gc.freeze()
    return ""


def _threads() -> str:
    """Why no fork is safe: a thread that something has started, or ""."""
    threads = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return "" if len(threads) == 1 else f"the forkserver has threads, which no fork has: {', '.join(threads)}"


def _sources(origin: RepositoryPythonOrigin) -> _Sources:
    """What changes with an edit in the code location's package, and with an installed package."""
    pointer = origin.code_pointer
    assert isinstance(pointer, ModuleCodePointer)  # the launcher forks no other
    places = [*([pointer.working_directory] if pointer.working_directory else []), *sys.path]
    spec = PathFinder.find_spec(pointer.module.partition(".")[0], places)
    roots = [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
    files = [file for root in roots for file in root.rglob("*.py")]
    installed = [path for entry in site.getsitepackages() if (path := Path(entry)).exists()]
    return frozenset(
        (str(path), (stat := path.stat()).st_mtime_ns, stat.st_size) for path in (*files, *installed)
    )


class Runs:
    """The runs that are on, each with the time at which it is killed: the last to see to that a run that
    hangs or is stopped ends. A process keeps its id until it is waited for here, so no other one is meant."""

    def __init__(self) -> None:
        self._until_ns: dict[int, float] = {}  # by process id

    def begun(self, pid: int, max_seconds: float) -> None:
        """max_seconds: 0: however long it takes"""
        self._until_ns[pid] = monotonic_ns() + max_seconds * 1e9 if max_seconds else inf

    def look(self) -> bool:
        """Take those that have ended, kill those that are over their time. False where none is left."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._until_ns.pop(ended, None)
        now = monotonic_ns()
        for pid in [pid for pid, until_ns in self._until_ns.items() if now > until_ns]:
            sys.stderr.write(f"process {pid} is over its run's maximum time and is killed\n")
            os.kill(pid, signal.SIGKILL)
        return bool(self._until_ns)


def _answer(answer: socket.socket, **reply: str) -> None:
    try:
        answer.send(json.dumps({key: text[-30_000:] for key, text in reply.items()}).encode())
    except OSError:
        sys.stderr.write(f"the launcher took no answer: {reply}\n")


def _run(answer: socket.socket, run_id: str, instance_ref: str) -> NoReturn:
    """The child's life: one run, and out, past every exit handler of the parent."""
    os.environ[FORKED] = "1"
    sys.stdout, sys.stderr = CleanStream(sys.stdout), CleanStream(sys.stderr)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = 1
    try:
        with capture_interrupts():
            _execute(answer, run_id, instance_ref)
        status = 0
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        pass  # a cancelled run has reported itself
    except BaseException:  # noqa: BLE001 - the end of the process: what happened is told, then it is over
        traceback.print_exc()
    finally:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _execute(answer: socket.socket, run_id: str, instance_ref: str) -> None:
    try:
        instance = DagsterInstance.from_ref(deserialize_value(instance_ref, InstanceRef))
        run = instance.get_run_by_id(run_id)
        if run is None or run.job_code_origin is None:
            raise LookupError(f"run {run_id} is not in this instance, or does not say what it runs")
        pid = os.getpid()
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).",
            run,
            EngineEventData(metadata={"pid": str(pid), PROCESS_START: process_start(pid) or ""}),
        )
    except Exception:
        _answer(answer, failed=traceback.format_exc())
        raise
    _answer(answer)
    answer.close()
    with instance:
        if run.is_finished:
            return  # it was given up meanwhile
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run)
            return
        _inject_environment(instance, run)
        for _ in core_execute_run(
            recon_job_from_origin(run.job_code_origin), run, instance, inject_env_vars=False
        ):
            pass


def _inject_environment(instance: DagsterInstance, run: DagsterRun) -> None:
    """What the instance's `.env` file says, as Dagster has it before a run, without what is ours to keep."""
    location = run.remote_job_origin.location_name if run.remote_job_origin else None
    try:
        instance.inject_env_vars(location)
    except Exception:
        error = serializable_error_info_from_exc_info(sys.exc_info())
        instance.report_engine_event(
            "Error while loading environment variables.", run, EngineEventData.engine_error(error)
        )
        instance.report_run_failed(run)
        raise
    finally:
        keyring.take()


def main() -> None:
    process_setup.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the launcher, and this ends with it
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)


if __name__ == "__main__":
    main()
